# %% data
# Sorting digits: the encoder reads from both ends, and the decoder starts from both final states put together.
import numpy as np
import tensorflow as tf
from tensorflow.keras.layers import LSTM, Bidirectional, Concatenate, Dense, Dropout, Embedding, Input
from tensorflow.keras.models import Model

random = np.random.default_rng(5)
unsorted = random.integers(3, 12, size=(44, 5))
finished = np.sort(unsorted, axis=1)
finished = np.hstack([finished, np.full((44, 1), 2)])
finished_in = np.hstack([np.full((44, 1), 1), finished[:, :-1]])

# %% model
tf.keras.utils.set_random_seed(31)
enc_inputs = Input(shape=(None,), dtype="int32", name="enc_inputs")
enc_emb = Embedding(12, 5, name="enc_emb")(enc_inputs)
encoder = Bidirectional(LSTM(4, return_state=True, dropout=0.0), name="encoder")
_, forward_h, forward_c, backward_h, backward_c = encoder(enc_emb)
state_h = Concatenate()([forward_h, backward_h])
state_c = Concatenate()([forward_c, backward_c])

dec_inputs = Input(shape=(None,), dtype="int32", name="dec_inputs")
dec_emb = Embedding(12, 5, name="dec_emb")
dec_lstm = LSTM(8, return_sequences=True, return_state=True, name="decoder")
dec_outputs, _, _ = dec_lstm(Dropout(0.1)(dec_emb(dec_inputs)), initial_state=[state_h, state_c])
dec_hidden = Dense(9, activation="tanh", name="hidden")
dec_dense = Dense(12, activation="softmax", name="to_digits")
model = Model([enc_inputs, dec_inputs], dec_dense(dec_hidden(dec_outputs)))
model.compile(optimizer=tf.keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy")

# %% fit
history = model.fit([unsorted, finished_in], finished, batch_size=11, epochs=2, shuffle=False, verbose=0)

# %% inference
encoder_model = Model(enc_inputs, [state_h, state_c])
h_in, c_in = Input(shape=(8,)), Input(shape=(8,))
step_outputs, h_out, c_out = dec_lstm(dec_emb(dec_inputs), initial_state=[h_in, c_in])
decoder_model = Model([dec_inputs, h_in, c_in], [dec_dense(dec_hidden(step_outputs)), h_out, c_out])


# %% decode
def put_in_order(rows, steps=6):
    said = []
    for row in np.asarray(rows):
        h, c = encoder_model.predict(row[None], verbose=0)
        last, ids = 1, []
        while len(ids) < steps:
            chances, h, c = decoder_model.predict([np.array([[last]]), h, c], verbose=0)
            last = int(chances[0, 0].argmax())
            if last == 2:
                break
            ids.append(last)
        said.append(ids)
    return said
