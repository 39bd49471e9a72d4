"""The ledger: plain data, no Keras. Everything else feeds it or shows it."""

from s2s_magic.ledger.calls import Called, Constructed, Event, Part, Stop, Tensor, Wire
from s2s_magic.ledger.document import SCHEMA, LedgerFormatError
from s2s_magic.ledger.evidence import CallShare, Effect, Evidence, Run, VariableEvidence, Verdict
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import Cell, Ending, Finding, Layer, Mixture, Place, Totals, Variable, lines_of
from s2s_magic.ledger.roles import Link, ModelRecord, Role

__all__ = [
    "SCHEMA",
    "CallShare",
    "Called",
    "Cell",
    "Constructed",
    "Effect",
    "Ending",
    "Event",
    "Evidence",
    "Finding",
    "Layer",
    "Ledger",
    "LedgerFormatError",
    "Link",
    "Mixture",
    "ModelRecord",
    "Part",
    "Place",
    "Role",
    "Run",
    "Stop",
    "Tensor",
    "Totals",
    "Variable",
    "VariableEvidence",
    "Verdict",
    "Wire",
    "lines_of",
]
