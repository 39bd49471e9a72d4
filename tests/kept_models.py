"""Models that the tests of saving save and load, and the folders in tests/kept, which another Keras wrote.

``python tests/kept_models.py`` writes the folder of the Keras that runs it anew.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import s2s_magic

KEPT = Path(__file__).parent / "kept"
SPEC = (
    "vocab: 9\nembed: 3\nencoder: lstm(4)\ndecoder: lstm(4)\nstart: 1\nend: 2\npadding: 0\ncode: keras\nmax_length: 6\n"
)
ROWS = [[int(n) for n in row] for row in np.random.default_rng(0).integers(3, 9, (48, 4))]
DATA = {"X": ROWS, "Y": [row[::-1] for row in ROWS]}
FIT = "source: X\ntarget: Y\nepochs: 2\nseed: 7\n"

CODE = """\
from tensorflow import keras

keras.utils.set_random_seed(3)
given = keras.Input([None], dtype="int32")
wanted = keras.Input([None], dtype="int32")
words = keras.layers.Embedding(9, {embed})
read, *states = keras.layers.LSTM({units}, return_state=True, name="reader")(words(given))
said = keras.layers.LSTM({units}, return_sequences=True, dropout=0.3)(words(wanted), initial_state=states)
said = keras.layers.BatchNormalization()(said)
model = keras.Model([given, wanted], keras.layers.Dense(9, activation="softmax")(said))
"""


def built(spec: str = SPEC, **more: Any) -> Any:
    """Return a model built from a spec, with seeded weights."""
    from tensorflow import keras

    keras.utils.set_random_seed(5)
    return s2s_magic.build(spec, name="m", **more)


def traced(name: str = "m", embed: int = 3, units: int = 4) -> Any:
    """Return a traced model, of which Keras names most layers."""
    return s2s_magic.trace(CODE.format(embed=embed, units=units), name=name)


def fit(model: Any, more: str = "") -> Any:
    """Fit a model for two epochs, with a seed."""
    data = DATA if model.spec is not None else {side: np.array(rows) for side, rows in DATA.items()}
    return s2s_magic.fit(model, FIT + more, data, progress=lambda _: None)


def values(model: Any) -> dict[str, bytes]:
    """Return all that a training changes, by name: weights, states and the optimizer's variables, as bytes."""
    from s2s_magic import backend
    from s2s_magic.keeping.identities import states_of, weights_of

    ledger = model.refresh()
    found = {key: model.live.variables[key] for key in weights_of(model)}
    found |= {str(number): variable for number, variable in enumerate(states_of(model).values())}
    if ledger.main_model.compiled is not None:
        found |= backend.optimizer_state(model.model.optimizer, dict(model.live.variables))
    return {name: np.asarray(variable.numpy()).tobytes() for name, variable in found.items()}


def predictions(model: Any) -> Any:
    """Return what a model predicts for some rows."""
    rows = np.array(ROWS[:5])
    return np.asarray(model.model([rows, rows], training=False))


def write() -> None:
    """Write the folder of the present Keras, and what the model predicts."""
    from s2s_magic import backend

    folder = KEPT / backend.active()
    shutil.rmtree(folder, ignore_errors=True)
    model = fit(built())
    s2s_magic.save(model, folder)
    np.save(KEPT / f"{backend.active()}.npy", predictions(model))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    write()
