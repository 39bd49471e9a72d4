"""The events of a trace: constructions and calls of layer objects, with their input and output tensors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from s2s_magic.ledger.records import Place, Record, Shape


class Tensor(Record):
    """A tensor that an event made. Tensors are wires and own nothing."""

    name: str | None
    shape: Shape | None
    dtype: str


class Wire(Tensor):
    """A tensor that went into a call, and the event (`from`) and output number that made it."""

    from_event: int | None = Field(alias="from")
    output: int = 0

    @property
    def origin(self) -> tuple[int | None, int]:
        """The event that made it, and the number of that output: the same for every wire of a tensor."""
        return self.from_event, self.output


class Part(Record):
    """A layer object that another layer's constructor made: ``LSTM(512)`` makes an ``LSTMCell``."""

    object: str
    path: str
    class_name: str = Field(alias="class")


class Event(Place):
    """The common base of constructions and calls.

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
        """Its outputs, as wires from this event."""
        return [
            Wire(name=tensor.name, shape=tensor.shape, dtype=tensor.dtype, from_event=self.index, output=number)
            for number, tensor in enumerate(self.outputs)
        ]


class Constructed(Event):
    """The construction of a layer object; it ``owns`` the variables listed, mostly none yet.

    For an input layer, ``outputs`` has its tensor; for a functional model, ``inputs`` and ``ends`` have its input and
    output tensors.
    """

    kind: Literal["constructed"] = "constructed"
    owns: tuple[str, ...] = ()
    ends: tuple[Wire, ...] = ()


UNREAD = "not read"
"""In place of an operation: the call does not read the variable at all."""


class Stop(Record):
    """A path inside a call on which the gradient of its outputs ends.

    Attributes
    ----------
    input
        Number of the input that the gradient does not reach, from 0; None if it is a variable.
    variable
        Key of the variable that the gradient does not reach.
    operation
        The operation that stops it, under its public name (``tf.argmax``); None if unknown; `UNREAD` for a variable
        that the call's layer lists and the call does not use.
    line
        The cell line of that operation, if not the call's own.
    """

    input: int | None = None
    variable: str | None = None
    operation: str | None = None
    line: int | None = None


class Called(Event):
    """The ``call``-th call of a layer object.

    ``folded`` counts the deeper calls that Keras made inside it; ``phase`` is "wiring" when the tensors were symbolic
    and "data" when they had values; ``trainable_params`` is the total over the whole ledger after this event. ``via``
    names the method that created variables, such as ``fit``, ``build`` or ``enable_lora``: such an event is no call.
    ``inside`` are keys of layer objects that it used without holding them, as a decoder uses its sampler's embedding;
    what they own is among ``reused`` or ``created``, and so are variables that were handed to it. ``stops`` says where
    inside the call a gradient ends, found by differentiating the call; None where only the operation's name and the
    dtypes of the wires tell. ``adds_loss``: a loss is computed inside, by ``add_loss`` or by an activity
    regularizer of its output.
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

    def reads(self, key: str) -> bool:
        """Return whether it may use a variable that its layer lists: False if it was seen not to."""
        return not any(stop.variable == key and stop.operation == UNREAD for stop in self.stops or ())


AnyEvent = Annotated[Constructed | Called, Field(discriminator="kind")]
