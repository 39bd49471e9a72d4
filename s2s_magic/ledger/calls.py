"""What a trace records: constructions and calls of layer objects, with the tensors that went in and came out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from s2s_magic.ledger.records import Place, Record, Shape


class Tensor(Record):
    """A tensor that an event made. Tensors own nothing: they are wires."""

    name: str | None
    shape: Shape | None
    dtype: str


class Wire(Tensor):
    """A tensor that went into a call, and the event (`from`) and output number that made it."""

    from_event: int | None = Field(alias="from")
    output: int = 0

    @property
    def origin(self) -> tuple[int | None, int]:
        """The event that made it, and which of its outputs it is: the same for each wire of one tensor."""
        return self.from_event, self.output


class Part(Record):
    """A layer object that another layer's constructor made: ``LSTM(512)`` makes an ``LSTMCell``."""

    object: str
    path: str
    class_name: str = Field(alias="class")


class Event(Place):
    """What constructing and calling have in common.

    ``object`` is the key into the ledger's layers; ``layer`` the name to show; ``outer`` the outermost place in the
    cell when the expression itself stands in a helper function.
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

    @property
    def wires(self) -> list[Wire]:
        """Its outputs, as wires that go on from here."""
        return [
            Wire(name=tensor.name, shape=tensor.shape, dtype=tensor.dtype, from_event=self.index, output=number)
            for number, tensor in enumerate(self.outputs)
        ]


class Constructed(Event):
    """A layer object came into being; it ``owns`` the variables listed, mostly none yet.

    An input layer has its tensor in ``outputs``; a functional model has the tensors it was given in ``inputs``, and its
    outputs in ``ends``.
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

    ``folded`` counts the deeper calls that Keras made inside it; ``phase`` is "wiring" when the tensors were symbolic
    and "data" when numbers flowed; ``trainable_params`` is the total over the whole ledger after this event. ``via``
    names the method where Keras made variables by itself, as in ``fit``: such an event is no call of its own.
    ``inside`` are keys of layer objects that it used without holding them, as a decoder its sampler's embedding; what
    they own is among ``reused`` or ``created``, and so are variables that were handed to it. ``stops`` says where
    inside the call a gradient ends, found by differentiating the call; None where only the operation's name and the
    dtypes of the wires tell. ``adds_loss``: a loss is computed inside, by ``add_loss`` or of its output by an activity
    regularizer.
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
