# %% data
# A plain LSTM decoder that looks back at all that the encoder said, by Keras's dot-product attention.
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

random = np.random.default_rng(14)
inputs_data = random.integers(2, 16, size=(40, 7))
outputs_data = inputs_data[:, ::-1].copy()
teacher_data = np.pad(outputs_data, ((0, 0), (1, 0)), constant_values=1)[:, :-1]

# %% model
keras.utils.set_random_seed(37)
src = keras.Input(shape=(None,), dtype="int32", name="src")
tgt = keras.Input(shape=(None,), dtype="int32", name="tgt")
memory, h, c = layers.LSTM(8, return_sequences=True, return_state=True, name="encoder")(layers.Embedding(16, 6)(src))
decoded = layers.LSTM(8, return_sequences=True, name="decoder")(layers.Embedding(16, 6)(tgt), initial_state=[h, c])
context = layers.Attention(name="attention")([decoded, memory])
joined = layers.Concatenate(axis=-1)([decoded, context])
attended = layers.Dense(8, activation="tanh", name="attended")(joined)
prediction = layers.Dense(16, activation="softmax", name="prediction")(attended)
attention_model = keras.Model([src, tgt], prediction)
attention_model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

# %% fit
history = attention_model.fit(
    [inputs_data, teacher_data], outputs_data, batch_size=10, epochs=2, shuffle=False, verbose=0
)


# %% decode
def reverse(rows, steps=7):
    rows = np.asarray(rows)
    said = np.full((len(rows), 1), 1)
    for _ in range(steps):
        chances = attention_model.predict([rows, said], verbose=0)
        said = np.hstack([said, chances[:, -1:].argmax(-1)])
    return said[:, 1:].tolist()
