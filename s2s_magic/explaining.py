"""Explaining one tensor, layer or variable of a model, or one of its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from s2s_magic import backend
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.followed import Followed
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.ledger.explain import Explanation
    from s2s_magic.told import ToldDecoding


@overload
def explain(model: Seq2Seq, what: str, *, which: str | None = None) -> Explanation: ...
@overload
def explain(model: Seq2Seq, *, follow: Any, target: Any = None, which: str | None = None) -> Followed: ...
@overload
def explain(
    model: Seq2Seq,
    *,
    decode: Any,
    instead: Any = None,
    likely: int = 5,
    among: tuple[Any, Any] | None = None,
    nearest: int | None = None,
    which: str | None = None,
    **search: Any,
) -> ToldDecoding: ...
def explain(
    model: Seq2Seq,
    what: str | None = None,
    *,
    decode: Any = None,
    instead: Any = None,
    likely: int = 5,
    among: tuple[Any, Any] | None = None,
    nearest: int | None = None,
    follow: Any = None,
    target: Any = None,
    which: str | None = None,
    **search: Any,
) -> Explanation | ToldDecoding | Followed:
    """Explain one tensor, layer or variable (who owns what, and whether it is trained), or one example.

    An example is explained by how its output is said (``decode``), or by what flows over the wires (``follow``).

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
    among
        Training pairs, as sources and targets. Of each step, those are told in which the decoder, fed with the target,
        is in a state nearest to its state at that step (Strobelt et al., 2018, https://arxiv.org/abs/1804.09299), by
        cosine distance. At most the first 2,000 pairs are looked at.
    nearest
        How many of these pairs are told of each step; 3 unless given.
    follow
        Instead of ``what``, a source: a text, a sequence of ids, or an array. What it puts on each wire of the training
        model is shown: shapes, first values, norms, and the norms of the loss's gradient on its way back.
    target
        What that example should become; what the model says, unless given.
    which
        The name of the Keras model whose training to explain, or to decode with, where the code made several.
    **search
        As for `decode`, without samples. With a ``prefix``, the output without it is told side by side.

    Raises
    ------
    LookupFailed
        When there is no such name.
    DataError, FitError
        When the followed example does not fit the model, or there are no wires to follow it on.
    DecodeError
        When the model cannot be decoded step by step, or a source or an option does not fit it.

    Examples
    --------
    >>> model = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), max_length: 5}")
    >>> s2s_magic.explain(model, "encoder_embeddings").sentences[0]
    'encoder_embeddings is a tensor of shape (None, None, 2), float32: a wire. It holds no weights.'
    """
    with Changes() as changes, changes, changes:
        if decode is not None:
            from s2s_magic.decoding.telling import tell
            from s2s_magic.told import ToldDecoding

            changes.enter(model.chosen(which))
            backend.keep_as_it_runs(changes, model.model)
            asked = [(decode, {**search, "prefix": None})] if instead is not None or search.get("prefix") else []
            asked.append((decode if instead is None else instead, search))
            given: dict[str, Any] = {"likely": likely, "among": among, "nearest": nearest}
            return ToldDecoding(tuple(tell(model, source, **given, **options) for source, options in asked))
        if follow is not None:
            changes.enter(model.chosen(which))
            return _followed(model, follow, target)
        if what is None:
            raise TypeError("explain() needs the name of a tensor, layer or variable, or a source to decode")
        from s2s_magic.ledger.explain import explain as explain_ledger

        model.refresh()  # a layer may have been frozen since
        changes.enter(model.chosen(which))
        return explain_ledger(model.ledger, what, norms=_norms(model))


def _followed(model: Seq2Seq, source: Any, target: Any) -> Followed:
    from s2s_magic.spec import parse_fit
    from s2s_magic.training.following import follow

    plan = parse_fit("source: source\ntarget: target\nshuffle: false\n")
    if target is not None:
        return follow(model, plan, source, target)
    from s2s_magic.decoding import decode

    said = decode(model, [source])
    return follow(
        model, plan, source, said[0], "the target is what the model says: give another to see what it would learn"
    )


def _norms(model: Seq2Seq) -> dict[str, float]:
    import numpy as np

    return {
        key: float(np.linalg.norm(np.asarray(variable.numpy(), dtype=np.float64)))
        for key, variable in model.live.variables.items()
        if backend.floats(variable)
    }
