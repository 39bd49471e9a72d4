"""Keras programs as code text, and the writer that assembles them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from kerases import KERAS3

ROWS, BATCH, STEPS, VOCAB, CLASSES = 8, 4, 4, 7, 3

OPS, SOFTMAX = ("keras.ops", "keras.ops.softmax") if KERAS3 else ("tf", "tf.nn.softmax")
"""What a program does to symbolic tensors: Keras 3 takes them in its own operations alone."""

IMPORTS = """\
import numpy as np
import tensorflow as tf
from tensorflow import keras
L = keras.layers
draws = np.random.default_rng(5)
"""


@dataclass(frozen=True)
class Program:
    """A program and the arguments of its fit.

    Attributes
    ----------
    code
        Python source; binds ``model`` and the arrays.
    inputs, targets
        For each input or output of the model, its name in the code and the name of its array.
    weights, class_weight
        The name of an array of sample weights, and the class weights as code; empty for none.
    batches
        The batch sizes of the two fits.
    epochs, shuffle
        As for ``Model.fit``.
    between
        Code that is run between the fits.
    features
        Its special features, in words.
    dtype
        The dtype it computes in: float32, float64 or half.
    of_class
        Whether the model is one of a class of its own, whose one input has no name.
    """

    code: str
    inputs: tuple[tuple[str, str], ...]
    targets: tuple[tuple[str, str], ...]
    weights: str = ""
    class_weight: str = ""
    batches: tuple[int, int] = (BATCH, BATCH)
    epochs: int = 1
    shuffle: bool = True
    features: frozenset[str] = frozenset()
    dtype: str = "float32"
    between: str = ""
    of_class: bool = False

    def fit_code(self, number: int) -> str:
        """Return the code of the first fit by Keras, number 0, or of the second."""
        x = ", ".join(array for _, array in self.inputs)
        y = ", ".join(array for _, array in self.targets)
        targets = f", {y if len(self.targets) == 1 else f'[{y}]'}" if self.targets else ""
        weights = f", sample_weight={self.weights}" if self.weights else ""
        classes = f", class_weight={self.class_weight}" if self.class_weight else ""
        return (
            f"model.fit({x if self.of_class else f'[{x}]'}{targets}{weights}{classes}, "
            f"batch_size={self.batches[number]}, epochs={self.epochs}, shuffle={self.shuffle}, verbose=0)"
        )

    def body(self, number: int) -> str:
        """Return the body of the same fit for this package, without the seed."""
        lines = [f"inputs: {{{', '.join(f'{name}: {array}' for name, array in self.inputs)}}}"]
        if self.of_class:
            lines = [f"inputs: [{self.inputs[0][1]}]"]
        if len(self.targets) == 1:
            lines.append(f"target: {self.targets[0][1]}")
        elif self.of_class and self.targets:
            lines.append(f"target: [{', '.join(array for _, array in self.targets)}]")
        elif self.targets:
            lines.append(f"target: {{{', '.join(f'{name}: {array}' for name, array in self.targets)}}}")
        lines += [f"weights: {self.weights}"] if self.weights else []
        lines += [f"class_weights: {self.class_weight}"] if self.class_weight else []
        lines += [f"batch: {self.batches[number]}", f"epochs: {self.epochs}", f"shuffle: {str(self.shuffle).lower()}"]
        return "\n".join(lines) + "\n"


@dataclass
class Writing:
    """A program under construction: its lines, and the properties of the last tensor."""

    draw: Callable[[Any], Any]
    lines: list[str] = field(default_factory=list)
    features: set[str] = field(default_factory=set)
    tensor: str = ""
    width: int = 0
    sequence: bool = False
    static: bool = True
    masked: bool = False
    dtype: str = "float32"
    batch_known: bool = False
    layers: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0

    def add(self, line: str) -> None:
        """Add lines of code."""
        self.lines += line.splitlines()

    def name(self, stem: str) -> str:
        """Return a new name."""
        self.count += 1
        return f"{stem}{self.count}"

    def one_of(self, *choices: Any) -> Any:
        """Draw one of the choices."""
        return self.draw(st.sampled_from(choices))

    def chance(self, percent: int) -> bool:
        """Draw True in this percentage of cases."""
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def note(self, *features: str) -> None:
        """Record special features."""
        self.features |= set(features)

    def layer(self, kind: str, code: str, *, call: str = "{layer}({x})", stem: str = "h") -> str:
        """Write a layer and its call on the last tensor; return the layer's name."""
        layer, result = self.name(kind), self.name(stem)
        self.add(f"{layer} = {code}")
        self.add(f"{result} = {call.format(layer=layer, x=self.tensor)}")
        self.tensor = result
        self.layers.append((layer, kind))
        return layer
