"""Models written by hand, as code text: what a user would put into a cell."""

from __future__ import annotations


def by_hand(vocab: int = 100, embed: int = 10, units: int = 512) -> str:
    """Give the code of an encoder-decoder whose two sides share one embedding, with teacher forcing; it binds ``model``."""
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

reader = keras.layers.LSTM({units}, return_state=True)
read, memory, carry = reader(source_vectors)

writer_cell = keras.layers.LSTMCell({units})
scores = keras.layers.Dense({vocab})
writer = tfa.seq2seq.BasicDecoder(writer_cell, tfa.seq2seq.TrainingSampler(), output_layer=scores)
written, last_state, written_lengths = writer(
    target_vectors, initial_state=[memory, carry], sequence_length=target_lengths
)

chances = tf.nn.softmax(written.rnn_output)
model = keras.Model([source_ids, target_ids, target_lengths], chances)
"""
