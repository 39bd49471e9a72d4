"""YAML text to a validated plan, with the line and column of every fault."""

from s2s_magic.spec.checks import same_states, states_handed_on
from s2s_magic.spec.fit import FIT_KEYS, LOSSES, METRICS, OPTIMIZERS, parse_fit
from s2s_magic.spec.fit_plan import FitPlan
from s2s_magic.spec.keys import Key
from s2s_magic.spec.model import SPEC_KEYS, parse_spec
from s2s_magic.spec.part_readers import CELLS
from s2s_magic.spec.parts import Feeding, Named, Recurrent, Tokenization, numbered
from s2s_magic.spec.plans import Sides, Spec

__all__ = [
    "CELLS",
    "FIT_KEYS",
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "SPEC_KEYS",
    "Feeding",
    "FitPlan",
    "Key",
    "Named",
    "Recurrent",
    "Sides",
    "Spec",
    "Tokenization",
    "numbered",
    "parse_fit",
    "parse_spec",
    "same_states",
    "states_handed_on",
]
