"""Looking up and reading what a fit body names, and noting what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from s2s_magic.errors import DataError, Fault, nearest
from s2s_magic.seq2seq import Seq2Seq
from s2s_magic.text import Tokenizer
from s2s_magic.training import rows

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan


class Asked(NamedTuple):
    """A variable that the body names, and the key that names it."""

    key: str
    variable: str


@dataclass
class Desk:
    """The plan, the names it speaks of, and the faults found so far."""

    seq2seq: Seq2Seq
    plan: FitPlan
    namespace: Mapping[str, Any]
    faults: list[Fault] = field(default_factory=list)
    tokenizers: dict[str, Tokenizer] = field(default_factory=dict)

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with what a key of the body names."""
        place = self.plan.place_of(key)
        self.faults.append(Fault(*(place if any(place) else self.plan.place_of("inputs")), message))

    def raise_faults(self) -> None:
        """Raise what was noted."""
        if self.faults:
            raise DataError(set(self.faults))

    def value(self, key: str, name: str) -> Any:
        """Give the plain value of a notebook variable; None when it is unknown."""
        if name not in self.namespace:
            self.fault(key, f"there is no variable {name!r}{nearest(name, self.namespace)}")
            return None
        return rows.plain(self.namespace[name])

    def read(self, key: str, name: str, side: str | None) -> Any:
        """Read rows: texts where ``side`` has or can have a tokenizer, else ids; None after a fault."""
        value = self.value(key, name)
        if value is None:
            return None
        spec = self.seq2seq.spec
        tokens = spec.tokens if spec is not None and side else "none"
        try:
            if not rows.is_text(value):
                if tokens != "none":
                    raise rows.Unreadable(
                        f"holds ids, and {self.seq2seq.name} was built with tokens: {tokens}: give it texts"
                    )
                return rows.ids(value)
            if tokens == "none":
                raise rows.Unreadable(
                    "holds text, and the model reads ids: build it from a spec with tokens: char or word, or give ids"
                )
            return rows.texts(value)
        except rows.Unreadable as error:
            self.fault(key, f"{name} {error}")
            return None
