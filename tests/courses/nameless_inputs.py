# %% data
# Adding one to every digit, with a GRU on each side; no layer has been given a name.
import numpy as np
import tensorflow as tf

random = np.random.default_rng(4)
x_train = random.integers(1, 9, size=(40, 4))
y_train = x_train + 1
shifted = np.hstack([np.zeros((40, 1), dtype=int), y_train[:, :-1]])

# %% model
tf.keras.utils.set_random_seed(2)
enc_in = tf.keras.layers.Input(shape=(4,))
dec_in = tf.keras.layers.Input(shape=(4,))
shared = tf.keras.layers.Embedding(input_dim=10, output_dim=5)
enc_state = tf.keras.layers.GRU(7)(shared(enc_in))
dec_seq = tf.keras.layers.GRU(7, return_sequences=True)(shared(dec_in), initial_state=enc_state)
out = tf.keras.layers.TimeDistributed(tf.keras.layers.Dense(10, activation="softmax"))(dec_seq)
model = tf.keras.models.Model(inputs=[enc_in, dec_in], outputs=out)
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
model.summary(print_fn=lambda line: None)

# %% fit
history = model.fit([x_train, shifted], y_train, epochs=2, batch_size=8, shuffle=False, verbose=0)


# %% decode
def add_one(rows):
    """The training model is run anew on all that was said so far; its decoder reads four steps at once."""
    said = np.zeros((len(rows), 5), dtype=int)
    for step in range(4):
        chances = model.predict([np.asarray(rows), said[:, :4]], verbose=0)
        said[:, step + 1] = chances[:, step].argmax(-1)
    return said[:, 1:].tolist()
