"""What the training steps of models were traced with: Keras goes on with a step for batches that it takes."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.backend.keras3.own import private
from s2s_magic.undoing import Changes

_Batch = Sequence[tf.TensorShape]
"""The shapes of a batch: of inputs, targets and weights. Types are left out: ids are read as int32 here."""
_Trace = tuple[_Batch, set[int]]
"""What a step was traced with: a batch, and the ids of the variables that it trains."""

_NOTED: weakref.WeakKeyDictionary[Any, tuple[Any, list[_Trace]]] = weakref.WeakKeyDictionary()
"""Each model's `compiled_as`, and what its counted step was traced with since then; the trace used last comes last."""
_EXPECTED: weakref.WeakKeyDictionary[Any, tuple[_Batch, Any, list[_Batch]]] = weakref.WeakKeyDictionary()
"""The batches of the fit that a model is in, its `compiled_as`, and the batches that steps of Keras's own take."""


def expect(changes: Changes, model: Any, compiled: Any, graphs: Sequence[Any], arguments: Mapping[str, Any]) -> None:
    """Note the batches of a fit with these arguments, until changes are undone.

    ``compiled`` is `compiled_as`; ``graphs`` are those of the steps that Keras traced in fits of its own. Nothing is
    known of batches that a generator or the like makes, of which none may be taken before the fit.
    """
    changes.undo_by(lambda: _EXPECTED.pop(model, None))
    if isinstance(arguments["x"], tf.data.Dataset):
        spec = arguments["x"].element_spec
    elif "y" in arguments:
        names = ("x", "y", "sample_weight", "batch_size", "shuffle", "class_weight")
        with Changes() as reading, reading, reading:
            backend.keep_random_states(reading)
            given = {name: arguments[name] for name in names if name in arguments}
            given |= _some_rows(given)
            spec = private("trainers.data_adapters").get_data_adapter(**given).get_tf_dataset().element_spec
    else:
        return
    batch = _batch_of(spec)
    _EXPECTED[model] = batch, compiled, [_taken_by(graph) for graph in graphs]
    noted = _noted(model, compiled)
    if (used := _serving(noted, batch)) is not None:
        _NOTED[model] = compiled, [*(each for each in noted if each is not used), used]


def _some_rows(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays of a fit with enough rows to tell the shapes: a whole batch, and the last one if it is less."""
    rows, size = tf.nest.flatten(arguments["x"])[0].shape[0], arguments["batch_size"]
    most = size + rows % size
    arrays = {name: arguments[name] for name in ("x", "y", "sample_weight") if name in arguments}
    if any(isinstance(one, tf.SparseTensor | tf.RaggedTensor) for one in tf.nest.flatten(arrays)):
        return {}
    return {name: tf.nest.map_structure(lambda one: one[:most], each) for name, each in arrays.items()}


def note(model: Any, compiled: Any, data: Any, trained: set[int]) -> None:
    """Note that a model's step is traced with data, and trains variables with these ids.

    TensorFlow traces a step for batches of another shape with any size in the places where they differ.
    """
    batch, noted = _batch_of(data), _noted(model, compiled)
    _, then, of_keras = _EXPECTED.get(model, (batch, None, []))
    of_keras = of_keras if then is compiled else []
    wider = (_common(other, batch) for other in (*of_keras, *(other for other, _ in noted)))
    _NOTED[model] = compiled, [*noted, (next((found for found in wider if found is not None), batch), trained)]


def used(model: Any, compiled: Any, graphs: Sequence[Any]) -> Any:
    """Return the traced step that the expected fit uses: one of the graphs, or the ids of the variables that it trains.

    Without an expected fit, it is the last one; None if Keras would trace a new one.
    """
    noted = _noted(model, compiled)
    if model not in _EXPECTED:
        return graphs[-1] if graphs else noted[-1][1] if noted else None
    batch, _, taken = _EXPECTED[model]
    found = _serving([*zip(taken, graphs, strict=False), *noted], batch)
    return None if found is None else found[1]


def _taken_by(graph: Any) -> _Batch:
    return _batch_of(graph.structured_input_signature)


def _noted(model: Any, compiled: Any) -> list[_Trace]:
    then, noted = _NOTED.get(model, (None, []))
    return noted if then is compiled else []


def _batch_of(data: Any) -> _Batch:
    return [tf.TensorShape(one.shape) for one in tf.nest.flatten(data) if one is not None]


def _serving(traces: Sequence[tuple[_Batch, Any]], batch: _Batch) -> tuple[_Batch, Any] | None:
    """Return the trace that TensorFlow uses for a batch: that of this very shape, else one that takes it; or None."""
    exact = [each for each in traces if str(each[0]) == str(batch)]
    return next((each for each in (*exact, *traces) if _takes(each[0], batch)), None)


def _common(one: _Batch, other: _Batch) -> _Batch | None:
    """Return the batches that include both; None if they differ in more than sizes."""
    if [shape.rank for shape in one] != [shape.rank for shape in other]:
        return None
    return [a.most_specific_compatible_shape(b) for a, b in zip(one, other, strict=True)]


def _takes(traced: _Batch, batch: _Batch) -> bool:
    return len(traced) == len(batch) and all(map(_includes, traced, batch))


def _includes(shape: tf.TensorShape, other: tf.TensorShape) -> bool:
    """Return whether a shape includes another one: in each place the same size, or any."""
    if shape.rank is None or other.rank is None:
        return shape.rank is None
    sizes = zip(shape.as_list(), other.as_list(), strict=False)
    return shape.rank == other.rank and all(wide is None or size == wide for wide, size in sizes)
