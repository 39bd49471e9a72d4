"""Tell from each output's loss what its target must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.inputs import outputs_of
from s2s_magic.handle import Seq2Seq

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan

Compares = Literal["ids", "values", "nothing", "unknown"]
"""Class ids; values, number by number; nothing, for an output without a loss; unknown, for a custom loss."""

_OF_VALUES = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "squared_hinge",
    "hinge",
    "huber",
    "log_cosh",
    "poisson",
    "kl_divergence",
    "cosine_similarity",
    "categorical_hinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
)
"""Keras losses that compare target and output number by number."""


def losses_of(seq2seq: Seq2Seq, plan: FitPlan) -> list[Any]:
    """Return the loss of each output in a fit, as written; None where it has none.

    The model is a functional one, not yet compiled for the fit; the plan may name a loss for all outputs.
    """
    outputs, model = outputs_of(seq2seq), seq2seq.model
    if plan.loss is not None:
        return [plan.loss.kind] * len(outputs)
    if not backend.is_compiled(model):
        return ["sparse_categorical_crossentropy"] * len(outputs)
    loss = model.loss
    if isinstance(loss, dict):
        return [loss.get(output.keras_name) for output in outputs]
    if isinstance(loss, list | tuple):
        return [*loss, *[None] * len(outputs)][: len(outputs)]
    return [loss] * len(outputs)


def asks_for_target(model: Any, plan: FitPlan) -> bool:
    """Return whether a fit by a plan needs a target: where the plan names a loss, or the model `needs_target`."""
    return plan.loss is not None or needs_target(model)


def needs_target(model: Any) -> bool:
    """Return whether a model's fit needs a target: not if ``add_loss``, a step or a loss of its own is all there is."""
    if not backend.is_compiled(model):
        return True
    if backend.has_own_step(model) or backend.has_own(model, "compute_loss"):
        return False
    return any(loss is not None for loss in tf.nest.flatten(model.loss))


def compares(loss: Any) -> Compares:
    """Return what kind of target a loss compares with an output."""
    if loss is None:
        return "nothing"
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return "unknown"
    function = getattr(loss, "fn", loss)
    name = _name(loss)
    if name not in (*_OF_VALUES, "sparse_categorical_crossentropy") or function is not keras.losses.get(name):
        return "unknown"
    return "ids" if name == "sparse_categorical_crossentropy" else "values"


def ignored_class(loss: Any) -> int | None:
    """Return the id that a loss of ids leaves out (Keras's ``ignore_class``); it need be none of the classes."""
    found = backend.loss_settings(loss).get("ignore_class")
    return None if found is None else int(found)


def broadcasts(loss: Any, tensor: Any) -> bool:
    """Return whether a loss of numbers broadcasts a target against an output.

    Cross-entropy on logits does not; nor does it on a sigmoid output, from which Keras recovers the logits.
    """
    loss = keras.losses.get(loss)
    name = _name(loss)
    if name not in ("binary_crossentropy", "binary_focal_crossentropy"):
        return name not in ("categorical_crossentropy", "categorical_focal_crossentropy")
    if not backend.RULES.broadcasts_targets:
        return False
    layer = backend.history(tensor)[0]
    ended = getattr(getattr(layer, "activation", None), "__name__", "") or backend.operation(layer) or ""
    return not (backend.loss_settings(loss).get("from_logits") or ended.rpartition(".")[2] == "sigmoid")


def _name(loss: Any) -> str:
    return str(getattr(getattr(loss, "fn", loss), "__name__", ""))
