"""Hand-written models as code text, as a user would write them in a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s2s_magic.tracing import Traced


def by_hand(vocab: int = 100, embed: int = 10, units: int = 512, cell: str = "LSTM", drawn: float = 0) -> str:
    """Return the code of an encoder-decoder whose sides share one embedding; it binds ``model``.

    With ``drawn``, its decoder reads so large a part of drawn ids in training.
    """
    return f"""\
import tensorflow as tf
import tensorflow_addons as tfa
from tensorflow import keras

source_ids = keras.Input([None], dtype="int32")
target_ids = keras.Input([None], dtype="int32")
target_lengths = keras.Input([], dtype="int32")

words = keras.layers.Embedding({vocab}, {embed})
source_vectors = words(source_ids)
target_vectors = words(target_ids)

reader = keras.layers.{cell}({units}, return_state=True)
read, {_states(cell)} = reader(source_vectors)

writer_cell = keras.layers.{cell}Cell({units})
scores = keras.layers.Dense({vocab})
writer = tfa.seq2seq.BasicDecoder(writer_cell, {_sampler(drawn, "words")}, output_layer=scores)
written, last_state, written_lengths = writer(
    target_vectors, initial_state=[{_states(cell)}], sequence_length=target_lengths
)

chances = tf.nn.softmax(written.rnn_output)
model = keras.Model([source_ids, target_ids, target_lengths], chances)
"""


def by_hand_in_keras(vocab: int = 100, embed: int = 10, units: int = 512, cell: str = "LSTM") -> str:
    """Return the code of the same encoder-decoder in plain Keras layers; it binds ``model``."""
    return f"""\
from tensorflow import keras

source_ids = keras.Input([None], dtype="int32")
target_ids = keras.Input([None], dtype="int32")

words = keras.layers.Embedding({vocab}, {embed})
reader = keras.layers.{cell}({units}, return_state=True)
read, {_states(cell)} = reader(words(source_ids))

writer = keras.layers.{cell}({units}, return_sequences=True)
written = writer(words(target_ids), initial_state=[{_states(cell)}])
chances = keras.layers.Dense({vocab}, activation="softmax")(written)
model = keras.Model([source_ids, target_ids], chances)
"""


def _states(cell: str) -> str:
    return "memory, carry" if cell == "LSTM" else "memory"


def _sampler(drawn: float, embedding: str) -> str:
    if not drawn:
        return "tfa.seq2seq.TrainingSampler()"
    return f"tfa.seq2seq.ScheduledEmbeddingTrainingSampler({drawn}, embedding_fn={embedding})"


def attending_by_hand(vocab: int, embed: int, units: int, kind: str, drawn: float = 0) -> str:
    """Return the code of an encoder-decoder with TFA's ``AttentionWrapper``, in a class; it binds ``model``."""
    return f"""\
import tensorflow as tf
import tensorflow_addons as tfa
from tensorflow import keras


class Translator(keras.Model):
    def __init__(self):
        super().__init__()
        self.words = keras.layers.Embedding({vocab}, {embed})
        self.reader = keras.layers.LSTM({units}, return_sequences=True, return_state=True)
        self.mechanism = tfa.seq2seq.{kind.title()}Attention({units})
        self.cell = tfa.seq2seq.AttentionWrapper(
            keras.layers.LSTMCell({units}), self.mechanism, attention_layer_size={units}
        )
        self.scores = keras.layers.Dense({vocab})
        sampler = {_sampler(drawn, "self.words")}
        self.writer = tfa.seq2seq.BasicDecoder(self.cell, sampler, output_layer=self.scores)

    def call(self, inputs):
        source_ids, target_ids = inputs
        read, memory, carry = self.reader(self.words(source_ids))
        self.mechanism.setup_memory(read)
        start = self.cell.get_initial_state(batch_size=tf.shape(read)[0], dtype=read.dtype)
        lengths = tf.fill([tf.shape(read)[0]], tf.shape(target_ids)[1])
        written, _, _ = self.writer(
            self.words(target_ids), initial_state=start.clone(cell_state=[memory, carry]), sequence_length=lengths
        )
        return tf.nn.softmax(written.rnn_output)


model = Translator()
"""


_IMPORTS = """\
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
"""
_ADDONS = "import tensorflow_addons as tfa\n"

ZOO = {
    "nested expressions": """
x = keras.Input([8])
y = layers.Dense(3)(layers.Dense(4)(x))
model = keras.Model(x, y)
""",
    "operators": """
x = keras.Input([4, 8])
first = x[:, 0]
shifted = first * 2.0 + 1.0
y = tf.nn.softmax(layers.Dense(5)(shifted))
model = keras.Model(x, y)
""",
    "stacked cells": """
x = keras.Input([None, 8])
cells = [layers.LSTMCell(4), layers.GRUCell(5)]
stack = layers.StackedRNNCells(cells)
recurrent = layers.RNN(stack, return_state=True)
y, *states = recurrent(x)
model = keras.Model(x, y)
""",
    "one cell twice": """
x = keras.Input([None, 4])
cell = layers.LSTMCell(4)
recurrent = layers.RNN(layers.StackedRNNCells([cell, cell]))
model = keras.Model(x, recurrent(x))
""",
    "bidirectional": """
x = keras.Input([None, 4])
inner = layers.LSTM(8)
both = layers.Bidirectional(inner)
model = keras.Model(x, both(x))
""",
    "time distributed": """
x = keras.Input([5, 4])
each = layers.TimeDistributed(layers.Dense(3))
model = keras.Model(x, each(x))
""",
    "sequential inside": """
x = keras.Input([4])
part = keras.Sequential([layers.Dense(8), layers.BatchNormalization(), layers.Dense(2)])
y = part(x)
model = keras.Model(x, layers.Dropout(0.5)(y))
""",
    "sequential with input": """
model = keras.Sequential([keras.Input([4]), layers.Dense(8), layers.Dense(2)])
""",
    "sequential by add": """
model = keras.Sequential()
model.add(keras.Input([4]))
model.add(layers.Dense(8))
model.add(layers.Dense(2))
""",
    "sequential built by fit": """
model = keras.Sequential([layers.Dense(8), layers.Dense(2)])
model.compile("adam", "mse", metrics=["mae"])
model.fit(np.ones([8, 4]), np.ones([8, 2]), verbose=0)
model.predict(np.ones([8, 4]), verbose=0)
""",
    "sequential built by hand": """
model = keras.Sequential([layers.Dense(8), layers.Dense(2)])
model.build([None, 4])
""",
    "subclassed": """
class Coder(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units)
        self.steps = [layers.Dense(units), layers.Dense(units)]
        self.seen = keras.metrics.Mean()
        self.scale = tf.Variable(1.0)

    def call(self, x):
        x = self.inner(x)
        for step in self.steps:
            x = step(x)
        return x * self.scale

model = Coder(3)
y = model(np.ones([2, 4], "float32"))
""",
    "layer that reports a metric": """
class Watched(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(3)
        self.mean = keras.metrics.Mean(name="size")

    def call(self, x):
        y = self.inner(x)
        self.mean.update_state(tf.reduce_mean(y))
        return y

x = keras.Input([4])
watched = Watched()
model = keras.Model(x, watched(x))
""",
    "subclassed and built by hand": """
class Coder(keras.Model):
    def __init__(self):
        super().__init__()
        self.a = layers.Dense(3)
        self.b = layers.Dense(2)

    def call(self, x):
        return self.b(self.a(x))

model = Coder()
model.build([None, 4])
""",
    "subclassed layer": """
class Affine(layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=[shape[-1], 3])
        self.inner = layers.Dense(2)

    def call(self, x):
        return self.inner(tf.matmul(x, self.kernel))

x = keras.Input([4])
affine = Affine()
model = keras.Model(x, affine(x))
""",
    "tied output": """
class Tied(layers.Layer):
    def __init__(self, table):
        super().__init__()
        self.table = table

    def call(self, x):
        return tf.matmul(x, self.table.embeddings, transpose_b=True)

class TiedKernel(layers.Layer):
    def __init__(self, table):
        super().__init__()
        self.kernel = table.embeddings

    def call(self, x):
        return tf.matmul(x, self.kernel, transpose_b=True)

ids = keras.Input([None], dtype="int32")
table = layers.Embedding(10, 4)
vectors = table(ids)
tied = Tied(table)
tied_kernel = TiedKernel(table)
one = tied(vectors)
two = tied_kernel(vectors)
model = keras.Model(ids, [one, two])
""",
    "two models share": """
x = keras.Input([4])
encoder_layer = layers.Dense(2)
code = encoder_layer(x)
encoder = keras.Model(x, code)
z = keras.Input([2])
decoder = keras.Model(z, layers.Dense(4)(z))
model = keras.Model(x, decoder(encoder(x)))
""",
    "loops and helpers": """
def block(x, units):
    inner = layers.Dense(units, "relu")
    return layers.Add()([x, inner(x)])

x = keras.Input([4])
y = x
for _ in range(3):
    y = block(y, 4)
heads = [layers.Dense(1) for _ in range(2)]
model = keras.Model(x, [head(y) for head in heads])
""",
    "frozen": """
x = keras.Input([4])
base = keras.Sequential([layers.Dense(8), layers.Dense(8)])
base.trainable = False
y = layers.Dense(2)(base(x))
model = keras.Model(x, y)
""",
    "frozen cell": """
x = keras.Input([None, 4])
cell = layers.LSTMCell(3)
recurrent = layers.RNN(cell)
cell.trainable = False
model = keras.Model(x, recurrent(x))
""",
    "attention": """
x = keras.Input([5, 8])
attention = layers.MultiHeadAttention(2, 4)
y = layers.LayerNormalization()(x + attention(x, x))
model = keras.Model(x, y)
""",
    "late variables": """
class Attending(layers.Layer):
    def __init__(self):
        super().__init__()
        self.mechanism = tfa.seq2seq.BahdanauAttention(6)
        self.cell = tfa.seq2seq.AttentionWrapper(layers.LSTMCell(4), self.mechanism, attention_layer_size=5)
        self.decoder = tfa.seq2seq.BasicDecoder(
            self.cell, tfa.seq2seq.TrainingSampler(), output_layer=layers.Dense(7)
        )

    def call(self, memory, inputs):
        batch = tf.shape(memory)[0]
        self.mechanism(memory, setup_memory=True)
        state = self.cell.get_initial_state(batch_size=batch, dtype=tf.float32)
        out, _, _ = self.decoder(inputs, initial_state=state, sequence_length=tf.fill([batch], 5))
        return out.rnn_output

memory = keras.Input([3, 4])
inputs = keras.Input([5, 4])
attending = Attending()
model = keras.Model([memory, inputs], attending(memory, inputs))
""",
    "mixed precision": """
keras.mixed_precision.set_global_policy("mixed_float16")
x = keras.Input([4])
recurrent = layers.Dense(3)
y = layers.Dense(2)(recurrent(x))
keras.mixed_precision.set_global_policy("float32")
model = keras.Model(x, y)
""",
    "stateful": """
x = keras.Input([3, 4], batch_size=2)
recurrent = layers.GRU(5, stateful=True)
model = keras.Model(x, recurrent(x))
""",
    "eager and then wired": """
dense = layers.Dense(3)
numbers = dense(tf.ones([2, 4]))
x = keras.Input([4])
model = keras.Model(x, dense(x))
""",
    "a class that wires": """
class Wired(keras.Model):
    def __init__(self):
        x = keras.Input([4])
        hidden = layers.Dense(3)
        super().__init__(x, hidden(x))

model = Wired()
""",
    "weight normalization": """
x = keras.Input([3])
normal = tfa.layers.WeightNormalization(layers.Dense(2))
model = keras.Model(x, normal(x))
""",
    "preprocessing": """
scale = layers.Normalization(); scale.adapt(np.ones([5, 3], "float32"))
words = layers.TextVectorization(); words.adapt(["one two", "three"])
x = keras.Input([3])
text = keras.Input([], dtype="string")
counts = layers.Embedding(words.vocabulary_size(), 2)(words(text))
model = keras.Model([x, text], [layers.Dense(1)(scale(x)), counts])
""",
    "deep containers": """
class Deep(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = {"x": [[(layers.Dense(2),)]]}

    def call(self, x):
        return self.parts["x"][0][0][0](x)

model = Deep()
model(tf.ones([1, 2]))
""",
    "attention with memory": """
class Query(layers.Layer):
    def __init__(self, memory):
        super().__init__()
        self.attention = tfa.seq2seq.LuongAttention(4, memory=memory)

    def call(self, x):
        return self.attention([x, tf.zeros([tf.shape(x)[0], 3])])[0]

query = Query(tf.ones([2, 3, 4]))
x = keras.Input([4], batch_size=2)
model = keras.Model(x, query(x))
""",
    "cloned": """
x = keras.Input([4])
original = keras.Model(x, layers.Dense(3)(x))
model = keras.models.clone_model(original)
""",
}


def zoo() -> dict[str, str]:
    """Return models of different structure as code text, by what is special about them; each binds ``model``."""
    from kerases import KERAS3

    imports = {title: _IMPORTS + _ADDONS * ("tfa." in code) for title, code in ZOO.items()}
    # TensorFlow Addons' layers know only Keras 2
    models = {title: imports[title] + code for title, code in ZOO.items() if not (KERAS3 and "tfa.layers" in code)}
    return {"by hand": by_hand(20, 4, 8), **models}


def ran(code: str) -> Traced:
    """Run code under capture, and raise its error if it has one."""
    from s2s_magic.tracing import run

    seen = run(code, {})
    if seen.error is not None:
        raise seen.error
    return seen
