"""Decoding: the trained layers, run step by step on what they say themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.seq2seq import Seq2Seq


def decode(seq2seq: Seq2Seq, sources: Any, *, max_length: int | None = None) -> list[Any]:
    """Decode greedily; see `s2s_magic.decoding.greedy.decode`, which is loaded with TensorFlow when it is called first."""
    from s2s_magic.decoding import greedy

    return greedy.decode(seq2seq, sources, max_length=max_length)


__all__ = ["decode"]
