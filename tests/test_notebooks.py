"""The example notebooks run in a real kernel, and their claims hold."""

import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from traitlets.config import Config

pytestmark = pytest.mark.once

EXAMPLES = Path(__file__).parents[1] / "examples"
FORMS = {"text/plain", "text/markdown", "text/html"}
NOTEBOOKS = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))


SHORTER = {"tasks": {"6000, 8000, 20_000, 500": "300, 300, 300, 50", r"epochs: \d+": "epochs: 1"}}
"""What is replaced, by notebook, in those that train for minutes."""


@cache
def executed(name):
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    for long, short in SHORTER.get(name, {}).items():
        assert any(re.search(long, cell.source) for cell in notebook.cells)
        for cell in notebook.cells:
            cell.source = re.sub(long, short, cell.source)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()  # raises if a cell raises
    return notebook


def shown(notebook, first_words):
    """Return what the first cell that begins with these words printed and displayed, as text."""
    cell = next(c for c in notebook.cells if c.cell_type == "code" and c.source.startswith(first_words))
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs]
    return " ".join("\n".join(texts).split())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_ships_without_outputs_and_without_widget_state(name):
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_display_has_text_markdown_and_html(name):
    outputs = [(cell.source, out) for cell in executed(name).cells for out in cell.get("outputs", [])]
    displays = [(source, set(out.data)) for source, out in outputs if out.output_type == "display_data"]
    assert displays
    assert [source for source, kinds in displays if not kinds >= FORMS] == []


def test_the_story_by_hand_is_readable_and_short_as_markdown():
    """With text preferred to HTML, as README says."""
    preferred = {"display_data_priority": ["text/markdown", "text/plain"]}
    exporter = MarkdownExporter(config=Config(NbConvertBase=preferred))
    written, _ = exporter.from_notebook_node(executed("by_hand"))
    assert len(written.encode()) <= 20_000
    assert "<style" not in written
    assert "|Owner|Owns|Parameters|Used by|State|" in written
    assert written.count("```") % 2 == 0


def test_each_report_of_the_story_is_less_than_120_kilobytes():
    sizes = [
        sum(len(form.encode()) for form in out.data.values())
        for cell in executed("by_hand").cells
        for out in cell.get("outputs", [])
        if out.output_type == "display_data" and "s2s-strip" in out.data.get("text/html", "")
    ]
    assert len(sizes) >= 5
    assert max(sizes) < 120_000


@pytest.mark.slow
def test_the_quickstart_reads_dates_it_has_never_seen():
    notebook = executed("quickstart")
    assert "1789-07-14" in shown(notebook, "%seq2seq decode translator")
    score = re.search(r"500 held-back dates: ([\d.]+)%", shown(notebook, "decoded ="))
    assert score is not None
    assert float(score[1]) >= 99.0
    assert "calls for decoding, variables created: 0" in shown(notebook, "calls =")
    assert "It holds no weights" in shown(notebook, "%seq2seq explain translator encoder_embeddings")


def test_each_of_the_tasks_is_trained_and_scored_on_pairs_held_back():
    notebook = executed("tasks")
    cells = [cell for cell in notebook.cells if cell.source.startswith("held = ")]
    assert len(cells) == 3
    for cell in cells:
        assert re.search(r"[\d.]+ % of 50 held-back \w+ are exactly right", cell.outputs[-1].text)
    scores = shown(notebook, "%%seq2seq score dates_model")
    assert "dates_model, scored on 50 rows" in scores
    assert "token_accuracy" in scores


def test_attention_reads_a_word_from_its_end():
    notebook = executed("attention")
    said = shown(notebook, "%seq2seq decode reverser")
    assert "stone -> enots" in said
    assert "what attention looked at, in s t o n e:" in said
    assert "memory_layer owns 1 variable" in shown(notebook, "%seq2seq explain reverser memory_layer")


def test_the_story_by_hand_answers_who_owns_the_weights():
    notebook = executed("by_hand")
    assert "given_vectors is a tensor" in shown(notebook, "%seq2seq explain reverser given_vectors")
    embedding = shown(notebook, "%seq2seq explain reverser embedding")
    assert "It is called twice" in embedding
    assert "It is part of model" in embedding
    inspected = shown(notebook, "%seq2seq inspect reverser")
    assert "46,332 parameters in all, all of them trainable" in inspected
    after_fit = shown(notebook, "%seq2seq explain reverser embedding.embeddings")
    assert "used by 2 calls" in after_fit
    assert "distance" in after_fit or "moved" in after_fit


def test_shared_separate_and_tied_models_are_told_apart():
    notebook = executed("shared_or_not")
    assert "600" in shown(notebook, "%seq2seq compare shared separate")  # one matrix of 50 x 12 more
    tied = shown(notebook, "%seq2seq explain tied")
    assert "to_words" in tied


@pytest.mark.parametrize(
    ("first_words", "expected"),
    [
        ("%seq2seq explain frozen_cell", "decoder_cell.trainable is False"),
        ("%seq2seq explain forgotten_state", "no wire leads from it to the model's outputs"),
        ("%seq2seq explain closure", "the optimizer never sees it"),
        ("%%seq2seq trace hard_choice", "no gradient comes back"),
        ("%seq2seq explain ghost", "never called and never owns a variable"),
        ("%seq2seq explain forgotten_weight", "No gradient of the loss comes back to it: not read inside scaled"),
    ],
)
def test_each_way_to_stay_untrained_is_found_in_words(first_words, expected):
    assert expected in shown(executed("stays_untrained"), first_words)


def test_the_lesson_asks_compares_and_shows_what_was_trained():
    notebook = executed("lesson")
    quiz = shown(notebook, "%seq2seq quiz translator")
    assert "QUIZ ON translator: 6 questions" in quiz
    assert "1: all calls use the same" in quiz
    assert "1 owner changed." in shown(notebook, "%seq2seq diff translator")
    assert "embeddings is no longer trained" in shown(notebook, "%seq2seq diff translator")
    trained = shown(notebook, "%seq2seq inspect translator --training")
    assert len(re.findall(r"all 60 \S+ \S+ trained", trained)) == 8
    assert re.search(r"embeddings\.embeddings step 4 .*? frozen", trained)


def test_the_parts_of_the_lesson_take_half_an_hour():
    text = "\n".join(cell.source for cell in nbformat.read(EXAMPLES / "lesson.ipynb", as_version=4).cells)
    table = re.findall(r"^\| (\d\. .*?) \| (\d+) \|$", text, re.MULTILINE)
    assert sum(int(minutes) for _, minutes in table) == 30
    assert [f"## {part} ({minutes} minutes)" for part, minutes in table] == re.findall(r"^## .*", text, re.MULTILINE)


@pytest.fixture(scope="module")
def exercise():
    """Give a function that runs the lesson's last model with one text replaced, as its exercises ask for."""
    import tensorflow as tf
    from tensorflow import keras

    import s2s_magic

    cells = [cell.source for cell in nbformat.read(EXAMPLES / "lesson.ipynb", as_version=4).cells]
    body = next(text for text in cells if "\nembeddings.trainable = False\n" in text).partition("\n")[2]

    def run(old, new):
        assert old in body
        names = {"tf": tf, "keras": keras, "vocab_size": 100, "embed_size": 16, "units": 32}
        return s2s_magic.trace(body.replace(old, new), names, name="translator")

    return run


def test_the_answers_of_the_lesson_s_exercises_are_true(exercise):
    from s2s_magic.ledger.compare import compare_runs

    as_it_is = exercise("units", "units")
    own = "own = keras.layers.Embedding(vocab_size, embed_size)\ndecoder_embeddings = own("
    first = compare_runs(as_it_is.ledger, exercise("decoder_embeddings = embeddings(", own).ledger)
    assert first.second_total - first.first_total == 1600
    changed = {(change.kind, change.about) for change in first.changes}
    assert changed == {("came", "own"), ("added", "own"), ("removed", "embeddings"), ("rewired", "decoder")}

    zeros = "initial_state=[tf.zeros_like(state_h), tf.zeros_like(state_c)]"
    (found,) = (
        f.text for f in exercise("initial_state=encoder_state", zeros).ledger.findings if f.kind == "no gradient"
    )
    assert "encoder.cell.bias are in model and trainable, but no gradient comes back to them" in found
    assert "tf.zeros_like in line" in found

    counts = []
    for name in ("decoder", "decoder_cell"):
        model = exercise("model.compile(", f"{name}.trainable = False\nmodel.compile(").model
        counts.append(len(model.trainable_weights))
    assert counts == [3, 5]  # the frozen table is not among them


def test_training_shows_what_did_not_move():
    assert "no gradient" in shown(executed("stays_untrained"), "%seq2seq inspect hard_choice --training")


def test_the_notebook_for_colab_answers_the_question_and_every_owner_moves():
    notebook = executed("colab")
    assert "It holds no weights" in shown(notebook, "%seq2seq explain translator source_vectors")
    assert "it is the decoder's cell" in shown(notebook, "%seq2seq explain translator decoder_cell")
    moved = dict(re.findall(r"(\S+) +moved by ([\d.]+)", shown(notebook, "import numpy")))
    assert {"embedding", "encoder.cell", "decoder_cell", "output_layer"} <= moved.keys()
    assert all(float(distance) > 0 for distance in moved.values())
    assert "frozen by encoder.trainable = False" in shown(notebook, "%seq2seq explain translator encoder.cell.kernel")
    assert "3,432 trainable of 5,544 parameters" in shown(notebook, "%seq2seq inspect translator")
