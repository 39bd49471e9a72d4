"""The second reading of the weights, which random programs are held to, finds what is said wrongly."""

import pytest

from plainly import COMPILED, NAMES, TAGGER, quiet, traced
from s2s_magic import api
from truths import untrue, updates, values


@pytest.fixture(scope="module")
def fitted():
    tagger = traced(TAGGER + COMPILED)
    model = tagger.model
    before, updated = values(tagger), updates(model)
    api.fit(tagger, "source: X\ntarget: Y\nbatch: 16\nseed: 5\n", NAMES, progress=quiet)
    return tagger, model, before, updated


def test_what_is_said_of_a_fit_is_true(fitted):
    assert untrue(*fitted) == []


def test_another_movement_another_verdict_and_other_steps_are_found(fitted):
    tagger, model, before, updated = fitted
    (key, *_) = before
    shifted = {**before, key: before[key] + 1}
    assert "and its values by" in " ".join(untrue(tagger, model, shifted, updated))
    still = {**before, key: values(tagger)[key]}
    assert any(told.endswith("(trained)") and "by 0.0" in told for told in untrue(tagger, model, still, updated))
    assert f"and the optimizer counts {updates(model) - updated - 1}" in " ".join(
        untrue(tagger, model, before, updated + 1)
    )


def test_rows_that_moved_are_counted_again(fitted):
    tagger, model, before, updated = fitted
    (table,) = [key for key, seen in tagger.evidence.variables.items() if seen.rows_moved is not None]
    changed = before[table].copy()
    changed[0] += 1  # an id that no row of the data has
    assert "rows moved, and" in " ".join(untrue(tagger, model, {**before, table: changed}, updated))
