"""Record every construction and call of a layer, and every new variable, as the hooks report them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from s2s_magic import backend
from s2s_magic.ledger import Place
from s2s_magic.tracing.execute import causes
from s2s_magic.tracing.expressions import flatten, leaves
from s2s_magic.tracing.observed import Claims, Names, RawEvent, leave_out
from s2s_magic.tracing.stack import Sight, Sights
from s2s_magic.tracing.tensors import Wires
from s2s_magic.tracing.variables import Weights

Method = Callable[..., Any]


class Recorder:
    """Collects raw events in the thread that created it.

    The outermost call of a layer is the user's; calls beneath it are folded into its event. A construction is also one
    event, but Keras only says when it begins: it is closed when the next thing happens outside it.

    Parameters
    ----------
    filenames
        Numbers of the traced cells by file name; the running cell's is added when it starts to run.

    Attributes
    ----------
    written
        Lines of cells as the user wrote them, by file name.
    """

    def __init__(self, filenames: dict[str, int]) -> None:
        self.events: list[RawEvent] = []
        self.layers: dict[int, Any] = {}
        self.names: dict[int, Names] = {}
        self.calls: dict[int, int] = {}
        self.within: set[tuple[int, int]] = set()
        self.wires = Wires()
        self.weights = Weights()
        self.written: dict[str, list[str]] = {}
        self._sights = Sights(filenames, self.written)
        self._claims = Claims()
        self._thread = threading.get_ident()
        self._current: RawEvent | None = None
        self._open: RawEvent | None = None
        self._calling: list[Any] = []
        self._adding = self._muted = self._stopped = False
        self._failed: tuple[RawEvent, BaseException] | None = None

    def stop(self) -> None:
        """Stop recording: a hook may live on in a method that the cell wrapped around it."""
        self._stopped = True

    def know(self, layer: Any) -> None:
        """Remember a layer; the ledger's keys follow the order of first sight."""
        self.layers.setdefault(id(layer), layer)

    def constructing(self, layer: Any) -> None:
        """Note that a layer's base constructor begins."""
        __tracebackhide__ = True
        if self._deaf() or not backend.is_layer(layer):
            return
        event = self._current
        if event is None:
            sight = self._sights.look(sys._getframe(2), layer)
            if sight is None or sight.engine is not None:
                return
            event = self._construction(sight, layer)
        if event.layer is not layer:
            self.know(layer)
            event.parts.append(layer)

    def calling(self, original: Method, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a layer's call, and record it if it is the user's own."""
        __tracebackhide__ = True
        if self._deaf() or not backend.is_layer(layer):
            return original(layer, *args, **kwargs)
        if self._current is not None:
            self._current.folded += 1
            self._current.beneath.setdefault(id(layer), layer)
            self.within.update((id(caller), id(layer)) for caller in self._calling[-1:])
            return self._within(self._current, original, layer, args, kwargs)
        sight = self._sights.look(sys._getframe(2), layer)
        if sight is None:
            return self._unheard(original, layer, args, kwargs)
        if sight.engine is not None:
            return self._within(self._drive(sight, sight.engine), original, layer, args, kwargs)
        if sight.constructor is not None:
            return self._within(self._construction(sight, layer), original, layer, args, kwargs)
        return self._call(sight, original, layer, args, kwargs)

    def adding(self, original: Method, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a layer's ``add_weight``: that layer is the exact owner of the new variable. A metric owns none."""
        __tracebackhide__ = True
        if self._deaf():
            return original(layer, *args, **kwargs)
        if not backend.is_layer(layer):
            return self.weights.of_metric(original(layer, *args, **kwargs))
        event = self._current or self._making(layer, sys._getframe(2))
        around = self._adding
        try:
            self._adding = True
            variable = original(layer, *args, **kwargs)
        finally:
            self._adding = around
        if event is not None:
            self.know(layer)
            self.weights.created(variable, layer, event, backend.initializer_name(args, kwargs))
            self._join(event)
        return variable

    def creating(self, next_creator: Method, **kwargs: Any) -> Any:
        """Run a ``tf.Variable``'s creation, and record it if it did not come from ``add_weight``."""
        __tracebackhide__ = True
        variable = next_creator(**kwargs)
        if self._adding or self._deaf():
            return variable
        if self._current is not None:
            if self._calling:
                self.weights.created(variable, self._calling[-1], self._current)
                self._join(self._current)
            return variable
        sight = self._sights.look(sys._getframe(1), None)
        if sight is None or sight.engine is not None:
            return variable
        if sight.innermost is not None:
            self.know(sight.innermost)
            self.weights.created(variable, sight.innermost, self._construction(sight, sight.innermost))
        elif sight.by_hand:
            raw = self.weights.created(variable, None, None)
            raw.names += [(name, local) for target, local in sight.targets for name, _ in leaves(target, variable)]
        return variable

    def finish(self, error: BaseException | None) -> None:
        """Close what is still open at the end of the cell; drop an object whose constructor did not finish."""
        made = self._open
        if made is not None and made.kind == "constructed" and error is not None:
            traceback = error.__traceback__
            if any(place is made.place for place in self._sights.places_in(traceback)):
                self._forget(made)
                self._open = None
        self._close()
        self._claims.begin(None)
        self.weights.leave_out_unlisted_metrics(self.layers.values())

    def ended_in(self, error: BaseException) -> tuple[Place, Any] | None:
        """Find where an error ended the cell: the call that raised it, with its layer; else the innermost line."""
        if self._failed is not None and any(self._failed[1] is each for each in causes(error)):
            return self._failed[0].place, self._failed[0].layer
        places = list(self._sights.places_in(error.__traceback__))
        return (places[-1], None) if places else None

    def _forget(self, event: RawEvent) -> None:
        """Drop a failed construction and everything it made."""
        leave_out(event, self.events)
        for layer in (event.layer, *event.parts):
            self.layers.pop(id(layer), None)
        self.weights.forget(event)

    def _deaf(self) -> bool:
        return self._muted or self._stopped or threading.get_ident() != self._thread

    def _construction(self, sight: Sight, layer: Any) -> RawEvent:
        """Return the construction that contains ``sight``; begin it if it is new."""
        root = layer if sight.constructor is None else sight.constructor
        if self._open is not None and self._open.layer is root and self._open.kind == "constructed":
            return self._open
        self._close()
        event = RawEvent("constructed", root, sight.spot.place, sight.outer, targets=sight.targets)
        self._claims.begin(sight.entry)
        self.know(root)
        names = self.names.setdefault(id(root), [])
        for target, local in event.targets:
            for name, _ in leaves(target, root):
                self._claims.give(names, name, local)
        self._open = event
        self.events.append(event)
        return event

    def _making(self, layer: Any, frame: FrameType) -> RawEvent | None:
        """Find the event for a weight made outside any call: in a constructor, in ``fit``, or by ``build`` itself."""
        sight = self._sights.look(frame, None, methods=True)
        if sight is None:
            return None
        if sight.constructor is not None:
            return self._construction(sight, layer)
        return self._drive(sight, sight.engine or sight.method or (layer, "add_weight"))

    def _drive(self, sight: Sight, engine: tuple[Any, str]) -> RawEvent:
        """Return the event for what Keras does by itself; it joins the ledger only if it creates a variable."""
        layer, method = engine
        last = self._open
        if last is not None and last.layer is layer and last.via == method and last.place is sight.spot.place:
            return last
        self._close()
        return RawEvent("called", layer, sight.spot.place, sight.outer, via=method, call=self.calls.get(id(layer), 0))

    def _join(self, event: RawEvent) -> None:
        if event.via is not None and event is not self._open:
            self.know(event.layer)
            self._open = event
            self.events.append(event)

    def _close(self) -> None:
        """Close the open event: a construction, or what Keras did by itself."""
        event = self._open
        try:
            self._open = None
            if event is not None:
                self._complete(event)
        except BaseException:
            self._open = event
            raise

    def _complete(self, event: RawEvent) -> None:
        if backend.operation(event.layer) is not None:
            leave_out(event, self.events)
            return
        if not backend.is_ready(event.layer):
            self._forget(event)
            return
        self._settle(event)
        if backend.is_input(event.layer):
            event.outputs = self.wires.out_of(event, backend.input_tensor(event.layer), self._claims)
        elif event.via is None:
            inputs, outputs = backend.ends(event.layer)
            event.inputs, event.ends = self.wires.into(inputs), self.wires.into(outputs)

    def _call(self, sight: Sight, original: Method, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        self._close()
        event = RawEvent("called", layer, sight.spot.place, sight.outer, targets=sight.targets)
        self._claims.begin(sight.entry)
        event.inputs = self.wires.into((args, kwargs))
        event.given = [leaf for _, leaf in flatten((args, kwargs)) if backend.is_variable(leaf)]
        event.wiring = backend.is_wiring((args, kwargs))
        nodes = backend.nodes(layer)
        try:
            result = self._within(event, original, layer, args, kwargs)
        except BaseException as error:
            self._failed = event, error
            if event.created:  # a failed call is recorded only if it created variables
                self._called(event, nodes)
            raise
        self._called(event, nodes)
        event.outputs = self.wires.out_of(event, result, self._claims)
        return result

    def _called(self, event: RawEvent, nodes: int) -> None:
        """Record a finished call; its layer had ``nodes`` nodes in Keras's graph before it."""
        layer = event.layer
        self.know(layer)
        event.call = self.calls.get(id(layer), 0) + 1
        event.in_graph = backend.nodes(layer) > nodes
        self.calls[id(layer)] = event.call
        self.events.append(event)
        self._settle(event)

    def _settle(self, event: RawEvent) -> None:
        """Collect what an event used: what its layer holds, and what it used inside without holding it."""
        if event.beneath:
            held = set(map(id, backend.reached(event.layer)))
            free = [layer for key, layer in event.beneath.items() if key not in held and backend.is_written(layer)]
            below = {id(part) for layer in free for part in backend.reached(layer) if part is not layer}
            event.inside = [layer for layer in free if id(layer) not in below]
            for layer in event.inside:
                self.know(layer)
            event.beneath = {}
        self.weights.close(event)

    def _within(
        self, event: RawEvent, original: Method, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a call as part of ``event``."""
        __tracebackhide__ = True
        around, depth = self._current, len(self._calling)
        try:
            self._current = event
            self._calling.append(layer)
            return original(layer, *args, **kwargs)
        finally:
            self._current = around
            del self._calling[depth:]

    def _unheard(self, original: Method, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a call that this cell did not cause, and do not record it or anything beneath it."""
        __tracebackhide__ = True
        try:
            self._muted = True
            return original(layer, *args, **kwargs)
        finally:
            self._muted = False
