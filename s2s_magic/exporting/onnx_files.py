"""A model's encoder and decoder step as ONNX, compared with TensorFlow before they are handed out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.errors import SetupError, first_line_of
from s2s_magic.exporting.greedy_graphs import Searched
from s2s_magic.undoing import Changes

ENCODER, STEP = "encoder.onnx", "decoder_step.onnx"
_OPSET = 17
"""ONNX 1.12, of 2022: any ONNX Runtime from 1.12 on reads it."""
_CLOSE = 1e-3
"""The largest difference allowed, as a part of the largest number: single precision gives some 1e-6."""


def converter() -> tuple[Any, Any]:
    """Import tf2onnx and ONNX Runtime.

    Raises
    ------
    SetupError
        When one is not installed.
    """
    try:
        import onnxruntime
        import tf2onnx
    except ImportError as error:
        missing = error.name or str(error)
        raise SetupError(
            f'export to ONNX needs tf2onnx and onnxruntime, and {missing} is missing: pip install "s2s_magic[export]"'
        ) from error
    return tf2onnx, onnxruntime


def onnx_files(model: Searched) -> dict[str, bytes]:
    """Convert a model's encoder and decoder step.

    Parameters
    ----------
    model
        How it is decoded.

    Returns
    -------
    dict
        ``encoder.onnx`` from ``source``, int32 of shape (rows, steps), to a state; and ``decoder_step.onnx`` from
        ``ids``, int32 of shape (rows,), and that state to ``scores`` (rows, classes) and the first parts of the state.

    Raises
    ------
    SetupError
        When tf2onnx or ONNX Runtime is not installed, the model has no decoder step, an operation of it has no
        counterpart in ONNX, or the results of ONNX Runtime are not those of TensorFlow.
    """
    with Changes() as changes, changes, changes:
        backend.skip_gpu_forms(changes)
        return _both_parts(model)


def _both_parts(model: Searched) -> dict[str, bytes]:
    converter()
    if model.encoder is None or model.decoder_step is None:
        raise SetupError(
            f"{model.name} is {model.note}, and ONNX gets a decoder's step: --savedmodel exports it as it is"
        )
    encode, advance = model.encoder, model.decoder_step

    def encoder(source: Any) -> dict[str, Any]:
        return _numbered("state", encode(source))

    encoder_graph = tf.function(encoder, input_signature=[model.source], autograph=False)
    begun = encoder_graph.get_concrete_function().structured_outputs
    state = [tf.TensorSpec([None, *part.shape[1:]], part.dtype, name=name) for name, part in sorted(begun.items())]

    def decoder_step(ids: Any, *state: Any) -> dict[str, Any]:
        scores, after = advance(ids, list(state))
        return {"scores": tf.identity(scores), **_numbered("state_after", after)}

    signature = [tf.TensorSpec([None], tf.int32, name="ids"), *state]
    step_graph = tf.function(decoder_step, input_signature=signature, autograph=False)
    trials = _trials(model, encoder_graph, step_graph)  # first: the converter frees functions that the graphs call
    made = {
        ENCODER: _converted(model, encoder_graph, [model.source]),
        STEP: _converted(model, step_graph, signature),
    }
    for name, given, wanted in trials:
        _check(model, made[name], given, wanted)
    return made


def _numbered(name: str, parts: Sequence[Any]) -> dict[str, Any]:
    """Return tensors by names whose alphabetical order, which is that of the outputs, is theirs."""
    return {f"{name}_{number:03}": tf.identity(part) for number, part in enumerate(parts, 1)}


def _converted(model: Searched, graph: Any, signature: list[Any]) -> bytes:
    tf2onnx, _ = converter()
    import onnx

    with Changes() as changes, changes, changes:
        for name in ("tf2onnx", "tensorflow"):
            _quieten(changes, logging.getLogger(name))
        alone = _without_constants_outside(graph, signature)
        found = _or_refused(model, partial(tf2onnx.convert.from_function, alone, signature, opset=_OPSET))[0]
        given = [each.name for each in found.graph.input]
        for spec in signature:  # what the graph does not read is left out of its inputs
            if spec.name not in given:
                kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype.as_numpy_dtype))
                found.graph.input.append(onnx.helper.make_tensor_value_info(spec.name, kind, list(spec.shape)))
        order = [spec.name for spec in signature]
        inputs = sorted(found.graph.input, key=lambda each: order.index(each.name))
        del found.graph.input[:]
        found.graph.input.extend(inputs)
        content: bytes = found.SerializeToString()
    return content


def _without_constants_outside(graph: Any, signature: list[Any]) -> Any:
    """Return a function with constants in place of tensors outside of it, which the converter takes for inputs."""
    concrete = graph.get_concrete_function()
    inner, outputs = concrete.graph, concrete.structured_outputs
    if all(outer.dtype == tf.resource for outer, _ in inner.captures):
        return graph

    def alone(*given: Any) -> Any:
        here = tf.compat.v1.get_default_graph()
        for variable in inner.variables:
            here.watch_variable(variable)
        placed = {place.name: value for place, value in zip(concrete.inputs, given, strict=False)}
        for outer, place in inner.captures:
            resource = outer.dtype == tf.resource
            placed[place.name] = here.capture(outer) if resource else tf.constant(outer.numpy(), outer.dtype)
        wanted = [each.name for each in tf.nest.flatten(outputs)]
        found = tf.graph_util.import_graph_def(inner.as_graph_def(), placed, wanted, name="")
        return tf.nest.pack_sequence_as(outputs, found)

    return tf.function(alone, input_signature=signature, autograph=False)


def _quieten(changes: Changes, logger: logging.Logger) -> None:
    changes.undo_by(partial(logger.setLevel, logger.level))
    logger.setLevel(logging.CRITICAL)


def _or_refused(model: Searched, convert: Callable[[], Any]) -> Any:
    try:
        return convert()
    except Exception as error:  # whatever stops the converter, ONNX has no place for a part of the model
        raise SetupError(
            f"{model.name} cannot be written as ONNX ({type(error).__name__}: {first_line_of(error)}); --savedmodel "
            "exports it for TensorFlow"
        ) from error


_Trial = tuple[str, list[Any], dict[str, Any]]
"""A file's name, the arrays given to its graph, and what TensorFlow gives for them."""


def _trials(model: Searched, encoder: Any, step: Any) -> list[_Trial]:
    """Run both graphs on a few random rows by TensorFlow."""
    numbers = np.random.default_rng(0)
    found: list[_Trial] = []
    for rows, steps in ((3, model.steps or 4), (1, model.steps or 2)):
        source = numbers.integers(1, max(2, model.vocabulary or 2), (rows, steps)).astype(np.int32)
        begun = encoder(tf.constant(source))
        given = [np.full(rows, model.start, np.int32), *(part.numpy() for _, part in sorted(begun.items()))]
        found += [(ENCODER, [source], begun), (STEP, given, step(*map(tf.constant, given)))]
    return found


def _check(model: Searched, content: bytes, given: list[Any], wanted: dict[str, Any]) -> None:
    """Run a graph by ONNX Runtime, and compare all that it gives with what TensorFlow gave."""
    _, onnxruntime = converter()

    def run() -> Any:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]
        return session.run(None, dict(zip(names, given, strict=True)))

    found: list[Any] = _or_refused(model, run)
    for (name, one), other in zip(sorted(wanted.items()), found, strict=True):
        difference = np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64))
        if difference.size and not difference.max() <= _CLOSE * max(1.0, float(np.abs(one).max())):
            raise SetupError(
                f"{model.name} cannot be written as ONNX: its {name} differs by {difference.max():.2g} there; "
                "--savedmodel exports it for TensorFlow"
            )
