"""Scores of outputs beside their references: metrics, intervals and differences, in plain Python and NumPy."""
