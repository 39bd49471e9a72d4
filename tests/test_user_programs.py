"""Programs like those of courses and tutorials, run in plain Python and through the magics, and compared.

Each is a notebook in percent format in ``tests/courses``. The oracle is the program itself, run in plain Python: its
losses, its weights, and the ids that its own decoding function returns.
"""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from addons import run_plainly
from kerases import only_keras2
from s2s_magic.addons import stand_in
from s2s_magic.errors import DecodeError
from s2s_magic.undoing import Changes

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")]

COURSES = Path(__file__).parent / "courses"
TWICE = "epochs: 2\nshuffle: false\n"


@dataclass(frozen=True)
class Course:
    """A program, and how a user of the notebook would fit and decode it.

    Attributes
    ----------
    body
        The fit cell that replaces the program's ``fit``.
    function, sources
        The program's own decoding function (empty if there is none), and the variable to decode.
    said
        The note shown below the decoded outputs.
    options
        The options of ``%seq2seq decode``.
    refused
        Why the magic cannot decode the program.
    """

    body: str
    function: str = ""
    sources: str = ""
    said: str = ""
    options: str = ""
    refused: str = ""


PROGRAMS = {
    "number_reversal": Course(
        "source: questions\ntarget: answers\ndecoder_input: answers_in\nbatch: 16\n" + TWICE,
        "answer",
        "questions",
        said="decoded by the code's own pair of models, encoder_model and decoder_model",
    ),
    "one_hot_characters": Course(
        "inputs: {encoder_inputs: encoder_data, decoder_inputs: decoder_data}\ntarget: decoder_target\nbatch: 7\n"
        + TWICE,
        "translate",
        "encoder_data",
        said="decoded by the code's own pair of models, encoder and decoder",
    ),
    "nameless_inputs": Course(
        "inputs: {enc_in: x_train, dec_in: shifted}\ntarget: y_train\nbatch: 8\n" + TWICE, "add_one", "x_train"
    ),
    "strings_inside": Course(
        "inputs: {source_in: sentences, target_in: decoder_text}\ntarget: target_ids\nbatch: 8\n" + TWICE,
        "translate_all",
        "sentences",
    ),
    "translator_class": Course(
        "inputs: [heard, spoken_in]\ntarget: spoken\nbatch: 10\n" + TWICE,
        "speak",
        "heard",
        said="decoded by running the whole model again at each step: its model is of class Translator, without wires",
    ),
    "repeated_vector": Course(
        "source: X\ntarget: y\nbatch: 20\nepochs: 3\nshuffle: false\n",
        "add",
        "X",
        said="decoded at once for all positions",
    ),
    "both_directions": Course(
        "source: unsorted\ndecoder_input: finished_in\ntarget: finished\nbatch: 11\n" + TWICE,
        "put_in_order",
        "unsorted",
        said="rows end with id 2, as those fitted did",
    ),
    "stacked_gru": Course(
        "source: first\ndecoder_input: second_in\ntarget: second\nbatch: 12\n" + TWICE, "rotate", "first"
    ),
    "addons_decoders": Course(
        "source: X_train\ndecoder_input: X_decoder\ntarget: Y_train\nbatch: 15\n" + TWICE,
        "mirror",
        "X_train",
        said="decoded by the code's own inference_decoder, which has a GreedyEmbeddingSampler",
    ),
    "scheduled_sampling": Course(
        "source: given\ndecoder_input: teacher\ntarget: wanted\nbatch: 10\n" + TWICE,
        "draw",
        "given",
        said="decoded by the code's own drawing_decoder, which has a SampleEmbeddingSampler",
    ),
    "dot_attention": Course(
        "source: inputs_data\ndecoder_input: teacher_data\ntarget: outputs_data\nbatch: 10\n" + TWICE,
        "reverse",
        "inputs_data",
    ),
    "additive_attention": Course(
        "source: article_ids\ndecoder_input: headline_in\ntarget: headline_ids\nbatch: 8\n" + TWICE,
        "summarize",
        "article_ids",
        options="--max-length 5",
    ),
    "own_train_step": Course(
        "inputs: [sources, targets_in]\ntarget: targets\nbatch: 10\n" + TWICE,
        "put_in_order",
        "sources",
        said="decoded by the code's own pair of models, encoder and decoder",
    ),
    "ticket_routing": Course(
        "inputs: {title: title_data, body: body_data, tags: tag_data}\n"
        "target: {priority: priority_data, department: department_data}\nbatch: 10\n" + TWICE,
        sources="title_data",
        refused="m cannot be decoded: none of its outputs has scores (rows, steps, symbols) that depend on source and "
        "on ids",
    ),
    "workshop_factory": Course(
        "source: questions\ndecoder_input: replies_in\ntarget: replies\nbatch: 14\n" + TWICE,
        "reply",
        "questions",
        said="decoded by the code's own pair of models, read and write",
    ),
    "tagger": Course(
        "source: X\ntarget: Y\nbatch: 10\n" + TWICE,
        sources="X",
        refused="m cannot be decoded: its model has one input and no decoder, which would read its own output, or "
        "follow a RepeatVector; predict gives all that it has to say",
    ),
}


def cells(name):
    """Return a program's cells by title."""
    parts = re.split(r"^# %% (\w+)\n", (COURSES / f"{name}.py").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture(scope="module")
def shell():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    yield shell
    shell.run_line_magic("unload_ext", "s2s_magic")
    InteractiveShell.clear_instance()


@dataclass
class Ran:
    """A program that was run in plain Python and in a notebook."""

    name: str
    course: Course
    plain: dict
    shell: InteractiveShell

    def __call__(self, cell):
        """Run a cell; return its result and what it printed."""
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            result = self.shell.run_cell(cell)
        result.raise_error()
        return result.result, printed.getvalue()

    @property
    def model(self):
        return self.shell.user_ns["m"]


NOT_ON_KERAS_3 = {"strings_inside": "its fit takes no arrays of texts"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=only_keras2(NOT_ON_KERAS_3[name])) if name in NOT_ON_KERAS_3 else name
        for name in PROGRAMS
    ],
)
def ran(request, shell):
    """Run a program in plain Python, then in a notebook with its model cell traced and its fit by the magic."""
    shell.reset(new_session=False)
    shell.run_line_magic("config", "Seq2SeqMagics.display = 'text'")
    found = cells(request.param)
    plain = {"__name__": "__main__"}
    run_plainly("".join(found.values()), plain)
    program = Ran(request.param, PROGRAMS[request.param], plain, shell)
    with Changes() as changes, changes, changes:
        stand_in(changes)  # as after s2s_magic.addons.install()
        program(found["data"])
    program("%%seq2seq trace m\n" + found["model"])
    program("%%seq2seq fit m\n" + program.course.body)
    if "inference" in found:
        program("%%seq2seq trace m --continue\n" + found["inference"])
    program(found.get("decode", "pass"))
    return program


def numbers_of(model):
    return [variable.numpy() for variable in model.weights if hasattr(variable, "shape")]


def test_a_program_is_fitted_by_the_magic_as_it_is_by_itself(ran):
    plain = ran.plain["history"]
    assert plain.history.keys() == ran.model.history.keys()
    for name, values in plain.history.items():
        np.testing.assert_allclose(ran.model.history[name], values, rtol=1e-5, err_msg=name)
    ours, theirs = (numbers_of(model) for model in (ran.model.model, plain.model))
    assert [w.shape for w in ours] == [w.shape for w in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


def test_each_variable_that_moved_is_said_to_be_trained_and_no_other(ran):
    live, evidence = ran.model.live.variables, ran.model.evidence.variables
    trainable = {id(variable) for variable in ran.model.model.trainable_variables}
    starts = {key: start for key, start in ran.model.fitted.starts.items() if id(live[key]) in trainable}
    moved = {key: bool((np.asarray(start) != live[key].numpy()).any()) for key, start in starts.items()}
    assert {key: evidence[key].verdict == "trained" for key in moved} == moved
    assert len(moved) == len(ran.plain["history"].model.trainable_variables)


def test_whatever_name_a_program_has_is_explained(ran):
    ledger = ran.model.ledger
    names = [layer.name for layer in ledger.layers.values() if not layer.implicit]
    names += [*ran.model.tensors, *(v.paths[0] for v in ledger.variables.values() if v.paths)]
    for name in dict.fromkeys(names):
        _, text = ran(f'%seq2seq explain m "{name}"')
        title, _, said = text.partition("\n")
        assert name.partition("[")[0].rpartition(".")[2] in title, name
        assert len(said) > 80, name


def test_a_program_is_inspected_as_text_and_as_a_page(ran, tmp_path):
    _, text = ran("%seq2seq inspect m")
    assert "Traceback" not in text
    for variable in ran.model.ledger.variables.values():
        assert variable.owner in text
    ran(f"%seq2seq inspect m --html {tmp_path / 'page.html'}")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(line in page for line in ("<table", "</html>"))


def shaken(program, call):
    """Set the trained layers' weights so that outputs for the sources differ, and return these outputs."""
    for seed in range(20):
        random = np.random.default_rng(seed)
        for variable in program.model.model.trainable_variables:
            variable.assign(random.normal(size=variable.shape, scale=1.5 if len(variable.shape) > 1 else 0.3))
        said, _ = program(call)
        if len(set(map(tuple, said))) > 3 and len({row[-1] for row in said if row}) > 1:
            return said
    raise AssertionError("all sources are answered alike, whatever the weights")


def test_a_program_that_cannot_be_decoded_says_why(ran):
    if not ran.course.refused:
        pytest.skip("it can be decoded")
    ran.shell.user_ns["rows"] = ran.shell.user_ns[ran.course.sources][:6]
    with pytest.raises(DecodeError) as refused:
        ran("%seq2seq decode m rows")
    assert str(refused.value) == ran.course.refused


def test_a_program_is_decoded_as_its_own_loop_does_it(ran):
    course = ran.course
    if course.refused:
        pytest.skip("it has no decoder that can be followed")
    rows = ran.shell.user_ns[course.sources][:6]
    ran.shell.user_ns["rows"] = rows
    expected, _ = ran(f"{course.function}(rows)")
    assert ran(f"%seq2seq decode m rows --return {course.options}")[0] == expected, "as fitted"
    expected = shaken(ran, f"{course.function}(rows)")
    assert ran(f"%seq2seq decode m rows --return {course.options}")[0] == expected, "with other weights"
    _, shown = ran(f"%seq2seq decode m rows {course.options}")
    assert course.said in shown


def test_decoding_a_program_creates_no_variable(ran):
    if ran.course.refused:
        pytest.skip("it has no decoder that can be followed")
    ran.shell.user_ns["rows"] = ran.shell.user_ns[ran.course.sources][:6]
    ran(f"%seq2seq decode m rows --return {ran.course.options}")
    ledger = ran.model.inference.ledger
    assert ledger.variables.keys() == ran.model.ledger.variables.keys()
    assert all(not getattr(event, "created", ()) for event in ledger.events[len(ran.model.ledger.events) :])
    assert "keras.models.Model" in ran.model.inference.source or "code's own" in ran.model.inference.source
