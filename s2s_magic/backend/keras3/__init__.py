"""Keras 3 on TensorFlow."""

SUBJECTS = (
    *("objects", "parameters", "symbolic", "hooks", "functions"),
    *("compiled", "optimizers", "state", "arithmetic", "rnn"),
)
"""The modules whose functions `s2s_magic.backend` offers."""
