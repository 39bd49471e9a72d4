# %% data
# The model comes out of functions and a class of settings; the notebook itself binds only what they give.
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.keras import Model, layers

random = np.random.default_rng(19)
questions = random.integers(2, 12, size=(42, 5))
replies = np.repeat(questions[:, :1], 5, axis=1)
replies_in = np.insert(replies[:, :-1], 0, 1, axis=1)


# %% model
@dataclass
class Settings:
    vocab: int = 12
    size: int = 6
    units: int = 9


def recurrent(units, name):
    return layers.LSTM(units, return_sequences=True, return_state=True, name=name)


def embed(settings, name):
    return layers.Embedding(settings.vocab, settings.size, name=name)


class Workshop:
    def __init__(self, settings):
        self.settings = settings
        self.reader = recurrent(settings.units, "reader")
        self.writer = recurrent(settings.units, "writer")
        self.source_table = embed(settings, "source_table")
        self.target_table = embed(settings, "target_table")
        self.scores = layers.Dense(settings.vocab, activation="softmax", name="scores")

    def training(self):
        source = layers.Input([None], name="source")
        target = layers.Input([None], name="target")
        _, *states = self.reader(self.source_table(source))
        hidden, _, _ = self.writer(self.target_table(target), initial_state=states)
        return Model([source, target], self.scores(hidden), name="training")

    def inference(self):
        source = layers.Input([None])
        _, *states = self.reader(self.source_table(source))
        read = Model(source, states)
        target, h, c = layers.Input([1]), layers.Input([self.settings.units]), layers.Input([self.settings.units])
        hidden, *after = self.writer(self.target_table(target), initial_state=[h, c])
        return read, Model([target, h, c], [self.scores(hidden), *after])


tf.keras.utils.set_random_seed(53)
workshop = Workshop(Settings())
model = workshop.training()
model.compile("adam", "sparse_categorical_crossentropy")
read, write = workshop.inference()

# %% fit
history = model.fit([questions, replies_in], replies, epochs=2, batch_size=14, shuffle=False, verbose=0)


# %% decode
def reply(rows, steps=5):
    said = []
    for row in np.asarray(rows):
        states, last, ids = read.predict(row[None], verbose=0), 1, []
        for _ in range(steps):
            chances, *states = write.predict([np.array([[last]]), *states], verbose=0)
            last = int(chances[0, 0].argmax())
            ids.append(last)
        said.append(ids)
    return said
