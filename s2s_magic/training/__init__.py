"""Fitting with evidence: data, batches, the watched training step, progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.spec import FitPlan
    from s2s_magic.training.between_steps import Save
    from s2s_magic.training.progress import Show
    from s2s_magic.training.snapshots import Snapshot


def fit(
    seq2seq: Seq2Seq,
    plan: FitPlan,
    namespace: Mapping[str, Any],
    *,
    progress: Show,
    watch: Callable[[Seq2Seq], None] | None = None,
    save: Save | None = None,
    begin: Snapshot | None = None,
) -> None:
    """Train a model; see `s2s_magic.training.fitting.fit`, which is imported, with TensorFlow, at the first call."""
    from s2s_magic.training import fitting

    fitting.fit(seq2seq, plan, namespace, progress=progress, watch=watch, save=save, begin=begin)


__all__ = ["fit"]
