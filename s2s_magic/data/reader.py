"""Turn notebook variables into checked tables, reporting every fault before the first training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from s2s_magic import backend
from s2s_magic.data.assignment import (
    Part,
    as_given,
    check_roles_read,
    check_target_named,
    compared_outputs,
    named_by_role,
    named_inputs,
    named_targets,
    targets_as_given,
    training_part,
    validation_part,
)
from s2s_magic.data.batches import Stream
from s2s_magic.data.columns import any_column, dimensions, input_column, target_column
from s2s_magic.data.consistency import check_table, held_back, held_rows
from s2s_magic.data.costs import warn_of_empty_rows
from s2s_magic.data.files_of_fit import with_files
from s2s_magic.data.inputs import Role, inputs_of, outputs_of, roles
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.losses import compares, losses_of
from s2s_magic.data.selection import find
from s2s_magic.data.sequences import Rows
from s2s_magic.data.sides import arranged, count_tokens, given_input, ids_of
from s2s_magic.data.streaming import Told, check_small, names_files, stream_of, streamed, streams_files
from s2s_magic.data.streams import streams
from s2s_magic.data.table import Shifted, Table
from s2s_magic.data.values import Unreadable
from s2s_magic.data.vocabularies import AnyTokenizer
from s2s_magic.data.weighing import weighted
from s2s_magic.errors import FitError
from s2s_magic.handle import Seq2Seq
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan


@dataclass(frozen=True)
class Prepared:
    """Data ready for a fit.

    Attributes
    ----------
    train, validation
        The tables, or the user's own batches.
    tokenizers
        As in `Seq2Seq.tokenizers`; counted from these data if not known before.
    start
        The id that the decoder's input starts with; None where there is no decoder input.
    longest
        Number of ids in the longest target; None if the target is not rows of ids.
    """

    train: Table | Stream
    validation: Table | Stream | None
    tokenizers: dict[str, AnyTokenizer]
    start: int | None
    longest: int | None

    @property
    def fixed_lengths(self) -> Mapping[int, int]:
        """The lengths that are the same in all rows, those of the validation too; see `Table.fixed_lengths`."""
        fixed = self.train.fixed_lengths
        return fixed if self.validation is None or self.validation.fixed_lengths == fixed else {}


@dataclass(frozen=True)
class _Begun:
    """How the fit's decoder input was made; the validation's is made the same way."""

    start: int
    ended: bool


def prepare(
    seq2seq: Seq2Seq,
    plan: FitPlan,
    namespace: Mapping[str, Any],
    changes: Changes | None = None,
    told: Told = lambda _: None,
) -> Prepared:
    """Look up, check and arrange the data of a fit; nothing is changed.

    Parameters
    ----------
    seq2seq
        The model.
    plan
        What to fit it on.
    namespace
        Where the plan's names are looked up.
    changes
        What is streamed can be read until they are undone; None where all is held in memory.
    told
        Receives now and then how many pairs were read so far, where they are streamed.

    Raises
    ------
    DataError
        With all faults found.
    FitError
        When the model's loss is not known.
    """
    desk = Desk(seq2seq, plan, namespace)
    wired = backend.is_wired(seq2seq.model)
    if not wired and plan.loss is None and not backend.is_compiled(seq2seq.model):
        kind = type(seq2seq.model).__name__
        raise FitError(
            f"{seq2seq.name} is of class {kind}, no graph of layers: its loss does not show from it. Compile it, or "
            "give the key 'loss'"
        )
    if plan.data is not None:
        train, held = streams(desk)
        return Prepared(train, held, dict(seq2seq.tokenizers), None, None)
    check_target_named(desk)
    part, held_part, begun = training_part(plan), validation_part(plan), None
    known = roles(seq2seq) if wired and seq2seq.spec is not None and _is_sequence(desk) else None
    streams_them = streams_files(desk, known, part)
    desk.raise_faults()
    if streams_them:
        assert known is not None
        assert changes is not None
        return _streamed(changes, desk, known, part, held_part, told)
    with_files(desk, [part] if held_part is None else [part, held_part])
    desk.raise_faults()
    if wired and seq2seq.spec is None and _is_sequence(desk):
        known = roles(seq2seq)
    if known is not None:
        table, begun = _sequence_table(desk, known, part, None)
    else:
        table = _wired_table(desk, part) if wired else _table_asgiven_input(desk, part)
    desk.raise_faults()
    validation: Table | None = None
    if held_part is not None:
        if known is not None:
            validation, _ = _sequence_table(desk, known, held_part, begun)
        else:
            validation = _wired_table(desk, held_part) if wired else _table_asgiven_input(desk, held_part)
        desk.raise_faults()
    assert table is not None
    if isinstance(plan.validation, float):
        table, validation = held_back(desk, table, plan.validation)
    desk.raise_faults()
    longest = int(table.target.lengths.max()) if isinstance(table.target, Rows) else None
    start = begun.start if begun else None
    return Prepared(table, validation, desk.tokenizers or dict(seq2seq.tokenizers), start, longest)


def _streamed(
    changes: Changes, desk: Desk, known: Mapping[Role, str], part: Part, held_part: Part | None, told: Told
) -> Prepared:
    """Arrange files that are streamed; a validation that is decoded is held in memory."""
    plan, start = desk.plan, desk.seq2seq.ids.start or 0
    if plan.validate_with and held_part is None:
        what = "the texts of a fraction are not held in memory: name files, 'validation: [data/dev.en, data/dev.de]'"
        desk.fault("validate_with", f"{plan.source} is streamed, and {what}")
        desk.raise_faults()
    found = streamed(changes, desk, known, part, told)
    rows = found.spool.rows
    kept = held_rows(desk, rows, plan.validation) if isinstance(plan.validation, float) else rows
    desk.raise_faults()
    train = stream_of(desk, known, part, found, (0, kept), start=start)
    validation: Table | Stream | None = None
    if held_part is None:
        if kept < rows:
            validation = stream_of(desk, known, replace(part, key="validation."), found, (kept, rows), start=start)
    elif plan.validate_with or not names_files(held_part):
        check_small(desk, held_part)
        with_files(desk, [held_part])
        desk.raise_faults()
        validation, _ = _sequence_table(desk, known, held_part, _Begun(start, ended=True))
    else:
        held = streamed(changes, desk, known, held_part, told)
        validation = stream_of(desk, known, held_part, held, (0, held.spool.rows), start=start)
    desk.raise_faults()
    return Prepared(train, validation, desk.tokenizers, start, int(found.longest[1]))


def _is_sequence(desk: Desk) -> bool:
    """Return whether the loss compares one output with ids, so that the target yields the decoder's input."""
    if len(compared_outputs(desk)) != 1:
        return False
    kinds = {compares(loss) for loss in losses_of(desk.seq2seq, desk.plan)} - {"nothing"}
    return kinds == {"ids"} or (kinds == {"unknown"} and not _is_of_vectors(desk))


def _is_of_vectors(desk: Desk) -> bool:
    """Return whether the target holds several numbers per position, which only a custom loss can compare."""
    target = desk.plan.target or ()
    names = [target] if isinstance(target, str) else target.values() if isinstance(target, Mapping) else target
    try:
        return desk.seq2seq.spec is None and any(dimensions(find(name, desk.namespace)) > 2 for name in names)
    except Unreadable:  # reported where it is read
        return False


# -- an encoder-decoder of ids -----------------------------------------------------------------------------------------


def _sequence_table(
    desk: Desk, known: Mapping[Role, str], part: Part, begun: _Begun | None
) -> tuple[Table | None, _Begun]:
    """Arrange source and target for an encoder-decoder; unnamed inputs are derived from the target."""
    ids, training = desk.seq2seq.ids, begun is None
    named = named_inputs(desk, part)
    if known["encoder"] not in named and part.source is None:
        desk.fault(f"{part.key}source", f"the key 'source' is missing: it names the variable for {known['encoder']}")
    asked_source = named.setdefault(known["encoder"], part.source or Asked("source", ""))
    if part.decoder_input is not None:
        named.setdefault(known["decoder"], part.decoder_input)
    source = desk.read(*asked_source, "source") if asked_source.variable else None
    pairs, form = named_targets(desk, part)
    asked_target = pairs[0][1] if pairs else Asked(part.target_key, "")
    target = desk.read(*asked_target, "target") if pairs else None
    desk.raise_faults()
    if training:
        count_tokens(
            desk, {"source": (asked_source, lambda: source or []), "target": (asked_target, lambda: target or [])}
        )
        desk.raise_faults()
    source, target = ids_of(desk, asked_source, "source", source), ids_of(desk, asked_target, "target", target)
    given, lengths = given_input(desk, known, named, part.lengths, target)
    desk.raise_faults()
    if lengths is not None:
        target = target.cut(lengths)
        given = given.cut(lengths) if given is not None else None
    elif given is None and ids.added and ids.end is not None and (begun is None or begun.ended):
        if training:
            warn_of_empty_rows(desk, asked_target, int((target.lengths == 0).sum()), len(target))
        target = target.ended(ids.end)
    if begun is None:
        first = int(given.values[0]) if given is not None and len(given.values) else None
        start = first if first is not None else (ids.start or 0 if ids.added else 0)
        begun = _Begun(start, ended=given is None and lengths is None)
    table = arranged(desk, known, source, target, given or Shifted(begun.start), form)
    check_table(desk, table, named, [asked_target])
    return weighted(desk, table, part), begun


# -- any other model ---------------------------------------------------------------------------------------------------


def _wired_table(desk: Desk, part: Part) -> Table | None:
    """Arrange the data of any other functional model: inputs by name or in order, or ``source`` for a single input."""
    found, known = inputs_of(desk.seq2seq), roles(desk.seq2seq) or {}
    named = named_by_role(part, known) | named_inputs(desk, part)
    if part.source is not None and len(found) == 1:
        named.setdefault(found[0].name, part.source)
    missing = [i.name for i in found if i.name not in named]
    if missing:
        desk.fault(
            f"{part.key}inputs",
            f"nothing says what feeds {', '.join(missing)}: name a variable for each, 'inputs: {{{missing[0]}: X}}'",
        )
        return None
    check_roles_read(desk, part, known)
    pairs, form = named_targets(desk, part)
    desk.raise_faults()
    losses = zip(outputs_of(desk.seq2seq), losses_of(desk.seq2seq, desk.plan), strict=True)
    kinds = {output.keras_name: compares(loss) for output, loss in losses}
    columns = [input_column(desk, named[i.name], i) for i in found]
    # for a target shared by several outputs, the output that takes ids tells most about it
    read = sorted(pairs, key=lambda pair: kinds[pair[0].keras_name] != "ids")[:1] if form.alone else pairs
    targets = [target_column(desk, asked, output, kinds[output.keras_name]) for output, asked in read]
    asked_targets = [asked for _, asked in pairs]
    if not pairs:  # no output has a loss, as with add_loss alone: Keras takes any target, or none
        asked_targets, form = targets_as_given(part)
        targets = [any_column(desk, asked) for asked in asked_targets]
    if desk.faults or any(t is None for t in targets):
        return None
    target, *more = targets or [None]
    table = Table(tuple(columns), target, more=tuple(more), target_form=form)
    if not more and isinstance(target, Rows):
        table = replace(table, weighted=target.ragged)
    check_table(desk, table, named, asked_targets, outputs=[output for output, _ in pairs])
    return weighted(desk, table, part)


def _table_asgiven_input(desk: Desk, part: Part) -> Table | None:
    """Arrange the data of a subclassed model exactly as named; Keras passes them on."""
    check_roles_read(desk, part, {})
    inputs, input_form = as_given(part.inputs or (part.source or Asked("", "")).variable, f"{part.key}inputs", part)
    targets, target_form = targets_as_given(part)
    columns = [any_column(desk, asked) for asked in inputs]
    target, *more = [any_column(desk, asked) for asked in targets] or [None]
    if desk.faults:
        return None
    table = Table(tuple(columns), target, more=tuple(more), input_form=input_form, target_form=target_form)
    check_table(desk, table, {str(n): asked for n, asked in enumerate(inputs)}, targets)
    return weighted(desk, table, part)
