"""The document of a saved model: plain data with a closed schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from s2s_magic.data.tokens import Form, Unit
from s2s_magic.spec import Tokenization
from s2s_magic.training.standing import Standing

SCHEMA = "s2s_magic.kept/1"
DOCUMENT, TENSORS = "model.json", "tensors.safetensors"
"""The files of a saved model."""

Side = Literal["source", "target"]
Crossentropy = Literal["SparseCategoricalCrossentropy", "CategoricalCrossentropy"]
Id = Annotated[int, Field(ge=0, lt=2**31)]
Word = Annotated[str, Field(pattern=r"^\w{1,100}$")]
"""The name of a loss or a metric of Keras."""
Plain = bool | int | float | str | None


class Closed(BaseModel):
    """Base of all records of the document: immutable, without conversions, and without unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Plan(Closed):
    """The spec of a built model: its text, what its decoder is written with, and the sizes of its vocabularies."""

    text: str
    code: Literal["tfa", "keras"]
    vocab: dict[Side, int]


class Ids(Closed):
    """The fields of `s2s_magic.handle.SpecialIds`."""

    start: Id | None
    end: Id | None
    padding: Id | None
    unknown: Id | None
    begins: list[int | str | None]
    tokens: dict[Side, Tokenization]
    added: bool


class Vocabulary(Closed):
    """The fields of a `s2s_magic.data.tokens.Tokenizer`."""

    unit: Unit
    tokens: list[str]
    lowercase: bool
    form: Form | None


class Pieces(Closed):
    """The fields of a `s2s_magic.data.subwords.Subwords`; ``model`` in base64."""

    unit: Literal["subword"]
    model: str
    lowercase: bool
    form: Form | None


class Schedule(Closed):
    """A learning rate that changes with the steps: a schedule of Keras or of fits, by the name of its class."""

    schedule: str
    settings: dict[str, Plain | list[int | float] | Schedule]


class OptimizerRecord(Closed):
    """An optimizer: its class and settings, and the names of its variables.

    Attributes
    ----------
    kind
        The name of a class of ``keras.optimizers``; with its module for any other class.
    settings
        Its settings other than None; None as a whole if they are not plain data.
    state
        The names of its variables; empty before its first step.
    """

    kind: str
    settings: dict[str, Plain | Schedule] | None
    state: list[str]


class Named(Closed):
    """A loss or a metric that is told by its name alone: a function, or an object with settings of its own."""

    named: str


class FromScores(Closed):
    """A cross-entropy of Keras, by the name of its class."""

    crossentropy: Crossentropy
    from_logits: bool


class Masked(Closed):
    """A metric of a fit, by its name, that leaves out the padding."""

    metric: Word
    padding: Id


class Compiled(Closed):
    """What a model was compiled with, as far as a fit can change it; ``loss`` is None if there was none."""

    optimizer: OptimizerRecord
    loss: Word | FromScores | Named | None
    metrics: list[Word | Masked | Named] | None
    weighted_metrics: list[Word | Masked | Named] | None


class Versions(Closed):
    """The versions that a model was saved with; ``keras`` is that of TensorFlow's Keras."""

    python: str
    tensorflow: str
    keras: str
    s2s_magic: str


class Checked(Closed):
    """The size in bytes of the file of tensors, and its checksum."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Document(Closed):
    """All that a saved model is, besides its tensors.

    Attributes
    ----------
    name
        The name that the model was bound to.
    plan
        Its spec; None for a traced model.
    source
        The code that ran.
    ids, tokenizers
        As in the handle.
    vocabularies
        The vocabulary of each layer that turns text into ids, by its name.
    computes
        The dtype that each layer with variables computes in, by its name.
    ledger
        The document of its ledger, evidence included.
    longest
        The length of the longest target of its fits.
    creations
        The variables whose starting value is that of their creation, by name.
    unmoved
        The variables that still have their starting value, by name.
    compiled
        By the model's name in the ledger.
    fit
        Where its fit stands, for a checkpoint.
    """

    name: str
    plan: Plan | None
    source: str
    ids: Ids
    tokenizers: dict[Side, Vocabulary | Pieces]
    vocabularies: dict[str, list[str]]
    computes: dict[str, str]
    ledger: dict[str, Any]
    longest: Id | None
    creations: list[str]
    unmoved: list[str]
    compiled: dict[str, Compiled]
    fit: Standing | None = None
    versions: Versions
    tensors: Checked


Shapes = Mapping[str, tuple[tuple[int, ...], str]]
"""Shapes and dtypes of tensors, by name."""
