"""Explaining one tensor, layer or variable of a model, or one of its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from s2s_magic import backend
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.ledger.explain import Explanation
    from s2s_magic.told import ToldDecoding


@overload
def explain(model: Seq2Seq, what: str, *, which: str | None = None) -> Explanation: ...
@overload
def explain(
    model: Seq2Seq, *, decode: Any, instead: Any = None, likely: int = 5, which: str | None = None, **search: Any
) -> ToldDecoding: ...
def explain(
    model: Seq2Seq,
    what: str | None = None,
    *,
    decode: Any = None,
    instead: Any = None,
    likely: int = 5,
    which: str | None = None,
    **search: Any,
) -> Explanation | ToldDecoding:
    """Explain one tensor, layer or variable (who owns what, and whether it is trained), or how an output is said.

    Parameters
    ----------
    model
        The result of `build` or `trace`.
    what
        A name from the cell (``encoder_embeddings``, ``decoder_cell``, ``decoder_cell.kernel``).
    decode
        Instead of ``what``, a source: a text, or a sequence of ids. Each step of its output is told with the
        probabilities of the most probable tokens, a beam as a tree, and what attention looked at.
    instead
        Another source, which is told side by side with the first.
    likely
        How many of the most probable tokens of each step are told.
    which
        The name of the Keras model whose training to explain, or to decode with, where the code made several.
    **search
        As for `decode`, without samples. With a ``prefix``, the output without it is told side by side.

    Raises
    ------
    LookupFailed
        When there is no such name.
    DecodeError
        When the model cannot be decoded step by step, or a source or an option does not fit it.
    """
    with Changes() as changes, changes, changes:
        if decode is not None:
            from s2s_magic.decoding.telling import tell
            from s2s_magic.told import ToldDecoding

            changes.enter(model.chosen(which))
            asked = [(decode, {**search, "prefix": None})] if instead is not None or search.get("prefix") else []
            asked.append((decode if instead is None else instead, search))
            return ToldDecoding(tuple(tell(model, source, likely=likely, **options) for source, options in asked))
        if what is None:
            raise TypeError("explain() needs the name of a tensor, layer or variable, or a source to decode")
        from s2s_magic.ledger.explain import explain as explain_ledger

        model.refresh()  # a layer may have been frozen since
        changes.enter(model.chosen(which))
        return explain_ledger(model.ledger, what, norms=_norms(model))


def _norms(model: Seq2Seq) -> dict[str, float]:
    import numpy as np

    return {
        key: float(np.linalg.norm(np.asarray(variable.numpy(), dtype=np.float64)))
        for key, variable in model.live.variables.items()
        if backend.floats(variable)
    }
