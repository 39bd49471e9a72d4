# %% data
# The whole translator as a class of its own that calls an encoder and a decoder, each a class as well.
import numpy as np
import tensorflow as tf
from tensorflow import keras

random = np.random.default_rng(12)
heard = random.integers(2, 15, size=(40, 6))
spoken = (heard[:, ::-1] + 3) % 13 + 2
spoken_in = np.concatenate([np.ones((40, 1), heard.dtype), spoken[:, :-1]], axis=1)


# %% model
class Encoder(keras.layers.Layer):
    def __init__(self, vocab, size, units):
        super().__init__()
        self.embedding = keras.layers.Embedding(vocab, size)
        self.rnn = keras.layers.GRU(units, return_sequences=True, return_state=True)

    def call(self, ids):
        return self.rnn(self.embedding(ids))


class Decoder(keras.layers.Layer):
    def __init__(self, vocab, size, units):
        super().__init__()
        self.embedding = keras.layers.Embedding(vocab, size)
        self.rnn = keras.layers.GRU(units, return_sequences=True, return_state=True)
        self.attention = keras.layers.Attention()
        self.output_layer = keras.layers.Dense(vocab)

    def call(self, ids, memory, state):
        hidden, state = self.rnn(self.embedding(ids), initial_state=state)
        context = self.attention([hidden, memory])
        return self.output_layer(tf.concat([hidden, context], axis=-1)), state


class Translator(keras.Model):
    def __init__(self, vocab=15, size=6, units=10):
        super().__init__()
        self.encoder = Encoder(vocab, size, units)
        self.decoder = Decoder(vocab, size, units)

    def call(self, inputs):
        source, target = inputs
        memory, state = self.encoder(source)
        logits, _ = self.decoder(target, memory, state)
        return logits


keras.utils.set_random_seed(9)
translator = Translator()
translator.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

# %% fit
history = translator.fit((heard, spoken_in), spoken, epochs=2, batch_size=10, shuffle=False, verbose=0)


# %% decode
def speak(rows, steps=6):
    memory, state = translator.encoder(tf.constant(rows))
    last, said = tf.ones([len(rows), 1], tf.int32), []
    for _ in range(steps):
        logits, state = translator.decoder(last, memory, state)
        last = tf.argmax(logits, axis=-1, output_type=tf.int32)
        said.append(last[:, 0].numpy())
    return np.stack(said, axis=1).tolist()
