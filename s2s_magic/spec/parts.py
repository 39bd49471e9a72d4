"""The parts of a plan as frozen plain data: recurrent layers, attention, rates, and kinds with arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import log
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """Base of all plans."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Recurrent(Frozen):
    """An encoder or a decoder: layers of LSTM or GRU cells.

    Attributes
    ----------
    kind
        The cell.
    units
        State size of each layer, per direction.
    layers
        Number of stacked layers.
    bidirectional
        Whether each layer reads in both directions; their states are then concatenated.
    dropout, recurrent_dropout
        Rates, from 0 to less than 1.
    """

    kind: Literal["lstm", "gru"]
    units: int = Field(gt=0)
    layers: int = Field(default=1, gt=0)
    bidirectional: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)
    recurrent_dropout: float = Field(default=0.0, ge=0, lt=1)

    @property
    def numbers(self) -> range:
        """The numbers of its layers, from 1."""
        return range(1, self.layers + 1)

    @property
    def state_units(self) -> int:
        """Size of a layer's final state: both directions together."""
        return 2 * self.units if self.bidirectional else self.units

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of a layer's states: h and c of an LSTM, h of a GRU."""
        return ("h", "c") if self.kind == "lstm" else ("h",)

    def __str__(self) -> str:
        rates = {"dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout}
        inside = "".join(f", {name}={rate:g}" for name, rate in rates.items() if rate)
        text = f"{self.kind}({self.units}{inside})"
        text = f"bidirectional({text})" if self.bidirectional else text
        return text if self.layers == 1 else f"{self.layers} * {text}"


def numbered(name: str, layer: int, part: Recurrent) -> str:
    """Return a layer's name: numbered from 1 in a stack, unchanged if there is only one."""
    return name if part.layers == 1 else f"{name}_{layer}"


class Attention(Frozen):
    """Attention of the decoder to the encoder's outputs.

    Attributes
    ----------
    kind
        The score: ``luong``, a product (Luong et al., 2015, https://arxiv.org/abs/1508.04025), or ``bahdanau``, a sum
        through a tanh (Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473).
    units
        The depth in which the decoder's outputs and the encoder's are compared; None for the decoder's units.
    scale
        Whether the products are scaled by a learned number.
    normalize
        Whether the weights of the sum are normalized (Salimans and Kingma, 2016, https://arxiv.org/abs/1602.07868).
    """

    kind: Literal["luong", "bahdanau"]
    units: int | None = Field(default=None, gt=0)
    scale: bool = False
    normalize: bool = False

    def __str__(self) -> str:
        given = [str(self.units)] if self.units else []
        given += [f"{name}=true" for name in ("scale", "normalize") if getattr(self, name)]
        return f"{self.kind}({', '.join(given)})" if given else self.kind


class Feeding(Frozen):
    """Scheduled sampling: while it is trained, the decoder reads ids drawn from its own scores at a rate that grows.

    Bengio et al., 2015, https://arxiv.org/abs/1506.03099.

    Attributes
    ----------
    rate
        The part of the ids at which it ends, above 0.
    schedule
        How the rate grows: as a straight line, as 1 - 0.01^(step / steps), or as 1 - k / (k + exp(step / k)); or not at
        all.
    steps
        Training steps until it is there: exactly on a straight line, and at 99 % on the curves.
    """

    rate: float = Field(gt=0, le=1)
    schedule: Literal["constant", "linear", "exponential", "inverse_sigmoid"] = "linear"
    steps: int = Field(default=1000, gt=0)

    @property
    def decay(self) -> float:
        """The number k of ``inverse_sigmoid``: with it, k / (k + exp(step / k)) is at 1 % after ``steps``."""
        low, high = 1e-9, float(self.steps)
        while high - low > 1e-6 * high:  # k ln(99 k) = steps, and the left side grows with k
            middle = (low + high) / 2
            low, high = (middle, high) if middle * log(max(99 * middle, 1)) < self.steps else (low, middle)
        return high


class Dropout(Frozen):
    """Rates at which numbers are zeroed in training, from 0 to less than 1.

    Attributes
    ----------
    embeddings
        Of what encoder and decoder read.
    outputs
        Of what the output layer reads.
    """

    embeddings: float = Field(default=0.0, ge=0, lt=1)
    outputs: float = Field(default=0.0, ge=0, lt=1)


class Tokenization(Frozen):
    """What an id represents, and what is done to a text before it is taken apart.

    Attributes
    ----------
    unit
        A character, a word (text between white space), or a subword (Kudo and Richardson, 2018,
        https://arxiv.org/abs/1808.06226).
    size
        Number of ids of subwords that are trained, the four special ones included.
    kind
        How subwords are trained: ``unigram`` (Kudo, 2018, https://arxiv.org/abs/1804.10959), sentencepiece's default,
        or ``bpe`` (Sennrich et al., 2016, https://arxiv.org/abs/1508.07909).
    file
        A trained model of subwords, in place of size and kind.
    lowercase
        Whether texts are lowercased.
    normalize
        The Unicode normalization form of texts; None leaves characters and words as they are, and subwords to the
        normalization that sentencepiece stores in a model (NFKC unless the model of a file has another).
    min_count
        How often a token must occur to have an id.
    max_size
        The most ids, the four special ones included.
    """

    unit: Literal["char", "word", "subword"]
    size: int | None = Field(default=None, gt=4)
    kind: Literal["unigram", "bpe"] = "unigram"
    file: str | None = None
    lowercase: bool = False
    normalize: Literal["nfc", "nfd", "nfkc", "nfkd"] | None = None
    min_count: int = Field(default=1, gt=0)
    max_size: int | None = Field(default=None, gt=4)

    def __str__(self) -> str:
        inside = [str(self.size)] if self.size else [json.dumps(self.file, ensure_ascii=False)] if self.file else []
        inside += ["kind=bpe"] if self.kind == "bpe" else []
        inside += ["lowercase=true"] if self.lowercase else []
        inside += [f"normalize={self.normalize}"] if self.normalize else []
        inside += [f"min_count={self.min_count}"] if self.min_count > 1 else []
        inside += [f"max_size={self.max_size}"] if self.max_size else []
        return f"{self.unit}({', '.join(inside)})" if inside else self.unit


class Named(Frozen):
    """A kind with arguments: ``adam(1e-3)`` is ``adam`` with ``learning_rate`` 0.001."""

    kind: str
    arguments: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(f'{name}={value}' for name, value in self.arguments.items())})"
