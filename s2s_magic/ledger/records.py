"""The records of a ledger: frozen, plain, JSON both ways.

Lines count from 1 as the notebook's gutter shows them, columns from 0 and half-open, in characters.
Shapes are tuples in which None stands for a size that is not known before data flow.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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


class Tensor(Record):
    """A tensor that an event made. Tensors own nothing: they are wires."""

    name: str | None
    shape: Shape | None
    dtype: str


class Wire(Tensor):
    """A tensor that went into a call, and the event (`from`) and output number that made it."""

    from_event: int | None = Field(alias="from")
    output: int = 0


class Part(Record):
    """A layer object that another layer's constructor made: ``LSTM(512)`` makes an ``LSTMCell``."""

    object: str
    path: str
    class_name: str = Field(alias="class")


class Event(Place):
    """What constructing and calling have in common.

    ``object`` is the key into the ledger's layers; ``layer`` the name to show; ``outer`` the outermost place in the
    cell when
    the expression itself stands in a helper function.
    """

    index: int
    object: str
    layer: str
    class_name: str = Field(alias="class")
    keras_name: str
    outer: Place | None = None
    inputs: tuple[Wire, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    parts: tuple[Part, ...] = ()


class Constructed(Event):
    """A layer object came into being; it ``owns`` the variables listed, mostly none yet.

    An input layer has its tensor in ``outputs``; a functional model has the tensors it was given in ``inputs``, and
    its outputs
    in ``ends``.
    """

    kind: Literal["constructed"] = "constructed"
    owns: tuple[str, ...] = ()
    ends: tuple[Wire, ...] = ()


class Stop(Record):
    """A way by which the gradient that comes to a call's outputs goes no further, inside that call.

    Attributes
    ----------
    input
        Number of the input that it does not come to, from 0; None where a variable is meant.
    variable
        Key of the variable that it does not come to, though the call uses it.
    operation
        What stops it, as the user knows it (``tf.argmax``); None where that could not be told.
    line
        The line of the cell where that operation stands, where it is another than the call's.
    """

    input: int | None = None
    variable: str | None = None
    operation: str | None = None
    line: int | None = None


class Called(Event):
    """The ``call``-th call of a layer object.

    ``folded`` counts the deeper calls that Keras made inside it; ``phase`` is "wiring" when the tensors were
    symbolic and
    "data" when numbers flowed; ``trainable_params`` is the total over the whole ledger after this event.
    ``via`` names the method where Keras made variables by itself, as in ``fit``: such an event is no call of its own.
    ``inside`` are keys of layer objects that it used without holding them, as a decoder its sampler's embedding; what
    they own is among ``reused`` or ``created``, and so are variables that were handed to it.
    ``stops`` says where inside the call a gradient ends, found by differentiating the call; None where only the
    operation's name and the dtypes of the wires tell. ``adds_loss``: a loss is computed inside, by ``add_loss`` or of
    its output by an activity regularizer.
    """

    kind: Literal["called"] = "called"
    call: int
    in_graph: bool
    phase: Literal["wiring", "data"] = "wiring"
    via: str | None = None
    folded: int = 0
    inside: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    reused: tuple[str, ...] = ()
    trainable_params: int = 0
    stops: tuple[Stop, ...] | None = None
    adds_loss: bool = False


AnyEvent = Annotated[Constructed | Called, Field(discriminator="kind")]


class Layer(Record):
    """A layer object: the thing that can own variables.

    Attributes
    ----------
    name
        The user's name for the object, else the path from the nearest named object (``encoder.cell``). Unique in a
        ledger.
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


class Link(Record):
    """A wire between two layers of a model that no event of the code made: ``Sequential`` wires its layers itself.

    ``source`` and ``target`` are keys into the ledger's layers; ``target`` is None where the wire is an output.
    """

    source: str
    target: str | None
    shape: Shape | None
    dtype: str


Role = Literal["compiled", "fitted", "inference", "part"]


class ModelRecord(Record):
    """A Keras model seen by the trace: its ends, the layer objects found between them, and what it is there for.

    Attributes
    ----------
    name, object, event
        Its name, its key into the ledger's layers, and the event that made it.
    inputs, outputs
        The ends of its wires.
    layers
        Keys into the ledger's layers, in the order of ``model.layers``.
    links
        Its wires, where it laid them itself, as ``Sequential`` does; the events tell of all others.
    trainable, total
        Parameters by the present switches, as ``summary()`` counts them.
    roles
        ``compiled``; ``fitted``, in whatever cell; ``inference``: never compiled, over weights that another model
        has; ``part`` of another model or layer. Empty where nothing of these is known.
    compiled
        Rank among the models by when each was compiled last, from 1; None for one that never was.
    trained
        Keys of the variables that its ``fit`` would train: by the switches that its last ``compile`` saw, which is
        what Keras 2 goes by, else by the present ones. None in documents of before.
    listed
        Keys of the variables that it lists as trainable by the present switches, where they are others than
        ``trained``: its next ``compile`` would see them. None where they are the same.
    changed
        Objects whose ``trainable`` is another than its compile saw, with what it saw.
    optimizer
        Class of the optimizer it is compiled with.
    unknown
        Keys of those of ``trained`` and ``listed`` that its optimizer, made for other variables, refuses.
    losses
        For each output the weight of its loss, None for an output without one. None as a whole where that is not
        known: before ``compile``, or with a training step of the model's own.
    """

    name: str
    object: str
    event: int | None = None
    inputs: tuple[Wire, ...] = ()
    outputs: tuple[Wire, ...] = ()
    layers: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    trainable: int
    total: int
    roles: tuple[Role, ...] = ()
    compiled: int | None = None
    trained: tuple[str, ...] | None = None
    listed: tuple[str, ...] | None = None
    changed: dict[str, bool] = Field(default_factory=dict)
    optimizer: str | None = None
    unknown: tuple[str, ...] = ()
    losses: tuple[float | None, ...] | None = None


def lines_of(text: str) -> list[str]:
    """Split code into lines as Python and the notebook's gutter do: not at a form feed or U+2028."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


class Ending(Place):
    """Where an error ended a cell, and the error in a line; ``object`` is the key of the layer whose call it was."""

    object: str | None = None
    error: str


class Cell(Record):
    """The text of a traced cell, so that every view can be drawn again; its first line of code has ``first_line``.

    ``ended`` says where an error ended it, None where it ran through.
    """

    number: int
    text: str
    title: str = ""
    first_line: int = 1
    ended: Ending | None = None

    @property
    def lines(self) -> list[str]:
        """The text's lines."""
        return lines_of(self.text)


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
