"""A plan to Keras source text."""
