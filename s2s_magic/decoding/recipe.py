"""The plan of a decoding (its code, inputs and outputs) and the decoding model made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from s2s_magic.decoding.search import Steps
from s2s_magic.decoding.settings import SearchSettings
from s2s_magic.handle import Seq2Seq


class TellsWeights(Protocol):
    """Tells what each attention looks at; ``names`` are the names of the layers."""

    names: Sequence[str]

    def weights(self, sources: Any, fed: Any) -> list[Any]:
        """Return the weights of each attention, (rows, steps, positions), for sources and the ids that are fed.

        The ids are a matrix, of shape (rows, steps).
        """


@dataclass(frozen=True)
class Way:
    """How a model is decoded.

    Attributes
    ----------
    code
        ``(longest, end) -> code``: from the most ids in a row and the id that ends one to Python code in the user's
        names. The code creates the decoding models, which shows whose weights they use, and creates no variable.
    source
        The encoder's input, a symbolic tensor.
    takes
        What the decoding model is called with: sources and start ids, or sources only.
    entry
        The code's name for the model that returns ids, or ids and the length of each row; empty for a pair.
    steps
        From the names that the code made to the decoder's steps; None if it cannot run step by step.
    attending
        From the names that the code made to what tells the weights of attention; None if the training model tells them.
    words
        The layer whose vocabulary the decoded ids belong to, if the model reads text itself.
    end
        The id that ends a row, if the user's own code sets it; else None.
    classes
        The number of symbols that it has scores for; None for that of the model's first output.
    longest
        The most ids in a row, if the user's own code sets it; else None.
    note
        A note for the reader on how the model is decoded; may be empty.
    stopped
        From an operation's error to what stopped the model, in words, where it runs layers of the user's own; None
        where such an error is a bug.
    """

    code: Callable[[int, int | None], str]
    source: Any
    takes: Literal["sources and starts", "sources"] = "sources and starts"
    entry: str = ""
    steps: Callable[[Mapping[str, Any]], Steps] | None = None
    attending: Callable[[Mapping[str, Any]], TellsWeights] | None = None
    words: Any = None
    end: int | None = None
    classes: int | None = None
    longest: int | None = None
    note: str = ""
    stopped: Callable[[Exception], str] | None = None


@dataclass(eq=False, repr=False)
class DecodingModel(Seq2Seq):
    """The decoding model; its ledger shows that it owns no variables of its own.

    Attributes
    ----------
    trained
        The Keras model whose layers it runs.
    way
        How it is decoded.
    runs
        What was compiled so far, by the settings of the search and the end id; from a batch of sources and start ids.
    notes
        Notes for the reader on how the rows were decoded.
    """

    trained: Any = None
    way: Way | None = None
    runs: dict[tuple[SearchSettings, int | None], Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
