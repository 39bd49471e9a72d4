"""The page that `--html` writes, in a real browser, with scripts and without."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import grave
from ledgers import Sketch, translator_ledger
from s2s_magic.decoded import Alignment
from s2s_magic.followed import Carried, Followed
from s2s_magic.told import Branch, Neighbour, SaidStep, Told, ToldDecoding
from s2s_magic.view import report, to_html

pytestmark = pytest.mark.browser

IMAGE = "<img src=x onerror=window.hit=1>"


def write(path: Path, ledger) -> Path:
    path.write_text(to_html(report(ledger, training=True), page=True), encoding="utf-8")
    return path


@pytest.fixture
def open_page(chrome, tmp_path: Path) -> Iterator:
    opened = []

    def open_it(*, scripts: bool, ledger=None, **options):
        context = chrome.new_context(java_script_enabled=scripts, **options)
        opened.append(context)
        page = context.new_page()
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(write(tmp_path / "report.html", ledger or translator_ledger(training=True)).as_uri())
        return page

    yield open_it
    for context in opened:
        context.close()


def seen(page, selector: str) -> list[str]:
    """Give the text of what can be seen of a selector."""
    return [item.inner_text() for item in page.locator(selector).all() if item.is_visible()]


def now(page) -> str:
    (sentence,) = seen(page, ".s2s-head")
    return sentence


def test_the_arrow_keys_step_with_scripts_blocked(open_page):
    page = open_page(scripts=False)
    assert "Step 13 · line 18" in now(page)
    page.locator(".s2s-radio").nth(13).focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    assert now(page) == "Step 5 · line 7: Call 2 of embeddings creates nothing: it uses the same 1 variable again."
    assert [text.split()[0] for text in seen(page, ".s2s-tree tbody th")] == ["embeddings", "embeddings"]
    assert seen(page, ".s2s-tree .s2s-again") == ["↻ reused"]
    assert seen(page, ".s2s-tree .s2s-new") == []
    assert page.locator("code [data-is=s5]").evaluate("e => getComputedStyle(e).fontWeight") == "700"
    assert page.locator("code [data-is=s4]").evaluate("e => getComputedStyle(e).fontWeight") == "400"


def test_next_and_previous_work_with_scripts_blocked(open_page):
    page = open_page(scripts=False)
    for _ in range(3):
        page.locator(".s2s-buttons label:visible", has_text="Previous").click()
    assert "Step 10 ·" in now(page)
    decoder = next(text for text in seen(page, ".s2s-tree tbody tr") if text.startswith("decoder "))
    assert decoder.split()[:4] == ["decoder", "BasicDecoder", "○", "made"]
    page.locator(".s2s-buttons label:visible", has_text="Next").click()
    assert "Step 11 ·" in now(page)
    assert len(seen(page, ".s2s-tree .s2s-new")) == 5


def test_the_filters_work_with_scripts_blocked(open_page):
    page = open_page(scripts=False)
    assert page.locator(".s2s-tree tbody tr").count() > 2
    page.get_by_text("Filter and columns").click()
    page.get_by_label("only shared").check()
    assert [text.split()[0] for text in seen(page, ".s2s-tree tbody th")] == ["embeddings", "embeddings"]
    assert page.get_by_text("Initializer", exact=True).is_hidden()
    page.get_by_label("all columns").check()
    assert page.get_by_text("Initializer", exact=True).is_visible()


def test_buttons_and_a_filter_come_with_scripts(open_page):
    page = open_page(scripts=True)
    page.get_by_role("button", name="First").click()
    assert "Step 0 ·" in now(page)
    page.get_by_role("button", name="Next").click()
    assert "Step 1 ·" in now(page)
    page.get_by_role("radio", checked=True).focus()
    page.keyboard.press("End")
    assert "Step 13 ·" in now(page)
    page.get_by_text("Filter and columns").click()
    page.get_by_role("searchbox").fill("recurrent")
    assert [text.split()[0] for text in seen(page, ".s2s-tree tbody th")] == ["recurrent_kernel"] * 2


def test_play_goes_through_the_steps_to_the_end(open_page):
    page = open_page(scripts=True)
    page.clock.install()
    page.reload()
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(1500 * 14)
    assert "Step 13 ·" in now(page)
    assert page.get_by_role("button", name="Play").is_visible()


def test_the_page_asks_the_network_for_nothing(open_page):
    page = open_page(scripts=True)
    assert [url for url in page.asked if not url.startswith("file:")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_at_600_pixels_and_twice_the_size(open_page, scheme):
    page = open_page(scripts=False, color_scheme=scheme, viewport={"width": 600, "height": 800})
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert open_page(scripts=True, color_scheme=scheme, viewport={"width": 600, "height": 800}).evaluate(wide)
    # A zoom of 200 % halves the window's width in CSS pixels.
    assert open_page(scripts=True, color_scheme=scheme, viewport={"width": 300, "height": 400}).evaluate(wide)
    assert page.locator(".s2s-name").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 600])
def test_axe_finds_nothing_grave(open_page, axe, photograph, scheme, width):
    page = open_page(scripts=True, color_scheme=scheme, viewport={"width": width, "height": 900})
    assert grave(page, axe, "html") == []
    photograph(page, f"page-{scheme}-{width}")


def of_an_example(path: Path) -> Path:
    """Write a page with a made-up example on the wires of the translator, and how an output of it is said."""
    ledger = translator_ledger()
    carried = tuple(
        Carried(event.index, number, one.name, event.layer, event.line, (1, 3, 4), "float32", (0.5, 1.0), 2.5, 0.25)
        for event in ledger.events
        for number, one in enumerate(event.outputs)
    )
    followed = Followed("translator", carried, 1.5, "a source", "a target", (), ledger)
    likely = tuple((f"word{number}", 0.2) for number in range(5))
    near = tuple(Neighbour(n, ("a", "source"), ("its", "target", "end"), n, 0.1) for n in range(3))
    steps = tuple(SaidStep(token, 0.2, likely, near) for token in ("its", "target", "end"))
    tree = ((Branch("its", -0.1, None, True), Branch("a", -2.0, None, False)), (Branch("end", -0.3, 0, True),))
    heat = Alignment("attention", ("a", "source"), ("its", "end"), ((0.9, 0.1), (0.5, 0.5)))
    told = ToldDecoding((Told("translator", ("a", "source"), steps, tree, (heat,), "", "the nearest of 3 pairs"),))
    path.write_text(to_html(report(ledger), page=True, told=told, followed=followed), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 600])
def test_the_examples_open_without_a_script_and_axe_finds_nothing_grave(
    chrome, axe, photograph, tmp_path, scheme, width
):
    context = chrome.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    try:
        page = context.new_page()
        page.goto(of_an_example(tmp_path / "report.html").as_uri())
        assert not page.get_by_text("What translator said, step by step").is_visible()
        for title in ("How an output is said", "One example on the wires"):
            page.get_by_text(title, exact=True).click()
        assert page.get_by_text("What translator said, step by step").is_visible()
        assert page.get_by_text("translator reads a source and should say a target").is_visible()
        assert grave(page, axe, "html") == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        photograph(page.locator("section").filter(has_text="How an output is said").last, f"told-{scheme}-{width}")
        photograph(page.locator("section").filter(has_text="One example on the").last, f"followed-{scheme}-{width}")
    finally:
        context.close()


def test_a_name_that_is_an_image_tag_shows_as_text(open_page):
    s = Sketch(IMAGE, f"x = make()  # {IMAGE}")
    s.constructed(s.layer(IMAGE, IMAGE), "make()", outputs=[(IMAGE, (None, 8), "float32")])
    page = open_page(scripts=True, ledger=s.ledger())
    page.get_by_text("<img src=x").first.wait_for()
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hit") is None
