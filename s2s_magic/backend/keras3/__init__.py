"""Keras 3 on TensorFlow: what tracing asks for; a fit needs `randomness` and `arithmetic` as well."""

SUBJECTS = ("objects", "parameters", "symbolic", "hooks", "functions", "compiled", "optimizers", "state")
"""The modules whose functions are to be had from `s2s_magic.backend`."""
