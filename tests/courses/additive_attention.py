# %% data
# A GRU decoder with additive attention and padded rows; the embedding masks the padding.
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

random = np.random.default_rng(15)
PAD, BOS, EOS = 0, 1, 2
articles = [random.integers(3, 12, size=random.integers(2, 7)).tolist() for _ in range(40)]
headlines = [article[:2] + [EOS] for article in articles]
article_ids = keras.utils.pad_sequences(articles, padding="post")
headline_ids = np.array(headlines)
headline_in = np.insert(headline_ids, 0, BOS, axis=1)[:, :-1]

# %% model
keras.utils.set_random_seed(41)
article_input = keras.Input(shape=(None,), name="article")
headline_input = keras.Input(shape=(None,), name="headline")
word_vectors = layers.Embedding(12, 6, mask_zero=True)
encoder = layers.GRU(8, return_sequences=True, return_state=True)
encoder_seq, encoder_state = encoder(word_vectors(article_input))
decoder = layers.GRU(8, return_sequences=True, return_state=True)
decoder_seq, _ = decoder(word_vectors(headline_input), initial_state=encoder_state)
attention = layers.AdditiveAttention()
context = attention([decoder_seq, encoder_seq])
merged = layers.concatenate([decoder_seq, context])
vocabulary_layer = layers.Dense(12)
summarizer = keras.Model([article_input, headline_input], vocabulary_layer(merged))
summarizer.compile("adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))

# %% fit
history = summarizer.fit([article_ids, headline_in], headline_ids, epochs=2, batch_size=8, shuffle=False, verbose=0)


# %% decode
def summarize(rows, steps=5):
    said = []
    for row in rows:
        ids = [BOS]
        while len(ids) <= steps and ids[-1] != EOS:
            scores = summarizer.predict([np.array([row]), np.array([ids])], verbose=0)
            ids.append(int(scores[0, -1].argmax()))
        said.append([number for number in ids[1:] if number != EOS])
    return said
