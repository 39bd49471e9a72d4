"""The models of a ledger, and which of several is the main one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from s2s_magic.errors import LookupFailed, nearest
from s2s_magic.ledger.calls import Wire
from s2s_magic.ledger.records import Layer, Record, Shape
from s2s_magic.ledger.words import listing

Role = Literal["compiled", "fitted", "inference", "part"]


class Link(Record):
    """A wire between two layers that the model made and no event of the code: ``Sequential`` wires its own layers.

    ``source`` and ``target`` are keys into the ledger's layers; ``target`` is None for an output.
    """

    source: str
    target: str | None
    shape: Shape | None
    dtype: str


class ModelRecord(Record):
    """A Keras model in the trace: its ends, the layer objects between them, and its roles.

    Attributes
    ----------
    name, object, event
        Its name, its key into the ledger's layers, and the event that made it.
    inputs, outputs
        The ends of its wires.
    missing
        Inputs that its outputs depend on and that are not among its own, in models of Keras 3: they cannot be called.
    layers
        Keys into the ledger's layers, in the order of ``model.layers``.
    links
        The wires that it made itself, as ``Sequential`` does; all others are in the events.
    trainable, total
        Parameters by the present switches, as ``summary()`` counts them.
    roles
        ``compiled``; ``fitted``, in any cell; ``inference``: never compiled, over weights that another model has;
        ``part`` of another model or layer. Empty if none of these applies.
    compiled
        Rank among the models by time of last compile, from 1; None if never compiled.
    trained
        Keys of the variables that its ``fit`` would train: by the switches that its last ``compile`` saw, which Keras 2
        uses, else by the present ones. None in older documents.
    listed
        Keys of the variables that it lists as trainable by the present switches, which its next ``compile`` would see;
        None if they equal ``trained``.
    changed
        Objects whose ``trainable`` has changed since Keras read it, with the value that it read.
    switches_read
        When Keras reads it: at ``compile`` (Keras 2), or when a fit traces its ``step`` (Keras 3).
    optimizer
        Class of the optimizer it is compiled with.
    unknown
        Keys from ``trained`` and ``listed`` that its optimizer, built for other variables, would refuse.
    losses
        For each output the weight of its loss, None for an output without one. None as a whole if unknown: before
        ``compile``, or with a custom training step.
    """

    name: str
    object: str
    event: int | None = None
    inputs: tuple[Wire, ...] = ()
    outputs: tuple[Wire, ...] = ()
    missing: tuple[Wire, ...] = ()
    layers: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    trainable: int
    total: int
    roles: tuple[Role, ...] = ()
    compiled: int | None = None
    trained: tuple[str, ...] | None = None
    listed: tuple[str, ...] | None = None
    changed: dict[str, bool] = Field(default_factory=dict)
    switches_read: Literal["compile", "step"] = "compile"
    optimizer: str | None = None
    unknown: tuple[str, ...] = ()
    losses: tuple[float | None, ...] | None = None


def meant(models: Sequence[ModelRecord]) -> ModelRecord | None:
    """Choose the main model if none is named; ``models`` are in order of construction.

    It is the one compiled last; else the last one made of those fitted; else of those neither for inference nor a part
    of another; else of all. None if there are none.
    """
    compiled = [model for model in models if model.compiled is not None]
    if compiled:
        return max(compiled, key=lambda model: model.compiled or 0)
    fitted = [model for model in models if "fitted" in model.roles]
    alone = [model for model in models if not {"inference", "part"} & set(model.roles)]
    choice = fitted or alone or models
    return choice[-1] if choice else None


def named(models: Sequence[ModelRecord], layers: Mapping[str, Layer], name: str) -> ModelRecord:
    """Find a model by its name in the code, its Keras name, or the unambiguous end of either.

    Raises
    ------
    LookupFailed
        When there is no such model, or several; the message lists the models and suggests the nearest.
    """
    known = {model.name: {model.name, *_names(layers.get(model.object))} for model in models}
    exact = [model for model in models if name == model.name] or [m for m in models if name in known[m.name]]
    found = exact or [m for m in models if any(other.endswith(f".{name}") for other in known[m.name])]
    if len(found) == 1:
        return found[0]
    if not models:
        raise LookupFailed(f"no model {name!r}: there is no Keras model yet")
    if found:
        raise LookupFailed(f"{name!r} may be any of the models {_all([model.name for model in found])}: name one")
    ends = {word for names in known.values() for other in names for word in (other, other.rpartition(".")[2])}
    hint = nearest(name, sorted(ends))
    raise LookupFailed(f"no model {name!r}; known are {_all([described(model) for model in models])}{hint}")


def described(model: ModelRecord) -> str:
    """Return a model's name with its roles: ``decoder_model (inference)``."""
    return f"{model.name} ({', '.join(model.roles)})" if model.roles else model.name


def _names(layer: Layer | None) -> tuple[str, ...]:
    return (*layer.aliases, layer.keras_name) if layer is not None else ()


def _all(words: list[str]) -> str:
    return listing(words, most=len(words))
