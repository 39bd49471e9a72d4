"""What happens while a cell runs: every construction and call of a layer, as raw events with the live objects in them."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.errors import UsageError
from s2s_magic.ledger import Place
from s2s_magic.trace import keras2
from s2s_magic.trace.places import Spot, flatten, leaves, plain
from s2s_magic.trace.sight import Sight, Sights

_MARK = "_s2s_magic_original"


@dataclass(eq=False)
class RawTensor:
    """A wire's end: its data, how to reach the live tensor, and the names that the code gave it."""

    shape: tuple[int | None, ...] | None
    dtype: str
    get: Callable[[], Any]
    names: list[tuple[str, bool]] = field(default_factory=list)
    made_by: RawEvent | None = None
    number: int = 0
    known: tuple[int, int] | None = None


@dataclass(eq=False)
class RawEvent:
    """A construction or call as it was seen; an ``engine`` event stands for what Keras did inside ``fit`` or ``build``."""

    kind: str
    layer: Any
    spot: Spot
    outer: Place | None
    call: int = 0
    via: str | None = None
    in_graph: bool = False
    wiring: bool = True
    folded: int = 0
    parts: list[Any] = field(default_factory=list)
    inputs: list[RawTensor] = field(default_factory=list)
    outputs: list[RawTensor] = field(default_factory=list)
    ends: list[RawTensor] = field(default_factory=list)
    created: list[RawVariable] = field(default_factory=list)
    owns: list[RawVariable] = field(default_factory=list)
    trainable: int = 0
    done: bool = False


@dataclass(eq=False)
class RawVariable:
    """A variable, the layer that owns it, and how it began."""

    variable: Any
    owner: Any
    initializer: str | None = None
    norm: float | None = None
    event: RawEvent | None = None
    names: list[tuple[str, bool]] = field(default_factory=list)
    trains: bool = False
    size: int = 0


class Recorder:
    """Collects raw events in the thread that made it.

    Parameters
    ----------
    filenames
        Numbers of the traced cells by file name; the running cell's is among them.
    """

    def __init__(self, filenames: dict[str, int]) -> None:
        self.sights = Sights(filenames)
        self.events: list[RawEvent] = []
        self.layers: dict[int, Any] = {}
        self.variables: dict[int, RawVariable] = {}
        self.tensors: dict[int, RawTensor] = {}
        self.calls: dict[int, int] = {}
        self.names: dict[int, list[tuple[str, bool]]] = {}
        self.trainable = 0
        self._thread = threading.get_ident()
        self._active: list[Any] = []
        self._current: RawEvent | None = None
        self._muted = 0
        self._adding = 0
        self._pending: RawEvent | None = None

    # What the patches call

    def constructing(self, layer: Any) -> None:
        """Note that a layer's base constructor begins."""
        if self._deaf(layer):
            return
        if self._current is not None:
            self._add_part(self._current, layer)
            return
        sight = self.sights.look(sys._getframe(2), layer)
        if sight is None or sight.engine is not None:
            return
        event = self._constructor(sight, layer)
        if event.layer is not layer:
            self._add_part(event, layer)

    def calling(self, original: Callable[..., Any], layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a layer's call, and note it when it is the user's own."""
        if self._deaf(layer):
            return original(layer, *args, **kwargs)
        if self._current is not None:
            self._current.folded += 1
            return self._within(self._current, original, layer, args, kwargs)
        sight = self.sights.look(sys._getframe(2), layer)
        if sight is None:
            return self._muffled(original, layer, args, kwargs)
        if sight.engine is not None:
            event = self._engine(sight)
            return self._within(event, original, layer, args, kwargs)
        if sight.constructor is not None:
            return self._within(self._constructor(sight, layer), original, layer, args, kwargs)
        return self._call(sight, original, layer, args, kwargs)

    def adding(self, original: Callable[..., Any], layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a layer's ``add_weight``: the layer is the exact owner of what it makes."""
        if self._deaf(layer):
            return original(layer, *args, **kwargs)
        self._adding += 1
        try:
            variable = original(layer, *args, **kwargs)
        finally:
            self._adding -= 1
        event = self._current or self._around(layer, sys._getframe(2))
        if event is not None:
            given = dict(zip(("name", "shape", "dtype", "initializer"), args, strict=False)) | kwargs
            how = keras2.initializer_name(given.get("initializer"), given.get("dtype"))
            self._own(variable, layer, event, how)
        return variable

    def creating(self, next_creator: Callable[..., Any], **kwargs: Any) -> Any:
        """Run a ``tf.Variable``'s creation, and note it when it did not come from ``add_weight``."""
        variable = next_creator(**kwargs)
        if self._adding or self._deaf(None):
            return variable
        if self._current is not None:
            if self._active:
                self._own(variable, self._active[-1], self._current, None)
            return variable
        sight = self.sights.look(sys._getframe(1), None)
        if sight is None or sight.engine is not None:
            return variable
        if sight.constructor is not None:
            self._own(variable, sight.innermost, self._constructor(sight, sight.innermost), None)
        elif sight.by_hand:
            raw = self._own(variable, None, None, None)
            raw.names += [
                (name, sight.spot.local)
                for target in sight.spot.targets
                if plain(target, sight.spot.local)
                for name, _ in leaves(target, variable)
            ]
        return variable

    def finish(self, error: BaseException | None) -> None:
        """Close what is open once the cell is done; drop an object whose constructor did not come to its end."""
        if self._pending is not None and error is not None and _broke_in(error, self._pending.layer):
            self.events.remove(self._pending)
            self._pending = None
        self._settle()

    # What they need

    def _deaf(self, layer: Any) -> bool:
        return (
            self._muted > 0
            or threading.get_ident() != self._thread
            or (layer is not None and not keras2.is_layer(layer))
        )

    def _know(self, layer: Any) -> None:
        self.layers.setdefault(id(layer), layer)

    def _add_part(self, event: RawEvent, layer: Any) -> None:
        self._know(layer)
        event.parts.append(layer)

    def _constructor(self, sight: Sight, layer: Any) -> RawEvent:
        """Give the open construction that ``sight`` is within, beginning it where it is new."""
        root = layer if sight.constructor is None else sight.constructor
        if self._pending is not None and self._pending.layer is root:
            return self._pending
        self._settle()
        event = RawEvent("constructed", root, sight.spot, sight.outer)
        self._know(root)
        self._name(root, sight.spot)
        self.events.append(event)
        self._pending = event
        return event

    def _name(self, layer: Any, spot: Spot) -> None:
        names = self.names.setdefault(id(layer), [])
        for target in spot.targets:
            if plain(target, spot.local) and not isinstance(target, (ast.Tuple, ast.List)):
                names.extend((name, spot.local) for name, _ in leaves(target, layer))

    def _settle(self) -> None:
        """See a construction as done: its own variables, an input's tensor, a model's ends."""
        event, self._pending = self._pending, None
        if event is None:
            return
        event.done = True
        layer = event.layer
        if keras2.operation(layer) is not None:
            self.events.remove(event)
            return
        event.owns = self._listed(event)
        if keras2.is_input(layer):
            event.outputs = self._made(event, keras2.made_tensors(layer), event.spot)
        elif keras2.is_model(layer):
            inputs, outputs = keras2.ends(layer)
            event.inputs = [self._wire(tensor) for tensor in inputs]
            event.ends = [self._wire(tensor) for tensor in outputs]

    def _call(
        self, sight: Sight, original: Callable[..., Any], layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self._settle()
        event = RawEvent("called", layer, sight.spot, sight.outer)
        wires = [leaf for _, leaf in flatten((args, kwargs)) if keras2.is_tensor(leaf) or isinstance(leaf, np.ndarray)]
        event.inputs = [self._wire(leaf) for leaf in wires]
        event.wiring = any(not keras2.carries_numbers(leaf) for leaf in wires)
        nodes = keras2.nodes(layer)
        finished = False
        try:
            result = self._within(event, original, layer, args, kwargs)
            finished = True
        finally:
            if finished or event.created:
                self._know(layer)
                event.call = self.calls[id(layer)] = self.calls.get(id(layer), 0) + 1
                event.in_graph = keras2.nodes(layer) > nodes
                self.events.append(event)
                event.owns = self._listed(event)
        event.outputs = self._made(event, result, sight.spot)
        return result

    def _within(
        self,
        event: RawEvent,
        original: Callable[..., Any],
        layer: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run a call as part of ``event``."""
        outer, self._current = self._current, event
        self._active.append(layer)
        try:
            return original(layer, *args, **kwargs)
        finally:
            self._active.pop()
            self._current = outer

    def _muffled(self, original: Callable[..., Any], layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._muted += 1
        try:
            return original(layer, *args, **kwargs)
        finally:
            self._muted -= 1

    def _engine(self, sight: Sight) -> RawEvent:
        """Give the event for what Keras does by itself; it joins the ledger only once a variable comes of it."""
        assert sight.engine is not None
        model, method = sight.engine
        last = self.events[-1] if self.events else None
        if last is not None and last.layer is model and last.via == method and last.spot is sight.spot:
            return last
        return RawEvent("called", model, sight.spot, sight.outer, via=method, wiring=False)

    def _around(self, layer: Any, frame: FrameType) -> RawEvent | None:
        """Find the event for a weight that is made outside any call: in a constructor, in ``fit``, or by ``build`` itself."""
        sight = self.sights.look(frame, None, methods=True)
        if sight is None:
            return None
        if sight.constructor is not None:
            return self._constructor(sight, layer)
        if sight.engine is None:
            sight.engine = sight.method or (layer, "add_weight")
        return self._engine(sight)

    def _own(self, variable: Any, owner: Any, event: RawEvent | None, how: str | None) -> RawVariable:
        raw = RawVariable(variable, owner, how, keras2.norm(variable), event, size=_size(variable))
        self.variables[id(keras2.bare(variable))] = raw
        if owner is not None:
            self._know(owner)
        if event is not None:
            if event.via is not None and not event.created:
                self._settle()
                self._know(event.layer)
                event.call = self.calls.get(id(event.layer), 0)
                self.events.append(event)
            event.created.append(raw)
            if event.via is not None:
                self._count(raw, bool(variable.trainable))
                event.trainable = self.trainable
        return raw

    def _listed(self, event: RawEvent) -> list[RawVariable]:
        """List the variables of an event's layer and of all it holds, and bring the trainable total up to date."""
        trained, others = keras2.weights(event.layer)
        listed = []
        for variables, trains in ((trained, True), (others, False)):
            for variable in variables:
                raw = self.variables.get(id(keras2.bare(variable)))
                if raw is None:
                    raw = self._adopt(variable, event.layer)
                elif raw.owner is None:
                    raw.owner = _direct_owner(event.layer, raw.variable)
                    raw.event = raw.event or event
                    event.created.append(raw)
                self._count(raw, trains)
                listed.append(raw)
        for raw in event.created:
            if raw not in listed and raw.owner is not None:
                self._count(raw, any(v is raw.variable for v in raw.owner.trainable_weights))
        event.trainable = self.trainable
        return listed

    def _adopt(self, variable: Any, layer: Any) -> RawVariable:
        """Take in a variable that is older than the trace."""
        raw = RawVariable(variable, _direct_owner(layer, variable), size=_size(variable))
        self._know(raw.owner)
        self.variables[id(keras2.bare(variable))] = raw
        return raw

    def _count(self, raw: RawVariable, trains: bool) -> None:
        if raw.trains != trains:
            self.trainable += raw.size if trains else -raw.size
            raw.trains = trains

    def _wire(self, tensor: Any) -> RawTensor:
        known = self.tensors.get(id(tensor))
        if known is not None and known.get() is tensor:
            return known
        return self._remember(tensor)

    def _remember(self, tensor: Any) -> RawTensor:
        """Keep Keras's symbolic tensors alive, whose identity must stay true; others only as long as the user does."""
        get = (lambda: tensor) if keras2.is_keras_tensor(tensor) else _reference(tensor)
        raw = RawTensor(keras2.shape_of(tensor), keras2.dtype_of(tensor), get)
        self.tensors[id(tensor)] = raw
        return raw

    def _made(self, event: RawEvent, result: Any, spot: Spot) -> list[RawTensor]:
        outputs = []
        for _, leaf in flatten(result):
            if keras2.is_tensor(leaf):
                raw = self._remember(leaf)
                raw.made_by, raw.number = event, len(outputs)
                outputs.append(raw)
        if isinstance(result, list) and len(result) == 1 and keras2.is_input(event.layer):
            result = result[0]
        for target in spot.targets:
            if plain(target, spot.local):
                for name, leaf in leaves(target, result):
                    if keras2.is_tensor(leaf):
                        self.tensors[id(leaf)].names.append((name, spot.local))
        return outputs


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Put ``recorder`` on Keras's base class for as long as the context lasts.

    Raises
    ------
    UsageError
        When another trace is running: two would count each other's calls.
    """
    layer = keras2.Layer
    if hasattr(layer.__call__, _MARK):
        raise UsageError("a trace is running already; a traced cell cannot trace another one")
    init, call, add = layer.__init__, layer.__call__, layer.add_weight

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        recorder.constructing(self)
        init(self, *args, **kwargs)

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return recorder.calling(call, self, args, kwargs)

    def add_weight(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return recorder.adding(add, self, args, kwargs)

    layer.__init__, layer.__call__, layer.add_weight = (
        _like(init, __init__),
        _like(call, __call__),
        _like(add, add_weight),
    )
    try:
        with tf.variable_creator_scope(recorder.creating):
            yield
    finally:
        layer.__init__, layer.__call__, layer.add_weight = init, call, add


def _like(original: Any, wrapper: Any) -> Any:
    """Give ``wrapper`` the face of ``original``: Keras reads signatures, and autograph the module."""
    functools.update_wrapper(wrapper, original)
    wrapper.__signature__ = inspect.signature(original)
    setattr(wrapper, _MARK, original)
    return wrapper


def _reference(value: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: None


def _size(variable: Any) -> int:
    return int(np.prod(keras2.shape_of(variable) or (), dtype=np.int64))


def _direct_owner(layer: Any, variable: Any) -> Any:
    """Find the layer within ``layer`` that lists a variable as its own."""
    wanted = keras2.bare(variable)
    for part in keras2.reached(layer):
        if any(keras2.bare(v) is wanted for v in keras2.direct_weights(part)):
            return part
    return layer


def _broke_in(error: BaseException, layer: Any) -> bool:
    """Say whether an error came out of a layer's constructor."""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is layer:
            return True
        traceback = traceback.tb_next
    return False
