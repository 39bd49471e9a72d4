"""Source, wiring and owners of a page in a real browser: what is pointed at in one is lit in the others."""

import html
from itertools import pairwise
from pathlib import Path

import pytest

from harness import grave
from ledgers import Sketch, large_ledger, translator_ledger
from s2s_magic.ledger import Cell, Ledger
from s2s_magic.view import report, to_html

pytestmark = pytest.mark.browser

LAST = 13
SECOND_CALL = 5
PANES = (".s2s-source", "svg.s2s-wiring", ".s2s-tree")


def opened(chrome, path: Path, ledger, *, most: int | None = None, **options):
    shown = report(ledger, training=ledger.training is not None)
    path.write_text(to_html(shown, page=True, most=most), encoding="utf-8")
    page = chrome.new_page(**{"viewport": {"width": 1400, "height": 900}} | options)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(path.as_uri())
    return page


@pytest.fixture(scope="module")
def screen(chrome, tmp_path_factory):
    page = opened(chrome, tmp_path_factory.mktemp("screen") / "report.html", translator_ledger())
    yield page
    assert page.faults == []
    page.close()


@pytest.fixture
def page(screen):
    """The page at its last step, with nothing pointed at."""
    screen.set_viewport_size({"width": 1400, "height": 900})
    screen.mouse.move(0, 0)
    screen.get_by_role("button", name="Last step").click()
    screen.evaluate("document.activeElement.blur()")
    return screen


def lit(page) -> list[set[str]]:
    """Give the marks of what is seen to be lit in the source, the wiring and among the owners."""
    return [
        {part.get_attribute("data-is") for part in page.locator(f"{pane} .s2s-lit").all() if part.is_visible()}
        for pane in PANES
    ]


def step(page) -> int:
    return int(page.locator(".s2s-radio:checked").get_attribute("id").rpartition("-r")[2])


def status(page) -> str:
    return page.get_by_role("status").text_content().strip()


def part(page, mark: str, pane: str = ""):
    return page.locator(f"{pane} [data-is={mark}]:visible").first


# embeddings is the object 3, its variable 0; decoder_cell is the object 6, its variables 4 to 6
EMBEDDINGS = [{"s3", "s4", "s5"}, {"b3"}, {"r3", "v0"}]
FIRST_WIRE = [{"s0", "s4"}, {"b0", "b3", "w0"}, {"r3"}]


def test_an_expression_lights_its_box_its_wires_its_owner_and_its_variables(page):
    part(page, "s5", "code").hover()
    source, wiring, owners = lit(page)
    assert source == {"s5"}
    assert wiring == {"b3", "w1"}
    assert owners == {"r3", "v0"}
    assert status(page) == "Step 5 · line 7: Call 2 of embeddings creates nothing: it uses the same 1 variable again."


def test_a_line_number_lights_all_that_its_line_did(page):
    page.locator(".s2s-line", has_text="encoder_outputs, state_h").locator(".s2s-gutter").hover()
    source, wiring, owners = lit(page)
    assert source == {"s7"}
    assert {"b4", "b5"} <= wiring
    assert {"r4", "v1", "v2", "v3"} <= owners


@pytest.mark.parametrize(("mark", "pane"), [("b3", "svg"), ("r3", ".s2s-tree")])
def test_a_box_and_an_owner_light_the_same(page, mark, pane):
    part(page, mark, pane).hover()
    assert lit(page) == EMBEDDINGS
    assert status(page) == (
        "embeddings, an Embedding, owns 1 variable, 1,000 parameters, trainable: steps 3, 4 and 5 · lines 5, 6 and 7"
    )


def test_a_variable_lights_its_owner_s_box_and_the_calls_that_use_it(page):
    part(page, "v0").hover()
    assert lit(page) == [{"s4", "s5"}, {"b3"}, {"v0"}]
    assert "its owner is embeddings: steps 4 and 5 · lines 6 and 7" in status(page)


def test_an_object_inside_another_is_lit_inside_its_box(page):
    part(page, "v5").hover()
    source, wiring, owners = lit(page)
    assert wiring == {"b6"}
    assert page.locator("svg g [data-is=b6]:visible text").first.text_content() == "decoder_cell"
    assert owners == {"v5"}
    assert source == {"s11"}


def test_a_wire_lights_its_ends(page):
    wire = part(page, "w0", "svg")
    assert wire.evaluate("wire => getComputedStyle(wire.querySelector('.s2s-reach')).strokeWidth") == "14px"
    box = wire.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert lit(page) == FIRST_WIRE
    assert "a wire, made in step 0 · line 2, used in step 4 · line 6" in status(page)


def test_lit_is_not_said_by_colour_alone(page):
    frame = "box => getComputedStyle(box.querySelector('rect')).strokeWidth"
    outline = "part => getComputedStyle(part).outlineStyle"
    before = part(page, "b3", "svg").evaluate(frame)
    part(page, "s5", "code").hover()
    assert part(page, "s5", "code").evaluate(outline) == "solid"
    assert part(page, "r3").evaluate(outline) == "solid"
    assert (before, part(page, "b3", "svg").evaluate(frame)) == ("1.2px", "3.5px")


def test_a_click_goes_to_the_step_and_another_to_the_next_of_the_same(page):
    part(page, "s5", "code").click()
    assert step(page) == SECOND_CALL
    part(page, "s7", "code").click()
    assert step(page) == 7
    seen = []
    for _ in range(4):
        part(page, "b3", "svg").click(position={"x": 40, "y": 20})
        seen.append(step(page))
    assert seen == [3, 4, 5, 3]
    part(page, "r3").click()
    assert step(page) == 4
    page.locator(".s2s-of-line label", has_text="11").click()
    assert step(page) == 11


def test_what_comes_with_a_later_step_is_lit_as_to_come(page):
    part(page, "s5", "code").click()
    part(page, "s10", "code").hover()
    assert lit(page)[1:] == [{"b8"}, {"r8"}]
    assert part(page, "b8", "svg").locator("> text").first.text_content() == "decoder"
    row = part(page, "r8")
    assert row.evaluate("row => getComputedStyle(row).outlineStyle") == "dashed"
    assert "to come" in row.evaluate("row => getComputedStyle(row.cells[1], '::after').content")
    page.mouse.move(0, 0)
    assert page.locator("[data-is=r8]:visible").count() == 0


def test_the_keyboard_does_all_of_it(page):
    part(page, "s5", "code").click()
    page.locator(".s2s-radio").nth(SECOND_CALL).focus()
    for _ in range(2):  # over the first pane to that of the owners
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "link"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.textContent") == "embeddings(decoder_inputs)"
    assert lit(page)[1:] == [{"b3", "w1"}, {"r3", "v0"}]
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.thing") == "s6"
    assert "Step 6 · line 8" in status(page)
    assert step(page) == SECOND_CALL
    page.keyboard.press("Enter")
    assert step(page) == 6
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.dataset.thing") == "s13"
    page.keyboard.press("Escape")
    assert lit(page) == [set(), set(), set()]


def test_a_notebook_does_not_get_the_keys_that_choose_a_step(page):
    page.evaluate("document.addEventListener('keydown', event => { document.title += event.key })")
    page.locator(".s2s-radio:checked").focus()
    for key, wanted in (("ArrowUp", LAST - 1), ("ArrowDown", LAST), ("ArrowLeft", LAST - 1)):
        page.keyboard.press(key)
        assert step(page) == wanted
    assert "Arrow" not in page.title()


@pytest.mark.parametrize(
    ("theme", "scheme"), [("vscode-dark", "dark"), ("vscode-light", "normal"), ("vscode-high-contrast", "dark")]
)
def test_controls_are_in_the_colours_of_vs_codes_theme(chrome, tmp_path, theme, scheme):
    path = tmp_path / "output.html"
    path.write_text(f'<body class="{theme}">{to_html(report(translator_ledger()))}</body>', encoding="utf-8")
    page = chrome.new_page()
    page.goto(path.as_uri())
    assert page.locator(".s2s").evaluate("part => getComputedStyle(part).colorScheme") == scheme
    page.close()


@pytest.mark.parametrize("most", [None, 55_000], ids=["whole", "packed"])
def test_in_a_frame_without_an_origin_it_is_alive_too(chrome, tmp_path, most):
    """As Colab shows each output: in a frame that may run scripts, and may ask for nothing."""
    inside = html.escape(to_html(report(translator_ledger()), most=most))
    path = tmp_path / "notebook.html"
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    frame = f'<iframe sandbox="allow-scripts" width="1200" height="900" srcdoc="{html.escape(head)}{inside}"></iframe>'
    path.write_text(frame, encoding="utf-8")
    page = chrome.new_page(viewport={"width": 1300, "height": 950})
    page.faults = []
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(path.as_uri())
    within = page.frame_locator("iframe")
    within.locator(".s2s-live").wait_for()
    within.locator("code [data-is=s5]").click()
    within.get_by_role("button", name="Next step").click()
    assert within.locator(".s2s-radio:checked").get_attribute("id").endswith("-r6")
    within.locator("svg [data-is=b3]:visible").first.hover()
    assert within.locator(".s2s-tree .s2s-lit").count() == 2
    assert page.faults == []
    page.close()


def test_boxes_and_wires_take_the_focus_and_keep_it_while_the_drawing_changes(page):
    page.locator("svg [data-thing][tabindex='0']:visible").first.focus()
    page.keyboard.press("Home")
    names = []
    for _ in range(5):
        names.append(page.evaluate("document.activeElement.dataset.thing"))
        page.keyboard.press("ArrowRight")
    assert names == ["o0", "o1", "o2", "o3", "w0"]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert step(page) == 4
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert step(page) == 5
    assert page.evaluate("document.activeElement.dataset.thing") == "o3"
    assert page.evaluate("document.activeElement.getClientRects().length") == 1


def test_a_screen_reader_finds_names_and_one_stop_in_each_pane(page):
    tree = page.locator(".s2s-panes").aria_snapshot()
    assert 'link "embeddings(decoder_inputs)"' in tree
    assert 'link "embeddings: Embedding, the embedding of source and target, called 2 times, owns 1,000' in tree
    assert 'link "decoder_cell"' in tree
    for pane in page.locator(".s2s-pane").all():
        stops = pane.locator("[data-thing][tabindex='0']:visible").all()
        assert len({stop.get_attribute("data-thing") for stop in stops}) == 1


def test_line_and_step_are_both_shown_wherever_one_is(page):
    assert page.locator(".s2s-chip").nth(5).inner_text().split() == ["5", "↻", "line", "7"]
    assert page.locator(".s2s-line", has_text="decoder_embeddings = ").first.inner_text().split()[:3] == [
        "7",
        "step",
        "5",
    ]
    assert "steps 4 and 5\nlines 6 and 7" in part(page, "r3").inner_text()
    assert page.locator("svg text:visible", has_text="step 13 · line 18").count() == 1
    assert "Who owns what after" in page.locator(".s2s-tree caption").inner_text()
    now = "mark => getComputedStyle(mark, '::after').content"
    assert page.locator(".s2s-now-at").evaluate(now) == '"step 13 · line 18"'


def test_three_columns_fit_into_one_screen_and_are_stacked_in_a_narrow_one(page):
    tops = [pane.bounding_box()["y"] for pane in page.locator(".s2s-pane").all()]
    assert len(set(tops)) == 1
    assert page.locator(".s2s-panes").bounding_box()["y"] < 250
    page.set_viewport_size({"width": 600, "height": 900})
    boxes = [pane.bounding_box() for pane in page.locator(".s2s-pane").all()]
    assert [box["x"] for box in boxes] == [boxes[0]["x"]] * 3
    assert all(above["y"] + above["height"] <= below["y"] for above, below in pairwise(boxes))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_at_every_width_what_is_trained_can_be_read_where_it_differs(chrome, tmp_path, photograph):
    document = translator_ledger().to_dict()
    first = next(iter(document["variables"].values()))
    first.update(trainable=False, frozen_by=first["owner"])
    ledger = Ledger.from_dict(document)
    page = opened(chrome, tmp_path / "report.html", ledger)
    states = page.locator(".s2s-tree tr > :nth-child(5)")
    for width in (400, 560, 700, 850, 991, 992, 1100, 1211, 1212, 1400, 1900):
        page.set_viewport_size({"width": width, "height": 900})
        photograph(page, f"states-{width}")
        pane = page.locator(".s2s-pane:has(.s2s-tree) > .s2s-scroll").bounding_box()
        boxes = [cell.bounding_box() for cell in states.all() if cell.is_visible()]
        assert len(boxes) > 5
        assert all(box["x"] + box["width"] <= pane["x"] + pane["width"] + 1 for box in boxes), width
    assert {"State", "trainable", "frozen by embeddings"} <= set(states.all_inner_texts())
    page.close()


def test_a_wiring_that_is_too_wide_shows_all_of_the_boxes_of_a_step(chrome, tmp_path):
    page = opened(chrome, tmp_path / "report.html", translator_ledger(), viewport={"width": 1000, "height": 900})
    frame = page.locator(".s2s-scroll:has(svg.s2s-wiring)")
    assert frame.evaluate("frame => frame.scrollWidth > frame.clientWidth")
    for at, box in ((LAST, "Y_proba"), (1, "decoder_inputs"), (SECOND_CALL, "embeddings"), (2, "sequence_lengths")):
        page.locator(".s2s-chip").nth(at).click()
        page.mouse.move(0, 0)
        there = page.locator("svg.s2s-wiring g", has_text=box).locator("visible=true").last.bounding_box()
        here = frame.bounding_box()
        assert here["x"] <= there["x"], box
        assert there["x"] + there["width"] <= here["x"] + here["width"], box
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 600])
def test_axe_finds_nothing_grave_while_something_is_lit(chrome, axe, tmp_path, photograph, scheme, width):
    page = opened(chrome, tmp_path / "report.html", translator_ledger(), color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    part(page, "s11", "code").hover()
    assert all(lit(page))
    assert grave(page, axe, "html") == []
    photograph(page, f"linked-{scheme}-{width}")
    page.locator(".s2s-chip").nth(SECOND_CALL).click()
    part(page, "s11", "code").hover()
    assert grave(page, axe, "html") == []
    page.close()


def test_several_cells_and_several_steps_of_a_line_are_told_apart(chrome, tmp_path):
    s = Sketch("many", "for _ in range(9):\n    x = d(x)")
    key = s.layer("d", "Dense")
    s.constructed(s.layer("x", "InputLayer"), "range(9)", outputs=[("x", (None, 8), "float32")])
    for _ in range(9):
        s.called(key, "d(x)", ("x",), [("x", (None, 8), "float32")])
    s.cells.append(Cell(number=2, text="y = d(x)"))
    s.called(key, "d(x)", ("x",), [("y", (None, 8), "float32")])
    page = opened(chrome, tmp_path / "report.html", s.ledger())
    assert page.locator(".s2s-cell-name").all_inner_texts() == ["Cell 1", "Cell 2"]
    assert page.locator(".s2s-line", has_text="x = d(x)").first.locator("label").all_inner_texts() == [
        "step\n1",
        "to step\n9",
    ]
    seen = []
    for _ in range(3):
        page.locator("code [data-thing=s1]").click()
        seen.append(step(page))
    assert seen == [1, 2, 3]
    assert "Step 10 · cell 2, line 1" in page.locator("[id$='-h10']").text_content()
    assert page.faults == []
    page.close()


def test_with_more_steps_than_are_drawn_one_by_one_the_last_wiring_is_linked_too(chrome, tmp_path):
    page = opened(chrome, tmp_path / "report.html", large_ledger(20, 120))
    expression = page.locator("code [data-is~=s60]").first
    expression.hover()
    assert all(lit(page))
    page.get_by_role("button", name="First step").click()
    expression.click()
    assert f"s{step(page)}" in expression.get_attribute("data-is").split()
    assert page.faults == []
    page.close()


PARTS = """[...document.querySelectorAll(".s2s *")].filter(part => part.localName !== "script").map(part => {
    const attributes = [...part.attributes].map(each => `${each.name}=${each.value}`).sort();
    const text = part.children.length ? "" : part.textContent;
    return [part.localName, text, part.getClientRects().length, ...attributes].join(" ");
})"""


@pytest.mark.parametrize("training", [False, True])
def test_a_packed_page_opens_as_what_it_is_unpacked(chrome, tmp_path, training):
    ledger = translator_ledger(training=training)
    whole = opened(chrome, tmp_path / "whole.html", ledger)
    packed = opened(chrome, tmp_path / "packed.html", ledger, most=55_000)
    packed.locator(".s2s-live").wait_for()
    assert (tmp_path / "packed.html").stat().st_size < 56_000 < (tmp_path / "whole.html").stat().st_size
    assert packed.evaluate(PARTS) == whole.evaluate(PARTS)
    part(packed, "s5", "code").click()
    assert step(packed) == SECOND_CALL
    assert all(lit(packed))
    assert whole.faults == packed.faults == []
    whole.close()
    packed.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_packed_page_is_an_outline_where_scripts_do_not_run(chrome, tmp_path, axe, photograph, scheme):
    options = {"color_scheme": scheme, "most": 90_000}
    page = opened(chrome, tmp_path / "scripts.html", large_ledger(20, 120), **options)
    page.locator(".s2s-live").wait_for()
    assert grave(page, axe, "html") == []
    context = chrome.new_context(java_script_enabled=False, color_scheme=scheme, viewport={"width": 600, "height": 900})
    bare = context.new_page()
    bare.goto((tmp_path / "scripts.html").as_uri())
    assert bare.get_by_text("%seq2seq inspect large --html FILE").is_visible()
    assert bare.get_by_role("row").filter(has_text="block_7 Dense").first.is_visible()
    assert bare.locator("svg").count() == 0
    photograph(bare, f"outline-{scheme}")
    context.close()
    page.close()
