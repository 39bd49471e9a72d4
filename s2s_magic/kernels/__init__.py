"""Recurrent layers, attention and losses with hand-written forward and backward passes."""

from s2s_magic.kernels.additive_scores import additive_scores
from s2s_magic.kernels.driver import one_step, run
from s2s_magic.kernels.gru import GruCell, ResetBeforeGruCell, gru
from s2s_magic.kernels.loss import projected_cross_entropy
from s2s_magic.kernels.lstm import LstmCell, lstm

__all__ = [
    "GruCell",
    "LstmCell",
    "ResetBeforeGruCell",
    "additive_scores",
    "gru",
    "lstm",
    "one_step",
    "projected_cross_entropy",
    "run",
]
