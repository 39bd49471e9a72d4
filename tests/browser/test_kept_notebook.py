"""What a notebook shows after its kernel is gone, and where it is not trusted: a saved one is opened in JupyterLab."""

import json
import re
import textwrap

import nbformat
import pytest

from harness import grave, open_notebook, run_all
from ledgers import large_ledger, translator_ledger
from s2s_magic.view.bundles import report_display

pytestmark = [pytest.mark.browser, pytest.mark.slow]

METADATA = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
CODE = f"""
    import json, sys
    from s2s_magic.ledger import Ledger
    from s2s_magic.view import to_widget
    from s2s_magic.view.bundles import report_display
    ledger = Ledger.from_dict(json.loads({json.dumps(json.dumps(translator_ledger().to_dict()))}))
"""


def write(path, *cells):
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells), metadata=METADATA), path)
    return path


def code(text, **more):
    return nbformat.v4.new_code_cell(textwrap.dedent(text).strip(), **more)


@pytest.fixture(scope="module")
def lab(served):
    return served("lab")


@pytest.fixture(scope="module")
def ran(lab, chrome):
    """A notebook with a page, and with an inspector, that has just been run in JupyterLab."""
    address, folder, _ = lab
    path = write(folder / "ran.ipynb", code(CODE), code("report_display(ledger)"), code("to_widget(ledger)"))
    page = chrome.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(60_000)
    open_notebook(page, address, "lab", path.name)
    run_all(page, path)
    page.locator(".s2s-inspector").wait_for()
    yield page, address, path
    page.close()


def seen(page):
    """Count what is to be seen: inspectors, pages that stand in for one, and what ipywidgets says without a model."""
    return (
        page.locator(".s2s-inspector:visible").count(),
        page.locator(".s2s-stand-in:visible").count(),
        page.get_by_text(re.compile("model not found|Loading widget|Error displaying")).locator("visible=true").count(),
    )


ALIVE, STANDING_IN = (1, 0, 0), (0, 1, 0)


def expect_seen(page, expected):
    for _ in range(60):
        if seen(page) == expected:
            break
        page.wait_for_timeout(250)
    page.wait_for_timeout(500)
    assert seen(page) == expected


def save(page, path):
    """Save the notebook that was run, and wait until its outputs are in the file."""
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    for _ in range(40):
        outputs = [len(cell.outputs) for cell in nbformat.read(path, 4).cells[:3]]
        if outputs == [0, 1, 2]:
            break
        page.wait_for_timeout(250)
    assert outputs == [0, 1, 2]


def kernel(page, command):
    page.get_by_role("menuitem", name="Kernel", exact=True).first.click()
    page.locator(".lm-Menu-item", has_text=command).first.click()


def click_through(fragment):
    """Prove that a page is alive: Tab finds each pane, and a click on an expression goes to its step."""
    assert fragment.locator("[data-thing][tabindex='0']:visible").count() == 3
    fragment.locator("code [data-is=s5]").click()
    assert fragment.locator(".s2s-radio:checked").get_attribute("id").endswith("-r5")
    assert fragment.locator(".s2s-head:visible, .s2s-said:visible").first.inner_text().startswith("Step 5 · line 7")
    fragment.locator("code [data-is=s11]").first.hover()
    assert fragment.locator("svg g.s2s-lit:visible").count()


def test_while_the_kernel_lives_the_inspector_is_seen_and_not_its_page(ran):
    page, *_ = ran
    expect_seen(page, ALIVE)
    click_through(page.locator(".s2s-live:visible").first)


def test_keys_of_the_notebook_do_not_reach_into_the_page(ran):
    page, *_ = ran
    fragment = page.locator(".s2s-live:visible").first
    fragment.locator("code [data-is=s5]").click()
    fragment.locator("code [data-is=s5]").focus()
    cells = page.locator(".jp-Cell").count()
    for key in ("ArrowDown", "b", "d", "d", "Enter"):
        page.keyboard.press(key)
    chosen = fragment.locator(".s2s-radio:checked")
    assert chosen.get_attribute("id").endswith("-r6")
    chosen.focus()
    for key in ("ArrowRight", "d", "d", "ArrowRight"):
        page.keyboard.press(key)
    assert chosen.get_attribute("id").endswith("-r8")
    fragment.get_by_role("button", name="Next step").focus()
    page.keyboard.press("Enter")
    assert chosen.get_attribute("id").endswith("-r9")
    assert page.locator(".jp-Cell").count() == cells
    assert page.locator("#jp-left-stack").is_visible()
    page.keyboard.press("Control+b")
    page.locator("#jp-left-stack").wait_for(state="hidden")
    page.keyboard.press("Control+b")
    page.locator("#jp-left-stack").wait_for()
    page.keyboard.press("d")
    page.keyboard.press("d")
    assert page.locator(".jp-Cell").count() == cells


def test_after_a_restart_of_the_kernel_its_page_is_seen(ran):
    page, *_ = ran
    kernel(page, "Restart Kernel…")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect_seen(page, STANDING_IN)
    click_through(page.locator(".s2s-stand-in .s2s"))
    for number in range(3):
        page.locator(".jp-CodeCell").nth(number).locator(".jp-InputPrompt").click()
        page.keyboard.press("Shift+Enter")
    expect_seen(page, ALIVE)


def test_saved_shut_down_and_opened_again_both_pages_are_alive_and_no_model_is_missed(ran, axe, photograph):
    page, address, path = ran
    save(page, path)
    kernel(page, "Shut Down Kernel")
    expect_seen(page, STANDING_IN)
    page.goto("about:blank")
    open_notebook(page, address, "lab", path.name)
    expect_seen(page, STANDING_IN)
    fragments = page.locator(".s2s-live:visible")
    assert fragments.count() == 2
    for number in range(2):
        click_through(fragments.nth(number))
    assert grave(page, axe, ".jp-OutputArea:has(.s2s-stand-in)") == []
    photograph(page, "lab-opened-again")


def untrusted(folder, name, ledger, **options):
    output = nbformat.v4.new_output("display_data", report_display(ledger, **options)._repr_mimebundle_())
    return write(folder / name, code("%seq2seq inspect translator", outputs=[output]))


@pytest.mark.parametrize("training", [False, True])
def test_an_untrusted_notebook_shows_owners_and_findings_on_less_than_two_screens(lab, chrome, photograph, training):
    address, folder, _ = lab
    path = untrusted(folder, f"stranger-{training}.ipynb", translator_ledger(training=True), training=training)
    page = chrome.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(60_000)
    open_notebook(page, address, "lab", path.name)
    output = page.locator(".jp-OutputArea-output")
    output.get_by_text("Who owns what at the end").wait_for()
    assert output.locator("style, script, svg").count() == 0
    assert output.bounding_box()["height"] < 900
    for words in ("encoder.cell LSTMCell", "1,122,404", "embeddings is called twice", "(step 5 · line 7)"):
        assert output.get_by_text(words).first.is_visible()
    folds = output.locator("details").all()
    assert all(fold.get_attribute("open") is None for fold in folds)
    shown = output.inner_text()
    assert "gradient’s way back" not in shown
    output.get_by_text("Step by step").click()
    assert output.get_by_text("Call 2 of embeddings creates nothing").is_visible()
    opened = output.inner_text()
    assert "Previous" not in opened
    assert "gradient’s way back" not in opened
    photograph(page, f"lab-untrusted-{training}")
    page.close()


def test_a_packed_page_is_an_outline_until_its_notebook_is_trusted(lab, chrome, photograph):
    address, folder, _ = lab
    path = untrusted(folder, "long.ipynb", large_ledger(20, 120))
    page = chrome.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(60_000)
    open_notebook(page, address, "lab", path.name)
    output = page.locator(".jp-OutputArea-output")
    output.get_by_text("Who owns what at the end").wait_for()
    assert output.bounding_box()["height"] < 1800
    output.locator("summary", has_text="Steps 0 to 119").click()
    assert output.get_by_role("row").filter(has_text="block_18").first.is_visible()
    assert output.get_by_text("%seq2seq inspect large --html FILE").is_visible()
    photograph(page, "lab-untrusted-packed")
    page.keyboard.press("Control+Shift+C")
    page.keyboard.type("trust notebook")
    page.keyboard.press("Enter")
    page.locator(".jp-Dialog").get_by_role("button", name="Trust").click()
    output.locator(".s2s-live").wait_for()
    output.get_by_role("button", name="First step").click()
    assert output.locator(".s2s-radio:checked").get_attribute("id").endswith("-r0")
    page.close()


def test_an_untrusted_inspector_says_in_a_sentence_what_it_needs(lab, chrome, ran):
    address, folder, _ = lab
    save(ran[0], ran[2])
    outputs = nbformat.read(ran[2], 4).cells[2].outputs
    path = write(folder / "strange-inspector.ipynb", code("to_widget(ledger)", outputs=outputs))
    page = chrome.new_page()
    page.set_default_timeout(60_000)
    open_notebook(page, address, "lab", path.name)
    page.get_by_text("The inspector of translator needs its kernel").wait_for()
    assert page.get_by_text("Who owns what at the end").is_visible()
    assert seen(page)[2] == 0
    page.close()
