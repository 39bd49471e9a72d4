"""From a fitted model to output sequences."""
