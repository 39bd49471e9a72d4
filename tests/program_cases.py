"""Hand-written programs for cases that random drawing reaches too rarely."""

from __future__ import annotations

from program_text import IMPORTS, Program

ADDONS = "import tensorflow_addons as tfa\n"

_TAGGED = """\
X = draws.normal(size=(8, 4, 3)).astype('float32')
Y = draws.integers(0, 3, size=(8, 4)).astype('int32')
x = keras.Input([4, 3])
{body}
model = keras.Model(x, out)
model.compile({optimizer}, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
"""


def _tagger(body: str, *, optimizer: str = "keras.optimizers.SGD(0.1)", batch: int = 4, more: str = "") -> Program:
    code = IMPORTS + ADDONS + _TAGGED.format(body=body, optimizer=optimizer) + more
    return Program(code=code, inputs=(("x", "X"),), targets=(("out", "Y"),), batches=(batch, batch))


def _dropping(layer: str) -> Program:
    """Return a program in which a later dropout reveals the order in which random numbers are drawn."""
    return _tagger(f"h = L.Dropout(0.3)({layer}(x))\nout = L.Dense(3)(h)")


CASES = {
    "dropout of an LSTM's inputs, then dropout": _dropping("L.LSTM(2, dropout=0.4, return_sequences=True)"),
    "dropout of a GRU's inputs, then dropout": _dropping("L.GRU(2, dropout=0.4, return_sequences=True)"),
    "dropout in both directions, then dropout": _dropping(
        "L.Bidirectional(L.LSTM(2, dropout=0.4, return_sequences=True))"
    ),
    "dropout in a cell, one step, then dropout": _tagger(
        "h = L.RNN([L.LSTMCell(2, dropout=0.4), L.GRUCell(3, dropout=0.2)], return_sequences=True)(x[:, :1])\n"
        "h = L.Dropout(0.3)(h)\nout = L.Dense(3)(L.Concatenate(axis=1)([h] * 4))"
    ),
    "dropout in a decoder's cells, one step, then dropout": _tagger(
        "_, a, b = L.LSTM(2, return_state=True)(x)\n"
        "cell = L.StackedRNNCells([L.LSTMCell(2, dropout=0.4), L.LSTMCell(2, dropout=0.3)])\n"
        "decoder = tfa.seq2seq.BasicDecoder(cell, tfa.seq2seq.TrainingSampler())\n"
        "h = decoder(x[:, :1], initial_state=((a, b), (a, b)))[0].rnn_output\n"
        "h = L.Dropout(0.3)(h)\nout = L.Dense(3)(L.Concatenate(axis=1)([h] * 4))"
    ),
    "a stack of cells that goes backwards": _tagger(
        "h = L.RNN([L.LSTMCell(2), L.GRUCell(3)], return_sequences=True, go_backwards=True)(L.Masking()(x))\n"
        "out = L.Dense(3)(h)",
        more="X[2, 1:] = 0\nX[3] = 0\n",
    ),
    "a layer called twice, and inside TimeDistributed, and inside a layer of one's own": _tagger(
        """\
shared = L.LSTM(3, return_sequences=True)
class Own(L.Layer):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def call(self, x):
        return self.inner(2.0 * x)
h = shared(shared(x))
wide = L.TimeDistributed(shared)(L.Reshape([2, 2, 3])(h))
out = L.Dense(3)(Own(shared)(L.Reshape([4, 3])(wide)))""",
        optimizer="'adam'",
    ),
    "one layer in two models": _tagger(
        """\
shared = L.GRU(3, return_sequences=True)
other = keras.Model(x, L.Dense(1)(shared(x)))
other.compile('adam', 'mse')
out = L.Dense(3)(shared(x))""",
        optimizer="'adam'",
    ),
    "Adam as it comes": _tagger("out = L.Dense(3)(L.LSTM(4, return_sequences=True)(x))", optimizer="'adam'", batch=8),
}
