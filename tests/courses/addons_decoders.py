# %% data
# TensorFlow Addons: one decoder to train with, a second one over the same cell and output layer to decode with.
import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
from tensorflow import keras

random = np.random.default_rng(10)
X_train = random.integers(3, 13, size=(45, 5))
Y_train = 15 - X_train[:, ::-1]
X_decoder = np.c_[np.full(45, 1), Y_train[:, :-1]]

# %% model
keras.utils.set_random_seed(23)
encoder_input = keras.layers.Input(shape=[None], dtype=tf.int32)
decoder_input = keras.layers.Input(shape=[None], dtype=tf.int32)
embed = keras.layers.Embedding(13, 6)
_, h, c = keras.layers.LSTM(10, return_state=True)(embed(encoder_input))

cell = keras.layers.LSTMCell(10)
head = keras.layers.Dense(13)
decoder = tfa.seq2seq.basic_decoder.BasicDecoder(cell, tfa.seq2seq.sampler.TrainingSampler(), output_layer=head)
outputs, _, _ = decoder(embed(decoder_input), initial_state=[h, c])
probabilities = keras.layers.Activation("softmax")(outputs.rnn_output)
training_model = keras.models.Model([encoder_input, decoder_input], probabilities)
training_model.compile(loss="sparse_categorical_crossentropy", optimizer="nadam")

greedy = tfa.seq2seq.sampler.GreedyEmbeddingSampler(embedding_fn=embed)
inference_decoder = tfa.seq2seq.basic_decoder.BasicDecoder(cell, greedy, output_layer=head, maximum_iterations=5)
start_tokens = tf.fill([tf.shape(encoder_input)[0]], 1)
final_outputs, _, _ = inference_decoder(None, initial_state=[h, c], start_tokens=start_tokens, end_token=-1)
inference_model = keras.models.Model([encoder_input], [final_outputs.sample_id])

# %% fit
history = training_model.fit([X_train, X_decoder], Y_train, epochs=2, batch_size=15, shuffle=False, verbose=0)


# %% decode
def mirror(rows):
    return inference_model.predict(np.asarray(rows), verbose=0).tolist()
