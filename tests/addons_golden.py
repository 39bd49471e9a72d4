"""Stored results of TensorFlow Addons, for environments where it cannot be installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from addons_cases import Case
from s2s_magic.addons import seq2seq

PLACE = Path(__file__).parent / "golden" / "addons"
# other versions of TensorFlow multiply matrices in another order: the last digits of a float32 differ
OTHER_TENSORFLOW = 1e-5
HAS_TFA = importlib.util.find_spec("tensorflow_addons") is not None and not hasattr(tf.keras, "Operation")


def kept(cases: dict[str, Case], every: int = 1) -> list[str]:
    """Return the names of the cases whose values are stored: all of them, or one in ``every``."""
    return list(cases)[::every]


def theirs(case: Case) -> dict[str, Any]:
    import tensorflow_addons

    return case(tensorflow_addons.seq2seq)


def store(name: str, found: dict[str, dict[str, Any]]) -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    arrays = {f"{case}/{key}": value for case, values in found.items() for key, value in values.items()}
    np.savez_compressed(PLACE / f"{name}.npz", **arrays)


def stored(name: str, case: str) -> dict[str, Any]:
    with np.load(PLACE / f"{name}.npz") as arrays:
        return {key.removeprefix(f"{case}/"): arrays[key] for key in arrays if key.startswith(f"{case}/")}


def assert_equal(case: Case, expected: dict[str, Any], within: float = 1e-6) -> None:
    """Assert that ours has these values: names, shapes, dtypes and integers exactly, floats within a tolerance."""
    found = case(seq2seq)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        np.testing.assert_allclose(found[name], value, rtol=within, atol=within, err_msg=name)
