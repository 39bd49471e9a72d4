"""The records of a ledger: frozen plain data, convertible to and from JSON.

Lines count from 1 as the notebook's gutter shows them, columns from 0 and half-open, in characters.
Shapes are tuples; None is a size unknown until data flow.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from s2s_magic.kinds import KIND_OF_CLASS, LayerKind

Shape = tuple[int | None, ...]
_LINE_END = re.compile("\r\n|\r|\n")


class Record(BaseModel):
    """Base of all records: immutable; unknown keys, from later versions, are ignored."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class Place(Record):
    """The place of an expression: cell, line, columns, and its text."""

    cell: int
    line: int
    column: int
    end_line: int
    end_column: int
    source: str


class Ending(Place):
    """Where an error ended a cell, and the error in a line; ``object`` is the key of the layer whose call raised it."""

    object: str | None = None
    error: str


class Mixture(Record):
    """Two Kerases in a cell: the traced one and another, with their versions and the code's names from each."""

    own: str
    other: str
    of_own: tuple[str, ...] = ()
    of_other: tuple[str, ...]


class Cell(Record):
    """The text of a traced cell, so that every view can be drawn again; its first line of code has ``first_line``.

    ``ended`` says where an error ended it, or is None; ``mixed`` what in it belongs to another Keras.
    """

    number: int
    text: str
    title: str = ""
    first_line: int = 1
    ended: Ending | None = None
    mixed: Mixture | None = None

    @property
    def lines(self) -> list[str]:
        """The text's lines."""
        return lines_of(self.text)


def lines_of(text: str) -> list[str]:
    """Split code into lines as Python and the notebook's gutter do: not at form feeds or U+2028."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


class Layer(Record):
    """A layer object, which can own variables.

    Attributes
    ----------
    name
        The user's name for the object, else the path from the nearest named object (``encoder.cell``). Unique in a
        ledger.
    kind
        Its kind, independent of its class name; ``layer`` if nothing more specific is known.
    aliases
        Other names that the user has for the same object.
    constructed
        The event that made it; None for an object made outside the traced cells.
    parent, attribute
        The object that holds it, and as which attribute (``decoder``, ``cell``); None if nothing holds it.
    held_by
        Paths of all further holders (``decoder.output_layer``).
    own_weights
        Variables of the object itself and of everything it holds, as Keras lists them.
    trainable
        The object's own ``trainable`` switch.
    ghost
        Whether it was handed to another layer (``Bidirectional``) that copied it and never used it.
    implicit
        Whether it represents an operation such as ``tf.nn.softmax(x)``, for which the user wrote no layer.
    in_models
        Names of the models that reach it.
    passed_over
        Whether what holds it was seen to run without calling it, and nothing else to call it either.
    unseen_in
        The object that uses it inside though no model lists it, so that Keras does not see it; else None.
    unseen_as
        Paths to it through objects that Keras does not inspect (``block.att.dense``).
    """

    name: str
    class_name: str = Field(alias="class")
    kind: LayerKind = "layer"
    keras_name: str
    aliases: tuple[str, ...] = ()
    constructed: int | None = None
    parent: str | None = None
    attribute: str | None = None
    held_by: tuple[str, ...] = ()
    own_weights: tuple[str, ...] = ()
    trainable: bool = True
    ghost: bool = False
    implicit: bool = False
    in_models: tuple[str, ...] = ()
    passed_over: bool = False
    unseen_in: str | None = None
    unseen_as: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _with_kind(cls, fields: Any) -> Any:
        """Derive the kind from the class, for older documents without kinds."""
        if not isinstance(fields, dict) or "kind" in fields:
            return fields
        known = KIND_OF_CLASS.get(str(fields.get("class", fields.get("class_name"))), "layer")
        return {**fields, "kind": "operation" if fields.get("implicit") else known}

    @property
    def is_written(self) -> bool:
        """Whether the user wrote it as a layer: it is neither an input nor an operation."""
        return self.kind not in ("input", "operation")


class Variable(Record):
    """A variable, which can be trained.

    Attributes
    ----------
    owner, object
        The owner: its name, and its key into the ledger's layers (None if no layer object owns it).
    paths
        Every attribute path that reaches it, the owner's first; empty if Keras does not track it.
    name
        Keras's name, which need not match the owner's.
    params, bytes
        Size in numbers and in bytes.
    trainable
        Whether the owner lists it in its ``trainable_weights``. Keras 2 leaves the variable's own flag True when a
        layer is frozen.
    frozen_by
        Path of the outermost object whose ``trainable`` is False, which froze it.
    created_by
        The event that created it; None if made outside the traced cells.
    held_by
        Keys of the outermost layer objects (the rows of ``model.summary()``) that list it.
    in_models
        Names of the models whose ``weights`` have it.
    tracked
        Whether a layer object that Keras sees lists it.
    dropped
        Whether a layer object listed it once, and none does any more, as when a layer was given other weights.
    initial_norm
        Euclidean norm at creation.
    regularized
        Whether its own regularizer adds to the loss.
    """

    owner: str
    object: str | None = None
    paths: tuple[str, ...]
    name: str
    shape: Shape
    dtype: str
    bytes: int
    params: int
    trainable: bool
    frozen_by: str | None = None
    initializer: str | None = None
    created_by: int | None = None
    held_by: tuple[str, ...] = ()
    in_models: tuple[str, ...] = ()
    tracked: bool = True
    dropped: bool = False
    initial_norm: float | None = None
    regularized: bool = False


class Finding(Record):
    """Something a reader should know, in words. ``event`` is where it first shows."""

    kind: str
    about: str
    text: str
    event: int | None = None


class Totals(Record):
    """Parameters: ``row_sum`` over a summary's rows, minus ``shared`` (in more than one row), is ``total``.

    ``outside`` counts those in the ledger but not in its main model.
    """

    row_sum: int
    shared: int
    trainable: int
    total: int
    outside: int = 0

    def __str__(self) -> str:
        all_of_them = self.trainable == self.total
        trained = "all of them trainable" if all_of_them else f"{self.trainable:,} of them trainable"
        parts = [f"{self.total:,} parameters in all, {trained}"]
        if self.shared:
            parts.append(
                f"the rows of Keras's summary add up to {self.row_sum:,}, because {self.shared:,} are counted again "
                "where they are shared"
            )
        if self.outside:
            parts.append(f"{self.outside:,} more outside the model")
        return "; ".join(parts)
