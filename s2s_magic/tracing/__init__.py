"""Run code under capture: the resulting ledger records every construction and call, and who owns which variable."""

from __future__ import annotations

from s2s_magic.tracing.advice import advised
from s2s_magic.tracing.live import Live, Traced
from s2s_magic.tracing.refreshing import refresh, started
from s2s_magic.tracing.running import Tracing, run

__all__ = ["Live", "Traced", "Tracing", "advised", "refresh", "run", "started"]
