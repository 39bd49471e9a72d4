"""Small random Keras programs as code text, such as users write in cells and then fit.

Each binds ``model``, compiled, and the arrays for its fit. A program is a chain of layers over ids, numbers or a pair
of sequences, an output with its loss, an optimizer, ways to compile, and what users do to their objects afterwards,
such as freezing a layer or replacing a method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from kerases import KERAS3
from program_compiling import TRAIN_STEPS, TRAIN_STEPS_OF_KERAS_3, afterwards, optimizer
from program_ends import begin, end, pair
from program_layers import SEQUENCE_LAYERS, plain_layer, to_sequence, to_vector
from program_text import BATCH, IMPORTS, ROWS, STEPS, Program, Writing

ON_ITS_OWN = {"a train_step of one's own", "model.add_loss", "model.add_metric"}
"""Features of a model that one of a class of its own around it would not have."""
ADDING_LOSSES = {"add_loss", "activity regularizer", "kernel regularizer", "model.add_loss"}


@st.composite
def programs(draw: Callable[[Any], Any]) -> Program:
    """Draw a program."""
    w = Writing(draw)
    settings_code = _types(w)
    paired = w.chance(12)
    inputs = pair(w) if paired else begin(w)
    _chain(w, paired)
    if w.dtype == "half":
        w.layer("whole", "L.Activation('linear', dtype='float32')")
    branch = (w.tensor, w.sequence, w.static, w.masked, w.width)
    ends = [end(w, target="Y", ids=paired)]
    targets = [(w.tensor, "Y")]
    if w.chance(12) and not paired:
        w.note("two outputs")
        w.tensor, w.sequence, w.static, w.masked, w.width = branch
        ends.append(end(w, target="Z", ids=False))
        targets.append((w.tensor, "Z"))
    _model(w, [name for name, _ in inputs], [name for name, _ in targets], branch[0])
    of_class = not paired and not w.features & ON_ITS_OWN and w.chance(10)
    if of_class:
        _in_a_class(w, inputs[0][1])
    own_loss = len(ends) == 1 and bool(w.features & ADDING_LOSSES) and w.chance(30)
    _compile(w, ends, own_loss=own_loss)
    if own_loss:
        targets.clear()
    afterwards(w)
    weights, classes = ("", "") if own_loss else _weights(w, branch[1], [loss for _, loss, _ in ends])
    # If the last execution has fewer than `steps_per_execution` steps, Keras itself does not reproduce its results.
    whole = w.batch_known or "steps_per_execution" in w.features
    batch = BATCH if whole or w.chance(70) else 3
    second = batch if whole or w.chance(75) else w.one_of(2, 5, ROWS)
    if second != batch:
        w.note("another batch size in the second fit")
    epochs, shuffle = 1 if w.chance(70) else 2, w.chance(60)
    between = _between(w, [array for _, array in inputs], [array for _, array in targets], of_class=of_class)
    return Program(
        code=IMPORTS + settings_code + "\n".join(w.lines) + "\n",
        inputs=inputs,
        targets=tuple(targets),
        weights=weights,
        class_weight=classes,
        batches=(batch, second),
        epochs=epochs,
        shuffle=shuffle,
        features=frozenset(w.features),
        dtype=w.dtype,
        between=between,
        of_class=of_class,
    )


def _types(w: Writing) -> str:
    """Draw the dtype it computes in; return the code that sets it."""
    w.dtype = w.one_of(*["float32"] * 8, "float64", "half")
    if w.dtype == "float64":
        w.note("float64 as floatx")
        return "keras.backend.set_floatx('float64')\n"
    if w.dtype == "half":
        policy = w.one_of("mixed_bfloat16", "mixed_float16")
        w.note(policy)
        return f"keras.mixed_precision.set_global_policy('{policy}')\n"
    return ""


def _chain(w: Writing, paired: bool) -> None:
    """Write the layers between inputs and outputs."""
    if paired:
        if w.tensor != "written.rnn_output" and w.chance(40):
            plain_layer(w)
        return
    for number in range(w.one_of(1, 1, 2)):
        if number and not w.sequence and w.chance(30):
            to_sequence(w)
        (w.one_of(*SEQUENCE_LAYERS) if w.sequence else plain_layer)(w)
    if w.sequence and w.chance(45):
        to_vector(w)


def _model(w: Writing, inputs: list[str], outputs: list[str], inner: str) -> None:
    """Write the model, of Keras's class or of a subclass."""
    kind = "keras.Model"
    if w.chance(10):
        w.note("a train_step of one's own")
        w.add(w.one_of(*(TRAIN_STEPS_OF_KERAS_3 if KERAS3 else TRAIN_STEPS)))
        kind = "Own"
    ends = outputs[0] if len(outputs) == 1 else f"[{', '.join(outputs)}]"
    w.add(f"model = {kind}([{', '.join(inputs)}], {ends})")
    if not KERAS3 and w.chance(5):
        w.note("model.add_loss")
        w.add(f"model.add_loss(0.1 * tf.reduce_mean({inner}))")
    if not KERAS3 and w.chance(5):
        w.note("model.add_metric")
        w.add(f"model.add_metric({inner}, name='seen', aggregation='mean')")
    if w.chance(6):
        w.note("frozen before compile")
        w.add(f"{w.one_of(*[name for name, _ in w.layers])}.trainable = False")


def _in_a_class(w: Writing, array: str) -> None:
    """Write a model of a class of one's own around the model."""
    w.note("a model class of one's own")
    said, given = w.one_of(("", ""), (", training=None", ", training=training"))
    held = w.one_of("self.part = part", "self.parts = [part]", "self.parts = {'part': part}")
    part = {"self.part = part": "part", "self.parts = [part]": "parts[0]"}.get(held, "parts['part']")
    w.add(
        "\n".join(
            [
                "class Whole(keras.Model):",
                "    def __init__(self, part):",
                "        super().__init__()",
                f"        {held}",
                f"    def call(self, x{said}):",
                f"        return self.{part}(x{given})",
                "model = Whole(model)",
                f"model({array}[:{BATCH}])",
            ]
        )
    )


def _compile(w: Writing, ends: list[tuple[str, str, list[str]]], *, own_loss: bool) -> None:
    """Write the call of ``compile``; with no loss where the model's own is to be all of it."""
    if own_loss:
        w.note("no target")
        w.add(f"model.compile(optimizer={optimizer(w)})")
        return
    one = len(ends) == 1
    losses = [loss for _, loss, _ in ends]
    how = [f"optimizer={optimizer(w)}", f"loss={losses[0] if one else '[' + ', '.join(losses) + ']'}"]
    if w.chance(40):
        key = w.one_of("metrics", "weighted_metrics")
        w.note(key)
        chosen = f"[{', '.join(ends[0][2])}]"
        how.append(f"{key}={chosen if one else f'[{chosen}, []]'}")
    if w.chance(10):
        w.note("loss weights")
        how.append("loss_weights=[0.25]" if one else "loss_weights=[0.25, 2.0]")
    if w.chance(6):
        w.note("run_eagerly")
        how.append("run_eagerly=True")
    elif w.chance(8):
        w.note("steps_per_execution")
        how.append("steps_per_execution=2")
    elif w.chance(4):
        w.note("jit_compile on the model")
        how.append("jit_compile=True")
    w.add(f"model.compile({', '.join(how)})")


def _between(w: Writing, inputs: list[str], targets: list[str], *, of_class: bool) -> str:
    """Draw what is done to the model between two fits."""
    if not w.chance(35):
        return ""
    x, y = (f"[{', '.join(names)}]" for names in (inputs, targets))
    y = y if len(targets) > 1 else "".join(targets)
    given = f"{x}, {y}" if y else x
    x = inputs[0] if of_class else x
    some = f"[{', '.join(f'{name}[:{BATCH if w.batch_known else 2}]' for name in inputs)}]"
    some = some[1:-1] if of_class else some
    compiling = next(line for line in w.lines if line.startswith("model.compile("))
    chosen = w.one_of(*[name for name, _ in w.layers])
    done = {
        "a prediction": f"model.predict({x}, batch_size={BATCH}, verbose=0)",
        "an evaluation": f"model.evaluate({given}, batch_size={BATCH}, verbose=0)",
        "a call": f"model({some})",
        "a call in training": f"model({some}, training=True)",
        "a new compile": compiling,
        "a layer frozen and compiled": f"{chosen}.trainable = False\n{compiling}",
        "a layer frozen": f"{chosen}.trainable = False",
        "another learning rate": "model.optimizer.learning_rate = 0.003",
        "other weights": "model.set_weights([0.5 * one for one in model.get_weights()])",
        "a call replaced": f"then = {chosen}.call\n"
        f"{chosen}.call = lambda *a, **k: tf.nest.map_structure(lambda one: 2.0 * one, then(*a, **k))",
    }
    what = w.one_of(*done)
    w.note(f"between fits: {what}")
    return done[what]


def _weights(w: Writing, sequence: bool, losses: list[str]) -> tuple[str, str]:
    """Write sample weights or draw class weights; return the name of the former and the code of the latter."""
    turn = w.draw(st.integers(0, 99))
    if len(losses) > 1 or turn >= 16:
        return "", ""
    if turn < 8:
        w.note("sample weights")
        # Keras 3 would multiply one weight a row with the positions
        size = f"{ROWS}, 1" if KERAS3 and sequence else f"{ROWS}"
        w.add(f"W = draws.uniform(size=[{size}]).astype('float32')")
        return "W", ""
    if turn < 12 and sequence:
        w.note("weights of positions")
        w.add(f"W = draws.uniform(size=[{ROWS}, {STEPS}]).astype('float32')")
        return "W", ""
    if "sparse" in losses[0].lower() and not sequence:
        w.note("class weights")
        return "", "{0: 0.5, 1: 2.0, 2: 1.0}"
    return "", ""


HOW: dict[str, Any] = {
    "database": None,
    "deadline": None,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


def drawn(number: int, count: int) -> list[Program]:
    """Draw ``count`` different programs; the same number draws the same ones."""
    found: dict[str, Program] = {}
    turn = 0
    while len(found) < count:
        # In long runs, hypothesis derives later examples from earlier ones; short runs give more variety.
        for program in _some(number * 100_003 + turn)[1:]:
            found.setdefault(program.code, program)
        turn += 1
    return list(found.values())[:count]


def _some(number: int) -> list[Program]:
    found: list[Program] = []

    @seed(number)
    @settings(
        max_examples=6, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(programs())
    def collect(program: Program) -> None:
        found.append(program)

    collect()
    return found
