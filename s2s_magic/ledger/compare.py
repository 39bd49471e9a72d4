"""Compare two ledgers: what only one of them owns, what they share differently, and what is wired differently."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from s2s_magic.ledger.calls import Called
from s2s_magic.ledger.changes import KINDS, Change, changes_of
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.matching import common_names
from s2s_magic.ledger.records import Record, Shape
from s2s_magic.ledger.words import counted, full_name, listing, times


class Held(Record):
    """A variable as one ledger has it.

    ``calls`` use it, and ``holders`` are the summary rows that list it; ``created`` is False if it is older than the
    trace.
    """

    shape: Shape
    params: int
    calls: int
    holders: int
    trainable: bool
    created: bool


class Pair(Record):
    """The variables of two ledgers under one name; None for a ledger without that name."""

    owner: str
    name: str
    first: Held | None
    second: Held | None

    @property
    def full_name(self) -> str:
        """The owner's name and the variable's."""
        return f"{self.owner}.{self.name}"

    @property
    def one(self) -> Held:
        """The first ledger's variable, else the second's."""
        held = self.first or self.second
        assert held is not None
        return held


class Comparison(Record):
    """Two ledgers compared by the names of owners and variables.

    Attributes
    ----------
    first, second
        The ledgers' names.
    pairs
        Every variable of either: the first ledger's in its order, then those of the second alone.
    sentences
        What differs, in words: ownership, shapes, sharing, totals.
    first_total, second_total
        Parameters, each counted once.
    one_set
        Whether the second uses the very variables of the first, so that one name is one variable.
    changes
        What differs in owners, calls and wires, in the order of the code; empty where ``one_set``.
    of
        The name whose two runs are compared; None for two names.
    """

    first: str
    second: str
    pairs: tuple[Pair, ...]
    sentences: tuple[str, ...]
    first_total: int
    second_total: int
    one_set: bool = False
    changes: tuple[Change, ...] = ()
    of: str | None = None


def compare(first: Ledger, second: Ledger) -> Comparison:
    """Compare who owns what in two ledgers; variables are matched by their owners' names, and by their own."""
    common = common_names(first, second)
    owners = {
        name: trace.layers[key].name
        for trace, own in ((second, common[1]), (first, common[0]))
        for key, name in own.items()
    }
    pairs = _pairs(_held(first, names=common[0]), _held(second, names=common[1]), owners=owners)
    totals = first.totals().total, second.totals().total
    names = _told_apart(first.name, second.name)
    return Comparison(
        first=names[0],
        second=names[1],
        pairs=pairs,
        sentences=tuple(_differences(pairs, names, totals)),
        first_total=totals[0],
        second_total=totals[1],
        changes=changes_of(first, second),
    )


def compare_runs(before: Ledger, now: Ledger) -> Comparison:
    """Compare two runs of the code of one name: what changed since the one before."""
    found = compare(before, now)
    counts = Counter(change.kind for change in found.changes)
    kinds = [f"{counted(counts[kind], noun)} {verb}" for kind, (noun, verb) in KINDS.items() if counts[kind]]
    said = [f"{listing(kinds)}."]
    for word, one, other in (
        ("has {}", found.first_total, found.second_total),
        ("trains {} by its switches", before.totals().trainable, now.totals().trainable),
    ):
        said += [f"It now {word.format(counted(other, 'parameter'))}, was {one:,}."] if one != other else []
    if not found.changes:
        sizes = f"{counted(len(now.variables), 'variable')}, {counted(len(now.events), 'step')}"
        said[0] = f"Nothing changed in the owners and wires of {now.name} since the run before ({sizes})."
    return found.model_copy(
        update={"first": "the run before", "second": "this run", "sentences": tuple(said), "of": now.name}
    )


def side_by_side(training: Ledger, inference: Ledger) -> Comparison:
    """Compare a training model with its decoding model, which uses the same layer objects and should create nothing."""
    # the decoding model continues the training ledger: its own events are those of the last cell
    cell = max((event.cell for event in inference.events), default=0)
    since = next((event.index for event in inference.events if event.cell == cell), 0)
    pairs = _pairs(_held(training), _held(inference, since))
    own = [pair for pair in pairs if pair.second is not None and pair.second.created]
    both = [pair for pair in pairs if pair.first and pair.second and pair not in own]
    if own:
        said = f"Decoding makes {counted(len(own), 'variable')} of its own: {', '.join(_by_owner(own))}."
    else:
        said = "Decoding owns nothing of its own: it creates no variable."
    owners = list(dict.fromkeys(pair.owner for pair in both))
    shared = (
        f"It uses {counted(len(both), 'variable')} of the training model again, owned by {', '.join(owners)}: "
        "what training changes is what decoding reads."
    )
    return Comparison(
        first="training",
        second="decoding",
        pairs=pairs,
        sentences=(said, shared) if both else (said,),
        first_total=training.totals().total,
        second_total=sum(pair.second.params for pair in pairs if pair.second is not None),
        one_set=True,
    )


def _told_apart(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _pairs(*held: dict[tuple[str, str, int], Held], owners: Mapping[str, str] | None = None) -> tuple[Pair, ...]:
    """Pair variables by their keys; ``owners`` are the names to show."""
    keys, owners = dict.fromkeys((*held[0], *held[1])), owners or {}
    return tuple(
        Pair(owner=owners.get(key[0], key[0]), name=key[1], first=held[0].get(key), second=held[1].get(key))
        for key in keys
    )


def _held(
    ledger: Ledger, since: int = 0, *, names: Mapping[str, str] | None = None
) -> dict[tuple[str, str, int], Held]:
    """Return a ledger's variables by owner, name, and a number that tells equal names apart.

    With ``since``, only variables used by events from that one on are returned. ``names`` has the names that owners
    go by, by key, where they are not their own.
    """
    names = names or {}
    events = [event for event in ledger.events[since:] if isinstance(event, Called)]
    touched = {key for event in events for key in (*event.created, *event.reused)}
    calls = Counter(key for event in events if event.via is None for key in (*event.created, *event.reused))
    seen: Counter[str] = Counter()
    held = {}
    for key, variable in ledger.variables.items():
        name = full_name(variable)
        if key in touched or not since:
            owner = names.get(variable.object or "", variable.owner)
            held[owner, name[len(variable.owner) + 1 :], seen[name]] = Held(
                shape=variable.shape,
                params=variable.params,
                calls=calls[key],
                holders=len(variable.held_by),
                trainable=variable.trainable,
                created=variable.created_by is not None and variable.created_by >= since,
            )
        seen[name] += 1
    return held


def _differences(pairs: tuple[Pair, ...], names: tuple[str, str], totals: tuple[int, int]) -> Iterator[str]:
    for here, (has, lacks) in enumerate((names, names[::-1])):
        alone = [pair for pair in pairs if (pair.second if here == 0 else pair.first) is None]
        if alone:
            size = counted(sum(pair.one.params for pair in alone), "parameter")
            yield (
                f"{has} owns {counted(len(alone), 'variable')} that {lacks} does not have ({size}): "
                f"{', '.join(_by_owner(alone))}."
            )
    # Each statement is made once for all variables of an owner that it holds for.
    said: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        for difference in _differing(pair, names):
            said[difference].append(pair)
    for difference, alike in said.items():
        yield from (f"{group}{difference}" for group in _by_owner(alike))
    difference_in_total = totals[1] - totals[0]
    if difference_in_total:
        larger, smaller = (names[1], names[0]) if difference_in_total > 0 else names
        yield f"In total {larger} has {counted(abs(difference_in_total), 'parameter')} more than {smaller}."
    else:
        yield f"In total both have {counted(totals[0], 'parameter')}."


def _by_owner(pairs: Iterable[Pair]) -> list[str]:
    """Name variables by their owners: ``embeddings.embeddings``, ``decoder_cell (kernel, bias)``."""
    owners: dict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        owners[pair.owner].append(pair.name)
    return [
        f"{owner}.{names[0]}" if len(names) == 1 else f"{owner} ({', '.join(names)})" for owner, names in owners.items()
    ]


def _differing(pair: Pair, names: tuple[str, str]) -> Iterator[str]:
    """Say how a variable differs, in phrases that follow its name."""
    first, second = pair.first, pair.second
    if first is None or second is None:
        held, has = pair.one, names[first is None]
        if held.calls > 1:
            yield f": shared in {has}, used {times(held.calls)}."
        if held.holders > 1:
            yield f": tied in {has}, listed by {held.holders} layers."
        return
    if first.shape != second.shape:
        yield f": shape {first.shape} in {names[0]}, {second.shape} in {names[1]}."
    if first.calls != second.calls:
        yield f": used {times(first.calls)} in {names[0]}, {times(second.calls)} in {names[1]}."
    if first.holders != second.holders:
        yield f": listed by {counted(first.holders, 'layer')} in {names[0]}, by {second.holders} in {names[1]}."
    if first.trainable != second.trainable:
        trained, frozen = names if first.trainable else names[::-1]
        yield f": trainable in {trained}, not in {frozen}."
