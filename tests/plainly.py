"""Fitting the same code by plain Keras and by a fit body, and comparing all that training changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from addons import run_plainly
from s2s_magic import api
from s2s_magic.handle import Seq2Seq

HEAD = """\
import numpy as np
import tensorflow as tf
from tensorflow import keras
L = keras.layers
x = keras.Input([6], dtype="int32")
"""
TAGGER = """\
emb = L.Embedding(20, 8)
lstm = L.LSTM(8, return_sequences=True)
head = L.Dense(20, activation="softmax")
model = keras.Model(x, head(lstm(emb(x))))
"""
COMPILED = 'model.compile("adam", "sparse_categorical_crossentropy")\n'
numbers = np.random.default_rng(0)
X = numbers.integers(1, 20, size=(64, 6))
Y = numbers.integers(1, 20, size=(64, 6))
NAMES: Mapping[str, Any] = {"X": X, "Y": Y}
CLOSE = 1e-5


def quiet(progress: Any) -> None:
    """Show nothing."""


def traced(code: str, seed: int = 1) -> Seq2Seq:
    """Run code that ends with a compiled model named ``model``, under capture."""
    keras.utils.set_random_seed(seed)
    return api.trace(HEAD + code)


def plain(code: str, seed: int = 1) -> Any:
    """Run the same code in plain Python, and return its model."""
    keras.utils.set_random_seed(seed)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    run_plainly(HEAD + code, namespace)
    return namespace["model"]


def trained_state(model: Any, optimizer: Any = None) -> list[Any]:
    """Return everything that training changes: weights, states and the optimizer's variables."""
    optimizer = model.optimizer if optimizer is None else optimizer
    listed = optimizer.variables
    states = [
        s for layer in model.layers for s in tf.nest.flatten(getattr(layer, "states", None) or []) if s is not None
    ]
    return [v.numpy() for v in (*model.weights, *states, *(listed() if callable(listed) else listed))]


def assert_close(ours: Any, theirs: Any, close: float = CLOSE) -> None:
    """Compare arrays one by one, relative to the largest number of each."""
    assert len(ours) == len(theirs)
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert a.shape == b.shape, number
        apart = _apart(a, b)
        assert apart <= close, f"array {number} is {apart:.2g} apart"


def _apart(a: Any, b: Any) -> float:
    """Return the difference of arrays relative to the largest number; other than floats must be equal."""
    if not a.size or a.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else np.inf
    return float(np.abs(a.astype(np.float64) - b).max()) / max(float(np.abs(b).max()), 1e-3)


Step = Callable[[Any], object]


def assert_fits_alike(
    code: str,
    body: str = "",
    *,
    fits: int = 2,
    accelerate: str = "off",
    names: Mapping[str, Any] = NAMES,
    between: Step | None = None,
    compiled: Step | None = None,
    close: float = CLOSE,
    epochs: int = 2,
    **arguments: Any,
) -> Seq2Seq:
    """Fit the same code by us and by ``Model.fit``, and compare losses, metrics, weights, states and optimizers.

    ``between`` is applied to the model after each fit; ``compiled`` to the plain model before the first fit, to make
    the same changes as the body. Keras fits code once that is compared in several ways.
    """
    ours = traced(code)
    keras.utils.set_random_seed(3)
    for _ in range(fits):
        text = f"source: X\ntarget: Y\nepochs: {epochs}\nbatch: 16\naccelerate: {accelerate}\n{body}"
        api.fit(ours, text, names, progress=quiet)
        if between is not None:
            between(ours.model)
    if names is NAMES and between is None and compiled is None and not arguments:
        history, state = _fitted_by_keras(code, fits, epochs)
    else:
        history, state = _by_keras(code, fits, epochs, names, between, compiled, arguments)
    assert set(ours.history) == set(history)
    for name, values in history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=close, atol=1e-7, err_msg=name)
    assert_close(trained_state(ours.model), state, close)
    return ours


Fitted = tuple[dict[str, list[float]], list[Any]]


@lru_cache(maxsize=8)
def _fitted_by_keras(code: str, fits: int, epochs: int) -> Fitted:
    return _by_keras(code, fits, epochs, NAMES, None, None, {})


def _by_keras(
    code: str,
    fits: int,
    epochs: int,
    names: Mapping[str, Any],
    between: Step | None,
    compiled: Step | None,
    arguments: Mapping[str, Any],
) -> Fitted:
    theirs = plain(code)
    if compiled is not None:
        compiled(theirs)
    keras.utils.set_random_seed(3)
    history: dict[str, list[float]] = {}
    given = {"x": names["X"], "y": names["Y"], "epochs": epochs, "batch_size": 16, "verbose": 0} | dict(arguments)
    for _ in range(fits):
        for name, values in theirs.fit(**given).history.items():
            history.setdefault(name, []).extend(values)
        if between is not None:
            between(theirs)
    return history, trained_state(theirs)
