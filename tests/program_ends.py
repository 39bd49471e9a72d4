"""Drawing the beginnings and ends of random programs: inputs and embeddings, outputs and losses."""

from __future__ import annotations

from hypothesis import strategies as st

from program_layers import cell_settings, regularized, units_of
from program_text import BATCH, CLASSES, ROWS, SOFTMAX, STEPS, VOCAB, Writing

# -- beginnings


def ids_in(w: Writing, name: str, array: str) -> None:
    """Write an input of ids and its embedding."""
    steps = STEPS if w.static else None
    shape = f"batch_shape=[{BATCH}, {steps}]" if w.batch_known else f"[{steps}]"
    w.add(f"{name} = keras.Input({shape}, dtype='int32')")
    w.masked = w.chance(35)
    low = 0 if w.masked else 1
    w.add(f"{array} = draws.integers({low}, {VOCAB}, size=({ROWS}, {STEPS})).astype('int32')")
    if w.masked:
        w.note("mask_zero")
        if w.chance(25):
            w.note("fully padded rows")
            w.add(f"{array}[1] = 0")
    w.tensor, w.width, w.sequence = name, units_of(w), True
    how = [str(VOCAB), str(w.width), *(["mask_zero=True"] if w.masked else [])]
    how += [setting.replace("kernel", "embeddings") for setting in regularized(w, ("kernel", "activity"))]
    w.layer("embedding", f"L.Embedding({', '.join(how)})")


def begin(w: Writing) -> tuple[tuple[str, str], ...]:
    """Write the inputs of a model that is a single chain."""
    w.static = w.chance(65)
    w.batch_known = w.chance(12)
    kind = w.one_of("ids", "ids", "numbers", "numbers", "vector")
    if kind == "ids":
        ids_in(w, "x", "X")
    else:
        w.width, w.tensor, w.sequence = 3, "x", kind == "numbers"
        known = f"[{BATCH}, " if w.batch_known else "["
        shape = known + (f"{STEPS if w.static else None}, 3]" if w.sequence else "3]")
        w.add(f"x = keras.Input({'batch_shape=' if w.batch_known else ''}{shape})")
        size = f"({ROWS}, {STEPS}, 3)" if w.sequence else f"({ROWS}, 3)"
        w.add(f"X = draws.normal(size={size}).astype('{'float64' if w.dtype == 'float64' else 'float32'}')")
        w.static = w.static or not w.sequence
    return (("x", "X"),)


def pair(w: Writing) -> tuple[tuple[str, str], ...]:
    """Write an encoder, and a decoder that starts from its states: a Keras layer or TFA's ``BasicDecoder``."""
    w.static = w.chance(50)
    addons = w.chance(60)
    shared = w.chance(50)
    ids_in(w, "source", "X")
    embedding, masked = w.layers[-1][0], w.masked
    if masked and addons:
        w.note("BasicDecoder without mask")
    kind, units = w.one_of("LSTM", "GRU"), units_of(w)
    w.note("encoder-decoder", kind)
    states = ["s1", "s2"] if kind == "LSTM" else ["s1"]
    settings = cell_settings(w, kind)
    w.add(f"encoder = L.{kind}({', '.join([str(units), *settings, 'return_state=True'])})")
    w.layers.append(("encoder", "first"))
    w.add(f"read, {', '.join(states)} = encoder({w.tensor})")
    if w.chance(15):
        w.note("states from a pooled vector")
        w.add(f"pooled = L.GlobalAveragePooling1D()({w.tensor})")
        for number, state in enumerate(states):
            w.add(f"{state} = L.Dense({units}, 'tanh', name='start{number}')(pooled)")
    steps = STEPS if w.static else None
    w.add(f"so_far = keras.Input([{steps}], dtype='int32')")
    w.add(f"Y = draws.integers(1, {VOCAB}, size=({ROWS}, {STEPS})).astype('int32')")
    w.add(f"D = np.c_[np.zeros([{ROWS}, 1], 'int32'), Y[:, :-1]]")
    width = w.width
    other = embedding if shared and not (masked and addons) else w.name("embedding")
    if other is not embedding:
        w.add(f"{other} = L.Embedding({VOCAB}, {width})")
    w.add(f"vectors = {other}(so_far)")
    given_states = f"[{', '.join(states)}]" if kind == "LSTM" else states[0]
    inputs = (("source", "X"), ("so_far", "D"))
    settings = cell_settings(w, kind, alone=addons)
    if not addons:
        w.add(f"decoder = L.{kind}({', '.join([str(units), *settings, 'return_sequences=True'])})")
        w.layers.append(("decoder", "rnn"))
        w.add(f"h = decoder(vectors, initial_state={given_states})")
        w.tensor, w.width, w.masked = "h", units, masked and other is embedding
        return inputs
    w.note("BasicDecoder")
    w.lines.insert(0, "import tensorflow_addons as tfa")
    if kind == "LSTM" and w.chance(30):
        w.note("RNN over a stack of cells")
        code = f"L.StackedRNNCells([L.LSTMCell({units}), L.LSTMCell({units})])"
        given_states = f"(({given_states}), ({given_states}))".replace("[", "").replace("]", "")
        given_states = f"(({', '.join(states)}), ({', '.join(states)}))"
    else:
        code = f"L.{kind}Cell({', '.join([str(units), *settings])})"
    w.add(f"cell = {code}")
    w.layers.append(("cell", "cell"))
    head = ""
    w.width = units
    if w.chance(70):
        w.width = VOCAB
        head = f", output_layer=L.Dense({', '.join([str(VOCAB), *regularized(w, ('kernel',))])})"
    w.add(f"decoder = tfa.seq2seq.BasicDecoder(cell, tfa.seq2seq.TrainingSampler(){head})")
    lengths = w.chance(60)
    if lengths:
        w.add("lengths = keras.Input([], dtype='int32')")
        w.add(f"N = np.full([{ROWS}], {STEPS}, 'int32')")
        inputs = (*inputs, ("lengths", "N"))
    extra = ", sequence_length=lengths" if lengths else ""
    w.add(f"written, last, ended = decoder(vectors, initial_state={given_states}{extra})")
    w.tensor, w.masked, w.sequence, w.static = "written.rnn_output", False, True, False
    return inputs


# -- ends


def end(w: Writing, *, target: str, ids: bool) -> tuple[str, str, list[str]]:
    """Write the output and its target; return the tensor's name, the loss as code and suitable metrics."""
    size = f"{ROWS}, {STEPS}" if w.sequence else f"{ROWS}"
    many = VOCAB if ids else CLASSES
    kind = "sparse" if ids else w.one_of("sparse", "sparse", "sparse", "values", "binary", "one hot")
    kind = "sparse" if kind == "one hot" and w.sequence else kind
    logits = w.chance(35)
    widths = {"sparse": many, "one hot": CLASSES, "values": 1, "binary": 1}
    activation = {"sparse": "softmax", "one hot": "softmax", "values": None, "binary": "sigmoid"}[kind]
    ended = None if logits else activation
    named = f", name='{target.lower()}_out'"
    how = [str(widths[kind]), *regularized(w, ("kernel", "activity"))]
    form = w.one_of("Dense", "Dense", "TimeDistributed" if w.sequence else "Dense", "separate")
    if w.tensor == "written.rnn_output" and w.width == many and w.chance(60):
        form = "none"
    if form == "none":
        result = w.name("out")
        w.add(f"{result} = {w.tensor}" if ended is None else f"{result} = {SOFTMAX}({w.tensor})")
        w.tensor = result
    elif form == "separate" and ended == "softmax":
        w.note("softmax apart")
        w.layer("head", f"L.Dense({', '.join(how)})")
        w.layer("head", w.one_of("L.Softmax(", "L.Activation('softmax'") + (")" if False else "") + ")", stem="out")
    elif form == "TimeDistributed":
        w.note("TimeDistributed")
        w.layer("head", f"L.TimeDistributed(L.Dense({', '.join([*how, f'activation={ended!r}'])}){named})", stem="out")
    else:
        w.layer("head", f"L.Dense({', '.join([*how, f'activation={ended!r}'])}{named})", stem="out")
    if kind == "sparse":
        if not ids:
            w.add(f"{target} = draws.integers(0, {CLASSES}, size=({size})).astype('int32')")
        metrics = ["'accuracy'", "'sparse_categorical_crossentropy'", "keras.metrics.SparseTopKCategoricalAccuracy(2)"]
        loss = (
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
            if logits
            else w.one_of(
                "'sparse_categorical_crossentropy'",
                "keras.losses.SparseCategoricalCrossentropy()",
                "keras.losses.sparse_categorical_crossentropy",
                "keras.losses.SparseCategoricalCrossentropy(reduction='sum')",
            )
        )
        return w.tensor, loss, metrics[: 1 + w.draw(st.integers(0, 2))]
    if kind == "one hot":
        w.add(f"{target} = np.eye({CLASSES})[draws.integers(0, {CLASSES}, size={ROWS})].astype('float32')")
        return w.tensor, f"keras.losses.CategoricalCrossentropy(from_logits={logits})", ["'accuracy'"]
    if kind == "binary":
        w.add(f"{target} = draws.integers(0, 2, size=({size}, 1)).astype('float32')")
        return w.tensor, f"keras.losses.BinaryCrossentropy(from_logits={logits})", ["'accuracy'"]
    w.add(f"{target} = draws.normal(size=({size}, 1)).astype('float32')")
    return (
        w.tensor,
        w.one_of("'mse'", "'mae'", "keras.losses.Huber()", "lambda a, b: tf.reduce_mean(tf.abs(a - b) ** 1.5)"),
        ["'mae'"],
    )
