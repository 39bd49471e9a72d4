"""A whole model as a function of two arrays, and as code that makes it a functional model over the same layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.inputs import inputs_of, outputs_of
from s2s_magic.decoding.spelling import Names
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq

ROWS = 4
SHORT = 4
"""Rows and steps of what a model is tried out with."""
_IDS = 2
"""Ids from 0 to this are in every vocabulary."""
_FLOATS = ("float", "bfloat")


@dataclass(frozen=True)
class Output:
    """One of a model's outputs.

    Attributes
    ----------
    name
        What it is called in messages.
    shape
        Its shape, None where it may vary.
    place
        The keys and indexes that lead to it in what the model returns; in a functional model, its number.
    """

    name: str
    shape: tuple[int | None, ...]
    place: tuple[Any, ...]

    def __str__(self) -> str:
        """Return it as messages show it."""
        return f"{self.name} ({', '.join('...' if size is None else str(size) for size in self.shape)})"


@dataclass(frozen=True)
class TwoInputs:
    """A model as a function of two inputs.

    Attributes
    ----------
    inputs
        Two symbolic tensors; of a model without wires they only say what it takes.
    outputs
        What of its outputs may be scores: of shape (rows, steps, symbols), and made from both inputs.
    alone
        Whether there is no other output that they could be.
    run
        From two arrays to the tensors of these outputs.
    code
        From which input is fed, 0 or 1, an output, and a name, to code that makes a functional model of that name,
        from the source and what is fed to the output.
    tried
        Which outputs, by their numbers, were found to be scores that an input, 0 or 1, feeds, and which were not.
    """

    inputs: Sequence[Any]
    outputs: Sequence[Output]
    alone: bool
    run: Callable[[Sequence[Any]], Sequence[Any]]
    code: Callable[[int, Output, str], str]
    tried: dict[tuple[int, int], bool] = field(default_factory=dict)


def score_like(seq2seq: Seq2Seq) -> list[Output]:
    """List the outputs of a functional model that may be scores: numbers for each symbol at each position."""
    inputs, tensors = backend.ends(seq2seq.model)
    found = []
    for number, (told, tensor) in enumerate(zip(outputs_of(seq2seq), tensors, strict=True)):
        shape, needed = told.shape or (), len(backend.inputs_behind([tensor])) >= min(2, len(inputs))
        if needed and len(shape) == 3 and shape[2] is not None and told.dtype.startswith(_FLOATS):
            found.append(Output(told.name, shape, (number,)))
    return found


def wired(seq2seq: Seq2Seq, names: Names, outputs: Sequence[Output]) -> TwoInputs | None:
    """Describe some outputs of a functional model as a function of its inputs; None if these are not arrays.

    Raises
    ------
    DecodeError
        When the outputs are made from more inputs than two.
    """
    model = seq2seq.model
    everything, tensors = backend.ends(model)
    wanted = [tensors[output.place[0]] for output in outputs]
    behind = {id(tensor) for tensor in backend.inputs_behind(wanted)}
    inputs = [tensor for tensor in everything if id(tensor) in behind]
    if len(inputs) > 2:
        told = [one.name for one, tensor in zip(inputs_of(seq2seq), everything, strict=True) if id(tensor) in behind]
        raise _third(seq2seq, told, [tuple(tensor.shape) for tensor in inputs])
    if len(inputs) != 2 or any(backend.dtype_of(each) == "string" for each in inputs):
        return None
    if any(each.shape[0] is not None for each in inputs):
        return None  # it takes so many rows alone
    tried = keras.Model(inputs, wanted, name="tried")

    def run(given: Sequence[Any]) -> Any:
        return tf.nest.flatten(tried([tf.constant(each) for each in given], training=False))

    def code(place: int, output: Output, made: str) -> str:
        source, fed = (names.tensor(inputs[number]) for number in (1 - place, place))
        (number,) = output.place
        scores = f"{names.layer(model)}.outputs[{number}]" if names.found(model) else names.tensor(tensors[number])
        return f"{made} = keras.models.Model(inputs=[{source}, {fed}], outputs={scores})"

    return TwoInputs(inputs, outputs, len(outputs) == 1, run, code)


def subclassed(seq2seq: Seq2Seq, names: Names) -> TwoInputs | None:
    """Describe a model without wires that was called with two inputs: with a tuple, a list, or a dictionary of them.

    None if it was not, or what it gives alone are no scores.

    Raises
    ------
    DecodeError
        When it was called with more inputs than two.
    """
    model = seq2seq.model
    shapes = backend.built_for(model)
    if shapes is None or len(shapes) < 2:
        return None
    keys = list(shapes) if isinstance(shapes, dict) else None
    shapes = [shapes[key] for key in keys] if keys is not None else list(shapes)
    if not all(isinstance(shape, list | tuple) for shape in shapes):
        return None
    if len(shapes) > 2:
        raise _third(seq2seq, keys or [f"inputs[{number}]" for number in range(len(shapes))], shapes)
    if not all(len(shape) in (2, 3) for shape in shapes):
        return None
    kinds = ["int32" if len(shape) == 2 else "float32" for shape in shapes]
    inputs = [
        keras.Input([None, *shape[2:]], dtype=kind, name="given") for shape, kind in zip(shapes, kinds, strict=True)
    ]  # of any number of steps: those it was built for are those of the rows it saw

    def called(given: Sequence[Any]) -> Any:
        assert model is not None
        rows = [tf.constant(each) for each in given]
        return model(dict(zip(keys, rows, strict=True)) if keys is not None else tuple(rows), training=False)

    outputs, alone = _outputs(called, inputs)
    if alone and not outputs:
        return None

    def run(given: Sequence[Any]) -> Any:
        found = called(given)
        return [_at(found, output.place) for output in outputs]

    def code(place: int, output: Output, made: str) -> str:
        spoken = ["fed", "source"] if place == 0 else ["source", "fed"]
        spoken = [names.fresh(name) for name in spoken]
        lines = [
            f'{name} = keras.layers.Input(shape=[{", ".join(map(str, tensor.shape[1:]))}], dtype="{kind}")'
            for name, tensor, kind in zip(spoken, inputs, kinds, strict=True)
        ]
        pairs = ", ".join(f"{key!r}: {name}" for key, name in zip(keys or (), spoken, strict=False))
        given = f"{{{pairs}}}" if keys is not None else f"({', '.join(spoken)})"
        order = ", ".join([spoken[1 - place], spoken[place]])
        scores = f"{names.layer(model)}({given}){''.join(f'[{key!r}]' for key in output.place)}"
        return "\n".join([*lines, f"{made} = keras.models.Model(inputs=[{order}], outputs={scores})"])

    return TwoInputs(inputs, outputs, alone, run, code)


def _outputs(called: Callable[[Sequence[Any]], Any], inputs: Sequence[Any]) -> tuple[list[Output], bool]:
    """Run a model, and list what of its outputs may be scores; say too whether it has only one output.

    Their last axis is as long for any number of steps, which that of weights of attention is not, and they differ if
    the rows of either input do.
    """
    numbers = np.random.default_rng(0)
    rows = [drawn(tensor, SHORT, None, numbers) for tensor in inputs]
    whole = called(rows)
    places = dict(_places(whole))
    found = [place for place, each in places.items() if len(each.shape) == 3 and each.dtype.is_floating]
    for number in (0, 1):
        shorter, other = list(rows), list(rows)
        shorter[number], other[number] = rows[number][:, :-1], rows[number][::-1]
        fewer, apart = called(shorter), called(other)
        found = [
            place
            for place in found
            if _at(fewer, place).shape[2] == places[place].shape[2]
            and np.abs(np.asarray(_at(apart, place)) - np.asarray(places[place])).max() > 0
        ]
    outputs = [Output(_name(place), (None, None, int(places[place].shape[2])), place) for place in found]
    return outputs, len(places) == 1


def _third(seq2seq: Seq2Seq, told: Sequence[str], shapes: Sequence[Sequence[int | None]]) -> DecodeError:
    """Return an error that says of a model's inputs that nothing tells what one holds while decoding."""
    numbers = [name for name, shape in zip(told, shapes, strict=True) if len(shape) == 1 or tuple(shape[1:]) == (1,)]
    beside = " and ".join(numbers)
    if len(told) - len(numbers) != 2:  # source and ids have steps, and so have others
        beside = f"the {'third' if len(told) == 3 else 'others'}, beside a source and the ids said so far,"
        numbers = list(told[2:])
    return DecodeError(
        f"{seq2seq.name} cannot be decoded: it has {len(told)} inputs, {', '.join(told[:-1])} and {told[-1]}, and what "
        f"{beside} {'holds' if len(numbers) == 1 else 'hold'} while decoding is unknown"
    )


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the tensors in nested tuples, lists and dictionaries, with the keys and indexes that lead to them."""
    if tf.is_tensor(value):
        yield place, value
    elif isinstance(value, Mapping | list | tuple):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _places(part, (*place, key))


def _at(value: Any, place: Sequence[Any]) -> Any:
    for key in place:
        value = value[key]
    return value


def _name(place: Sequence[Any]) -> str:
    return place[0] if len(place) == 1 and isinstance(place[0], str) else "".join(f"[{key!r}]" for key in place)


def drawn(tensor: Any, steps: int, classes: int | None, numbers: np.random.Generator) -> Any:
    """Draw rows for an input: ids, one-hot vectors if they are as long as there are classes, else numbers."""
    sizes = [ROWS, *(size if size is not None else steps for size in tensor.shape[1:])]
    if len(sizes) == 2 and sizes[1]:
        return numbers.integers(1, _IDS + 1, sizes).astype(backend.dtype_of(tensor))
    if len(sizes) == 3 and classes is not None and sizes[2] == classes:
        return np.eye(classes, dtype=backend.dtype_of(tensor))[numbers.integers(0, classes, sizes[:2])]
    return numbers.normal(size=sizes).astype(backend.dtype_of(tensor))
