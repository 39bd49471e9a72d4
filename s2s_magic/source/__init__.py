"""Generate Keras source text from a plan."""

from s2s_magic.source.dialect import Dialect
from s2s_magic.source.generate import generate

__all__ = ["Dialect", "generate"]
