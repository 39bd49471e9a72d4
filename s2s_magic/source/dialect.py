"""How generated code is written for the installed Keras, with a decoder of TFA's API or of Keras's own layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Operations = Literal["tf", "keras.ops"]
OPERATIONS: dict[Operations, dict[str, str]] = {
    "tf": {"concat": "tf.concat", "not_equal": "tf.not_equal", "softmax": "tf.nn.softmax"},
    "keras.ops": {
        "concat": "keras.ops.concatenate",
        "not_equal": "keras.ops.not_equal",
        "softmax": "keras.ops.softmax",
    },
}
"""The names of functions on symbolic tensors, by where they come from."""


@dataclass(frozen=True)
class Dialect:
    """The packages and functions that generated code uses.

    Attributes
    ----------
    decoder
        ``tfa`` for a decoder of TFA's API, ``keras`` for one of Keras's own layers.
    operations
        Where functions on symbolic tensors come from: ``tf``, or ``keras.ops`` with Keras 3.
    addons
        Whether TensorFlow Addons is installed; otherwise a decoder of its API is one of `s2s_magic.addons`.
    """

    decoder: Literal["tfa", "keras"] = "tfa"
    operations: Operations = "tf"
    addons: bool = True

    def imports(self, code: str) -> str:
        """Return the import lines that ``code`` needs."""
        keras = "from tensorflow import keras" if self.operations == "tf" else "import keras"
        own = "from s2s_magic.addons import seq2seq\n" if "(seq2seq." in code or "= seq2seq." in code else ""
        needed = [keras] if keras.startswith("import") else []
        needed += ["import tensorflow as tf"] * ("tf." in code) + ["import tensorflow_addons as tfa"] * ("tfa." in code)
        needed += [keras] if keras.startswith("from") else []
        return "\n".join(needed) + (f"\n\n{own}".rstrip("\n") if own else "")

    @property
    def sampler(self) -> str:
        """The module of TFA's samplers."""
        return "tfa.seq2seq.sampler" if self.addons else "seq2seq"

    @property
    def basic_decoder(self) -> str:
        """The class of TFA's decoder."""
        return "tfa.seq2seq.basic_decoder.BasicDecoder" if self.addons else "seq2seq.BasicDecoder"

    def __getitem__(self, name: str) -> str:
        """Return the name of the function for ``concat``, ``not_equal`` or ``softmax``."""
        return OPERATIONS[self.operations][name]


PLAIN = Dialect()
