# %% data
# Reversing short sequences of digits: an LSTM reads them, another one writes them.
import numpy as np
from tensorflow import keras
from tensorflow.keras.layers import LSTM, Dense, Embedding, Input

START = 1
random = np.random.default_rng(3)
questions = random.integers(2, 12, size=(48, 5))
answers = questions[:, ::-1]
answers_in = np.c_[np.full(len(answers), START), answers[:, :-1]]

# %% model
keras.utils.set_random_seed(11)
units = 8

# training
encoder_inputs = Input(shape=(None,), name="question")
encoder_embedding = Embedding(12, 6)
encoder_lstm = LSTM(units, return_state=True)
_, state_h, state_c = encoder_lstm(encoder_embedding(encoder_inputs))
encoder_states = [state_h, state_c]

decoder_inputs = Input(shape=(None,), name="answer")
decoder_embedding = Embedding(12, 6)
decoder_lstm = LSTM(units, return_sequences=True, return_state=True)
decoder_outputs, _, _ = decoder_lstm(decoder_embedding(decoder_inputs), initial_state=encoder_states)
decoder_dense = Dense(12, activation="softmax")
decoder_outputs = decoder_dense(decoder_outputs)

model = keras.Model([encoder_inputs, decoder_inputs], decoder_outputs)
model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

# inference, over the same layers
encoder_model = keras.Model(encoder_inputs, encoder_states)

state_h_in = Input(shape=(units,))
state_c_in = Input(shape=(units,))
decoder_outputs, state_h, state_c = decoder_lstm(
    decoder_embedding(decoder_inputs), initial_state=[state_h_in, state_c_in]
)
decoder_outputs = decoder_dense(decoder_outputs)
decoder_model = keras.Model([decoder_inputs, state_h_in, state_c_in], [decoder_outputs, state_h, state_c])

# %% fit
history = model.fit([questions, answers_in], answers, batch_size=16, epochs=2, shuffle=False, verbose=0)


# %% decode
def answer(rows, steps=5):
    said = []
    for row in np.asarray(rows):
        states = encoder_model.predict(row[None], verbose=0)
        last, ids = START, []
        for _ in range(steps):
            chances, *states = decoder_model.predict([np.array([[last]]), *states], verbose=0)
            last = int(np.argmax(chances[0, -1]))
            ids.append(last)
        said.append(ids)
    return said
