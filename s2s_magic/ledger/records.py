"""The records of a ledger: frozen, plain, JSON both ways.

Lines count from 1 as the notebook's gutter shows them, columns from 0 and half-open, in characters.
Shapes are tuples in which None stands for a size that is not known before data flow.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from s2s_magic.kinds import KIND_OF_CLASS, LayerKind

Shape = tuple[int | None, ...]
_LINE_END = re.compile("\r\n|\r|\n")


class Record(BaseModel):
    """Base of all records: immutable; keys that a later version added are ignored."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class Place(Record):
    """Where an expression stands: cell, line, columns, and its text."""

    cell: int
    line: int
    column: int
    end_line: int
    end_column: int
    source: str


class Ending(Place):
    """Where an error ended a cell, and the error in a line; ``object`` is the key of the layer whose call it was."""

    object: str | None = None
    error: str


class Mixture(Record):
    """Two Kerases in a cell: the traced one and another, with their versions, and what the code names of either."""

    own: str
    other: str
    of_own: tuple[str, ...] = ()
    of_other: tuple[str, ...]


class Cell(Record):
    """The text of a traced cell, so that every view can be drawn again; its first line of code has ``first_line``.

    ``ended`` says where an error ended it, None where it ran through; ``mixed`` what in it is another Keras's.
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
    """Split code into lines as Python and the notebook's gutter do: not at a form feed or U+2028."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


class Layer(Record):
    """A layer object: the thing that can own variables.

    Attributes
    ----------
    name
        The user's name for the object, else the path from the nearest named object (``encoder.cell``). Unique in a
        ledger.
    kind
        What it is, whatever its class is called; ``layer`` for all that nothing special is known of.
    aliases
        Further names the user has for the same object.
    constructed
        The event that made it; None for an object older than the trace.
    parent, attribute
        The object that holds it, and by which attribute (``decoder``, ``cell``); None for one that stands alone.
    held_by
        Paths of all further holders (``decoder.output_layer``).
    own_weights
        Variables of the object itself and of all that it holds, as Keras lists them.
    trainable
        The object's own ``trainable`` switch.
    ghost
        It was handed to another layer, which made copies and never used it (``Bidirectional``).
    implicit
        It stands for an operation such as ``tf.nn.softmax(x)``; the user wrote no layer.
    in_models
        Names of the models that reach it.
    unseen_in
        The object that uses it inside while no model lists it: Keras does not see it. None for all others.
    unseen_as
        Paths to it through objects that Keras does not look into (``block.att.dense``).
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
    unseen_in: str | None = None
    unseen_as: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _with_kind(cls, fields: Any) -> Any:
        """Tell the kind by the class, for documents from before kinds were kept."""
        if not isinstance(fields, dict) or "kind" in fields:
            return fields
        known = KIND_OF_CLASS.get(str(fields.get("class", fields.get("class_name"))), "layer")
        return {**fields, "kind": "operation" if fields.get("implicit") else known}

    @property
    def is_written(self) -> bool:
        """Whether the user wrote it as a layer: it is no input, and stands for no operation."""
        return self.kind not in ("input", "operation")


class Variable(Record):
    """A variable: the thing that is trained.

    Attributes
    ----------
    owner, object
        The one primary owner: its name, and its key into the ledger's layers (None where no layer object owns it).
    paths
        Every attribute path that reaches it, the primary owner's first; empty for one that Keras does not track.
    name
        Keras's name, which may say something else than the owner.
    params, bytes
        Size in numbers and in bytes.
    trainable
        Whether the owner lists it in its ``trainable_weights``. Keras 2 leaves the variable's own flag True when a
        layer is frozen.
    frozen_by
        Path of the outermost object whose ``trainable`` is False and so froze it.
    created_by
        The event in which it was made; None for one older than the trace.
    held_by
        Keys of the outermost layer objects (the rows of ``model.summary()``) that list it.
    in_models
        Names of the models whose ``weights`` have it.
    tracked
        Whether any layer object lists it that Keras sees.
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
    initial_norm: float | None = None
    regularized: bool = False


class Finding(Record):
    """Something a reader should know, in words. ``event`` is where it shows first."""

    kind: str
    about: str
    text: str
    event: int | None = None


class Totals(Record):
    """Parameters: ``row_sum`` over a summary's rows, minus ``shared`` (in more than one row), is ``total``.

    ``outside`` counts those of variables that are in the ledger and not in its main model.
    """

    row_sum: int
    shared: int
    trainable: int
    total: int
    outside: int = 0

    def __str__(self) -> str:
        beside = f"; {self.outside:,} more outside the model" if self.outside else ""
        return (
            f"row sum {self.row_sum:,} − shared {self.shared:,} = total {self.total:,} parameters "
            f"({self.trainable:,} trainable){beside}"
        )
