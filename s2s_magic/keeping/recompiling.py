"""What a model was compiled with, as plain data and back: optimizer, loss and metrics, as far as a fit can set them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, get_args

import numpy as np
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.keeping.kept import Compiled, Crossentropy, FromScores, Masked, Named, OptimizerRecord, Plain, Schedule
from s2s_magic.training import schedules
from s2s_magic.training.compiling import masked_metric

OPTIMIZERS = (
    *("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Nadam", "RMSprop", "SGD"),
)
SCHEDULES = (
    *("CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay"),
    *("PiecewiseConstantDecay", "PolynomialDecay", "InverseSquareRoot", "WarmUp"),
)
"""The classes, of Keras and of fits, that are made anew by their settings."""
_OF_ONE_KERAS = {"name", "jit_compile", "is_legacy_optimizer"}
"""Settings that say nothing of what an optimizer computes."""
Metrics = list[str | Masked | Named] | None


def compiled_record(model: Any, state: Collection[str]) -> Compiled | None:
    """Describe what a model was compiled with; None if it was not. ``state`` names its optimizer's variables."""
    if not backend.is_compiled(model) or model.optimizer is None:
        return None
    settings = backend.compiled_settings(model)
    return Compiled(
        optimizer=optimizer_record(model.optimizer, state),
        loss=_loss_record(model.loss),
        metrics=_metric_records(settings.get("metrics")),
        weighted_metrics=_metric_records(settings.get("weighted_metrics")),
    )


def optimizer_record(optimizer: Any, state: Collection[str] = ()) -> OptimizerRecord:
    """Describe an optimizer."""
    kind = type(optimizer)
    stock = getattr(keras.optimizers, kind.__name__, None) is kind
    name = kind.__name__ if stock else f"{kind.__module__}.{kind.__qualname__}"
    given = {key: value for key, value in optimizer.get_config().items() if key not in _OF_ONE_KERAS}
    settings: dict[str, Plain | Schedule] = {}
    for key, value in given.items():
        told = _told(value)
        if told is None and value is not None:
            return OptimizerRecord(kind=name, settings=None, state=[*state])
        if told is not None:
            settings[key] = told
    return OptimizerRecord(kind=name, settings=settings, state=[*state])


def _told(value: Any) -> Plain | Schedule:
    """Return a setting as plain data; None if it is not."""
    if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, bool | int | str) or (isinstance(value, float) and np.isfinite(value)):
        return value
    if isinstance(value, dict) and (kind := str(value.get("class_name")).rpartition(">")[2]) in SCHEDULES:
        settings = {key: each for key, each in value["config"].items() if key != "name" and each is not None}
        plain = {key: list(each) if isinstance(each, list | tuple) else _told(each) for key, each in settings.items()}
        if None not in plain.values():
            return Schedule(schedule=kind, settings=plain)
    return None


def optimizer_of(record: OptimizerRecord) -> Any:
    """Make an optimizer anew, by a class and settings of a closed list; None if it is none of them, or takes others."""
    if record.kind not in OPTIMIZERS or not hasattr(keras.optimizers, record.kind) or record.settings is None:
        return None
    settings: dict[str, Any] = dict(record.settings)
    try:
        for key, value in record.settings.items():
            if isinstance(value, Schedule):
                settings[key] = _schedule_of(value)
        made = getattr(keras.optimizers, record.kind)(**settings)
    except (TypeError, ValueError):  # settings that this Keras's class does not take
        return None
    return made if optimizer_record(made).settings == record.settings else None


def _schedule_of(record: Schedule) -> Any:
    if record.schedule not in SCHEDULES:
        raise ValueError(f"{record.schedule} is no schedule that is made anew")
    settings = {
        key: _schedule_of(each) if isinstance(each, Schedule) else each for key, each in record.settings.items()
    }
    home = schedules if hasattr(schedules, record.schedule) else keras.optimizers.schedules
    return getattr(home, record.schedule)(**settings)


def _loss_record(loss: Any) -> str | FromScores | Named | None:
    if loss is None or isinstance(loss, str):
        return loss
    for name in get_args(Crossentropy):
        kind = getattr(keras.losses, name)
        if type(loss) is kind:
            from_logits = bool(loss.get_config().get("from_logits"))
            if _unnamed(kind(from_logits=from_logits)) == _unnamed(loss):
                return FromScores(crossentropy=name, from_logits=from_logits)
    return Named(named=_name(loss))


def _unnamed(loss: Any) -> dict[str, Any]:
    return {**loss.get_config(), "name": None}


def _metric_records(metrics: Any) -> Metrics:
    if metrics is None:
        return None
    listed = metrics if isinstance(metrics, list | tuple) else [metrics]
    return [_metric_record(metric) for metric in listed]


def _metric_record(metric: Any) -> str | Masked | Named:
    if isinstance(metric, str):
        return metric
    asked_for = getattr(metric, "asked_for", None)
    return Named(named=_name(metric)) if asked_for is None else Masked(metric=asked_for[0], padding=asked_for[1])


def _name(thing: Any) -> str:
    return str(getattr(thing, "__name__", type(thing).__name__))


def compile_as(model: Any, record: Compiled, optimizer: Any) -> list[str]:
    """Compile a model with an optimizer, and with the loss and the metrics of a record where these differ.

    Returns
    -------
    list of str
        What of it stays as the model has it, because only the code that made it can make it: one sentence each.
    """
    settings = backend.compiled_settings(model)
    loss = getattr(model, "loss", None) if backend.is_compiled(model) else None
    notes = []
    if _loss_record(loss) != record.loss:
        if isinstance(record.loss, Named):
            notes.append(_stays("loss", record.loss.named, loss))
        elif isinstance(record.loss, FromScores):
            loss = getattr(keras.losses, record.loss.crossentropy)(from_logits=record.loss.from_logits)
        elif record.loss is not None and not _known(keras.losses.get, record.loss):
            notes.append(f"this Keras has no loss {record.loss}, which was saved")
        else:
            loss = record.loss
    for key, wanted in (("metrics", record.metrics), ("weighted_metrics", record.weighted_metrics)):
        if _metric_records(settings.get(key)) == wanted:
            continue
        if named := [each.named for each in wanted or () if isinstance(each, Named)]:
            notes.append(_stays(key, ", ".join(named), settings.get(key)))
        elif strange := [name for name in _metric_names(wanted) if not _known(keras.metrics.get, name)]:
            notes.append(f"this Keras has no metric {strange[0]}, which was saved")
        else:
            settings[key] = None if wanted is None else [_metric(each) for each in wanted]
    model.compile(optimizer=optimizer, loss=loss, **settings)
    return notes


def same_as_compiled(model: Any, record: Compiled) -> bool:
    """Return whether a model is compiled with the loss and the metrics of a record, as far as it tells them."""
    settings = backend.compiled_settings(model)
    kept = {key: _metric_records(settings.get(key)) for key in ("metrics", "weighted_metrics")}
    return (_loss_record(model.loss), kept["metrics"], kept["weighted_metrics"]) == (
        record.loss,
        record.metrics,
        record.weighted_metrics,
    )


def _metric_names(records: Metrics) -> list[str]:
    """Return the names of metrics that Keras looks up; two of them it makes by the shapes of output and target."""
    names = [each.metric if isinstance(each, Masked) else each for each in records or () if not isinstance(each, Named)]
    return [name for name in names if name not in ("accuracy", "acc", "crossentropy", "ce")]


def _known(look_up: Callable[[str], Any], name: str) -> bool:
    try:
        return look_up(name) is not None
    except (TypeError, ValueError):  # as the class of that name takes arguments, or there is none
        return False


def _metric(record: str | Masked | Named) -> Any:
    return masked_metric(record.metric, record.padding) if isinstance(record, Masked) else record


def _stays(what: str, saved: str, present: Any) -> str:
    has = "none" if present is None else "its own"
    return f"the {what} {saved} was saved by its name alone, and the model keeps {has}"
