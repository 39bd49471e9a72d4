"""s2s_magic: see which layers of a sequence-to-sequence model own the weights, and whether they are being trained.

In a notebook: ``%load_ext s2s_magic``, then ``%%seq2seq build NAME`` or ``%%seq2seq trace NAME``; see
``%seq2seq?`` for the rest. In Python: `build`, `trace`, `fit`, `decode`, `score`, `explain`, `compare`,
`diff`, `quiz`, `save`, `load`, `export`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.acceleration import accelerate
    from s2s_magic.api import build, compare, decode, explain, fit, trace
    from s2s_magic.errors import Seq2SeqError
    from s2s_magic.exports import export
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.ledger import Ledger
    from s2s_magic.saving import load, save, saved_code
    from s2s_magic.scoring import score
    from s2s_magic.teaching import diff, quiz

__version__ = "0.1.0"

# public name -> its module, loaded on first access so that importing the package is cheap
_HOMES = {
    **dict.fromkeys(("build", "compare", "decode", "explain", "fit", "trace"), "s2s_magic.api"),
    **dict.fromkeys(("load", "save", "saved_code"), "s2s_magic.saving"),
    **dict.fromkeys(("diff", "quiz"), "s2s_magic.teaching"),
    "accelerate": "s2s_magic.acceleration",
    "export": "s2s_magic.exports",
    "score": "s2s_magic.scoring",
    "Ledger": "s2s_magic.ledger",
    "Seq2Seq": "s2s_magic.handle",
    "Seq2SeqError": "s2s_magic.errors",
}

__all__ = [
    "Ledger",
    "Seq2Seq",
    "Seq2SeqError",
    "accelerate",
    "build",
    "compare",
    "decode",
    "diff",
    "explain",
    "export",
    "fit",
    "load",
    "quiz",
    "save",
    "saved_code",
    "score",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def load_ipython_extension(shell: Any) -> None:
    """Register the magics and the completer; IPython calls this for ``%load_ext s2s_magic``."""
    from s2s_magic.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Remove everything that loading registered; ``%config`` settings are kept for the next load."""
    from s2s_magic.magics import unload

    unload(shell)
