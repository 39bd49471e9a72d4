# %% data
# Sums of two numbers written out digit by digit: the sum's digits all at once from one vector.
import numpy as np
from tensorflow.keras import Sequential
from tensorflow.keras.layers import LSTM, Dense, RepeatVector, TimeDistributed
from tensorflow.keras.utils import set_random_seed, to_categorical

symbols = "0123456789+ "
random = np.random.default_rng(6)
sums = [(int(a), int(b)) for a, b in random.integers(0, 50, size=(60, 2))]
asked = [f"{a}+{b}".ljust(5) for a, b in sums]
wanted = [str(a + b).rjust(2) for a, b in sums]
X = to_categorical([[symbols.index(s) for s in line] for line in asked], len(symbols))
y = to_categorical([[symbols.index(s) for s in line] for line in wanted], len(symbols))

# %% model
set_random_seed(1)
model = Sequential()
model.add(LSTM(10, input_shape=(5, len(symbols))))
model.add(RepeatVector(2))
model.add(LSTM(10, return_sequences=True))
model.add(TimeDistributed(Dense(len(symbols), activation="softmax")))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])

# %% fit
history = model.fit(X, y, batch_size=20, epochs=3, shuffle=False, verbose=0)


# %% decode
def add(rows):
    return model.predict(rows, verbose=0).argmax(-1).tolist()
