"""Recurrent layers and losses with forward and gradient written out."""

from s2s_magic.kernels.greedy import greedy
from s2s_magic.kernels.gru import gru
from s2s_magic.kernels.loss import projected_cross_entropy
from s2s_magic.kernels.lstm import lstm

__all__ = ["greedy", "gru", "lstm", "projected_cross_entropy"]
