"""The README's tables of keys match the code."""

from pathlib import Path

import pytest

from s2s_magic.spec.fit import FIT_KEYS
from s2s_magic.spec.model import SPEC_KEYS
from s2s_magic.spec.score import SCORE_KEYS
from s2s_magic.verbs import VERBS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("title", "keys"), [("### The spec", SPEC_KEYS), ("### The fit", FIT_KEYS), ("### Scoring", SCORE_KEYS)]
)
def test_a_table_has_every_key_with_its_help_and_example(title, keys):
    _, _, after = README.partition(f"{title}\n")
    rows = [line for line in after.split("\n\n")[0].splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {key.help} | `{name}: {key.example}` |" for name, key in keys.items()]


def test_every_verb_has_a_row_among_the_magics():
    assert [verb for verb in VERBS if f"%seq2seq {verb}" not in README] == []
