"""s2s_magic: see which layers of a sequence-to-sequence model own the weights, and whether they are being trained."""

__version__ = "0.1.0"
