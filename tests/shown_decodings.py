"""Outputs as `decode` returns them, made by hand."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from s2s_magic.decoded import Decodings, Hypothesis, beside_sources


def shown(model: Any, sources: Any, outputs: Sequence[Any]) -> Any:
    """Return the display of outputs beside their sources."""
    found = [[Hypothesis(output, ())] for output in outputs]
    return Decodings(found, partial(beside_sources, model, sources), lambda ids: []).display()
