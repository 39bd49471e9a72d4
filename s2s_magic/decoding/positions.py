"""Which layers treat each position of a sequence separately, so that they can run on one id at a time."""

from __future__ import annotations

from typing import Any

from tensorflow import keras

from s2s_magic import backend

_ALWAYS = frozenset({
    *("Embedding", "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Masking"),
    *("ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "TimeDistributed", "ActivityRegularization"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"),
})  # fmt: skip
_BY_AXIS = frozenset({"LayerNormalization", "BatchNormalization", "Softmax", "Concatenate"})
_BY_ACTIVATION = frozenset({"Dense", "Activation"})

_OPERATIONS = frozenset({
    *("__operators__.add", "math.add", "math.subtract", "math.multiply", "math.divide", "math.truediv"),
    *("math.tanh", "math.sigmoid", "math.exp", "math.log", "math.negative", "math.sqrt", "math.square"),
    *("nn.relu", "nn.gelu", "nn.silu", "nn.elu", "cast", "identity", "one_hot"),
    *("add", "subtract", "multiply", "divide", "true_divide", "tanh", "sigmoid", "exp", "log", "negative", "sqrt"),
    *("square", "relu", "gelu", "silu", "elu"),
})  # fmt: skip
_OPERATIONS_BY_AXIS = frozenset({"nn.softmax", "nn.log_softmax", "concat", "softmax", "log_softmax", "concatenate"})


UNKNOWN = (
    "and may look at more than one position; if its class is your own and does not, say so in it: by_position = True"
)
"""Why a layer cannot be run for one id at a time, and what can be done."""


def looks_around(layer: Any, arguments: tuple[Any, ...] = (), settings: dict[str, Any] | None = None) -> bool:
    """Return whether a layer may look at several positions at once; an unknown layer may.

    The layer may be one that Keras makes of a TensorFlow operation. A class of the user's own says by an attribute
    ``by_position = True`` that it treats each position separately. ``arguments`` and ``settings`` are the positional
    and keyword arguments of its call.
    """
    if backend.operation(layer) is not None:
        return not _operation_stays(layer, arguments, settings or {})
    if getattr(type(layer), "by_position", False) is True:
        return False
    kind = backend.stock_class(layer)
    if kind in _BY_AXIS:
        axis = layer.axis
        return not all(_is_last(one) for one in (axis if isinstance(axis, list | tuple) else [axis]))
    if kind in _BY_ACTIVATION:
        return not _is_kerass(layer.activation)
    return kind not in _ALWAYS


def _operation_stays(layer: Any, arguments: tuple[Any, ...], settings: dict[str, Any]) -> bool:
    symbol = (backend.operation(layer) or "").removeprefix("tf.").removeprefix("keras.ops.")
    if symbol in _OPERATIONS:
        return True
    axis = settings.get("axis", arguments[1] if len(arguments) > 1 else -1)
    return symbol in _OPERATIONS_BY_AXIS and _is_last(-1 if axis is None else axis)


def _is_last(axis: Any) -> bool:
    """Return whether an axis of (batch, time, features) is the feature axis."""
    return isinstance(axis, int) and axis in (-1, 2)


def _is_kerass(activation: Any) -> bool:
    return activation is None or activation is getattr(keras.activations, getattr(activation, "__name__", ""), None)
