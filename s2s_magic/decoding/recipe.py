"""What is known of a way to decode: its code, and what goes in and comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from s2s_magic.decoding.loop import Loop
from s2s_magic.handle import Seq2Seq


@dataclass(frozen=True)
class Way:
    """How a model is decoded.

    Attributes
    ----------
    code
        From the most ids of a row and the id that ends one to Python code in the user's names, which shows whose
        weights decode: it makes the models that do, and creates no variable.
    source
        The encoder's input, a symbolic tensor.
    takes
        What decodes is called with: sources and the ids that rows start with, or sources alone.
    entry
        What the code calls the model that gives ids, or ids and the number of them in each row; empty for a pair.
    loop, pair
        For a pair of an encoder and a decoder's step how they are called, and the two models where the user wrote them;
        else the code makes them.
    words
        The layer whose vocabulary the decoded ids are of, where the model reads text itself.
    end
        The id that ends a row by the user's own code; None where that is free.
    longest
        Most ids a row by the user's own code; None where that is free.
    note
        What a reader is to know of it; empty for nothing.
    """

    code: Callable[[int, int | None], str]
    source: Any
    takes: Literal["sources and starts", "sources"] = "sources and starts"
    entry: str = ""
    loop: Loop | None = None
    pair: tuple[Any, Any] | None = None
    words: Any = None
    end: int | None = None
    longest: int | None = None
    note: str = ""


@dataclass(eq=False, repr=False)
class DecodingModel(Seq2Seq):
    """The decoding model: its ledger shows that it owns nothing of its own.

    Attributes
    ----------
    trained
        The Keras model whose layers it runs.
    run
        From a batch of sources and ids to start with to rows of ids, and the number of ids in each.
    notes
        What a reader is to know of how rows came about.
    """

    trained: Any = None
    run: Any = None
    notes: tuple[str, ...] = ()
