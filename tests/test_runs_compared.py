"""What changed between two runs of a cell: owners, calls and wires, and what is kept of the run before."""

import gc
import re
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from IPython.core.interactiveshell import InteractiveShell

import s2s_magic
from models import by_hand, ran, zoo
from s2s_magic.errors import LookupFailed
from s2s_magic.ledger import Called, Ledger
from s2s_magic.ledger.compare import compare, compare_runs
from s2s_magic.view.bundles import show_comparison
from s2s_magic.view.comparison import comparison_html, comparison_text
from test_trace_random import START, STEPS, line
from test_view_html import read

pytestmark = pytest.mark.once

HAND = by_hand(20, 4, 8)
SPEC = "%%seq2seq build small\nvocab: 30\nembed: 6\nencoder: lstm(8)\ndecoder: lstm(8)"


def after(*edits, code=HAND):
    """Compare a run of code with one after some replacements, each of which must change the text."""
    edited = code
    for old, new in edits:
        assert old in edited
        edited = edited.replace(old, new)
    return compare_runs(ran(code).ledger, ran(edited).ledger)


def told(comparison):
    return [(change.kind, change.about, change.text) for change in comparison.changes]


@pytest.mark.parametrize("title", zoo())
def test_nothing_changed_when_the_same_code_is_run_again(title):
    comparison = after(code=zoo()[title])
    assert told(comparison) == []
    assert re.fullmatch(
        r"Nothing changed in the owners and wires of model since the run before \(\d+ variables?, \d+ steps?\)\.\n",
        comparison_text(comparison),
    )


def test_lines_that_moved_are_no_change_and_both_lines_are_told_where_something_is():
    comparison = after(("import tensorflow as tf\n", "import tensorflow as tf\n# one\n# more\n"))
    assert told(comparison) == []
    comparison = after(("source_ids =", "# one\nsource_ids ="), ("Dense(20)", "Dense(20, use_bias=False)"))
    (change,) = comparison.changes
    assert (change.first, change.second) == ("line 17 · step 9", "line 18 · step 9")
    assert "line 18 · step 9, was line 17 · step 9: scores: owner changed" in comparison_text(comparison)


def test_a_frozen_layer_is_a_change_of_its_owner():
    comparison = after(("reader =", "words.trainable = False\nreader ="))
    said = "trainable is False, was True; embeddings is no longer trained (words.trainable is False)"
    assert told(comparison) == [("changed", "words", said)]
    assert comparison.sentences == ("1 owner changed.", "It now trains 1,012 parameters by its switches, was 1,092.")


def test_sizes_and_classes_that_changed_are_told_with_their_owner():
    comparison = after(("LSTMCell(8)", "GRUCell(8)"), ("[memory, carry]", "memory"))
    assert told(comparison) == [
        (
            "changed",
            "writer_cell",
            "a GRUCell, was an LSTMCell; made by keras.layers.GRUCell(8), was keras.layers.LSTMCell(8); "
            "kernel (4, 32) → (4, 24), recurrent_kernel (8, 32) → (8, 24) and bias (32,) → (2, 24)",
        ),
        ("rewired", "writer", "no longer takes carry of reader (line 14 · step 7)"),
    ]


def test_an_owner_that_came_brings_its_call_and_the_new_wire():
    comparison = after(("target_vectors = words(", "more = keras.layers.Embedding(20, 4)\ntarget_vectors = more("))
    assert told(comparison) == [
        ("came", "more", "an Embedding layer object; more owns 1 variable, 80 parameters: more.embeddings (20, 4)"),
        ("removed", "words", "words(target_ids)"),
        ("added", "more", "more(target_ids)"),
        (
            "rewired",
            "writer",
            "takes target_vectors of more (line 12 · step 6), was target_vectors of words (line 11 · step 5)",
        ),
    ]
    gone = after(
        ("more = keras.layers.Embedding(20, 4)\ntarget_vectors = more(", "target_vectors = words("),
        code=HAND.replace("target_vectors = words(", "more = keras.layers.Embedding(20, 4)\ntarget_vectors = more("),
    )
    assert {change.kind: change.about for change in gone.changes} == {
        "went": "more", "added": "words", "removed": "more", "rewired": "writer",
    }  # fmt: skip


def test_states_in_another_order_are_wired_otherwise():
    (change,) = after(("initial_state=[memory, carry]", "initial_state=[carry, memory]")).changes
    assert (change.kind, change.about) == ("rewired", "writer")
    assert change.text.endswith("in this order")


def test_another_output_of_the_model_is_a_change_of_the_model():
    (change,) = after(("target_lengths], chances)", "target_lengths], written.rnn_output)")).changes[-1:]
    assert (change.kind, change.about) == ("rewired", "model")
    assert (
        change.text
        == "ends in written.rnn_output of writer (line 19 · step 11), was chances of tf.nn.softmax (line 23 · step 12)"
    )


def test_a_layer_without_a_name_is_the_one_made_by_the_same_expression():
    code = (
        "from tensorflow import keras\nx = keras.Input([4])\nh = keras.layers.Dense(3)(x)\n"
        "y = keras.layers.Dense(2)(h)\nmodel = keras.Model(x, y)\n"
    )
    comparison = after(("y =", "h = keras.layers.Dense(3, 'relu')(h)\ny ="), code=code)
    assert [(change.kind, change.second) for change in comparison.changes] == [
        ("came", "line 4 · step 3"),
        ("added", "line 4 · step 4"),
        ("rewired", "line 5 · step 6"),
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(steps=STEPS, more=STEPS)
def test_added_less_removed_calls_are_the_difference_in_calls(steps, more):
    before, now = (
        ran("\n".join([START, *map(line, lines), "model = keras.Model(x, ends[-2:])"])).ledger
        for lines in (steps, [*steps[:3], *more, *steps[3:]])
    )
    comparison = compare(before, now)
    kinds = [change.kind for change in comparison.changes]
    calls = [sum(isinstance(event, Called) for event in ledger.events) for ledger in (before, now)]
    assert kinds.count("added") - kinds.count("removed") == calls[1] - calls[0]
    layers = [sum(not layer.implicit for layer in ledger.layers.values()) for ledger in (before, now)]
    assert kinds.count("came") - kinds.count("went") <= abs(layers[1] - layers[0]) or kinds.count("went")
    assert bool(kinds) == (told(compare(now, before)) != [])


def test_comparing_two_models_tells_of_their_wires_too():
    text = comparison_text(compare(ran(HAND).ledger, ran(HAND.replace("softmax", "sigmoid")).ledger))
    assert "tf.nn.softmax: call only in model (first)" in text
    assert "IN THE ORDER OF THE CODE" in text
    assert "Verdict" in text


def test_a_diff_is_a_table_in_a_page():
    page = read(comparison_html(after(("reader =", "words.trainable = False\nreader ="))))
    cells = [cell.get_text() for cell in page.select("tbody tr")[0].find_all(["th", "td"])]
    assert cells[:4] == ["words", "owner changed", "line 9 · step 3", "line 9 · step 3"]
    assert len(page.find_all("table")) == 1


# -- in a notebook -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    yield shell
    shell.run_line_magic("unload_ext", "s2s_magic")
    InteractiveShell.clear_instance()


def run(shell, cell):
    result = shell.run_cell(cell)
    result.raise_error()
    return result.result


CELL = """%%seq2seq trace {name}
from tensorflow import keras
x = keras.Input([4])
hidden = keras.layers.Dense(3)
model = keras.Model(x, hidden(x))
"""


def test_without_a_run_before_there_is_one_clear_line(notebook):
    run(notebook, CELL.format(name="fresh"))
    with pytest.raises(LookupFailed, match="fresh has no run before this one") as caught:
        run(notebook, "%seq2seq diff fresh")
    assert "\n" not in str(caught.value)
    with pytest.raises(LookupFailed, match="no run before"):
        s2s_magic.diff(s2s_magic.build(SPEC.partition("\n")[2]))


def test_a_cell_that_was_edited_and_run_again_is_compared_with_its_run_before(notebook, capsys):
    run(notebook, CELL.format(name="edited"))
    run(notebook, CELL.format(name="edited"))
    capsys.readouterr()
    run(notebook, "%seq2seq diff edited")
    assert capsys.readouterr().out.strip() == (
        "Nothing changed in the owners and wires of edited since the run before (2 variables, 4 steps)."
    )
    run(notebook, CELL.format(name="edited").replace("Dense(3)", "Dense(5)"))
    capsys.readouterr()
    run(notebook, "%seq2seq diff edited")
    assert "kernel (4, 3) → (4, 5)" in capsys.readouterr().out
    comparison = run(notebook, "found = %seq2seq diff edited --return\nfound")
    assert comparison == s2s_magic.diff(notebook.user_ns["edited"])
    run(notebook, CELL.format(name="edited").replace("Dense(3)", "Dense(5)"))
    assert run(notebook, "found = %seq2seq diff edited --return\nfound").changes == ()


def test_a_layer_frozen_in_another_cell_is_a_change_since_the_run_before(notebook):
    run(notebook, CELL.format(name="icy"))
    run(notebook, CELL.format(name="icy"))
    run(notebook, "hidden.trainable = False")
    comparison = run(notebook, "found = %seq2seq diff icy --return\nfound")
    assert [change.about for change in comparison.changes] == ["hidden"]


def test_a_built_model_is_compared_with_the_one_that_its_name_had(notebook):
    run(notebook, SPEC)
    run(notebook, SPEC.replace("embed: 6", "embed: 7"))
    comparison = run(notebook, "found = %seq2seq diff small --return\nfound")
    assert {"embeddings", "encoder.cell", "decoder_cell"} & {change.about for change in comparison.changes}
    assert comparison.second_total > comparison.first_total


def test_a_name_that_the_cell_binds_itself_keeps_its_run_before(notebook):
    for units in (3, 5):
        run(notebook, CELL.format(name="model").replace("Dense(3)", f"Dense({units})"))
    comparison = run(notebook, "found = %seq2seq diff model --return\nfound")
    assert [change.about for change in comparison.changes] == ["hidden"]


def test_a_run_that_raised_or_made_nothing_is_no_run_before(notebook):
    run(notebook, CELL.format(name="kept"))
    run(notebook, CELL.format(name="kept").replace("Dense(3)", "Dense(5)"))
    with pytest.raises(ZeroDivisionError):
        run(notebook, CELL.format(name="kept") + "1 / 0")
    run(notebook, "%%seq2seq trace kept\nnothing = 1")
    comparison = run(notebook, "found = %seq2seq diff kept --return\nfound")
    assert "made by keras.layers.Dense(5), was keras.layers.Dense(3)" in comparison.changes[0].text


def test_a_cell_that_goes_on_is_compared_with_the_ledger_that_it_went_on_from(notebook):
    run(notebook, CELL.format(name="longer"))
    run(notebook, "%%seq2seq trace longer --continue\ny = keras.layers.Dense(2)(x)")
    comparison = run(notebook, "found = %seq2seq diff longer --return\nfound")
    assert [(change.kind, change.second) for change in comparison.changes] == [
        ("came", "cell 2, line 2 · step 4"),
        ("added", "cell 2, line 2 · step 5"),
    ]


def test_only_the_ledger_of_the_run_before_is_kept(notebook):
    run(notebook, SPEC.replace("small", "light"))
    first = notebook.user_ns["light"]
    run(notebook, "%%seq2seq build light\nvocab: 30\nembed: 8\nencoder: lstm(8)\ndecoder: lstm(8)")
    kept = notebook.user_ns["light"].previous
    assert type(kept) is Ledger
    assert kept == first.ledger.with_training(None)
    gone, layers = weakref.ref(first), weakref.ref(first.layers["encoder"])
    del first
    run(notebook, SPEC.replace("small", "light"))
    oldest = weakref.ref(kept)
    del kept
    gc.collect()
    assert (gone(), layers(), oldest()) == (None, None, None)


def test_a_quiz_is_shown_and_returned(notebook, capsys):
    run(notebook, CELL.format(name="asked"))
    capsys.readouterr()
    run(notebook, "%seq2seq quiz asked --questions 3")
    shown = capsys.readouterr().out
    assert "QUIZ ON asked: 3 questions" in shown
    assert "ANSWERS" in shown
    quiz = run(notebook, "asked_quiz = %seq2seq quiz asked --questions 3 --seed 2 --return\nasked_quiz")
    assert quiz.questions == s2s_magic.quiz(notebook.user_ns["asked"], 3, 2).questions
    assert set(quiz._repr_mimebundle_()) == {"text/plain", "text/markdown", "text/html"}


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5"])
def test_a_number_of_questions_is_a_whole_number_from_1_on(notebook, count):
    run(notebook, CELL.format(name="asked"))
    with pytest.raises(s2s_magic.Seq2SeqError, match="questions"):
        run(notebook, f"%seq2seq quiz asked --questions {count}")


def test_a_page_has_a_closed_quiz_where_it_is_asked_for(notebook, tmp_path):
    run(notebook, CELL.format(name="paged"))
    page = tmp_path / "page.html"
    run(notebook, f'%seq2seq inspect paged --html "{page}" --quiz')
    html = read(page.read_text("utf-8"))
    (folded,) = [each for each in html.find_all("details") if each.summary.get_text() == "Quiz"]
    assert not folded.has_attr("open")
    assert folded.find_all("fieldset")
    run(notebook, f'%seq2seq inspect paged --html "{page}"')
    assert "s2s-quiz" not in read(page.read_text("utf-8")).body.get_text()
    with pytest.raises(
        s2s_magic.Seq2SeqError, match=r"--quiz adds to a page: give --html FILE as well, or %seq2seq quiz"
    ):
        run(notebook, "%seq2seq inspect paged --quiz")


def test_the_displays_of_a_diff_have_text_and_html():
    display = show_comparison(after(("reader =", "words.trainable = False\nreader =")))
    assert set(display._repr_mimebundle_()) == {"text/plain", "text/markdown", "text/html"}
