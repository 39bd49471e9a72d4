# %% data
# Short commands into a made-up language; the vectorization is a part of the model, which is fed with strings.
import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

random = np.random.default_rng(8)
verbs = {"go": "gan", "look": "sel", "take": "tom", "drop": "lass"}
nouns = {"north": "nor", "lamp": "lam", "key": "klav", "door": "por"}
picked = [(v, n) for v in verbs for n in nouns] * 2
sentences = np.array([f"{v} {n}" for v, n in picked])
translations = np.array([f"{nouns[n]} {verbs[v]}" for v, n in picked])
max_length = 4

source_text = layers.TextVectorization(20, output_sequence_length=3)
source_text.adapt(sentences)
target_text = layers.TextVectorization(20, standardize="lower", output_sequence_length=max_length)
target_text.adapt([f"[start] {line} [end]" for line in translations])

decoder_text = np.array([f"[start] {line}" for line in translations])
target_ids = target_text([f"{line} [end]" for line in translations]).numpy()

# %% model
tf.keras.utils.set_random_seed(21)
source_in = layers.Input(shape=[], dtype=tf.string)
target_in = layers.Input(shape=[], dtype=tf.string)
source_vectors = layers.Embedding(20, 8, mask_zero=True)(source_text(source_in))
target_vectors = layers.Embedding(target_text.vocabulary_size(), 8, mask_zero=True)(target_text(target_in))
_, *state = layers.LSTM(12, return_state=True)(source_vectors)
written = layers.LSTM(12, return_sequences=True)(target_vectors, initial_state=state)
probabilities = layers.Dense(target_text.vocabulary_size(), activation="softmax")(written)
translator = tf.keras.Model([source_in, target_in], probabilities)
translator.compile("nadam", "sparse_categorical_crossentropy", metrics=["accuracy"])

# %% fit
history = translator.fit((sentences, decoder_text), target_ids, epochs=2, batch_size=8, shuffle=False, verbose=0)


# %% decode
def translate(sentence):
    words = target_text.get_vocabulary()
    translation = ""
    for step in range(max_length):
        x = np.array([sentence]), np.array(["[start] " + translation])
        word = words[np.argmax(translator.predict(x, verbose=0)[0, step])]
        if word == "[end]":
            break
        translation += " " + word
    return translation.strip()


def translate_all(sentences):
    return [translate(sentence) for sentence in sentences]
