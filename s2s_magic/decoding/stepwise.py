"""Generating code that runs a trained model's decoder for one id at a time, over the same layers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.positions import UNKNOWN, looks_around
from s2s_magic.decoding.spelling import Names
from s2s_magic.decoding.step import State, Step
from s2s_magic.errors import DecodeError


class Writer:
    """Follows a model's output back to the ids that its decoder reads, and writes code that repeats each call.

    Parameters
    ----------
    name
        The model's name.
    names
        Finds the names of its layers.
    """

    def __init__(self, name: str, names: Names) -> None:
        self._names = names
        self._written: dict[int, str] = {}
        self._outer: dict[int, Any] = {}
        self._step_masks: dict[int, str] = {}
        self.step = Step(name)

    def write(self, output: Any) -> Step:
        """Return the step that computes an output.

        Raises
        ------
        DecodeError
            When a layer cannot run step by step; the message names it.
        """
        self.step.scores = self._wire(output)
        return self.step

    def refuse(self, layer: Any, why: str) -> DecodeError:
        """Return an error that names the layer that prevents decoding, and why."""
        return DecodeError(f"{self.step.name} cannot be decoded: {self._names.shown(layer)} {why}")

    def _wire(self, tensor: Any) -> str:
        """Return the name of a tensor's counterpart in the step, after writing the code that it needs."""
        tensor = self._outside(tensor)
        if id(tensor) not in self._written:
            self._written[id(tensor)] = self._made(tensor)
        return self._written[id(tensor)]

    def _outside(self, tensor: Any) -> Any:
        """Return the tensor passed to an input of a nested model; any other tensor is returned unchanged."""
        while id(tensor) in self._outer:
            tensor = self._outer[id(tensor)]
        return tensor

    def _within(self, model: Any, arguments: Any, number: int) -> Any:
        """Return a nested model's own output tensor, after noting which tensors were passed to its inputs."""
        given = list(arguments[0]) if isinstance(arguments[0], list | tuple) else [arguments[0]]
        inputs, outputs = backend.ends(model)
        if len(given) != len(inputs):
            raise self.refuse(model, "is a model within the model that is not given a list of its inputs")
        for inner, tensor in zip(inputs, given, strict=True):
            if self._outer.setdefault(id(inner), tensor) is not tensor:
                raise self.refuse(model, "is a model that is called twice between the ids and the output")
        return outputs[number]

    def _made(self, tensor: Any) -> str:
        layer, _, number = backend.history(tensor)
        if backend.is_input(layer) or backend.makes_ids(layer):
            if self.step.fed is not None and self.step.fed is not tensor:
                one, other = (backend.history(t)[0] for t in (self.step.fed, tensor))
                raise self.refuse(one, f"and {other.name} both feed the decoder; expected one input of ids")
            self.step.fed, self.step.fed_name = tensor, self._names.fresh("last_ids")
            return self.step.fed_name
        arguments, settings = backend.call_of(tensor)
        settings = {key: value for key, value in settings.items() if key not in ("training", "name")}
        if backend.is_wired(layer):
            return self._wire(self._within(layer, arguments, number))
        if number:
            raise self.refuse(layer, f"gives the decoder its output {number}, and one step makes only the first")
        if backend.kind_of(layer) == "recurrent":
            return self._recurrent(tensor, layer, arguments, settings)
        if backend.stock_class(layer) == "MultiHeadAttention":
            return self._many_heads(layer, arguments, settings)
        if backend.stock_class(layer) == "Dot":
            return self._dot(layer, arguments)
        if backend.kind_of(layer) == "attention":
            return self._attention(layer, arguments, settings)
        if looks_around(layer, arguments, settings):
            raise self.refuse(layer, f"stands between the ids and the output, {UNKNOWN}")
        return self._by_position(layer, arguments, settings)

    def _by_position(self, layer: Any, arguments: Any, settings: dict[str, Any]) -> str:
        if any(backend.is_keras_tensor(leaf) for leaf in tf.nest.flatten(settings)):
            raise self.refuse(layer, "is given a tensor by keyword")
        shown = [self._argument(layer, argument) for argument in arguments]
        operation = backend.operation(layer)
        given = {key: value for key, value in settings.items() if operation is not None or key != "mask"}
        shown += [f"{key}={self._argument(layer, value)}" for key, value in given.items()]
        name = self._names.after(layer, "step")
        called = operation if operation is not None else self._names.layer(layer)
        self.step.lines.append(f"{name} = {called}({', '.join(shown)})")
        return name

    def _argument(self, layer: Any, value: Any) -> str:
        if backend.is_keras_tensor(value):
            return self._wire(value)
        if isinstance(value, list | tuple):
            return f"[{', '.join(self._argument(layer, part) for part in value)}]"
        if isinstance(value, tf.DType):
            return repr(value.name)
        if value is None or isinstance(value, bool | int | float | str):
            return repr(value)
        raise self.refuse(layer, f"is given a {type(value).__name__} that cannot be written down")

    def _recurrent(self, tensor: Any, layer: Any, arguments: Any, settings: dict[str, Any]) -> str:
        parts = arguments[0] if isinstance(arguments[0], list | tuple) else [arguments[0]]
        if not layer.return_sequences:
            raise self.refuse(layer, "gives the state after its last step alone, and no decoder can follow it")
        for switch, why in (
            ("go_backwards", "reads its input from the end"),
            ("stateful", "keeps its state from batch to batch"),
            ("time_major", "has time as its first dimension"),
        ):
            if getattr(layer, switch, False):
                raise self.refuse(layer, why)
        if backend.takes_constants(layer) or any(value is not None for value in settings.values()):
            raise self.refuse(layer, "is called with constants or a mask of its own")
        sizes = tf.nest.flatten(layer.cell.state_size)
        begin = [self._outside(state) for state in tf.nest.flatten(list(parts[1:]))] or [None] * len(sizes)
        if len(begin) != len(sizes):
            raise self.refuse(layer, f"is given {len(begin)} states for its {len(sizes)}")
        x = self._wire(parts[0])
        if any(self._follows_ids(state) for state in begin if state is not None):
            raise self.refuse(layer, "starts from a state that comes of what the decoder reads")
        letters = "hc" if len(sizes) == 2 and backend.stock_class(layer) == "LSTM" else ""
        states = []
        for number, (size, first) in enumerate(zip(sizes, begin, strict=True), 1):
            ending = letters[number - 1] if letters else ("state" if len(sizes) == 1 else f"state_{number}")
            shape = (size,) if isinstance(size, int) else tuple(size)
            given = self._names.after(layer, ending)
            states.append(State(first, shape, layer.compute_dtype, given, self._names.fresh(f"next_{given}")))
        self.step.states += states
        found = self._names.layer(layer)
        called = (
            found
            if layer.return_state
            else (f"keras.layers.RNN({found}.cell, return_sequences=True, return_state=True{_policy(layer)})")
        )
        masked = self._step_mask(parts[0]) if backend.gives_mask(tensor) else ""
        name = self._names.after(layer, "step")
        given = f"[{', '.join(_nested(layer.cell.state_size, [state.given for state in states]))}]"
        after = ", ".join(_nested(layer.cell.state_size, [state.after for state in states]))
        mask = f", mask={masked}" if masked else ""
        self.step.lines.append(f"{name}, {after} = {called}({x}, initial_state={given}{mask})")
        zeroed = getattr(layer, "zero_output_for_mask", False)
        return self._repeated(tensor, layer, name, masked) if masked and not zeroed else name

    def _repeated(self, tensor: Any, layer: Any, name: str, masked: str) -> str:
        """Repeat the previous output at a masked position (zeros at first), as Keras does over a whole sequence."""
        before = self._names.after(layer, "before")
        made = self._names.after(layer, "said")
        self.step.states.append(State(None, (1, *tensor.shape[2:]), layer.compute_dtype, before, made))
        self.step.lines.append(f"{made} = tf.where({masked}[..., tf.newaxis], {name}, {before})")
        return made

    def _attention(self, layer: Any, arguments: Any, settings: dict[str, Any]) -> str:
        if settings.get("use_causal_mask") or getattr(layer, "causal", False):
            raise self.refuse(layer, "lets each position look at those before it")
        query, *memory = arguments[0]
        shown = [self._wire(query), *(self._memory(layer, tensor) for tensor in memory)]
        if settings.get("mask") is None:
            masks = [self._step_mask(query) or "None", self._mask(memory[0]) or "None"]
        else:
            of_query, of_memory = settings["mask"]
            if of_query is not None:
                raise self.refuse(layer, "is given a mask of its own for what the decoder reads")
            masks = ["None", "None" if of_memory is None else self._memory(layer, of_memory, "memory_mask")]
        mask = f", mask=[{', '.join(masks)}]" if set(masks) != {"None"} else ""
        name = self._names.after(layer, "step")
        self.step.lines.append(f"{name} = {self._names.layer(layer)}([{', '.join(shown)}]{mask})")
        return name

    def _many_heads(self, layer: Any, arguments: Any, settings: dict[str, Any]) -> str:
        given = dict(zip(("query", "value", "key"), arguments, strict=False)) | settings
        if given.get("use_causal_mask") or given.get("attention_mask") is not None:
            raise self.refuse(layer, "is given a mask of its own")
        memory = [given[part] for part in ("value", "key") if given.get(part) is not None]
        shown = [self._wire(given["query"]), *(self._memory(layer, tensor) for tensor in memory)]
        masks = [f"{self._step_mask(given['query'])}[..., tf.newaxis]", f"{self._mask(memory[0])}[:, tf.newaxis]"]
        both = " & ".join(mask for mask in masks if not mask.startswith("["))
        mask = f", attention_mask={both}" if both else ""
        name = self._names.after(layer, "step")
        self.step.lines.append(f"{name} = {self._names.layer(layer)}({', '.join(shown)}{mask})")
        return name

    def _dot(self, layer: Any, arguments: Any) -> str:
        query, memory = arguments[0]
        axes = [layer.axes] * 2 if isinstance(layer.axes, int) else list(layer.axes)
        if axes[0] not in (2, -1) or layer.normalize:
            raise self.refuse(layer, "takes its product over more than one position")
        name = self._names.after(layer, "step")
        shown = f"{self._wire(query)}, {self._memory(layer, memory)}"
        self.step.lines.append(f"{name} = {self._names.layer(layer)}([{shown}])")
        return name

    def _follows_ids(self, tensor: Any) -> bool:
        """Return whether a tensor depends on the input that the decoder reads."""
        read = {id(made) for made in backend.inputs_behind([self.step.fed])}
        return any(id(made) in read for made in backend.inputs_behind([tensor]))

    def _memory(self, layer: Any, tensor: Any, called: str = "memory") -> str:
        """Return the name of an encoder's tensor that the layer attends to, or is masked by, at each step."""
        tensor = self._outside(tensor)
        if self._follows_ids(tensor):
            raise self.refuse(layer, "looks at more than one position of what the decoder reads")
        kept = self.step.memory.setdefault(id(tensor), (tensor, ""))
        if not kept[1]:
            taken = {name for _, name in self.step.memory.values()}
            name = self._names.fresh(called if called not in taken else f"{called}_{len(self.step.memory)}")
            kept = self.step.memory[id(tensor)] = (tensor, name)
        return kept[1]

    def _step_mask(self, tensor: Any) -> str:
        """Return the name of a tensor's mask in the step; empty if the tensor has none."""
        tensor = self._outside(tensor)
        if not backend.is_masked(tensor):
            return ""
        layer, ids = self._masking(tensor)
        if id(ids) not in self._step_masks:
            name = self._step_masks[id(ids)] = self._names.after(layer, "mask")
            self.step.lines.append(f"{name} = {self._names.layer(layer)}.compute_mask({self._wire(ids)})")
        return self._step_masks[id(ids)]

    def _mask(self, tensor: Any) -> str:
        tensor = self._outside(tensor)
        if not backend.is_masked(tensor):
            return ""
        if (given := self._given_mask(tensor)) is not None:
            return self._memory(backend.history(tensor)[0], given, "memory_mask")
        if id(tensor) not in self.step.masks:
            layer, ids = self._masking(tensor)
            made = f"{self._names.layer(layer)}.compute_mask({self._names.tensor(ids)})"
            self.step.masks[id(tensor)] = made, self._names.fresh("memory_mask")
        return self.step.masks[id(tensor)][1]

    def _given_mask(self, tensor: Any) -> Any:
        """Return the mask that the code itself gave the recurrent layers behind a tensor, which Keras 3 passes on."""
        layer, (arguments, settings) = backend.history(tensor)[0], backend.call_of(tensor)
        first = arguments[0] if arguments else None
        if backend.kind_of(layer) in ("recurrent", "bidirectional"):
            if settings.get("mask") is not None:
                return settings["mask"]
            first = first[0] if isinstance(first, list | tuple) else first
        elif looks_around(layer, arguments, settings):
            return None
        return self._given_mask(self._outside(first)) if backend.is_keras_tensor(first) else None

    def _masking(self, tensor: Any) -> tuple[Any, Any]:
        """Return the layer that computed a tensor's mask, and the ids it was computed from."""
        layer, _, number = backend.history(tensor)
        arguments, settings = backend.call_of(tensor)
        if backend.is_wired(layer):
            return self._masking(self._outside(self._within(layer, arguments, number)))
        given = list(arguments[0]) if isinstance(arguments[0], list | tuple) else [arguments[0]]
        if backend.stock_class(layer) in ("Embedding", "Masking"):
            return layer, self._outside(given[0])
        scoring = backend.stock_class(layer) in ("Attention", "AdditiveAttention")
        if scoring or backend.kind_of(layer) in ("recurrent", "bidirectional"):
            given = given[:1]  # states have no masks, and the output has the query's mask
        elif looks_around(layer, arguments, settings):
            raise self.refuse(layer, "may give its output another mask than its input has")
        found = [self._masking(one) for one in map(self._outside, given) if backend.is_masked(one)]
        if len({(id(made), id(ids)) for made, ids in found}) != 1:
            raise self.refuse(layer, "gives its output the masks of several inputs")
        return found[0]


def _policy(layer: Any) -> str:
    """Return the argument that gives a new layer this one's dtype policy; empty if that is the global policy."""
    policy = layer.dtype_policy.name
    return "" if policy == tf.keras.mixed_precision.global_policy().name else f", dtype={policy!r}"


def _nested(structure: Any, names: list[str]) -> list[str]:
    """Return the names of states, grouped like a cell's ``state_size``: one string for each part."""
    parts = structure if isinstance(structure, list | tuple) else [structure]
    given, shown = list(names), []
    for part in parts:
        if isinstance(part, list | tuple):
            shown.append(f"({', '.join(given.pop(0) for _ in part)})")
        else:
            shown.append(given.pop(0))
    return shown
