"""What a model is compiled with for a fit: what the body says, else what it was compiled with, else a default."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf
from tensorflow import keras

from s2s_magic.seq2seq import Seq2Seq
from s2s_magic.training.inputs import gives_probabilities
from s2s_magic.training.pipeline import Table
from s2s_magic.training.rows import Rows

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan, Named

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "adamax": keras.optimizers.Adamax,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
}


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
    "binary_crossentropy",
    "categorical_crossentropy",
)
"""Losses of Keras's that take target and output number by number."""


def loss_compares(seq2seq: Seq2Seq, plan: FitPlan) -> Literal["ids", "values"] | None:
    """Say what the loss of a fit holds against the output: ids of classes, or numbers; None for a loss not known.

    Parameters
    ----------
    seq2seq
        The model, before it is compiled for the fit.
    plan
        May give a loss.
    """
    model = seq2seq.model
    if plan.loss is not None:
        loss: Any = plan.loss.kind
    else:
        loss = model.loss if getattr(model, "_is_compiled", False) else "sparse_categorical_crossentropy"
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return None
    function = getattr(loss, "fn", loss)
    name = getattr(function, "__name__", "")
    if name not in (*_OF_VALUES, "sparse_categorical_crossentropy") or function is not keras.losses.get(name):
        return None
    return "ids" if name == "sparse_categorical_crossentropy" else "values"


def compiled_with(model: Any) -> Callable[[], None]:
    """Note what a model is compiled with.

    Returns
    -------
    callable
        Compiles the model so again, unless nothing else was compiled since; the optimizer is the same object.
    """
    if not getattr(model, "_is_compiled", False):
        return lambda: _as_never_compiled(model)
    optimizer, container, loss = model.optimizer, model.compiled_loss, model.loss
    metrics = model.compiled_metrics
    settings = {
        "loss_weights": container._user_loss_weights,
        "metrics": metrics._user_metrics,
        "weighted_metrics": metrics._user_weighted_metrics,
        "run_eagerly": model._run_eagerly,
        "jit_compile": model._jit_compile,
    }

    def put_back() -> None:
        if model.compiled_loss is not container:
            model.compile(optimizer=optimizer, loss=loss, **settings)

    return put_back


def _as_never_compiled(model: Any) -> None:
    model._is_compiled = False
    model.optimizer = model.loss = model.compiled_loss = model.compiled_metrics = None


def compile_for_fit(seq2seq: Seq2Seq, plan: FitPlan, table: Table) -> None:
    """Compile the model where the plan asks for it or nobody did; an optimizer of the same settings keeps its state.

    Parameters
    ----------
    seq2seq
        The model.
    plan
        May give an optimizer, a loss and metrics.
    table
        What it will be fitted on.
    """
    model = seq2seq.model
    compiled = bool(getattr(model, "_is_compiled", False))
    if compiled and plan.optimizer is None and plan.loss is None and not plan.metrics:
        return
    before = model.optimizer if compiled else None
    optimizer = keras.optimizers.Adam() if before is None else before
    if plan.optimizer is not None:
        wanted = _OPTIMIZERS[plan.optimizer.kind](**plan.optimizer.arguments)
        optimizer = before if _alike(wanted, before) else wanted
    loss = _loss(seq2seq, plan.loss) if plan.loss is not None or not compiled else model.loss
    metrics = model.compiled_metrics._user_metrics if compiled else None
    weighted = model.compiled_metrics._user_weighted_metrics if compiled else None
    if plan.metrics:
        metrics, weighted = _metrics(seq2seq, plan.metrics, table)
    if optimizer is before and loss is model.loss and not plan.metrics:
        return
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, weighted_metrics=weighted)


def _alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one.get_config() == other.get_config()


def _loss(seq2seq: Seq2Seq, named: Named | None) -> Any:
    if named is not None and named.kind != "sparse_categorical_crossentropy":
        return named.kind
    from_logits = not gives_probabilities(seq2seq)
    if named is not None:
        from_logits = named.arguments.get("from_logits", from_logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)


def _metrics(seq2seq: Seq2Seq, names: tuple[str, ...], table: Table) -> tuple[list[Any], list[Any]]:
    """Give the metrics that see everything, and those that are weighted; padding counts in neither."""
    functions = {}
    for name in names:
        ids = name == "accuracy" and isinstance(table.target, Rows)
        functions[name] = keras.metrics.get("sparse_categorical_accuracy" if ids else name)
    spec = seq2seq.spec
    if spec is not None and spec.padding is not None:
        return [_masked(name, function, spec.padding) for name, function in functions.items()], []
    return [], [keras.metrics.MeanMetricWrapper(function, name=name) for name, function in functions.items()]


def _masked(name: str, function: Callable[[Any, Any], Any], padding: int) -> Any:
    def masked(targets: Any, output: Any) -> Any:
        targets = targets[:, : tf.shape(output)[1]]
        return tf.boolean_mask(function(targets, output), tf.not_equal(targets, padding))

    return keras.metrics.MeanMetricWrapper(masked, name=name)
