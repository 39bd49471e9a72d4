"""Look up and read the variables that a fit body names, and collect their faults."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from s2s_magic.data import sequences
from s2s_magic.data.arrays import as_array
from s2s_magic.data.selection import find, same_file
from s2s_magic.data.sequences import Rows
from s2s_magic.data.tokens import UNITS, UNKNOWN, listed
from s2s_magic.data.values import Unknown
from s2s_magic.data.vocabularies import AnyTokenizer
from s2s_magic.errors import DataError, Fault
from s2s_magic.handle import Seq2Seq

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan


class Asked(NamedTuple):
    """A variable that the body names, and the key that names it."""

    key: str
    variable: str


@dataclass
class Desk:
    """The plan, the namespace of its variables, and the faults found so far."""

    seq2seq: Seq2Seq
    plan: FitPlan
    namespace: Mapping[str, Any]
    faults: list[Fault] = field(default_factory=list)
    cause: BaseException | None = None
    tokenizers: dict[str, AnyTokenizer] = field(default_factory=dict)
    lines: dict[str, Callable[[int], str]] = field(default_factory=dict)

    def where(self, variable: str, row: int) -> str:
        """Say where a row of a variable or a file is; ``lines`` says it of files."""
        return self.lines[variable](row) if variable in self.lines else f"{variable}: row {row}"

    def fault(self, key: str, message: str, cause: BaseException | None = None) -> None:
        """Note a fault in what a key of the body names, and the exception that caused it."""
        place = self.plan.place_of(key)
        self.faults.append(Fault(*(place if any(place) else self.plan.place_of("inputs")), message))
        self.cause = self.cause or cause

    def raise_faults(self) -> None:
        """Raise the noted faults, if any."""
        if self.faults:
            raise DataError(set(self.faults)) from self.cause

    def value(self, key: str, name: str) -> Any:
        """Return the plain value of a notebook variable; None after a fault."""
        value, padding = self.found(key, name), self.seq2seq.ids.padding
        return value and self.reading(Asked(key, name), lambda: sequences.plain(value[0], padding))

    def found(self, key: str, name: str) -> tuple[Any] | None:
        """Return a notebook variable unread, in a tuple of one; None after a fault."""
        try:
            found = find(name, self.namespace)
        except Unknown as error:
            self.fault(key, str(error), error.__cause__)
        except sequences.Unreadable as error:
            self.fault(key, f"{name} {error}", error.__cause__)
        else:
            if (file := same_file(name)) is not None:
                self.warn(Asked(key, name), f"{name} is the variable; the file of that name is {file}")
            return (found,)
        return None

    def reading(self, asked: Asked, read: Callable[[], Any]) -> Any:
        """Return what ``read`` returns; if the value is unreadable, note why and return None."""
        try:
            return read()
        except sequences.Unreadable as error:
            message = f"{asked.variable} {error}".replace("NAME", asked.variable)
            self.fault(asked.key, message, error.__cause__)
            return None

    def array(self, key: str, name: str, what: Literal["numbers", "text"] | None = "numbers") -> Any:
        """Read an array of numbers or of text, of any shape; None after a fault."""
        value = self.value(key, name)
        found = None if value is None else self.reading(Asked(key, name), lambda: as_array(value))
        if found is None or what is None or (found.dtype == object) == (what == "text"):
            return found
        if what == "text":
            self.fault(key, f"{name} holds numbers, and the input it is for takes text")
        else:
            self.fault(key, f"{name} holds text, and numbers are expected")
        return None

    def read(self, key: str, name: str, side: str | None) -> Any:
        """Read rows: texts where ``side`` has or can have a tokenizer, else ids; None after a fault."""
        value = self.value(key, name)
        return None if value is None else self.reading(Asked(key, name), lambda: self._rows(value, side))

    def _rows(self, value: Any, side: str | None) -> Any:
        tokens = self.seq2seq.ids.tokens.get(side or "", "none")
        if not sequences.is_text(value):
            if tokens != "none" and len(value):
                raise sequences.Unreadable(
                    f"holds ids, and {self.seq2seq.name} was built with tokens: {tokens}: give it texts"
                )
            return sequences.ids(value) if tokens == "none" else []
        if tokens == "none":
            raise sequences.Unreadable(
                "holds text, and the model reads ids: build it from a spec with tokens: char, word or subword(8000), "
                "or give ids"
            )
        return sequences.texts(value)

    def encoded(self, asked: Asked, side: str, texts: Sequence[str]) -> Rows:
        """Turn texts into ids; warn of tokens that the vocabulary does not have, note a fault if it has none."""
        tokenizer = self.tokenizers[side]
        found = Rows.of([tokenizer.encode(text) for text in texts])
        count = int((found.values == UNKNOWN).sum())
        self.tell_unknown(asked, side, count, len(found.values), tokenizer.unknown(texts) if count else Counter())
        return found

    def tell_unknown(self, asked: Asked, side: str, count: int, ids: int, some: Counter[str]) -> None:
        """Warn of ``count`` tokens that the vocabulary does not have; note a fault if these are all ids."""
        if not count:
            return
        tokenizer = self.tokenizers[side]
        unit, missing = UNITS[tokenizer.unit], listed(some)
        if count == ids:
            known = listed(Counter(tokenizer.tokens)) or "none"
            what = f"is in the vocabulary ({missing}), which has {known}"
            self.fault(asked.key, f"{asked.variable}: none of the {side}'s {unit} {what}")
            return
        percent = min(99.0, 100 * count / ids)
        what = f"are not in the vocabulary ({missing}); they are read as unknown"
        self.warn(asked, f"{asked.variable}: {percent:.2g} % of the {side}'s {unit} {what}")

    def warn(self, asked: Asked, message: str) -> None:
        """Warn about a variable, at the line that names it."""
        warnings.warn_explicit(
            message, UserWarning, f"{self.plan.verb} {self.seq2seq.name}", self.plan.place_of(asked.key)[0]
        )
