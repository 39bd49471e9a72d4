"""Fitting with evidence: data, batches, the watched training step, progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.spec import FitPlan
    from s2s_magic.training.progress import Show


def fit(
    seq2seq: Seq2Seq,
    plan: FitPlan,
    namespace: Mapping[str, Any],
    *,
    progress: Show,
    watch: Callable[[Seq2Seq], None] | None = None,
) -> None:
    """Train a model; see `s2s_magic.training.fitting.fit`, which is imported, with TensorFlow, at the first call."""
    from s2s_magic.training import fitting

    fitting.fit(seq2seq, plan, namespace, progress=progress, watch=watch)


__all__ = ["fit"]
