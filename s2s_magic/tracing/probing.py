"""One call of a layer on placeholders, in a graph that is thrown away: what it reads, and where a gradient ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from inspect import signature
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.undoing import Changes

STOPPING = {
    "ArgMax": "tf.argmax",
    "ArgMin": "tf.argmin",
    "Ceil": "tf.math.ceil",
    "Floor": "tf.floor",
    "FloorDiv": "// (floor division)",
    "OneHot": "tf.one_hot",
    "PreventGradient": "tf.raw_ops.PreventGradient",
    "PyFunc": "tf.numpy_function",
    "PyFuncStateless": "tf.numpy_function",
    "Rint": "tf.math.rint",
    "Round": "tf.round",
    "Sign": "tf.sign",
    "StopGradient": "tf.stop_gradient",
}
"""Operations with a numeric result whose derivative is zero everywhere or undefined."""


class Probe:
    """One call of a layer, in a graph of its own.

    Parameters
    ----------
    layer, args, kwargs
        The layer and the arguments of its call.
    symbols
        The symbolic tensors among the arguments, by identity.
    weights
        Variables that the layer lists as trainable.
    """

    def __init__(
        self, layer: Any, args: Any, kwargs: dict[str, Any], symbols: dict[int, Any], weights: Sequence[Any]
    ) -> None:
        left_open = "training" not in kwargs or backend.RULES.trains_each_call
        if kwargs.get("training", 0) is None or (left_open and "training" in signature(layer.call).parameters):
            kwargs = {**kwargs, "training": True}
        self._floating = [identity for identity, symbol in symbols.items() if _floats(symbol)]
        self._weights = list(weights)
        self._gradients: list[Any] = []
        self.adds_loss = False
        self._ends: list[Any] = []

        def call(*tensors: Any) -> Any:
            given = dict(zip(symbols, tensors, strict=True))
            all_args, all_kwargs = tf.nest.map_structure(lambda leaf: given.get(id(leaf), leaf), (args, kwargs))
            with Changes() as changes, changes, changes:
                tape = changes.enter(tf.GradientTape())
                held = map(backend.in_tensorflow, self._weights)
                sources = [*(given[identity] for identity in self._floating), *held]
                tape.watch(sources)
                result = layer(*all_args, **all_kwargs)
            graph = tensors[0].graph
            losses = backend.added_losses(layer)
            self.adds_loss = bool(losses)
            found = [*tf.nest.flatten(result, expand_composites=True), *losses]
            self._ends = [end for end in found if getattr(end, "graph", None) is graph and _floats(end)]
            self._gradients = tape.gradient(self._ends, sources) if self._ends else [None] * len(sources)
            self._placed = given
            return tf.constant(0)

        specs = [tf.TensorSpec(symbol.shape, symbol.dtype) for symbol in symbols.values()]
        with Changes() as changes, changes, changes:
            backend.skip_gpu_forms(changes)
            self._graph = tf.function(call, autograph=False).get_concrete_function(*specs).graph
        self._reached = self._behind(self._ends)

    def cut_inputs(self) -> Iterator[tuple[int, Any]]:
        """Yield each floating input that no gradient reaches: its symbol's identity and its placeholder."""
        for identity, gradient in zip(self._floating, self._gradients, strict=False):
            source = self._placed[identity]
            if gradient is None or id(source) not in self._reached:
                yield identity, source

    def cut_weights(self) -> Iterator[tuple[Any, Any]]:
        """Yield each variable that no gradient reaches, with its tensor in the graph: None if it is not read."""
        inner = {id(outer): tensor for outer, tensor in self._graph.captures}
        for variable, gradient in zip(self._weights, self._gradients[len(self._floating) :], strict=True):
            source = inner.get(id(backend.in_tensorflow(variable).handle))
            if gradient is None or (source is not None and id(source) not in self._reached):
                yield variable, source

    def beside(self, listed: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """Yield the handles of the variables that the call reads and that are not among those listed."""
        known = {id(getattr(backend.in_tensorflow(v), "handle", None)) for variables in listed for v in variables}
        yield from (outer for outer, _ in self._graph.captures if outer.dtype == tf.resource and id(outer) not in known)

    def enders(self, source: Any) -> list[Any]:
        """List the operations that end the paths from a tensor to the results, the first on each path."""
        found: dict[int, Any] = {}
        seen = {id(source)}
        waiting = [source]
        while waiting:
            for operation in waiting.pop().consumers():
                if _ends_gradient(operation):
                    found[id(operation)] = operation
                    continue
                for output in operation.outputs:
                    if id(output) not in seen:
                        seen.add(id(output))
                        waiting.append(output)
        return list(found.values())

    def _behind(self, ends: Iterable[Any]) -> set[int]:
        """Find the tensors that a gradient of ``ends`` can reach, judging by operation types only."""
        reached: set[int] = set()
        waiting = list(ends)
        while waiting:
            tensor = waiting.pop()
            if id(tensor) not in reached:
                reached.add(id(tensor))
                if not _ends_gradient(tensor.op):
                    waiting.extend(tensor.op.inputs)
        return reached


def _floats(value: Any) -> bool:
    dtype = tf.as_dtype(value.dtype)
    return bool(dtype.is_floating or dtype.is_complex)


def _ends_gradient(operation: Any) -> bool:
    if operation.type in STOPPING:
        return True
    plain = [output for output in operation.outputs if output.dtype not in (tf.resource, tf.variant)]
    return bool(plain) and not any(_floats(output) for output in plain)
