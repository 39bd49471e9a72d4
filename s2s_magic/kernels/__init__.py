"""Recurrent layers and losses with forward and gradient written out."""
