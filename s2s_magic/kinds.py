"""The kinds of layers and of tensors, and the Keras and TensorFlow Addons classes of each kind."""

from __future__ import annotations

from typing import Literal

LayerKind = Literal[
    "layer", "input", "operation", "embedding", "recurrent", "bidirectional", "attention", "dense", "decoder",
    "added loss",
]  # fmt: skip
Layout = Literal["dense", "ragged", "sparse"]
"""How a tensor holds its numbers."""

_CLASSES: dict[LayerKind, tuple[str, ...]] = {
    "input": ("InputLayer",),
    "embedding": ("Embedding",),
    "recurrent": ("LSTM", "GRU", "SimpleRNN", "RNN"),
    "bidirectional": ("Bidirectional",),
    "attention": ("Attention", "AdditiveAttention", "MultiHeadAttention", "Dot"),
    "dense": ("Dense", "EinsumDense", "TimeDistributed"),
    "decoder": ("BasicDecoder",),
    "added loss": ("AddLoss",),
}
KIND_OF_CLASS = {name: kind for kind, names in _CLASSES.items() for name in names}

OF_ADDONS = ("tensorflow_addons.seq2seq.", "s2s_magic.addons.")
"""Module prefixes of TensorFlow Addons' classes and of our replacements for them."""
