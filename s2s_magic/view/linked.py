"""What belongs together on a page: a step, its expression, its wires, its layer and the variables that it made or used.

Every part of a page that stands for something has its mark: ``s5`` the expression of step 5, ``b2`` a box and ``r2`` a
row of the third layer object, ``v0`` the row of a variable, ``w3`` a wire, ``m0`` an output of the model. Boxes and
rows of one object share what they light, under ``o2``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2s_magic.ledger import Ledger, Wire
from s2s_magic.ledger.words import abridged, bytes_text, counted, plural, shape_text, steps_text, with_article
from s2s_magic.view.escaping import in_a_line
from s2s_magic.view.report import OwnerRow, Report
from s2s_magic.view.rows import owner_key

if TYPE_CHECKING:
    from s2s_magic.view.wiring.diagram import Graph, Link


@dataclass(frozen=True)
class Thing:
    """Something that can be pointed at.

    Attributes
    ----------
    said
        What it is, in words; empty for a step, which its radio button tells.
    steps
        The steps to go to: one after the other if it is chosen again.
    lights
        The marks of all parts of the page that show it.
    """

    said: str
    steps: tuple[int, ...]
    lights: tuple[str, ...]


def layer_numbers(ledger: Ledger) -> dict[str, int]:
    """Return a number for each layer object of a ledger, by key, and after them for the owners that are none."""
    keys = [*ledger.layers, *map(owner_key, ledger.variables.values())]
    return {key: number for number, key in enumerate(dict.fromkeys(keys))}


def variable_numbers(ledger: Ledger) -> dict[str, int]:
    """Return a number for each variable of a ledger, by key."""
    return {key: number for number, key in enumerate(ledger.variables)}


def where(report: Report, steps: Sequence[int]) -> str:
    """Say in which steps and lines something is: ``steps 4 and 5 · lines 6 and 7``."""
    if not steps:
        return "no step"
    return f"{steps_text(steps)} · {_lines(report, steps)}"


def _lines(report: Report, steps: Sequence[int]) -> str:
    lines: dict[int, dict[int, None]] = defaultdict(dict)
    for step in steps:
        place = report.ledger.events[step]
        lines[place.cell][place.line] = None
    said = []
    for cell, numbers in lines.items():
        named = f"{plural('line', len(numbers))} {abridged([str(number) for number in numbers])}"
        said.append(f"cell {cell}, {named}" if len(report.cells) > 1 else named)
    return abridged(said)


def things_of(report: Report, graph: Graph | None) -> dict[str, Thing]:
    """Return what can be pointed at on the page of a report, by mark; ``graph`` is the wiring that it shows, if any."""
    found = _Found(report, graph)
    return dict(found.all())


class _Found:
    """The marks of one report, with the boxes that its wiring has."""

    def __init__(self, report: Report, graph: Graph | None) -> None:
        self.report, self.ledger = report, report.ledger
        self.layers, self.variables = layer_numbers(report.ledger), variable_numbers(report.ledger)
        self.links: Sequence[Link] = graph.links if graph else ()
        self.nodes = graph.nodes if graph else {}
        self.boxes = {key: node.mark.split()[0] for key, node in self.nodes.items()}
        for node in self.nodes.values():
            self.boxes |= {inner.key: inner.mark for inner in node.drawn} | dict.fromkeys(
                node.members, node.mark.split()[0]
            )

    def all(self) -> Iterator[tuple[str, Thing]]:
        wires: dict[int, list[str]] = defaultdict(list)
        for number, link in enumerate(self.links):
            for event, _ in link.tensors:
                wires[event].append(f"w{number}")
        events: dict[str, list[int]] = defaultdict(list)
        for step in self.report.steps:
            key = self.ledger.events[step.index].object
            events[key].append(step.index)
            yield f"s{step.index}", self._step(step.index, key, wires[step.index])
        sums = {line.row.key: line for line in self.report.tree()}
        for key in dict.fromkeys([*events, *self.report.owners]):
            owner = self.report.owners.get(key)
            if owner is None and key not in self.boxes:
                continue
            steps = sorted({*events[key], *(owner.steps if owner else ())})
            said = self._owner(owner, sums[key].params, sums[key].state) if owner else self._layer(key)
            own = owner.variables if owner else ()
            if steps:
                said = f"{said}: {where(self.report, steps)}"
            yield (
                f"o{self.layers[key]}",
                Thing(in_a_line(said), tuple(steps), self._marks([key], steps, own, rows=bool(owner))),
            )
        for key in self.report.variables:
            yield f"v{self.variables[key]}", self._variable(key)
        for number, link in enumerate(self.links):
            if link.born <= self.report.after:
                yield f"w{number}", self._wire(number, link)
        for key, node in self.nodes.items():
            if node.kind == "output" and node.born <= self.report.after:
                into = [f"w{number}" for number, link in enumerate(self.links) if link.target == key]
                said = f"{node.label}, an output of the model: {where(self.report, node.events)}"
                yield node.mark, Thing(in_a_line(said), node.events, (node.mark, *into, f"s{node.born}"))

    def _step(self, step: int, key: str, wires: list[str]) -> Thing:
        shown = self.report.steps[step]
        variables = (*shown.created, *shown.reused)
        owners = [self.report.variables[each].owner for each in variables if each in self.report.variables]
        outputs = [node.mark for node in self.nodes.values() if node.kind == "output" and node.born == step]
        marks = self._marks([key], [step], variables)
        boxes = [box for owner in owners if (box := self._box(owner))]
        return Thing("", (step,), tuple(dict.fromkeys([*marks, *boxes, *wires, *outputs])))

    def _variable(self, key: str) -> Thing:
        row = self.report.variables[key]
        steps = sorted({*row.steps, *([row.born] if row.born >= 0 else [])})
        begins = f", begins as {row.initializer}" if row.initializer else ""
        said = (
            f"{row.full_name} {row.shape}, {row.keras_name}: {counted(row.params, 'parameter')}, "
            f"{bytes_text(row.bytes)}, {row.state}{begins}; its owner is {row.owner_name}"
        )
        if steps:
            said += f": {where(self.report, steps)}"
        return Thing(in_a_line(said), tuple(steps), self._marks([row.owner], steps, [key], rows=False))

    def _wire(self, number: int, link: Link) -> Thing:
        tensors = [(event, tensor) for event, tensor in link.tensors if event <= self.report.after]
        made = sorted({t.from_event for _, t in tensors if isinstance(t, Wire) and t.from_event is not None})
        used = sorted({event for event, _ in tensors})
        kinds = dict.fromkeys(f"{t.name or 'unnamed'} {shape_text(t.shape, '(unknown)')} {t.dtype}" for _, t in tensors)
        maker = f"made in {where(self.report, made)}, " if made else ""
        said = f"{abridged(list(kinds))}: a wire, {maker}used in {where(self.report, used)}"
        ends = [self.nodes[link.source], self.nodes[link.target]]
        rows = [f"r{self.layers[end.key]}" for end in ends if end.key in self.report.owners]
        marks = (f"w{number}", *(end.mark.split()[0] for end in ends), *rows, *(f"s{step}" for step in (*made, *used)))
        return Thing(in_a_line(said), tuple(used), tuple(dict.fromkeys(marks)))

    def _owner(self, owner: OwnerRow, params: int, state: str) -> str:
        own = sum(self.report.variables[key].params for key in owner.variables)
        owned = f"owns {counted(len(owner.variables), 'variable')}, {counted(own, 'parameter')}" if own else ""
        held = f"holds {params - own:,} {'more' if own else 'parameters'}" if params > own else ""
        said = ", ".join(filter(None, [owned, held, state]))
        return f"{owner.name}, {with_article(owner.class_name)}, {said}"

    def _layer(self, key: str) -> str:
        layer = self.ledger.layers[key]
        return f"{layer.name}, {with_article(layer.class_name)}, owns no variables"

    def _box(self, key: str | None) -> str | None:
        """Return the mark of an object's box, or of the nearest box that it is in."""
        seen = set()
        while key is not None and key not in self.boxes and key not in seen:
            seen.add(key)
            layer = self.ledger.layers.get(key)
            key = layer.parent if layer else None
        return self.boxes.get(key) if key is not None else None

    def _marks(
        self, keys: Iterable[str], steps: Iterable[int], variables: Iterable[str], *, rows: bool = True
    ) -> tuple[str, ...]:
        marks = [f"s{step}" for step in steps]
        for key in keys:
            marks += [f"r{self.layers[key]}"] if rows and key in self.report.owners else []
            marks += [box] if (box := self._box(key)) else []
        return tuple(dict.fromkeys([*marks, *(f"v{self.variables[key]}" for key in variables)]))
