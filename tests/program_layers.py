"""Drawing the layers of random programs: recurrent ones with all their settings, and those around them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from kerases import KERAS3
from program_text import OPS, STEPS, Writing

# -- settings that layers share


def regularized(w: Writing, kinds: Sequence[str]) -> list[str]:
    """Draw regularizers and constraints for some of a layer's weights."""
    found = []
    for kind in kinds:
        if w.chance(6):
            w.note(f"{kind} regularizer")
            found.append(f"{kind}_regularizer={w.one_of(*REGULARIZERS)}")
        if kind != "activity" and w.chance(5):
            w.note(f"{kind} constraint")
            found.append(f"{kind}_constraint={w.one_of(*CONSTRAINTS)}")
    if w.chance(3):
        w.note("layer made frozen")
        found.append("trainable=False")
    return found


REGULARIZERS = ("'l2'", "keras.regularizers.L1(0.01)", "keras.regularizers.L1L2(0.01, 0.02)")
CONSTRAINTS = ("keras.constraints.MaxNorm(0.5)", "'non_neg'", "keras.constraints.UnitNorm()")


def cell_settings(w: Writing, kind: str, *, alone: bool = False) -> list[str]:
    """Draw the settings of a cell, alone or in its layer.

    If a cell applies dropout itself at each step, Keras runs several steps in parallel and rarely returns the same
    numbers twice, so such programs are few.
    """
    found = regularized(w, ("kernel", "recurrent", "bias"))
    if w.chance(10):
        w.note("no bias")
        found = [setting for setting in found if not setting.startswith("bias_")] + ["use_bias=False"]
    if w.chance(3 if alone or kind == "SimpleRNN" else 12):
        w.note("dropout of inputs")
        found.append("dropout=0.4")
    if w.chance(3):
        w.note("recurrent dropout")
        found.append("recurrent_dropout=0.3")
    if w.chance(8):
        activation = w.one_of("'relu'", "'sigmoid'", "tf.tanh", "keras.activations.tanh", "tf.nn.softsign", "None")
        w.note("activation")
        found.append(f"activation={activation}")
    if kind != "SimpleRNN":
        if w.chance(5):
            w.note("recurrent activation")
            found.append(f"recurrent_activation={w.one_of(repr('hard_sigmoid'), 'tf.sigmoid', repr('tanh'))}")
        if w.chance(6):
            w.note("implementation 1")
            found.append("implementation=1")
    if kind == "GRU" and w.chance(25):
        w.note("reset before")
        found.append("reset_after=False")
    if kind == "LSTM" and w.chance(8):
        found.append("unit_forget_bias=False")
    return found


def cell(w: Writing, units: int) -> tuple[str, str]:
    """Draw a cell; return its kind and its code."""
    kind = w.one_of("LSTM", "GRU", "SimpleRNN", "LSTM", "GRU")
    return kind, f"L.{kind}Cell({', '.join([str(units), *cell_settings(w, kind, alone=True)])})"


def units_of(w: Writing) -> int:
    """Draw a width."""
    return int(w.draw(st.integers(2, 4)))


# -- layers over sequences


def recurrent(w: Writing) -> None:
    """Write a recurrent layer: one of Keras's, or an RNN over cells; it may be bidirectional."""
    units, sequences = units_of(w), w.chance(60)
    kind = w.one_of("LSTM", "GRU", "LSTM", "GRU", "SimpleRNN", "RNN", "stack")
    made = []
    if kind == "RNN":
        held = w.name("cell")
        cell_kind, code = cell(w, units)
        w.add(f"{held} = {code}")
        w.note(f"RNN over {cell_kind}Cell")
        made.append((held, "cell"))
        how = [held]
    elif kind == "stack":
        held = [cell(w, units_of(w)), cell(w, units)]
        w.note("RNN over a stack of cells")
        how = [f"L.StackedRNNCells([{held[0][1]}, {held[1][1]}])" if w.chance(50) else f"[{held[0][1]}, {held[1][1]}]"]
    else:
        w.note(kind)
        how = [str(units), *cell_settings(w, kind)]
    how += ["return_sequences=True"] if sequences else []
    if w.chance(12):
        w.note("go_backwards")
        how.append("go_backwards=True")
    if w.static and w.chance(12):
        w.note("unroll")
        how.append("unroll=True")
    if w.masked and w.chance(30):
        w.note("zero_output_for_mask")
        how.append("zero_output_for_mask=True")
    how += regularized(w, ("activity",))
    if w.dtype == "float32" and w.chance(4):
        w.note("a layer's own dtype")
        how.append("dtype='float64'")
    layer = f"L.{'RNN' if kind == 'stack' else kind}({', '.join(how)})"
    if w.chance(25) and "go_backwards=True" not in how:
        merge = w.one_of("concat", "concat", "sum", "mul", "ave")
        w.note("Bidirectional", f"merge {merge}")
        w.layer("both", f"L.Bidirectional({layer}, merge_mode={merge!r})")
        w.width = 2 * units if merge == "concat" else units
    elif w.batch_known and w.chance(60):
        w.note("stateful")
        w.layer("rnn", layer[:-1] + ", stateful=True)")
        w.width = units
    elif kind in ("LSTM", "GRU", "SimpleRNN") and w.chance(25):
        # a second layer of the same kind starts from the states
        w.note("states passed on")
        states = ["s1", "s2"] if kind == "LSTM" else ["s1"]
        names = [w.name(state) for state in states]
        before = w.tensor
        first = w.name("first")
        w.add(f"{first} = {layer[:-1]}, return_state=True)")
        w.add(f"{w.name('h')}, {', '.join(names)} = {first}({before})")
        again = f"L.{kind}({', '.join([str(units), *cell_settings(w, kind)])}, return_sequences={sequences})"
        w.tensor = before
        w.layer("rnn", again, call=f"{{layer}}({{x}}, initial_state=[{', '.join(names)}])")
        w.layers.append((first, "first"))
        w.width = units
    else:
        w.layer("rnn", layer)
        w.width = units
    w.layers += made
    if not sequences:
        w.sequence = w.masked = False


def called_twice(w: Writing) -> None:
    """Write a recurrent or dense layer that is called on two tensors, and the sum of its outputs."""
    w.note("a layer called twice")
    kind = w.one_of("LSTM", "GRU", "Dense", "TimeDistributed", "RNN", "Bidirectional")
    code = {
        "LSTM": f"L.LSTM({w.width}, return_sequences=True)",
        "GRU": f"L.GRU({w.width}, return_sequences=True)",
        "RNN": f"L.RNN(L.GRUCell({w.width}), return_sequences=True)",
        "Bidirectional": f"L.Bidirectional(L.LSTM({w.width}, return_sequences=True), merge_mode='sum')",
        "Dense": f"L.Dense({w.width})",
        "TimeDistributed": f"L.TimeDistributed(L.Dense({w.width}))",
    }[kind]
    before = w.tensor
    shared = w.layer("shared", code)
    once = w.tensor
    w.tensor = w.name("h")
    w.add(f"{w.tensor} = {shared}({once}) + {before}")
    if kind in ("LSTM", "GRU") and w.static and w.chance(40):
        w.note("a layer called inside TimeDistributed as well")
        w.add(f"{w.name('wide')} = L.Reshape([2, {STEPS // 2}, {w.width}])({w.tensor})")
        wide = f"wide{w.count}"
        w.add(f"{w.name('h')} = L.Reshape([{STEPS}, {w.width}])(L.TimeDistributed({shared})({wide}))")
        w.tensor = f"h{w.count}"
    w.masked = False


def in_a_layer_of_ones_own(w: Writing) -> None:
    """Write a layer class that holds others and adds a loss and a metric."""
    w.note("a layer class of one's own")
    name = w.name("Own")
    inner = w.one_of(
        f"L.LSTM({w.width}, return_sequences=True)",
        f"L.GRU({w.width}, return_sequences=True)",
        f"L.Dense({w.width})",
    )
    extra = []
    if w.chance(50):
        w.note("add_loss")
        extra.append("        self.add_loss(0.1 * tf.reduce_mean(tf.square(y)))")
    if not KERAS3 and w.chance(40):
        w.note("add_metric")
        extra.append(f"        self.add_metric(tf.reduce_mean(y), name='mean_{name}')")
    w.add(
        "\n".join(
            [
                f"class {name}(L.Layer):",
                "    def __init__(self, **how):",
                "        super().__init__(**how)",
                f"        self.inner = {inner}",
                "    def build(self, shape):",
                "        self.scale = self.add_weight(name='scale', shape=[shape[-1]], initializer='ones')",
                "        super().build(shape)",
                "    def call(self, x):",
                "        y = self.inner(x * self.scale)",
                *extra,
                "        return y",
            ]
        )
    )
    w.layer("own", f"{name}()")
    w.masked = False


def run_by_hand(w: Writing) -> None:
    """Write a layer class that runs a cell over the steps by itself; the cell remembers its dropout masks."""
    w.note("a cell run by hand")
    name, kind = w.name("Loop"), w.one_of("LSTM", "GRU", "SimpleRNN")
    settings = [one for one in cell_settings(w, kind) if "dropout" not in one]
    if w.chance(60):
        w.note("dropout in a cell run by hand")
        settings += w.one_of(["dropout=0.4"], ["recurrent_dropout=0.3"], ["dropout=0.4", "recurrent_dropout=0.3"])
    forgets = KERAS3 or w.chance(50)  # Keras 3 would use a mask of another graph
    w.add(
        "\n".join(
            [
                f"class {name}(L.Layer):",
                "    def __init__(self, **how):",
                "        super().__init__(**how)",
                f"        self.cell = L.{kind}Cell({', '.join([str(w.width), *settings])})",
                "    def build(self, shape):",
                "        self.cell.build((shape[0], shape[-1]))",
                "        super().build(shape)",
                "    def call(self, x, training=None):",
                *(["        self.cell.reset_dropout_mask()"] if forgets else []),
                *(["        self.cell.reset_recurrent_dropout_mask()"] if forgets else []),
                f"        state, outputs = [0 * x[:, 0]] * {2 if kind == 'LSTM' else 1}, []",
                f"        for step in range({STEPS}):",
                "            output, state = self.cell(x[:, step], state, training=training)",
                "            outputs.append(output)",
                f"        return {OPS}.stack(outputs, 1)",
            ]
        )
    )
    w.layer("own", f"{name}()")
    w.masked = False


def subclassed(w: Writing) -> None:
    """Write a subclass of a recurrent layer or of a cell that computes something else."""
    w.note("a subclass of a recurrent layer")
    name, base = w.name("Other"), w.one_of("LSTM", "GRU")
    if w.chance(50):
        w.add(
            f"class {name}(L.{base}):\n    def call(self, *args, **kwargs):\n"
            "        return 0.5 * super().call(*args, **kwargs)"
        )
        w.layer("rnn", f"{name}({w.width}, return_sequences=True)")
    else:
        w.add(
            f"class {name}(L.{base}Cell):\n    def call(self, inputs, states, training=None):\n"
            "        return super().call(2.0 * inputs, states, training=training)"
        )
        w.layer("rnn", f"L.RNN({name}({w.width}), return_sequences=True)")


def nested(w: Writing) -> None:
    """Write a nested model."""
    w.note("nested model")
    kind = w.one_of("LSTM", "GRU", "SimpleRNN")
    if w.chance(50):
        inside = w.name("inside")
        w.add(f"{inside} = keras.Input([None, {w.width}])")
        code = f"keras.Model({inside}, L.{kind}({w.width}, return_sequences=True)({inside}))"
    else:
        code = f"keras.Sequential([L.{kind}({w.width}, return_sequences=True), L.Dense({w.width}, 'tanh')])"
    w.layer("part", code)
    w.masked = False


def attention(w: Writing) -> None:
    """Write self-attention."""
    kind = w.one_of("Attention", "AdditiveAttention", "MultiHeadAttention")
    w.note(kind)
    if kind == "MultiHeadAttention":
        w.layer("heads", f"L.MultiHeadAttention(2, 2, dropout={w.one_of('0.0', '0.3')})", call="{layer}({x}, {x})")
    else:
        w.layer("attention", f"L.{kind}({w.one_of('', 'dropout=0.3')})", call="{layer}([{x}, {x}])")


def plain_layer(w: Writing) -> None:
    """Write one of Keras's simple layers, which take both vectors and sequences."""
    kind = w.one_of(
        "Dense",
        "Dense",
        "dropout",
        "BatchNormalization",
        "LayerNormalization",
        "Lambda",
        "operators",
        "ActivityRegularization",
    )
    if kind == "Dense":
        w.width = units_of(w)
        how = [str(w.width), *regularized(w, ("kernel", "bias", "activity"))]
        how += (
            [f"activation={w.one_of(repr('relu'), repr('tanh'), repr('softmax'), 'tf.nn.gelu')}"]
            if w.chance(40)
            else []
        )
        w.layer("dense", f"L.Dense({', '.join(how)})")
    elif kind == "dropout":
        code = w.one_of(
            "L.Dropout(0.4)",
            "L.Dropout(0.4, seed=3)",
            "L.GaussianNoise(0.2)",
            "L.GaussianDropout(0.3)",
            "L.AlphaDropout(0.3)",
            *(["L.SpatialDropout1D(0.4)", f"L.Dropout(0.4, noise_shape=[None, 1, {w.width}])"] if w.sequence else []),
        )
        w.note(code.partition("(")[0].removeprefix("L."))
        w.layer("drop", code)
    elif kind == "Lambda":
        w.note("Lambda")
        code = w.one_of(
            "lambda a: 2.0 * a",
            "lambda a: a - tf.reduce_mean(a)",
            *(["lambda a: a * (1.0 / a.shape[1])"] if w.static or not w.sequence else []),
        )
        w.layer("f", f"L.Lambda({code})")
    elif kind == "operators":
        w.note("operators")
        result = w.name("h")
        written = w.one_of(
            "{ops}.tanh({x})", "0.5 * {x} + 1.0", "{ops}.abs({x}) ** 1.5", "{ops}.where({x} > 0, {x}, 0.1 * {x})"
        )
        w.add(f"{result} = {written.format(x=w.tensor, ops=OPS)}")
        w.tensor = result
    elif kind == "ActivityRegularization":
        w.note("activity regularizer")
        w.layer("quiet", "L.ActivityRegularization(l2=0.01)")
    else:
        w.note(kind)
        w.layer("norm", f"L.{kind}()")


def over_time(w: Writing) -> None:
    """Write a layer that works along a sequence without being recurrent."""
    kind = w.one_of("Conv1D", "TimeDistributed", "Masking", "residual")
    w.note(kind)
    if kind == "Conv1D":
        w.width = units_of(w)
        how = [str(w.width), "2", f"padding={w.one_of('same', 'causal')!r}", *regularized(w, ("kernel",))]
        w.layer("conv", f"L.Conv1D({', '.join(how)})")
        w.masked = False
    elif kind == "TimeDistributed":
        w.width = units_of(w)
        w.layer("each", f"L.TimeDistributed(L.Dense({w.width}, {w.one_of('None', repr('tanh'))}))")
    elif kind == "Masking":
        w.layer("mask", "L.Masking(0.0)")
        w.masked = True
    else:
        before = w.tensor
        w.layer("dense", f"L.Dense({w.width})")
        w.layer("add", "L.Add()", call="{layer}([{x}, " + before + "])")


SEQUENCE_LAYERS = (
    recurrent,
    recurrent,
    recurrent,
    plain_layer,
    plain_layer,
    over_time,
    called_twice,
    in_a_layer_of_ones_own,
    run_by_hand,
    subclassed,
    nested,
    attention,
)


def to_vector(w: Writing) -> None:
    """Write layers that turn a sequence into one vector."""
    choices = ["L.GlobalAveragePooling1D()", "L.Lambda(lambda a: a[:, -1])", "L.GlobalMaxPooling1D()"]
    code = w.one_of(*choices, *(["L.Flatten()", f"L.Reshape([{STEPS * w.width}])"] if w.static else []))
    w.note(code.partition("(")[0].removeprefix("L."))
    w.layer("vector", code)
    w.width = STEPS * w.width if "Flatten" in code or "Reshape" in code else w.width
    w.sequence = w.masked = False


def to_sequence(w: Writing) -> None:
    """Write a layer that turns a vector into a sequence."""
    w.note("RepeatVector")
    w.layer("again", f"L.RepeatVector({STEPS})")
    w.sequence = w.static = True
