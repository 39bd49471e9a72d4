"""The inspector without a browser: what it shows after a click, how many models it keeps, what it displays."""

import gc
import importlib.util
import re
import statistics
import subprocess
import sys
import textwrap
import time

import pytest

from ledgers import Sketch, large_ledger, translator_ledger

ipywidgets = pytest.importorskip("ipywidgets")

from IPython.core.interactiveshell import InteractiveShell  # noqa: E402
from IPython.display import display  # noqa: E402
from IPython.utils.capture import capture_output  # noqa: E402

from s2s_magic.display import show_model  # noqa: E402
from s2s_magic.errors import DecodeError  # noqa: E402
from s2s_magic.ledger import Ledger, Variable  # noqa: E402
from s2s_magic.told import SaidStep, Told, ToldDecoding  # noqa: E402
from s2s_magic.view import report, to_widget  # noqa: E402
from s2s_magic.view.widget.inspector import WIDGET_VIEW, close_tree  # noqa: E402

FIRST_CALL, SECOND_CALL, DECODER_CALLED, LAST = 4, 5, 11, 13


def live_models():
    """Return every widget model that is open in this process, with any version of ipywidgets."""
    if ipywidgets.__version__.startswith("7."):
        return dict(ipywidgets.Widget.widgets)
    from ipywidgets.widgets import widget

    return dict(widget._instances)


@pytest.fixture
def inspector():
    before = set(live_models())
    made = to_widget(translator_ledger(training=True))
    yield made
    close_tree(made)
    assert set(live_models()) <= before


@pytest.fixture
def shell():
    """A separate shell for each test: settings survive unloading the extension, and must not survive the test."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def everything(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything(child)


def control(inspector, description):
    return next(each for each in everything(inspector) if getattr(each, "description", None) == description)


def press(inspector, description):
    control(inspector, description).click()


def page(inspector, title):
    """Open a tab and return its HTML."""
    tabs = next(each for each in everything(inspector) if isinstance(each, ipywidgets.Tab))
    tabs.selected_index = [tabs.get_title(at) for at in range(len(tabs.children))].index(title)
    shown = tabs.children[tabs.selected_index]
    return next(each for each in everything(shown) if isinstance(each, ipywidgets.HTML)).value


def test_it_opens_at_the_last_step(inspector):
    assert control(inspector, "Step").value == LAST
    assert "2,194,508 trainable" in inspector.children[0].value


def test_first_previous_next_and_last_step_and_stop_at_the_ends(inspector):
    slider = control(inspector, "Step")
    seen = []
    for button in ("First", "Previous", "Next", "Next", "Previous", "Last", "Next"):
        press(inspector, button)
        seen.append(slider.value)
    assert seen == [0, 0, 1, 2, 1, LAST, LAST]


def test_the_present_expression_is_marked_and_not_only_its_line(inspector):
    control(inspector, "Step").value = SECOND_CALL
    assert '<span class="s2s-present">embeddings(decoder_inputs)</span>' in page(inspector, "Steps")
    assert page(inspector, "Steps").count("s2s-present") == 1


def test_a_step_says_what_it_created_and_what_it_used_again(inspector):
    control(inspector, "Step").value = FIRST_CALL
    assert "+ new" in page(inspector, "Steps")
    assert "wiring only" in page(inspector, "Steps")
    assert "Trainable so far: 1,000 parameters" in page(inspector, "Steps")
    control(inspector, "Step").value = SECOND_CALL
    assert "↻ reused" in page(inspector, "Steps")
    assert "+ new" not in page(inspector, "Steps")


def test_owners_are_those_after_the_step(inspector):
    control(inspector, "Step").value = SECOND_CALL
    shown = page(inspector, "Owners")
    assert "Who owns what after step 5" in shown
    assert "recurrent_kernel" not in shown
    assert "steps 4 and 5" in shown
    control(inspector, "Step").value = DECODER_CALLED
    assert "recurrent_kernel" in page(inspector, "Owners")


def test_owners_do_not_know_of_later_calls(inspector):
    control(inspector, "Step").value = FIRST_CALL
    assert "steps 4 and 5" not in page(inspector, "Owners")


def test_a_name_filters_the_owners_and_keeps_what_is_above(inspector):
    page(inspector, "Owners")
    filters = [each for each in everything(inspector) if getattr(each, "placeholder", "") == "part of a name"]
    filters[0].value = "RECURRENT"
    shown = page(inspector, "Owners")
    assert shown.count("recurrent_kernel") >= 2
    assert "decoder_cell" in shown
    assert "output_layer" not in names_shown(inspector)
    filters[0].value = "no such name"
    assert "passes the filter" in page(inspector, "Owners")


def names_shown(inspector):
    return re.findall(r'<span(?: title="[^"]*")?>([\w.]+)</span>', page(inspector, "Owners").replace("<wbr>", ""))


def test_owners_are_sorted_among_their_siblings(inspector):
    control(inspector, "Order").value = "largest first"
    largest = names_shown(inspector)
    assert largest.index("decoder") < largest.index("encoder") < largest.index("embeddings")
    control(inspector, "Order").value = "by name"
    by_name = names_shown(inspector)
    assert by_name.index("decoder") < by_name.index("embeddings") < by_name.index("encoder")
    assert by_name[by_name.index("decoder_cell") + 1] == "bias"


def test_only_shared_leaves_the_shared_layer(inspector):
    control(inspector, "Show").value = "only shared"
    shown = names_shown(inspector)
    assert "embeddings" in shown
    assert "encoder" not in shown


def frozen_ledger():
    s = Sketch("frozen", "x = make()\na = A()\ny = a(x)\nb = B()\nz = b(y)")
    s.constructed(s.layer("x", "InputLayer"), "make()", outputs=[("x", (None, 8), "float32")])
    for name, trainable in (("a", False), ("b", True)):
        key = s.layer(name, "Dense", trainable=trainable)
        s.constructed(key, f"{name.upper()}()")
        frozen = {} if trainable else {"trainable": False, "frozen_by": name}
        made = s.variable(key, f"kernel_{name}", (8, 8), key, **frozen)
        source, goal = ("x", "y") if name == "a" else ("y", "z")
        s.called(key, f"{name}({source})", (source,), [(goal, (None, 8), "float32")], (made,))
    return s.ledger()


def test_only_untrained_leaves_what_is_frozen_and_says_by_whom():
    made = to_widget(frozen_ledger())
    control(made, "Show").value = "only untrained"
    shown = page(made, "Owners")
    assert "kernel_a" in shown
    assert "frozen by a" in shown
    assert "kernel_b" not in shown
    close_tree(made)


def test_the_wiring_grows_with_the_steps(inspector):
    control(inspector, "Step").value = SECOND_CALL
    assert ">step 5 · line 7</text>" in page(inspector, "Wiring")
    assert ">decoder</text>" not in page(inspector, "Wiring")
    press(inspector, "Last")
    assert ">decoder</text>" in page(inspector, "Wiring")


def test_only_the_page_in_sight_is_drawn(inspector):
    page(inspector, "Owners")
    steps = next(
        each for each in everything(inspector) if isinstance(each, ipywidgets.HTML) and "s2s-stage" in each.value
    )
    before = steps.value
    press(inspector, "First")
    assert steps.value == before
    assert page(inspector, "Steps") != before


def test_lookup_says_what_explain_says(inspector):
    what = next(each for each in everything(inspector) if isinstance(each, ipywidgets.Combobox))
    assert "encoder_embeddings" in what.options
    page(inspector, "Lookup")
    what.value = "encoder_embeddings"
    assert "It holds no weights" in page(inspector, "Lookup")
    what.value = "encoder_embedings"
    assert "encoder_embeddings" in page(inspector, "Lookup")  # the nearest valid name


def test_training_is_updated_while_the_step_stays():
    made = to_widget(translator_ledger())
    control(made, "Step").value = SECOND_CALL
    assert "Nothing was fitted yet" in page(made, "Training")
    made.update(translator_ledger(training=True))
    assert "gradient norm" in page(made, "Training")
    assert "did not move" in page(made, "Training")
    assert control(made, "Step").value == SECOND_CALL
    close_tree(made)


def test_a_report_with_training_opens_there():
    made = to_widget(report(translator_ledger(training=True), training=True))
    tabs = next(each for each in everything(made) if isinstance(each, ipywidgets.Tab))
    assert tabs.get_title(tabs.selected_index) == "Training"
    close_tree(made)


def test_the_inference_model_stands_beside_the_trained_one():
    without = to_widget(translator_ledger())
    made = to_widget(translator_ledger(), inference=translator_ledger(), replace=without)
    assert "decoder_cell" in page(made, "Inference")
    close_tree(made)


def test_a_hundred_inspectors_leave_no_more_models_than_one():
    before = len(live_models())
    made = to_widget(translator_ledger())
    one = len(live_models()) - before
    for _ in range(100):
        made = to_widget(translator_ledger(), replace=made)
    assert len(live_models()) - before == one < 40
    close_tree(made)
    assert len(live_models()) == before


def test_a_hundred_steps_make_no_models(inspector):
    before = len(live_models())
    for step in range(100):
        control(inspector, "Step").value = step % LAST
        for title in ("Steps", "Owners", "Wiring"):
            page(inspector, title)
    assert len(live_models()) == before


def test_a_step_through_two_hundred_events_answers_within_50_ms():
    made = to_widget(large_ledger(70, 200))
    for title in ("Steps", "Owners", "Wiring"):
        page(made, title)
        times = []
        for step in range(0, 200, 10):
            start = time.thread_time()  # of this thread alone: other tests run beside this one
            control(made, "Step").value = step
            times.append(time.thread_time() - start)
        assert statistics.median(times) < 0.05, title
    close_tree(made)


def displayed(shown):
    """Return the MIME bundles of a cell that ends with something to show."""
    with capture_output() as seen:
        display(shown)
    return [output.data for output in seen.outputs]


def test_the_page_is_an_output_of_its_own_and_words_stand_beside_the_widget(inspector, shell):
    page, view = displayed(inspector)
    assert set(page) == {"text/plain", "text/markdown", "text/html"}
    assert "decoder_cell" in page["text/plain"]
    assert "<table" in page["text/html"]
    assert set(view) == {"text/plain", "text/html", WIDGET_VIEW}
    assert view[WIDGET_VIEW]["model_id"] == inspector.model_id
    assert "--widget opens it" in view["text/html"]


def test_when_a_fit_is_over_its_evidence_is_on_the_page_that_stays(shell):
    made = to_widget(translator_ledger())
    assert "Nothing was fitted" not in displayed(made)[0]["text/html"]
    for over in (False, True):
        with capture_output() as seen:
            made.update(translator_ledger(training=True), over=over)
        assert len(seen.outputs) == over
    assert "s2s-stand-in" in seen.outputs[0].data["text/html"]
    close_tree(made)


def test_names_are_text_on_every_page():
    name = "<img src=x onerror=alert(1)>"
    s = Sketch(name, f"x = make()  # {name}")
    s.constructed(s.layer(name, name), "make()", outputs=[(name, (None, 8), "float32")])
    key = s.layer(f"{name}2", "Dense")
    made = s.variable(key, name, (8, 8), key)
    s.called(key, "x", (name,), [(f"{name}3", (None, 8), "float32")], (made,))
    shown = to_widget(s.ledger())
    next(each for each in everything(shown) if isinstance(each, ipywidgets.Combobox)).value = f"{name}3"
    for title in ("Steps", "Owners", "Wiring", "Training", "Lookup"):
        assert "<img" not in page(shown, title)
        assert "&lt;img" in page(shown, title) or title == "Training"
    assert "<img" not in shown.children[0].value
    close_tree(shown)


def test_every_control_has_a_name(inspector):
    buttons = ipywidgets.Button | ipywidgets.ToggleButton
    controls = buttons | ipywidgets.Text | ipywidgets.Dropdown | ipywidgets.IntSlider
    assert [each for each in everything(inspector) if isinstance(each, controls) and not each.description] == []
    assert [each for each in everything(inspector) if isinstance(each, buttons) and not each.tooltip] == []


def test_an_empty_ledger_has_an_inspector():
    made = to_widget(Ledger("empty"))
    assert [page(made, title) for title in ("Steps", "Owners", "Wiring", "Training", "Lookup")]
    close_tree(made)


def test_a_variable_older_than_the_trace_is_an_owner_from_the_first_step():
    s = Sketch("old", "y = d(x)")
    key = s.layer("d", "Dense")
    s.constructed(s.layer("x", "InputLayer"), "x", outputs=[("x", (None, 8), "float32")])
    s.variables["v0"] = Variable(
        owner="d",
        object=key,
        paths=("d.kernel",),
        name="d/kernel:0",
        shape=(8, 8),
        dtype="float32",
        bytes=256,
        params=64,
        trainable=True,
    )
    s.called(key, "d(x)", ("x",), [("y", (None, 8), "float32")], reused=("v0",))
    made = to_widget(s.ledger())
    press(made, "First")
    assert "kernel" in page(made, "Owners")
    close_tree(made)


def test_without_ipywidgets_every_other_view_still_works():
    code = """
        import sys
        sys.modules["ipywidgets"] = None
        sys.path.insert(0, "tests")
        from ledgers import translator_ledger
        from s2s_magic.view import report, to_html, to_text
        from s2s_magic.view.bundles import report_display
        bundle = report_display(translator_ledger())._repr_mimebundle_()
        assert set(bundle) == {"text/plain", "text/markdown", "text/html"}, bundle
        try:
            from s2s_magic.view import to_widget
        except ImportError as error:
            print("no widgets:", error.name)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "no widgets: ipywidgets"


def test_views_import_no_widgets_until_one_is_asked_for():
    code = (
        "import sys; import s2s_magic.view.bundles, s2s_magic.view.wiring.drawing; print('ipywidgets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert importlib.util.find_spec("ipywidgets") is not None


def test_a_page_made_of_a_saved_notebook_shows_the_report(inspector, shell):
    nbformat = pytest.importorskip("nbformat")
    nbconvert = pytest.importorskip("nbconvert")
    outputs = [nbformat.v4.new_output("display_data", data) for data in displayed(inspector)]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("%seq2seq inspect translator --widget", outputs=outputs)]
    )
    shown, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert "<caption>" in shown
    assert "decoder_cell" in shown
    assert "s2s-strip" in shown
    assert "needs its kernel" in shown


def test_an_open_inspector_shows_a_fit_as_soon_as_it_ends(shell):
    pytest.importorskip("tensorflow")
    import numpy as np

    shell.extension_manager.load_extension("s2s_magic")
    magics = shell.magics_manager.registry["Seq2SeqMagics"]
    magics.display = "widget"
    try:
        shell.run_cell_magic(
            "seq2seq", "build small", "vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\n"
        )  # fmt: skip
        shell.user_ns["X"] = shell.user_ns["Y"] = np.random.default_rng(1).integers(1, 20, (32, 5))
        made = magics.widgets["small"]
        assert "Nothing was fitted yet" in page(made, "Training")
        shell.run_cell_magic("seq2seq", "fit small", "source: X\ntarget: Y\nepochs: 1\n")
        assert magics.widgets["small"] is made
        assert "gradient norm" in page(made, "Training")
        close_tree(made)
    finally:
        shell.extension_manager.unload_extension("s2s_magic")


def told(*tokens):
    return ToldDecoding((Told("m", ("<i>",), tuple(SaidStep(one, 0.5, ((one, 0.5),)) for one in tokens)),))


def test_without_a_kernel_there_is_no_page_to_decode_on(inspector):
    tabs = next(each for each in everything(inspector) if isinstance(each, ipywidgets.Tab))
    assert "Decode" not in [tabs.get_title(at) for at in range(len(tabs.children))]


def test_a_source_is_decoded_when_the_button_is_pressed_and_not_before():
    asked = []

    def tell(source):
        asked.append(source)
        return told("<b>", "end")

    made = to_widget(translator_ledger(), tell=tell)
    try:
        assert "Type a source, and press Decode" in page(made, "Decode")
        control(made, "Source").value = "stone"
        assert asked == []
        press(made, "Decode")
        assert asked == ["stone"]
        shown = page(made, "Decode")
        assert "<b>&lt;i&gt;</b> becomes &lt;b&gt; end" in shown
        control(made, "Source").value = "  "
        press(made, "Decode")
        assert asked == ["stone"]
        assert "Type a source" in page(made, "Decode")
    finally:
        close_tree(made)


def test_what_cannot_be_decoded_is_told_in_one_line_and_the_next_source_is_decoded():
    made = to_widget(translator_ledger(), tell=lambda source: told("a") if source == "good" else refuse(source))
    try:
        control(made, "Source").value = "<img src=x>"
        press(made, "Decode")
        assert '<p role="alert">no &lt;img src=x&gt; here, and none below</p>' in page(made, "Decode")
        control(made, "Source").value = "good"
        press(made, "Decode")
        assert "becomes a" in page(made, "Decode")
        assert not control(made, "Decode").disabled
        made.update(translator_ledger(training=True))
        assert "becomes a" in page(made, "Decode")
    finally:
        close_tree(made)


def refuse(source):
    raise DecodeError(f"no {source} here,\nand none below")


def test_a_bug_keeps_its_traceback_and_the_button_works_again(shell, capsys):
    made = to_widget(translator_ledger(), tell=lambda source: 1 / 0)
    try:
        control(made, "Source").value = "x"
        press(made, "Decode")
        assert "ZeroDivisionError" in capsys.readouterr().out
        assert not control(made, "Decode").disabled
    finally:
        close_tree(made)


def test_in_a_notebook_it_decodes_with_the_model_and_does_not_keep_it_alive(shell):
    pytest.importorskip("tensorflow")
    from s2s_magic import api

    shell.run_line_magic("load_ext", "s2s_magic")
    spec = "vocab: 9\nembed: 4\nencoder: gru(4)\ndecoder: gru(4)\nstart: 1\nend: 2\nmax_length: 4\n"
    model = api.build(spec, name="model")
    made = show_model(model, shell, mode="widget")
    try:
        control(made, "Source").value = "3 4 5"
        press(made, "Decode")
        expected = [*map(str, api.decode(model, [[3, 4, 5]])[0]), "end"][:4]
        assert f"becomes {' '.join(expected)}" in page(made, "Decode")
        for source, words in (("3 four", "model works on ids"), ("99", "99")):
            control(made, "Source").value = source
            press(made, "Decode")
            assert words in page(made, "Decode")
            assert 'role="alert"' in page(made, "Decode")
        del model
        gc.collect()
        press(made, "Decode")
        assert "model is no longer in the notebook" in page(made, "Decode")
    finally:
        close_tree(made)
        shell.run_line_magic("unload_ext", "s2s_magic")
