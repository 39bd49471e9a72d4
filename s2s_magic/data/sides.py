"""What a fit of an encoder-decoder does for both sides, in memory or streamed: vocabularies, and the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from s2s_magic.data.consistency import check_lengths, differing
from s2s_magic.data.inputs import Role, inputs_of
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.data.table import Column, Form, Lengths, Shifted, Table
from s2s_magic.data.vocabularies import counted


def count_tokens(desk: Desk, read: Mapping[str, tuple[Asked, Callable[[], Iterable[str]]]]) -> None:
    """Build the vocabularies from these texts, by side, where the spec gave only their sizes."""
    spec = desk.seq2seq.spec
    desk.tokenizers = dict(desk.seq2seq.tokenizers)
    if spec is None:
        return
    one = spec.vocab.one and not desk.tokenizers
    for side, (asked, texts) in read.items():
        if (unit := spec.tokens_of(side)) != "none" and side not in desk.tokenizers:
            found = (text for _, side_texts in read.values() for text in side_texts()) if one else texts()
            made = desk.reading(asked, lambda: counted(found, unit, spec.sizes[side]))  # noqa: B023
            desk.tokenizers |= dict.fromkeys(read if one else (side,), made)


def arranged(
    desk: Desk, known: Mapping[Role, str], source: Rows, target: Rows, decoder: Rows | Shifted, form: Form
) -> Table:
    """Arrange the columns of an encoder-decoder in the order of the model's inputs."""
    columns: dict[str, Column] = {known["encoder"]: source, known["decoder"]: decoder}
    if "lengths" in known:
        columns[known["lengths"]] = Lengths()
    padding = desk.seq2seq.ids.padding
    inputs = tuple(columns[i.name] for i in inputs_of(desk.seq2seq))
    return Table(inputs, target, padding is None and target.ragged, padding or 0, target_form=form)


def ids_of(desk: Desk, asked: Asked, side: str, read: Any) -> Rows:
    """Turn texts into ids; rows of ids only lose the padding at their ends."""
    if side in desk.tokenizers:
        return desk.encoded(asked, side, read)
    found: Rows = read
    padding = desk.seq2seq.ids.padding
    return found if padding is None else found.without_padding(padding)


def given_input(
    desk: Desk, known: Mapping[Role, str], named: Mapping[str, Asked], asked: Asked | None, target: Rows
) -> tuple[Rows | None, Numbers | None]:
    """Read the decoder's input and the lengths where the body names them, and check them against the target."""
    decoder, asked = named.get(known["decoder"]), named.get(known.get("lengths", "")) or asked
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
