"""Programs that import ``tensorflow_addons``, each in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from addons_golden import HAS_TFA

HERE = Path(__file__).parents[1]
MISSION = """
import numpy as np
import tensorflow as tf
from tensorflow import keras
{before}
import tensorflow_addons as tfa
assert tfa.seq2seq.__name__ == "s2s_magic.addons.seq2seq"
from tensorflow_addons.seq2seq.sampler import TrainingSampler
assert TrainingSampler is tfa.seq2seq.TrainingSampler

encoder_inputs = keras.layers.Input(shape=[None], dtype=np.int32)
decoder_inputs = keras.layers.Input(shape=[None], dtype=np.int32)
sequence_lengths = keras.layers.Input(shape=[], dtype=np.int32)
embeddings = keras.layers.Embedding(100, 10)
encoder = keras.layers.LSTM(16, return_state=True)
encoder_outputs, state_h, state_c = encoder(embeddings(encoder_inputs))
sampler = tfa.seq2seq.sampler.TrainingSampler()
decoder_cell = keras.layers.LSTMCell(16)
output_layer = keras.layers.Dense(100)
decoder = tfa.seq2seq.basic_decoder.BasicDecoder(decoder_cell, sampler, output_layer=output_layer)
final_outputs, final_state, final_sequence_lengths = decoder(
    embeddings(decoder_inputs), initial_state=[state_h, state_c], sequence_length=sequence_lengths)
Y_proba = {softmax}(final_outputs.rnn_output)
model = keras.models.Model(inputs=[encoder_inputs, decoder_inputs, sequence_lengths], outputs=[Y_proba])
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
X = np.random.randint(100, size=10*64).reshape(64, 10)
Y = np.random.randint(100, size=15*64).reshape(64, 15)
X_decoder = np.c_[np.zeros((64, 1)), Y[:, :-1]]
history = model.fit([X, X_decoder, np.full([64], 15)], Y, epochs=2, verbose=0)
assert history.history["loss"][1] < history.history["loss"][0] < 4.7
{after}
print("done")
"""
FOR_A_WHILE = """
from s2s_magic.addons import stand_in
from s2s_magic.undoing import Changes
changes = Changes()
stand_in(changes)
"""
GONE = """
changes.undo()
import sys
assert not [name for name in sys.modules if name.startswith("tensorflow_addons")]
"""


def run(program: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_mission_runs_after_install():
    install = "from s2s_magic.addons import install; assert install(force=True); assert install(force=True)"
    program = MISSION.format(before=install, after="", softmax="tf.nn.softmax")
    assert run(program) == "done\n"


@pytest.mark.skipif(HAS_TFA, reason="the real one is used where it is installed")
def test_the_mission_runs_while_ours_stands_in():
    assert run(MISSION.format(before=FOR_A_WHILE, after=GONE, softmax="keras.layers.Softmax()")) == "done\n"


@pytest.mark.skipif(not HAS_TFA, reason="the real one is not installed")
def test_the_real_one_is_left_where_it_is_installed():
    program = """
import sys
from s2s_magic.addons import install, stand_in
from s2s_magic.undoing import Changes
assert not install()
stand_in(Changes())
assert "tensorflow_addons" not in sys.modules
print("done")
"""
    assert run(program) == "done\n"


def test_importing_the_room_loads_no_tensorflow():
    assert run("import sys, s2s_magic.addons; print('tensorflow' in sys.modules)") == "False\n"
