# %% data
# While it is trained, the decoder is fed its own guesses now and then; used, it draws from its own distribution.
import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
from tensorflow import keras

random = np.random.default_rng(13)
given = random.integers(2, 11, size=(40, 4))
wanted = np.flip(given, axis=1)
teacher = np.concatenate([np.ones((40, 1), dtype=given.dtype), wanted[:, :-1]], axis=1)

# %% model
keras.utils.set_random_seed(29)
words_in = keras.layers.Input(shape=[4], dtype=tf.int32)
teacher_in = keras.layers.Input(shape=[4], dtype=tf.int32)
embedding = keras.layers.Embedding(11, 6)
encoder = keras.layers.GRU(10, return_state=True)
_, encoder_state = encoder(embedding(words_in))

sampler = tfa.seq2seq.sampler.ScheduledEmbeddingTrainingSampler(0.0, embedding_fn=embedding)
decoder_cell = keras.layers.GRUCell(10)
output_layer = keras.layers.Dense(11)
decoder = tfa.seq2seq.BasicDecoder(decoder_cell, sampler, output_layer=output_layer)
final_outputs, final_state, lengths = decoder(
    embedding(teacher_in), initial_state=encoder_state, sequence_length=tf.fill([tf.shape(words_in)[0]], 4)
)
chances = tf.nn.softmax(final_outputs.rnn_output)
model = keras.Model([words_in, teacher_in], chances)
model.compile("adam", "sparse_categorical_crossentropy")

drawing = tfa.seq2seq.sampler.SampleEmbeddingSampler(embedding, softmax_temperature=1e-4, seed=3)
drawing_decoder = tfa.seq2seq.BasicDecoder(decoder_cell, drawing, output_layer=output_layer, maximum_iterations=4)
drawn, _, _ = drawing_decoder(
    None, initial_state=encoder_state, start_tokens=tf.ones_like(words_in[:, 0]), end_token=-1
)
drawing_model = keras.Model(words_in, drawn.sample_id)

# %% fit
history = model.fit([given, teacher], wanted, epochs=2, batch_size=10, shuffle=False, verbose=0)


# %% decode
def draw(rows):
    return drawing_model.predict(np.asarray(rows), verbose=0).tolist()
