# %% data
# One tag for each word of a sentence; short sentences are padded and masked.
import numpy as np
from tensorflow.keras import Input, Model, utils
from tensorflow.keras.layers import LSTM, Bidirectional, Dense, Embedding, SpatialDropout1D, TimeDistributed

random = np.random.default_rng(20)
words = [random.integers(1, 25, size=length) for length in random.integers(3, 9, size=40)]
tags = [sentence % 4 + 1 for sentence in words]
X = utils.pad_sequences(words, maxlen=8, padding="post")
Y = utils.pad_sequences(tags, maxlen=8, padding="post")

# %% model
utils.set_random_seed(59)
sentence = Input(shape=(8,))
network = Embedding(input_dim=25, output_dim=6, input_length=8, mask_zero=True)(sentence)
network = SpatialDropout1D(0.0)(network)
network = Bidirectional(LSTM(units=5, return_sequences=True))(network)
tagged = TimeDistributed(Dense(5, activation="softmax"))(network)
tagger = Model(sentence, tagged)
tagger.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

# %% fit
history = tagger.fit(X, Y, batch_size=10, epochs=2, shuffle=False, verbose=0)
