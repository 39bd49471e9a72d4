"""From notebook variables to checked tables: everything that is wrong is said before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s2s_magic.errors import FitError, nearest
from s2s_magic.seq2seq import Seq2Seq
from s2s_magic.text import Tokenizer
from s2s_magic.training.checks import check_lengths, check_table, differing
from s2s_magic.training.desk import Asked, Desk
from s2s_magic.training.inputs import ModelInput, Role, inputs_of, roles
from s2s_magic.training.pipeline import Column, Lengths, Shifted, Table
from s2s_magic.training.rows import Numbers, Rows

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan


@dataclass(frozen=True)
class Prepared:
    """Data that are ready to be fitted.

    Attributes
    ----------
    train, validation
        The tables.
    tokenizers
        As in `Seq2Seq.tokenizers`, counted from these data where they were not known.
    start
        The id that the decoder's input starts with; None where there is no decoder input.
    longest
        Ids in the longest target; None where the target holds no rows of ids.
    """

    train: Table
    validation: Table | None
    tokenizers: dict[str, Tokenizer]
    start: int | None
    longest: int | None


def prepare(seq2seq: Seq2Seq, plan: FitPlan, namespace: Mapping[str, Any]) -> Prepared:
    """Look up, check and arrange all that a fit needs; nothing is changed.

    Parameters
    ----------
    seq2seq
        The model.
    plan
        What to fit it on.
    namespace
        Where the plan's names are looked up.

    Raises
    ------
    DataError
        With everything that was found wrong.
    FitError
        When the model is not a functional one.
    """
    if not hasattr(seq2seq.model, "_nodes_by_depth"):
        kind = type(seq2seq.model).__name__
        raise FitError(f"{seq2seq.name} is of class {kind}, no functional model: it has no inputs to give data to")
    desk = Desk(seq2seq, plan, namespace)
    known = roles(seq2seq)
    if known is None:
        table, start, validation = _free_table(desk), None, None
        desk.raise_faults()
        if isinstance(plan.validation, tuple):
            validation = _free_table(desk, plan.validation)
    else:
        table, start, validation = _sequences(desk, known)
    desk.raise_faults()
    assert table is not None
    if isinstance(plan.validation, float):
        table, validation = _split(desk, table, plan.validation)
    desk.raise_faults()
    longest = int(table.target.lengths.max()) if isinstance(table.target, Rows) else None
    return Prepared(table, validation, desk.tokenizers or dict(seq2seq.tokenizers), start, longest)


def _sequences(desk: Desk, known: Mapping[Role, str]) -> tuple[Table | None, int, Table | None]:
    """Arrange source and target for an encoder-decoder, and the pair for validation."""
    plan, spec = desk.plan, desk.seq2seq.spec
    named = _named_inputs(desk)
    if known["encoder"] not in named and plan.source is None:
        desk.fault("source", f"the key 'source' is missing: it names the variable for {known['encoder']}")
    asked_source = named.setdefault(known["encoder"], Asked("source", plan.source or ""))
    if plan.decoder_input is not None:
        named.setdefault(known["decoder"], Asked("decoder_input", plan.decoder_input))
    source = desk.read(*asked_source, "source") if asked_source.variable else None
    asked_target = Asked("target", plan.target)
    target = desk.read(*asked_target, "target")
    desk.raise_faults()
    _count_tokens(desk, source, target)
    source, target = _encoded(desk, asked_source, "source", source), _encoded(desk, asked_target, "target", target)
    given, lengths = _given(desk, known, named, target)
    desk.raise_faults()
    if lengths is not None:
        target = target.cut(lengths)
        given = given.cut(lengths) if given is not None else None
    elif given is None and spec is not None:
        target = _ended(target, spec.end)
    start = int(given.values[0]) if given is not None and len(given.values) else (spec.start if spec is not None else 0)
    table = _arranged(desk, known, source, target, given or Shifted(start))
    check_table(desk, table, named, asked_target)
    if not isinstance(plan.validation, tuple) or desk.faults:
        return table, start, None
    asked_pair = _validation_pair(plan.validation)
    pair = [desk.read(*asked, side) for asked, side in zip(asked_pair, ("source", "target"), strict=True)]
    desk.raise_faults()
    held_source = _encoded(desk, asked_pair[0], "source", pair[0])
    held_target = _encoded(desk, asked_pair[1], "target", pair[1])
    if spec is not None and lengths is None and given is None:
        held_target = _ended(held_target, spec.end)
    validation = _arranged(desk, known, held_source, held_target, Shifted(start))
    check_table(desk, validation, {known["encoder"]: asked_pair[0]}, asked_pair[1])
    return table, start, validation


def _validation_pair(pair: tuple[str, str]) -> tuple[Asked, Asked]:
    return Asked("validation.0", pair[0]), Asked("validation.1", pair[1])


def _named_inputs(desk: Desk) -> dict[str, Asked]:
    """Read ``inputs``: input name to its variable, whichever of its two names the input was called by."""
    found = inputs_of(desk.seq2seq)
    names = {name: i.name for i in found for name in (i.keras_name, i.name)}
    for name in desk.plan.inputs:
        if name not in names:
            known = nearest(name, names) or f"; it has {', '.join(i.name for i in found)}"
            desk.fault(f"inputs.{name}", f"the model has no input {name!r}{known}")
    return {
        names[name]: Asked(f"inputs.{name}", variable) for name, variable in desk.plan.inputs.items() if name in names
    }


def _count_tokens(desk: Desk, source: Any, target: Any) -> None:
    """Count the vocabularies from these texts where the spec gave only their sizes."""
    spec = desk.seq2seq.spec
    if spec is None or spec.tokens == "none" or desk.seq2seq.tokenizers:
        desk.tokenizers = dict(desk.seq2seq.tokenizers)
        return
    sizes = {"source": int(spec.vocab.source), "target": int(spec.vocab.target)}
    if spec.vocab.one:
        both = Tokenizer.count([*source, *target], spec.tokens, sizes["source"])
        desk.tokenizers = {"source": both, "target": both}
    else:
        for side, found in (("source", source), ("target", target)):
            desk.tokenizers[side] = Tokenizer.count(found, spec.tokens, sizes[side])


def _encoded(desk: Desk, asked: Asked, side: str, read: Any) -> Rows:
    """Turn texts into ids; ids stay, less the padding at the end of each row."""
    if side in desk.tokenizers:
        return desk.encoded(asked, side, read)
    spec = desk.seq2seq.spec
    found: Rows = read
    return found if spec is None or spec.padding is None else found.without_padding(spec.padding)


def _ended(target: Rows, end: int | None) -> Rows:
    return target if end is None else target.ended(end)


def _given(
    desk: Desk, known: Mapping[Role, str], named: Mapping[str, Asked], target: Rows
) -> tuple[Rows | None, Numbers | None]:
    """Read the decoder's input and the lengths where the body names them, and hold them against the target."""
    decoder = named.get(known["decoder"])
    asked = named.get(known.get("lengths", "")) or (desk.plan.lengths and Asked("lengths", desk.plan.lengths))
    given, lengths = None, None
    if decoder is not None:
        given = desk.read(*decoder, None)
        if given is not None and not np.array_equal(given.lengths, target.lengths):
            desk.fault(
                decoder.key,
                f"{decoder.variable}: {differing(given, target)}; each row needs an id for each of the target's",
            )
    if asked:
        value = desk.array(*asked)
        lengths = None if value is None else value.ravel()
        if lengths is not None:
            check_lengths(desk, asked, lengths, target)
            lengths = None if desk.faults else lengths.astype(np.int64)
    return given, lengths


def _arranged(desk: Desk, known: Mapping[Role, str], source: Rows, target: Rows, decoder: Rows | Shifted) -> Table:
    columns: dict[str, Column] = {known["encoder"]: source, known["decoder"]: decoder}
    if "lengths" in known:
        columns[known["lengths"]] = Lengths()
    spec = desk.seq2seq.spec
    masked = spec is not None and spec.padding is not None
    padding = spec.padding if spec is not None and spec.padding is not None else 0
    inputs = tuple(columns[i.name] for i in inputs_of(desk.seq2seq))
    return Table(inputs, target, not masked and target.ragged, padding)


def _free_table(desk: Desk, pair: tuple[str, str] | None = None) -> Table | None:
    """Arrange the data of a model that is no encoder-decoder: its inputs by name, or one source for its one input."""
    plan, found = desk.plan, inputs_of(desk.seq2seq)
    named = _named_inputs(desk)
    if len(found) == 1 and (pair or plan.source):
        named.setdefault(found[0].name, Asked("source", plan.source or ""))
    asked_target = Asked("target", plan.target)
    if pair:
        asked, asked_target = _validation_pair(pair)
        named = {found[0].name: asked}
    missing = [i.name for i in found if i.name not in named]
    if missing:
        key = "validation" if pair else "inputs"
        desk.fault(
            key,
            f"nothing says what feeds {', '.join(missing)}: name a variable for each, 'inputs: {{{missing[0]}: X}}'",
        )
        return None
    columns = [_free_column(desk, named[i.name], i) for i in found]
    rank = len(desk.seq2seq.model.outputs[0].shape)
    target = _free_column(desk, asked_target, ModelInput("", "", 2 if rank == 3 else 0, None, None))
    if desk.faults or target is None:
        return None
    table = Table(tuple(columns), target, isinstance(target, Rows) and target.ragged)
    check_table(desk, table, named, asked_target)
    return table


def _free_column(desk: Desk, asked: Asked, model_input: ModelInput) -> Any:
    key, name = asked
    value = desk.value(*asked)
    if value is None:
        return None
    ragged = isinstance(value, list | tuple) and model_input.rank == 2
    if model_input.vocabulary is not None or ragged:
        return desk.read(key, name, None)
    return desk.array(*asked)


def _split(desk: Desk, table: Table, fraction: float) -> tuple[Table, Table | None]:
    """Hold the last rows back, as Keras does."""
    kept = int(table.rows * (1.0 - fraction))
    if not 0 < kept < table.rows:
        desk.fault(
            "validation",
            f"a fraction of {fraction:g} of {table.rows} rows leaves {kept} to fit and {table.rows - kept} to validate",
        )
        return table, None
    order = np.arange(table.rows)
    return table.select(order[:kept]), table.select(order[kept:])
