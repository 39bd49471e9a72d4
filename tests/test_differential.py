"""Programs drawn at random, fitted twice by Keras and twice by this package: the same numbers, or a line that refuses.

A fixed sample, and a new one each run whose number is printed; ``S2S_MAGIC_SAMPLE=NUMBER`` draws that one again. The
samples on Keras 2 and on Keras 3 differ, and have 300 programs together.
`benchmarks/differential.py` tries as many as one likes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

import pytest
import tensorflow as tf

from differing import Outcome, compared, reported
from kerases import KERAS3
from program_cases import CASES
from program_text import Program
from programs import drawn

pytestmark = pytest.mark.late

FIXED, FIXED_COUNT = (2, 90) if KERAS3 else (1, 150)
FRESH_COUNT, CHUNK = 30, 10
FRESH = int(os.environ["S2S_MAGIC_SAMPLE"])

SAMPLES = {FIXED: FIXED_COUNT, FRESH: FRESH_COUNT}


@cache
def sample(number: int) -> list[Program]:
    return drawn(number, SAMPLES[number])


@pytest.fixture(autouse=True, scope="module")
def _graphs_as_they_were_traced() -> Iterator[None]:
    """Spare the graph optimizer, which takes as long as tracing does and is the same for both sides."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("number", "first"), [(number, first) for number, count in SAMPLES.items() for first in range(0, count, CHUNK)]
)
def test_a_fit_gives_the_numbers_of_keras_or_refuses_in_one_line(number: int, first: int) -> None:
    """Accelerated, and for each third program as Keras computes it; see `differing.CLOSE` for how near is the same."""
    outcomes: list[Outcome] = []
    for place, program in enumerate(sample(number)[first : first + CHUNK], start=first):
        outcomes += compared(program, (place % 3 != 2,))
    print(f"sample {number}:", reported(outcomes))
    wrong = [outcome for outcome in outcomes if outcome.ended in ("differs", "untrue", "fails", "refused")]
    assert not wrong, "\n\n".join(str(outcome) for outcome in wrong)
    assert sum(outcome.ended == "same" for outcome in outcomes) >= CHUNK // 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("title", CASES)
def test_a_program_written_for_it_gives_the_numbers_of_keras(title: str) -> None:
    outcomes = compared(CASES[title])
    assert {outcome.ended for outcome in outcomes} == {"same"}, "\n\n".join(map(str, outcomes))
    assert "accelerated" in outcomes[0].told
