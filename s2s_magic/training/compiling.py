"""Compile a model for a fit: with the settings of the fit's body, else those it was compiled with, else defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.batches import Stream, Table
from s2s_magic.errors import DataError, Fault, FitError
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger.words import listing
from s2s_magic.training.probabilities import gives_probabilities
from s2s_magic.training.schedules import schedule_of

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan, Named

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "adamax": keras.optimizers.Adamax,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
}
"""The optimizers of a fit body."""


_OF_CLASSES = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
}


def compile_for_fit(seq2seq: Seq2Seq, plan: FitPlan, table: Table | Stream) -> None:
    """Compile the model if the plan names a setting of ``compile``, or if the model is not compiled yet.

    Settings that the plan does not name are kept; an optimizer with the same settings keeps its state.

    Raises
    ------
    DataError
        If the plan names a setting of a model whose class overrides ``compile``.
    FitError
        If such a model is not compiled yet.
    """
    model = seq2seq.model
    compiled = backend.is_compiled(model)
    if compiled and plan.optimizer is None and plan.loss is None and not plan.metrics:
        return
    _check_own_compile(seq2seq, plan)
    before = model.optimizer if compiled else None
    optimizer = keras.optimizers.Adam() if before is None else before
    if plan.optimizer is not None:
        wanted = _optimizer(plan.optimizer)
        lowers = plan.lowers_the_rate is not None and _last_optimizer(seq2seq) == optimizer_text(wanted, plan)
        optimizer = before if before is not None and _goes_on(before, wanted, model, lowers) else wanted
    loss = model.loss if compiled else None
    if plan.loss is not None or not compiled:
        wanted = _loss(seq2seq, plan.loss, table)
        loss = loss if _alike(wanted, loss) else wanted
    settings = backend.compiled_settings(model)
    metrics = as_compiled = settings.get("metrics"), settings.get("weighted_metrics")
    if plan.metrics:
        wanted = _metrics(seq2seq, plan.metrics, table, as_compiled[1])
        metrics = metrics if [*map(_made_of, wanted)] == [*map(_made_of, metrics)] else wanted
    if optimizer is before and loss is model.loss and metrics is as_compiled:
        return  # compiling again would read the trainable switches again and reset the metrics
    settings["metrics"], settings["weighted_metrics"] = metrics
    model.compile(optimizer=optimizer, loss=loss or None, **settings)


def optimizer_text(optimizer: Any, plan: FitPlan) -> str:
    """Say which optimizer trains, with its learning rate or the schedule that the plan names."""
    optimizer = backend.bare_optimizer(optimizer)
    return f"{type(optimizer).__name__}({plan.schedule or backend.learning_rate_of(optimizer) or ''})"


def optimizers_told(model: Any, plan: FitPlan) -> Callable[[], str]:
    """Return what says which optimizers train, with their rates as they are now.

    Of several, as a training step of the model's own has them, those that have made updates since.
    """
    compiled = optimizer_text(model.optimizer, plan)
    before = [
        (one, int(one.iterations), optimizer_text(one, plan))
        for one in backend.optimizers_of(model)
        if hasattr(one, "iterations")
    ]

    def told() -> str:
        used = [text for one, updates, text in before if int(one.iterations) > updates]
        return listing(used) if len(before) > 1 and used else compiled

    return told


def _last_optimizer(seq2seq: Seq2Seq) -> str | None:
    runs = seq2seq.evidence.runs if seq2seq.evidence is not None else ()
    return runs[-1].optimizer if runs else None


def _check_own_compile(seq2seq: Seq2Seq, plan: FitPlan) -> None:
    """Refuse to compile a model whose class overrides ``compile``."""
    if not backend.has_own_compile(seq2seq.model):
        return
    kind = type(seq2seq.model).__name__
    named = [key for key in ("optimizer", "loss", "metrics") if getattr(plan, key)]
    if not named:
        raise FitError(f"{seq2seq.name} was not compiled, and {kind} compiles in a way of its own: compile it first")
    faults = [
        Fault(*plan.place_of(key), f"{kind} compiles in a way of its own: name its {key} where you compile it")
        for key in named
    ]
    raise DataError(faults)


def _optimizer(named: Named) -> Any:
    settings = dict(named.arguments)
    rate = settings.get("learning_rate")
    if rate is not None and not isinstance(rate, float):
        settings["learning_rate"] = schedule_of(rate)
    if (momentum := settings.pop("ema", None)) is not None:
        settings |= {"use_ema": True, "ema_momentum": momentum}
    return OPTIMIZERS[named.kind](**settings)


def _goes_on(optimizer: Any, wanted: Any, model: Any, lowers: bool) -> bool:
    """Return whether a compiled optimizer has the wanted settings, and slots for all variables to be trained.

    With ``lowers``, an earlier fit had the same plateau and may have lowered the learning rate: no setting then.
    """
    known = backend.known_to_optimizer(model, backend.trained_by_fit(model))
    aside = ("name", "learning_rate") if lowers else ("name",)
    return _alike(wanted, backend.bare_optimizer(optimizer), aside) and (known is None or all(known))


def _alike(one: Any, other: Any, aside: Sequence[str] = ("name",)) -> bool:
    if isinstance(one, str) or type(one) is not type(other):
        return bool(type(one) is type(other) and one == other)
    # a name says nothing of what it computes; Keras 3 may number the names of optimizers
    mine, others = ({**each.get_config(), **dict.fromkeys(aside)} for each in (one, other))
    return bool(mine == others)


def _made_of(metrics: Any) -> Any:
    """Return the metrics, with each one made from a fit body replaced by the values it was made from."""
    return [getattr(metric, "asked_for", metric) for metric in metrics] if isinstance(metrics, list) else metrics


def _loss(seq2seq: Seq2Seq, named: Named | None, table: Table | Stream) -> Any:
    kind = "sparse_categorical_crossentropy" if named is None else named.kind
    if kind not in _OF_CLASSES:
        return kind
    from_logits = named.arguments.get("from_logits") if named is not None else None
    if from_logits is None:
        from_logits = not gives_probabilities(seq2seq, table)
    return _OF_CLASSES[kind](from_logits=from_logits)


def _metrics(
    seq2seq: Seq2Seq, names: tuple[str, ...], table: Table | Stream, weighted: Any
) -> tuple[list[Any] | None, Any]:
    """Return the unweighted and the weighted metrics; padding counts in neither.

    Keras resolves a name for each output, by the shapes of output and target. The compiled weighted metrics are kept;
    if weights exclude the padding from the loss, the named metrics are added to them.
    """
    padding = seq2seq.ids.padding
    if padding is None and isinstance(table, Table) and table.weighted:
        others = weighted if isinstance(weighted, list) else []
        return None, [*names, *(metric for metric in others if metric not in names)]
    if padding is None:
        return list(names), weighted
    return [masked_metric(name, padding) for name in names], weighted


def masked_metric(name: str, padding: int) -> Any:
    """Return a metric of Keras, by its name, that leaves out the positions whose target is the padding id."""
    function: Callable[[Any, Any], Any] = backend.metric_function(
        "sparse_categorical_accuracy" if name == "accuracy" else name
    )

    def masked(targets: Any, output: Any) -> Any:
        targets = targets[:, : tf.shape(output)[1]]
        return tf.boolean_mask(function(targets, output), tf.not_equal(targets, padding))

    metric = keras.metrics.MeanMetricWrapper(masked, name=name)
    vars(metric)["asked_for"] = (name, padding)
    return metric
