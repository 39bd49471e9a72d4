"""The inspector in JupyterLab and in Notebook 7: with a mouse, with a keyboard, and checked by axe-core."""

import json
from pathlib import Path

import nbformat
import pytest

from harness import grave, with_inspectors
from ledgers import Sketch
from s2s_magic.ledger import ModelRecord

expect = pytest.importorskip("playwright.sync_api", reason="no playwright here").expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BY_HAND = Path(__file__).parents[2] / "examples" / "by_hand.ipynb"
PAGES = ("Steps", "Owners", "Wiring", "Training", "Lookup")
OF_KERNEL = (*PAGES, "Decode")
IMAGE = "<img src=x onerror=window.hit=1>"


@pytest.fixture(params=["lab", "notebook"])
def front_end(request):
    return request.param


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return with_inspectors(BY_HAND, tmp_path_factory.mktemp("story"))


@pytest.fixture
def page(notebook_page, front_end, story):
    return notebook_page(front_end, story)


def inspector(page):
    found = page.locator(".s2s-inspector").last
    found.scroll_into_view_if_needed()
    return found


def opened(page, title):
    """Open a page of the inspector and give what it shows."""
    seen = inspector(page)
    tab = seen.get_by_role("tab", name=title, exact=True)
    tab.click()
    page.wait_for_function("tab => tab.getAttribute('aria-selected') === 'true'", arg=tab.element_handle())
    shown = seen.locator(".s2s-page:visible")
    shown.wait_for()
    return shown


def press(page, name):
    inspector(page).get_by_role("button", name=name, exact=True).click()


def expect_text(shown, words):
    expect(shown).to_contain_text(words, use_inner_text=True, timeout=60_000)


def step_shown(page):
    return int(inspector(page).get_by_role("slider").get_attribute("aria-valuetext"))


def test_running_the_story_ends_with_an_inspector_that_shows_training(page, front_end, photograph):
    tab = inspector(page).get_by_role("tab", name="Training", exact=True)
    tab.wait_for()
    expect_text(opened(page, "Training"), "gradient norm")
    photograph(inspector(page), f"{front_end}-training")


def test_an_earlier_display_of_the_same_model_is_left_as_a_page_and_not_empty(page):
    assert page.locator(".s2s-inspector").count() == 1
    assert page.locator(".jp-OutputArea .s2s.s2s-live:visible").count() >= 4
    first, last = page.locator(".s2s-stand-in").all()
    assert (first.is_visible(), last.is_visible()) == (True, False)
    assert page.get_by_text("Error displaying widget").count() == 0


def test_a_page_is_the_output_of_a_trace_and_is_alive(page, photograph, front_end):
    shown = page.locator(".s2s-live:visible").first
    shown.locator("code [data-is=s0]").first.click()
    assert shown.locator(".s2s-radio:checked").get_attribute("id").endswith("-r0")
    assert shown.locator("svg g.s2s-lit:visible").count() == 1
    photograph(shown, f"{front_end}-page")


def test_the_mouse_steps(page, front_end, photograph):
    shown = opened(page, "Steps")
    press(page, "First")
    expect_text(shown, "Step 0")
    press(page, "Next")
    press(page, "Next")
    expect_text(shown, "Step 2")
    press(page, "Previous")
    expect_text(shown, "Step 1")
    for _ in range(4):
        press(page, "Next")
    expect_text(shown, "creates nothing")
    assert shown.locator(".s2s-present").all_text_contents() == ["embedding(wanted)"]
    photograph(inspector(page), f"{front_end}-steps")


def test_the_keyboard_steps(page):
    shown = opened(page, "Steps")
    first = inspector(page).get_by_role("button", name="First", exact=True)
    first.focus()
    page.keyboard.press("Enter")
    expect_text(shown, "Step 0")
    for name in ("Previous", "Play", "Next"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == name
    page.keyboard.press("Space")
    expect_text(shown, "Step 1")
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Step"
    page.keyboard.press("ArrowRight")
    expect_text(shown, "Step 2")
    page.keyboard.press("End")
    expect_text(shown, "finds")


def test_the_focus_is_seen(page):
    inspector(page).get_by_role("button", name="First", exact=True).focus()
    page.keyboard.press("Tab")
    outlined = page.evaluate(
        "(() => {const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.boxShadow})()"
    )
    assert outlined != "nonenone"


def test_the_keyboard_changes_pages(page):
    opened(page, "Steps")
    inspector(page).get_by_role("tab", name="Steps", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect_text(inspector(page).locator(".s2s-page:visible"), "Who owns what after step")


def test_play_steps_by_itself(page):
    opened(page, "Steps")
    press(page, "First")
    press(page, "Play")
    page.wait_for_timeout(3200)
    press(page, "Play")
    assert 1 <= step_shown(page) <= 4


def test_owners_are_filtered_by_name_and_by_kind(page, front_end, photograph):
    press(page, "Last")
    shown = opened(page, "Owners")
    photograph(inspector(page), f"{front_end}-owners")
    name = inspector(page).get_by_placeholder("part of a name")
    name.fill("recurrent")
    expect_text(shown, "lines filtered out")
    tree = shown.locator(".s2s-tree")
    assert tree.get_by_text("to_logits").count() == 0
    name.fill("")
    tree.get_by_text("to_logits").first.wait_for()
    kinds = inspector(page).get_by_label("Show", exact=True)
    kinds.select_option("only shared")
    expect_text(shown, "lines filtered out")
    assert tree.get_by_text("embedding", exact=True).count()
    assert tree.get_by_text("encoder", exact=True).count() == 0
    kinds.select_option("all")


def test_the_wiring_grows(page, front_end, photograph):
    shown = opened(page, "Wiring")
    press(page, "First")
    shown.locator("svg text", has_text="step 0").wait_for()
    assert shown.locator("svg text", has_text="decoder").count() == 0
    press(page, "Last")
    shown.locator("svg title", has_text="the gradient’s way back").first.wait_for(state="attached")
    photograph(inspector(page), f"{front_end}-wiring")


def test_lookup_answers_as_explain_does(page, front_end, photograph):
    shown = opened(page, "Lookup")
    name = inspector(page).get_by_placeholder("a tensor, layer or variable")
    name.fill("given_vectors")
    name.press("Enter")
    expect_text(shown, "It holds no weights")
    photograph(inspector(page), f"{front_end}-lookup")


def test_a_source_is_decoded_and_what_cannot_be_is_told_in_a_line(page, front_end, axe, photograph):
    shown = opened(page, "Decode")
    expect_text(shown, "Type a source")
    source = inspector(page).get_by_label("Source", exact=True)
    source.fill("3 14 15")
    press(page, "Decode")
    expect_text(shown, "3 14 15 becomes")
    assert grave(page, axe, ".s2s-inspector") == []
    photograph(inspector(page), f"{front_end}-decode")
    source.fill("three")
    press(page, "Decode")
    expect_text(shown, "reverser works on ids")
    assert shown.get_by_role("alert").count() == 1


@pytest.mark.parametrize("title", OF_KERNEL)
def test_axe_finds_nothing_grave(page, axe, title):
    opened(page, title)
    assert grave(page, axe, ".s2s-inspector") == []


def test_axe_finds_nothing_grave_in_the_pages_left_behind(page, axe):
    assert grave(page, axe, ".jp-OutputArea:not(:has(.s2s-inspector)):has(.s2s-strip)") == []


@pytest.mark.parametrize(
    ("name", "width", "height"), [("600-pixels", 600, 900), ("200-percent", 640, 450)], ids=lambda value: str(value)
)
def test_a_narrow_or_zoomed_window_shows_everything(page, front_end, axe, photograph, name, width, height):
    page.set_viewport_size({"width": width, "height": height})
    try:
        if front_end == "lab":
            page.keyboard.press("Control+b")  # as everybody does who has so little room: fold the side bar
            page.locator("#jp-left-stack").wait_for(state="hidden")
        for title in OF_KERNEL:
            opened(page, title)
            assert grave(page, axe, ".s2s-inspector") == []
            box = inspector(page).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            tabs = inspector(page).get_by_role("tab").all()
            assert all(tab.bounding_box()["x"] + tab.bounding_box()["width"] <= width for tab in tabs)
            photograph(page, f"{front_end}-{name}-{title.lower()}")
    finally:
        if front_end == "lab":
            page.keyboard.press("Control+b")
            page.locator("#jp-left-stack").wait_for()
        page.set_viewport_size({"width": 1280, "height": 900})


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A notebook that shows a ledger in which every name is an image tag."""
    s = Sketch(IMAGE, f"x = make()  # {IMAGE}")
    s.constructed(s.layer(IMAGE, IMAGE), "make()", outputs=[(IMAGE, (None, 8), "float32")])
    key = s.layer(f"{IMAGE}2", "Dense")
    made = s.variable(key, IMAGE, (8, 8), key)
    s.called(key, "x", (IMAGE,), [(f"{IMAGE}3", (None, 8), "float32")], (made,))
    s.models.append(ModelRecord(name="model", object=s.layer("model", "Functional"), trainable=64, total=64))
    code = f"""
        import json
        from s2s_magic.ledger import Ledger
        from s2s_magic.view import to_widget
        to_widget(Ledger.from_dict(json.loads({json.dumps(json.dumps(s.ledger().to_dict()))})))
    """
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("\n".join(line.strip() for line in code.splitlines()))],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    path = tmp_path_factory.mktemp("hostile") / "hostile.ipynb"
    nbformat.write(notebook, path)
    return path


def test_a_name_that_is_an_image_tag_shows_as_text(notebook_page, hostile, photograph):
    page = notebook_page("lab", hostile, theme="Dark")
    for title in PAGES[:3]:
        shown = opened(page, title)
        expect_text(shown, "<img src=x")
        assert shown.locator("img").count() == 0
    assert page.evaluate("window.hit") is None
    photograph(page, "lab-image-tag-as-text")


def test_axe_finds_nothing_grave_in_the_dark(notebook_page, hostile, axe):
    page = notebook_page("lab", hostile, theme="Dark")
    for title in PAGES:
        opened(page, title)
        assert grave(page, axe, ".s2s-inspector") == []
