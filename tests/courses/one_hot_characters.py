# %% data
# Names of numbers from one made-up language into another, letter by letter, each letter a one-hot vector.
import numpy as np
from tensorflow import keras
from tensorflow.keras import Input, Model
from tensorflow.keras.layers import LSTM, Dense

pairs = [("un", "ek"), ("du", "do"), ("tri", "tin"), ("kvar", "car"), ("kvin", "panc"), ("ses", "cha"), ("sep", "sat")]
pairs = [(source, "\t" + target + "\n") for source, target in pairs] * 4
source_letters = sorted({letter for source, _ in pairs for letter in source} | {" "})
target_letters = sorted({letter for _, target in pairs for letter in target} | {" "})
source_number = {letter: number for number, letter in enumerate(source_letters)}
target_number = {letter: number for number, letter in enumerate(target_letters)}
longest_source = max(len(source) for source, _ in pairs)
longest_target = max(len(target) for _, target in pairs)

encoder_data = np.zeros((len(pairs), longest_source, len(source_letters)), dtype="float32")
decoder_data = np.zeros((len(pairs), longest_target, len(target_letters)), dtype="float32")
decoder_target = np.zeros((len(pairs), longest_target, len(target_letters)), dtype="float32")
for number, (source, target) in enumerate(pairs):
    for step, letter in enumerate(source.ljust(longest_source)):
        encoder_data[number, step, source_number[letter]] = 1.0
    for step, letter in enumerate(target.ljust(longest_target)):
        decoder_data[number, step, target_number[letter]] = 1.0
    for step, letter in enumerate(target[1:].ljust(longest_target)):
        decoder_target[number, step, target_number[letter]] = 1.0

# %% model
keras.utils.set_random_seed(5)
encoder_inputs = Input(shape=(None, len(source_letters)))
reader = LSTM(16, return_state=True)
_, h, c = reader(encoder_inputs)

decoder_inputs = Input(shape=(None, len(target_letters)))
writer = LSTM(16, return_sequences=True, return_state=True)
hidden, _, _ = writer(decoder_inputs, initial_state=[h, c])
letters = Dense(len(target_letters), activation="softmax")
training_model = Model([encoder_inputs, decoder_inputs], letters(hidden))
training_model.compile("rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])

# %% fit
history = training_model.fit(
    [encoder_data, decoder_data], decoder_target, batch_size=7, epochs=2, shuffle=False, verbose=0
)

# %% inference
encoder = Model(encoder_inputs, [h, c])
states_in = [Input(shape=(16,)), Input(shape=(16,))]
hidden, *states_out = writer(decoder_inputs, initial_state=states_in)
decoder = Model([decoder_inputs, *states_in], [letters(hidden), *states_out])


# %% decode
def translate(rows, steps=longest_target):
    said = []
    for row in rows:
        states = encoder.predict(row[None], verbose=0)
        last, ids = target_number["\t"], []
        for _ in range(steps):
            letter = np.zeros((1, 1, len(target_letters)), dtype="float32")
            letter[0, 0, last] = 1.0
            chances, *states = decoder.predict([letter, *states], verbose=0)
            last = int(np.argmax(chances[0, -1]))
            if last == target_number["\n"]:
                break
            ids.append(last)
        said.append(ids)
    return said
