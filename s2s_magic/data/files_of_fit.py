"""Read the files that a fit body names, so that they are looked up like variables."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from s2s_magic.data.assignment import Part
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.selection import all_lines
from s2s_magic.data.text_files import Lines, no_source
from s2s_magic.data.values import Unknown
from s2s_magic.spec.references import is_file


def with_files(desk: Desk, parts: Sequence[Part]) -> None:
    """Add the texts of the files that the plan names to the names that are looked up, and note their faults.

    A line that cannot be read is a fault; with ``bad_lines: skip`` it is left out, and what stands beside it in the
    other files of the fit or of the validation.
    """
    read: dict[str, Lines] = {}
    texts: dict[str, list[str]] = {}
    for part in parts:
        named = [asked for asked in _asked(part) if asked.variable]
        files = [asked for asked in named if is_file(asked.variable)]
        for key, name in files:
            if name not in read:
                try:
                    read[name] = all_lines(name, desk.namespace)
                except Unknown as error:
                    desk.fault(key, str(error), error.__cause__)
        if desk.plan.bad_lines == "skip" and part.source is not None and part.source.variable in read:
            _without_empty(desk, read[part.source.variable])
        if all(name in read for _, name in files) and _alike(desk, files, read):
            _skip(desk, named, files, read, texts)
    whole = not parts[0].key  # not for a validation alone
    if not read and whole and not desk.faults and desk.plan.bad_lines is not None:
        desk.fault("bad_lines", "no file is named whose lines could be bad: leave 'bad_lines' out")
    if texts:
        desk.namespace = ChainMap(texts, dict(desk.namespace))


def _asked(part: Part) -> Iterator[Asked]:
    """Yield all that a part of the data names."""
    yield from (one for one in (part.source, part.decoder_input, part.lengths) if one is not None)
    by_key = {f"{part.key}inputs": part.inputs, part.target_key: part.target, f"{part.key}weights": part.weights}
    for key, names in by_key.items():
        if isinstance(names, str):
            yield Asked(key, names)
        elif isinstance(names, Mapping):
            yield from (Asked(f"{key}.{name}", variable) for name, variable in names.items())
        else:
            yield from (Asked(f"{key}.{number}", variable) for number, variable in enumerate(names or ()))


def _alike(desk: Desk, files: list[Asked], read: Mapping[str, Lines]) -> bool:
    """Return whether all files have as many lines; note the first line that has none beside it."""
    for key, name in files[1:]:
        first = files[0].variable
        one, other = len(read[first].texts), len(read[name].texts)
        if one != other:
            longer, shorter = (first, name) if one > other else (name, first)
            what = f"{read[longer].where(min(one, other))} has no line beside it"
            desk.fault(key, f"{longer} has {max(one, other):,} lines and {shorter} has {min(one, other):,}: {what}")
            return False
    return True


def _without_empty(desk: Desk, sources: Lines) -> None:
    """Add empty lines to the bad ones, where a model reads texts by tokens: its encoder would read nothing."""
    if (tokens := desk.seq2seq.ids.tokens.get("source")) is None:
        return
    for row, text in enumerate(sources.texts):
        if not (text if tokens.unit == "char" else text.strip()):
            sources.bad.setdefault(row, no_source(sources.where(row)))


def _skip(desk: Desk, named: list[Asked], files: list[Asked], read: Mapping[str, Lines], texts: dict[str, Any]) -> None:
    """Take the lines that can be read in all files; note a fault if there are others that may not be left out."""
    bad = {row: said for _, name in reversed(files) for row, said in read[name].bad.items()}
    key = next((key for key, name in files if read[name].bad), "source")
    said = bad[min(bad)] if bad else ""
    if bad and desk.plan.bad_lines != "skip":
        more = f" ({len(bad):,} such lines in all)" if len(bad) > 1 else ""
        desk.fault(key, f"{said}{more}; 'bad_lines: skip' leaves such lines out")
        return
    others = [asked for asked in named if asked not in files]
    if bad and others:
        what = f"{others[0].variable} is no file, and would keep its row"
        desk.fault(key, f"{said}; it cannot be skipped, as {what}")
        return
    good = [row for row in range(len(read[files[0].variable].texts)) if row not in bad] if bad and files else []
    for place, name in files:
        where = read[name].where
        desk.lines[name] = (lambda row, where=where: where(good[row])) if bad else where  # type: ignore[misc]
        kept = [text for row, text in enumerate(read[name].texts) if row not in bad] if bad else read[name].texts
        if texts.setdefault(name, kept) != kept:
            desk.fault(place, f"{name} is named for the fit and for its validation, with different lines skipped")
    if bad:
        rows = len(read[files[0].variable].texts)
        if len(bad) == rows:
            desk.fault(key, f"{said}; so it is with all {rows:,} lines, and none is left")
            return
        some = f"{len(bad):,} of {rows:,} lines {'was' if len(bad) == 1 else 'were'} skipped"
        desk.warn(Asked(key, files[0].variable), f"{' and '.join(name for _, name in files)}: {some}: {said}")
