"""Running code under capture: the ledger of every construction and call, and of who owns which variable."""

from __future__ import annotations

from s2s_magic.trace.live import Live, Traced
from s2s_magic.trace.running import run
from s2s_magic.trace.state import refresh

__all__ = ["Live", "Traced", "refresh", "run"]
