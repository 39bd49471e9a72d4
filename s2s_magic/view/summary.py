"""A report in one line, for a reader who sees a model's page for the first time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set

from s2s_magic.ledger import Called, Ledger
from s2s_magic.ledger.wires import events_behind
from s2s_magic.ledger.words import abridged, counted
from s2s_magic.view.report import Report

OUTCOMES = 3
"""So many different outcomes of variables are told apart."""
NAMED = 2
"""So many variables with one outcome are named, and owners that several calls share."""


def summary(report: Report) -> str:
    """Say how many variables and owners there are, what is trained of them, and which owners several calls share.

    What is trained is told by the verdicts of fits, where the report is of the last step; else by the switches.
    """
    variables = report.variables.values()
    if not variables:
        return "no variables yet" if report.after < len(report.ledger.events) - 1 else "no variables"
    owners = dict.fromkeys(row.owner for row in variables)
    parts = [f"{counted(len(variables), 'variable')} in {counted(len(owners), 'owner')}", outcomes(report)]
    return "; ".join([*parts, *_shared(report)])


def outcomes(report: Report) -> str:
    """Say what is trained of a report's variables, of which there is at least one."""
    evidence = report.ledger.training if report.after == len(report.ledger.events) - 1 else None
    same: dict[str, list[str]] = defaultdict(list)
    for key, row in report.variables.items():
        seen = None if evidence is None else evidence.variables.get(key)
        # a variable that no fit had to train is told by its switch
        same[row.state if seen is None or seen.verdict in ("not measured", "frozen") else seen.verdict].append(key)
    most = sorted(same.items(), key=lambda item: -len(item[1]))
    if len(most) == 1:
        return f"{'all ' if len(report.variables) > 1 else ''}{most[0][0]}"
    parts = [f"{len(keys):,} {outcome}{_few(report, keys)}" for outcome, keys in most[:OUTCOMES]]
    rest = sum(len(keys) for _, keys in most[OUTCOMES:])
    return ", ".join([*parts, *([f"{rest:,} others"] if rest else [])])


def _few(report: Report, keys: list[str]) -> str:
    """Name a few variables in brackets; many go unnamed."""
    return f" ({' and '.join(report.variables[key].full_name for key in keys)})" if len(keys) <= NAMED else ""


def _shared(report: Report) -> Iterator[str]:
    """Yield what says which owners' variables several calls on the wires use; calls with data do not count."""
    calls: dict[str, set[int]] = defaultdict(set)
    names = {}
    for row in report.variables.values():
        calls[row.owner] |= {step for step in row.steps if _in_graph(report.ledger, step)}
        names[row.owner] = row.owner_name
    inside = {
        model.object: {event.index for event in events_behind(report.ledger, model.outputs, lambda event: event.inputs)}
        for model in report.ledger.models
        if any(call.in_graph for call in report.ledger.calls.get(model.object, ()))
    }
    counts = {owner: _uses(report.ledger, steps, inside) for owner, steps in calls.items()}
    shared = [f"{names[owner]} shared by {count} calls" for owner, count in counts.items() if count > 1]
    if shared:
        yield abridged(shared, most=NAMED)


def _in_graph(ledger: Ledger, step: int) -> bool:
    event = ledger.events[step]
    return isinstance(event, Called) and event.in_graph


def _uses(ledger: Ledger, steps: Set[int], inside: Mapping[str, Set[int]]) -> int:
    """Count how often calls use the same variables; a call of a model stands for the calls on the model's own wires.

    ``inside`` has the events on the wires of each model that is itself called.
    """

    def count(among: Set[int]) -> int:
        return sum(max(1, count(steps & inside.get(ledger.events[step].object, frozenset()))) for step in among)

    return count(steps - frozenset().union(*inside.values()))
