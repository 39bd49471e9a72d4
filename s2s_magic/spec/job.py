"""A training file: a model, its fit, its score and where to keep it, one section each."""

from __future__ import annotations

from dataclasses import dataclass

from s2s_magic.spec.reading import Entries, Faults, Place, Scalar, read_document, read_entries

SECTIONS = {
    "build": "the spec of the model, as in %%seq2seq build",
    "trace": "in place of build, a Python file with the code of the model, as in %%seq2seq trace",
    "fit": "the fit, as in %%seq2seq fit",
    "score": "the score after the fit, as in %%seq2seq score",
    "save": "the folder to save the model to, as in %seq2seq save",
}
_PATHS = ("trace", "save")


@dataclass(frozen=True)
class Section:
    """The text of a section, and the place of its first character."""

    text: str
    place: Place


def parse_job(text: str) -> dict[str, Section]:
    """Read a training file into its sections, whose texts keep their lines and columns.

    Parameters
    ----------
    text
        YAML with the keys of `SECTIONS`.

    Returns
    -------
    dict
        The sections by name. Their texts begin at ``place``; what is left of the first character is blank.

    Raises
    ------
    SpecError
        With every fault of the sections' names and kinds, each at its line and column.
    """
    faults = Faults()
    root = read_document(text, 1, faults)
    required = {"fit": "fit: {source: data/train.en, target: data/train.de}"}
    entries = {}
    if isinstance(root, Entries):
        entries = read_entries(root, faults, known=SECTIONS, required=required, what="section")
        if ("build" in entries) == ("trace" in entries):
            faults.add(root.place, "expected one of the sections 'build' and 'trace'")
    else:
        faults.add((1, 1) if root is None else root.place, "expected sections, such as 'build:' and 'fit:'")
    for name, entry in entries.items():
        if name in _PATHS and not isinstance(entry.value, Scalar):
            faults.add(entry.value.place, f"expected a path, as in '{name}: model{'.py' if name == 'trace' else ''}'")
        elif name not in _PATHS and not isinstance(entry.value, Entries):
            faults.add(entry.value.place, f"expected keys with values: {SECTIONS[name]}")
    faults.raise_if_any()
    lines = text.replace("\r\n", "\n").split("\n")
    ends = [*sorted(entry.key_place for entry in entries.values()), (len(lines) + 1, 1)]
    found = {}
    for name, entry in entries.items():
        line, column = entry.value.place
        if isinstance(entry.value, Scalar):
            found[name] = Section(entry.value.text, entry.value.place)
            continue
        last, _ = next(end for end in ends if end > entry.value.place)
        kept = [" " * (column - 1) + lines[line - 1][column - 1 :], *lines[line : last - 1]]
        found[name] = Section("\n".join(kept), entry.value.place)
    return found
