"""Keras 2 in TensorFlow 2.13 to 2.15, and `tf_keras`."""

SUBJECTS = (
    *("objects", "parameters", "symbolic", "hooks", "functions"),
    *("compiled", "optimizers", "state", "arithmetic", "rnn"),
)
"""The modules whose functions `s2s_magic.backend` offers."""
