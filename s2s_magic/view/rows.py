"""The rows of a report: variables and the layer objects that own them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from s2s_magic.ledger import Called, Constructed, Finding, Layer, Ledger, Variable
from s2s_magic.ledger.wires import uses_of
from s2s_magic.ledger.words import abridged, former_name, full_name, shape_text, short_name

STILL_TRAINED = "trained until compiled again"
STILL_FROZEN = "frozen until compiled again"
"""States of variables whose ``trainable`` switch was changed after the model was compiled."""
NEVER_READ = "trainable but never read"
"""The state of a variable that is trainable and that no call of what lists it reads."""
NO_GRADIENT = "trainable but no gradient"
"""The state of a variable that is trainable and that no gradient of the loss reaches."""
BY_REGULARIZER = "trained by its regularizer alone"
"""The state of a variable that is trainable and whose regularizer is all of the loss that reaches it."""
_BEFORE = "?before "


@dataclass(frozen=True)
class VariableRow:
    """One variable under its owner; ``born`` is the step that made it, -1 if it is older than the trace."""

    key: str
    owner: str
    owner_name: str
    name: str
    keras_name: str
    shape: str
    params: int
    bytes: int
    dtype: str
    state: str
    initializer: str
    born: int
    steps: tuple[int, ...]
    shared: tuple[str, ...]
    findings: tuple[int, ...]

    @property
    def full_name(self) -> str:
        """The owner's name and the variable's."""
        return f"{self.owner_name}.{self.name}"


@dataclass(frozen=True)
class OwnerRow:
    """One layer object. ``variables`` are its own, without those of the objects it holds.

    ``parent`` holds it, under the path ``role`` if that is not its name (``decoder.cell`` for ``decoder_cell``);
    ``shared`` are its other names and holders.
    """

    key: str
    name: str
    class_name: str
    parent: str | None
    role: str
    born: int
    variables: tuple[str, ...]
    steps: tuple[int, ...]
    shared: tuple[str, ...]
    findings: tuple[int, ...]


def steps_using(events: Sequence[Constructed | Called]) -> dict[str, list[int]]:
    """List the calls that used each layer object and each variable, by key."""
    uses: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if isinstance(event, Called) and event.via is None:
            for key in (event.object, *filter(event.reads, (*event.created, *event.reused))):
                uses[key].append(event.index)
    return uses


def marks_of(findings: Sequence[Finding]) -> dict[str, list[int]]:
    """List the numbers of the findings about each name: a layer, a variable, or the layer that froze it."""
    marks: dict[str, list[int]] = defaultdict(list)
    for number, finding in enumerate(findings):
        marks[finding.about].append(number)
    return marks


def variable_row(ledger: Ledger, key: str, uses: dict[str, list[int]], marks: dict[str, list[int]]) -> VariableRow:
    """Return the row of a variable, with the calls that used it and the findings about any of its names."""
    variable = ledger.variables[key]
    names: tuple[str, ...] = (full_name(variable), variable.name, variable.frozen_by or "")
    if variable.dropped:
        names = (former_name(variable),)
    return VariableRow(
        key=key,
        owner=owner_key(variable),
        owner_name=variable.owner,
        name=short_name(variable),
        keras_name=variable.name,
        shape=shape_text(variable.shape),
        params=variable.params,
        bytes=variable.bytes,
        dtype=variable.dtype,
        state=_state(ledger, key, variable),
        initializer=variable.initializer or "",
        born=-1 if variable.created_by is None else variable.created_by,
        steps=tuple(uses.get(key, ())),
        shared=_further_paths(ledger, variable),
        findings=tuple(dict.fromkeys(number for name in names for number in marks.get(name, ()))),
    )


def _further_paths(ledger: Ledger, variable: Variable) -> tuple[str, ...]:
    """List a variable's paths, except those through its owner's holders: the owner's row shows these."""
    owner = ledger.layers.get(variable.object or "")
    held_by = owner.held_by if owner else ()
    return tuple(path for path in variable.paths[1:] if path.rpartition(".")[0] not in held_by)


def _role(ledger: Ledger, layer: Layer) -> str:
    path = f"{ledger.layers[layer.parent].name}.{layer.attribute}" if layer.parent else ""
    return path if path != layer.name else ""


def owner_key(variable: Variable) -> str:
    """Return the key of the row that a variable is under: its owner's, or one of its own where no layer owns it."""
    return _BEFORE + variable.owner if variable.dropped else variable.object or f"?{variable.owner}"


def _state(ledger: Ledger, key: str, variable: Variable) -> str:
    """Say whether fitting the main model trains a variable, by the switches at its compile."""
    main = ledger.main_model
    if variable.dropped:
        return "no longer a weight"
    if not variable.tracked:
        return "untracked: never trained"
    if main is not None and main.name not in variable.in_models:
        others = f", in {abridged(variable.in_models)}" if variable.in_models else ""
        return f"not in {main.name}{others}"
    if main is not None and main.trained is not None and variable.trainable != (key in main.trained):
        return STILL_FROZEN if variable.trainable else STILL_TRAINED
    if variable.trainable:
        if key in ledger.unread and not uses_of(ledger, variable):
            return NEVER_READ
        by = BY_REGULARIZER if variable.regularized else NO_GRADIENT
        return by if key in ledger.without_gradient else "trainable"
    return f"frozen by {variable.frozen_by}" if variable.frozen_by else "not trainable"


def owner_rows(
    ledger: Ledger,
    last: int,
    variables: dict[str, VariableRow],
    uses: dict[str, list[int]],
    marks: dict[str, list[int]],
) -> dict[str, OwnerRow]:
    """Return the rows of all layer objects that own or may come to own variables, as of step ``last``."""
    own: dict[str, list[str]] = defaultdict(list)
    for row in variables.values():
        own[row.owner].append(row.key)
    holds = {layer.parent for layer in ledger.layers.values()}
    models = {model.object for model in ledger.models}
    calls: dict[str, set[int]] = defaultdict(set)
    for key in ledger.layers:
        steps = {*uses.get(key, ()), *(step for held in own.get(key, ()) for step in variables[held].steps)}
        for holder in ledger.holders(key):
            calls[holder] |= steps
    rows = {}
    for key, layer in ledger.layers.items():
        born = born_in(ledger, key)
        idle = not layer.is_written or (key in models and key not in holds)
        if born > last or (idle and key not in own):
            continue
        role = _role(ledger, layer)
        rows[key] = OwnerRow(
            key=key,
            name=layer.name,
            class_name=layer.class_name,
            parent=layer.parent,
            role=role,
            born=born,
            variables=tuple(own.get(key, ())),
            steps=tuple(sorted(calls[key])),
            shared=(*layer.aliases, *(path for path in layer.held_by if path != role)),
            findings=tuple(marks.get(layer.name, ())),
        )
    for key in own:
        if key not in rows:
            rows[key] = _nameless_owner(key, [variables[held] for held in own[key]])
    return rows


def _nameless_owner(key: str, held: list[VariableRow]) -> OwnerRow:
    """Return the row of an owner that is not a layer object, such as a closure or a plain object; or no longer owns."""
    before = key.startswith(_BEFORE)
    return OwnerRow(
        key=key,
        name=f"{held[0].owner_name}, before" if before else held[0].owner_name,
        class_name="no longer its weights" if before else "not a layer",
        parent=None,
        role="",
        born=min(row.born for row in held),
        variables=tuple(row.key for row in held),
        steps=tuple(sorted({step for row in held for step in row.steps})),
        shared=(),
        findings=(),
    )


def born_in(ledger: Ledger, key: str) -> int:
    """Return the step that created an object: its own, else that of the nearest holder with a step, else -1."""
    seen = set()
    here: str | None = key
    while here is not None and here not in seen:
        seen.add(here)
        layer = ledger.layers[here]
        if layer.constructed is not None:
            return layer.constructed
        here = layer.parent
    return -1
