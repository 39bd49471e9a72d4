"""What is known of a way to decode: its code, and what goes in and comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from s2s_magic.handle import Seq2Seq


@dataclass(frozen=True)
class Way:
    """How a model is decoded.

    Attributes
    ----------
    code
        Python code in the user's names; it makes what decodes, and creates no variable.
    entry
        What the code calls that: a model, or a function of sources and start ids.
    takes
        What ``entry`` is called with: sources and the ids that rows start with, or sources alone.
    gives
        What comes back: the rows of ids, or these and the number of ids in each.
    source
        The encoder's input, a symbolic tensor.
    words
        The layer whose vocabulary the decoded ids are of, where the model reads text itself.
    end
        The id that ends a row by the code itself, where it is the user's; else that of the whole decoding.
    longest
        Most ids a row by the user's own code; None where that is free.
    note
        What a reader is to know of it; empty for nothing.
    """

    code: str
    entry: str
    takes: Literal["sources and starts", "sources"]
    gives: Literal["ids", "ids and lengths"]
    source: Any
    words: Any = None
    end: int | None = None
    longest: int | None = None
    note: str = ""


@dataclass(eq=False, repr=False)
class DecodingModel(Seq2Seq):
    """The decoding model: its ledger shows that it owns nothing of its own.

    Attributes
    ----------
    way
        The way it decodes.
    trained
        The Keras model whose layers it runs.
    run
        From a batch of sources and ids to start with to rows of ids, and the number of ids in each or None.
    notes
        What a reader is to know of how rows came about.
    """

    way: Way | None = None
    trained: Any = None
    run: Any = None
    notes: tuple[str, ...] = ()
