"""A plan to Keras source text."""

from s2s_magic.source.generate import generate

__all__ = ["generate"]
