"""YAML text to a validated plan, with the line and column of every fault."""

from s2s_magic.spec.checks import same_states, states_handed_on
from s2s_magic.spec.fit import FIT_KEYS, LOSSES, METRICS, OPTIMIZERS, parse_fit
from s2s_magic.spec.fit_plan import FitPlan
from s2s_magic.spec.keys import Key
from s2s_magic.spec.model import SPEC_KEYS, parse_spec
from s2s_magic.spec.part_readers import CELLS
from s2s_magic.spec.parts import Feeding, Named, Recurrent, Tokenization, numbered
from s2s_magic.spec.plans import Sides, Spec
from s2s_magic.spec.score import SCORE_KEYS, ScorePlan, parse_score

BODY_KEYS = {"build": SPEC_KEYS, "fit": FIT_KEYS, "score": SCORE_KEYS}
"""The keys of a cell's body, by the magic's verb."""

__all__ = [
    "BODY_KEYS",
    "CELLS",
    "FIT_KEYS",
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "SCORE_KEYS",
    "SPEC_KEYS",
    "Feeding",
    "FitPlan",
    "Key",
    "Named",
    "Recurrent",
    "ScorePlan",
    "Sides",
    "Spec",
    "Tokenization",
    "numbered",
    "parse_fit",
    "parse_score",
    "parse_spec",
    "same_states",
    "states_handed_on",
]
