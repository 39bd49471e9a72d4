"""Random functional graphs: the sums are always consistent."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("tensorflow")

from s2s_magic.ledger import Called
from s2s_magic.tracing import Traced, run
from test_trace_ledger import check

START = """\
from tensorflow import keras
from tensorflow.keras import layers
def twice(f, v):
    return f(f(v))
def one_of(things, number):
    return things[number % len(things)] if things else None
x = keras.Input([4])
made = []
ends = [x]
"""

NEW = {
    "dense": "layers.Dense(4)",
    "frozen": "layers.Dense(4, trainable=False)",
    "norm": "layers.BatchNormalization()",
    "stack": "keras.Sequential([layers.Dense(5), layers.Dense(4)])",
    "folded": "layers.TimeDistributed(layers.Dense(4))",
}
PICK = st.integers(0, 50)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("new"), st.sampled_from(sorted(NEW)), PICK),
        st.tuples(st.just("again"), PICK, PICK),
        st.tuples(st.just("add"), PICK, PICK),
        st.tuples(st.just("twice"), PICK, PICK),
        st.tuples(st.just("freeze"), PICK, PICK),
        st.tuples(st.just("model"), PICK, PICK),
    ),
    max_size=7,
)


def line(step: tuple[Any, ...]) -> str:
    """Return the statement of one step; its numbers wrap around the available objects."""
    kind, first, second = step
    end = f"ends[{second} % len(ends)]"
    if kind == "new":
        wrap = (
            f"keras.layers.Reshape([4])({{}}(keras.layers.Reshape([1, 4])({end})))"
            if first == "folded"
            else f"{{}}({end})"
        )
        return f"made.append({NEW[first]}); ends.append({wrap.format('made[-1]')})"
    if kind == "add":
        return f"ends.append(ends[{first} % len(ends)] + {end})"
    if kind == "freeze":
        return f"if made: made[{first} % len(made)].trainable = False"
    pick = f"m = one_of([m for m in made if isinstance(m, (layers.Dense, keras.Model))], {first})"
    if kind == "again":
        return f"{pick}; ends.append(m({end}) if m else {end})"
    if kind == "twice":
        return f"{pick}; ends.append(twice(m, {end}) if m else {end})"
    return f"made.append(keras.Model(x, {end})); ends.append(made[-1](x))"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(steps=STEPS)
def test_random_graphs_keep_the_invariants(steps: list[tuple[Any, ...]]) -> None:
    code = START + "\n".join(map(line, steps)) + "\nmodel = keras.Model(x, ends[-2:])\n"
    seen = run(code, {})
    assert seen.error is None, (seen.error, code)
    check(Traced(seen.ledger.about("model"), seen.live, seen.namespace), seen.namespace["model"])
    calls: dict[str, int] = {}
    for event in [event for event in seen.ledger.events if isinstance(event, Called) and event.via is None]:
        calls[event.object] = calls.get(event.object, 0) + 1
        assert event.call == calls[event.object]
        assert event.in_graph
