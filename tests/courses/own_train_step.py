# %% data
# Encoder and decoder are two functional models; a model around them has the training step written out.
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

random = np.random.default_rng(16)
sources = random.integers(2, 13, size=(40, 5)).astype("int32")
targets = np.sort(sources, axis=1)
targets_in = np.hstack([np.ones((40, 1), "int32"), targets[:, :-1]])

# %% model
keras.utils.set_random_seed(43)
ids = keras.Input([None], dtype="int32")
_, state = layers.GRU(9, return_state=True)(layers.Embedding(13, 6)(ids))
encoder = keras.Model(ids, state, name="encoder")

so_far = keras.Input([None], dtype="int32")
begin = keras.Input([9])
steps, end = layers.GRU(9, return_sequences=True, return_state=True)(
    layers.Embedding(13, 6)(so_far), initial_state=begin
)
decoder = keras.Model([so_far, begin], [layers.Dense(13)(steps), end], name="decoder")


class Sorter(keras.Model):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.seen = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.seen]

    def call(self, inputs):
        source, target = inputs
        return self.decoder([target, self.encoder(source)])[0]

    def train_step(self, data):
        inputs, wanted = data
        with tf.GradientTape() as tape:
            scores = self(inputs, training=True)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(wanted, scores, from_logits=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.seen.update_state(loss)
        return {"loss": self.seen.result()}


sorter = Sorter(encoder, decoder)
sorter.compile(optimizer=keras.optimizers.Adam(0.01))

# %% fit
history = sorter.fit((sources, targets_in), targets, epochs=2, batch_size=10, shuffle=False, verbose=0)


# %% decode
def put_in_order(rows, steps=5):
    said = []
    for row in np.asarray(rows):
        state, last, found = encoder.predict(row[None], verbose=0), 1, []
        for _ in range(steps):
            scores, state = decoder.predict([np.array([[last]]), state], verbose=0)
            last = int(scores[0, 0].argmax())
            found.append(last)
        said.append(found)
    return said
