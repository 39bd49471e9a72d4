"""From what a notebook holds to batches: looking up, reading, checking, tokens."""
