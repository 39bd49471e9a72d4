"""Learning rates of an optimizer: a number, or a schedule such as ``cosine(1e-3, steps=10000, warmup=500)``."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from s2s_magic.spec.literals import Check, Value, call, real, whole
from s2s_magic.spec.parts import Named
from s2s_magic.spec.reading import Faults

_rate = real(0, 1e6, closed=False)
_end = real(0, 1e6, closed=True)
_part = real(0, 1, closed=False)
_count = whole(1, 10_000_000)

SCHEDULES: Mapping[str, Mapping[str, Check]] = {
    "constant": {"rate": _rate, "warmup": _count},
    "linear": {"rate": _rate, "steps": _count, "warmup": _count, "end": _end},
    "cosine": {"rate": _rate, "steps": _count, "warmup": _count, "end": _end},
    "exponential": {"rate": _rate, "steps": _count, "factor": _part, "warmup": _count},
    "inverse_sqrt": {"rate": _rate, "warmup": _count},
    "noam": {"units": _count, "warmup": _count, "factor": _rate},
    "plateau": {"rate": _rate, "factor": _part, "patience": _count, "least": _end},
}
"""The kinds of schedules, with their settings in order."""
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "constant": ("rate", "warmup"),
    "linear": ("rate", "steps"),
    "cosine": ("rate", "steps"),
    "exponential": ("rate", "steps"),
    "inverse_sqrt": ("rate", "warmup"),
    "noam": ("units", "warmup"),
    "plateau": ("rate",),
}
_EXAMPLES: Mapping[str, str] = {
    "constant": "constant(1e-3, warmup=500)",
    "linear": "linear(1e-3, steps=10000)",
    "cosine": "cosine(1e-3, steps=10000)",
    "exponential": "exponential(1e-3, steps=1000)",
    "inverse_sqrt": "inverse_sqrt(1e-3, warmup=4000)",
    "noam": "noam(512, warmup=4000)",
    "plateau": "plateau(1e-3)",
}


def learning_rate(value: Value, faults: Faults) -> float | Named | None:
    """Read a number, or a schedule with its settings."""
    if not isinstance(value.tree, ast.Call | ast.Name):
        rate: float | None = _rate(value, faults)
        return rate
    found = call(value, faults, SCHEDULES, "a learning rate such as 1e-3 or cosine(1e-3, steps=10000)")
    if found is None:
        return None
    missing = [name for name in _NEEDED[found.kind] if name not in found.arguments]
    if missing:
        example = _EXAMPLES[found.kind]
        faults.add(value.place, f"{found.kind} needs {' and '.join(missing)}, as in {example}")
        return None
    end, rate = found.arguments.get("end"), found.arguments.get("rate")
    if end is not None and rate is not None and end >= rate:
        faults.add(value.place, f"{found.kind} ends at {end:g}: expected less than its rate, {rate:g}")
    return Named(kind=found.kind, arguments=found.arguments)
