"""Keras 3 on TensorFlow: the functions that tracing needs; a fit also needs `randomness` and `arithmetic`."""

SUBJECTS = ("objects", "parameters", "symbolic", "hooks", "functions", "compiled", "optimizers", "state")
"""The modules whose functions `s2s_magic.backend` offers."""
