"""An interrupt at any line of this package that a trace or a build runs through leaves nothing of ours behind."""

import asyncio
import gc
import itertools
import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("tensorflow")

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from tensorflow import keras

import s2s_magic
from interrupting import Place, interrupted, places
from leaving import skipping
from s2s_magic import Ledger
from s2s_magic.tracing import Tracing, run

pytestmark = pytest.mark.once

Layer = keras.layers.Layer
ORIGINAL = (Layer.__init__, Layer.__call__, Layer.add_weight)
CODE = """
from tensorflow import keras
from tensorflow.keras import layers
class Scale(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(2)
    def build(self, shape):
        self.w = self.add_weight(name="w", shape=[2])
    def call(self, v):
        return self.inner(v) * self.w
def twice(v):
    return shared(shared(v))
x = keras.Input([2])
shared = layers.Dense(2)
scale = Scale()
y = [twice(scale(x)) for _ in "1"][0] + 1.0
model = keras.Model(x, y)
last = 1
"""
STOPS = (KeyboardInterrupt, MemoryError)


def assert_nothing_is_left(place: Place) -> None:
    """Assert that nothing is left behind, and that the next trace works: it records one construction."""
    assert (Layer.__init__, Layer.__call__, Layer.add_weight) == ORIGINAL, place
    assert gc.isenabled(), place
    assert len(skipping()) <= 1, place  # that of the fixture for all tests
    names = {"keras": keras}
    seen = run("dense = keras.layers.Dense(1)", names)
    assert seen.error is None, place
    assert [event.source for event in seen.ledger.events] == ["keras.layers.Dense(1)"], place


def sample(found: list[Place]) -> list[Place]:
    """Return every place that changes something, and in each run a different sixth of those that only read."""
    modules = ("assemble", "events", "naming", "expressions", "stack", "relations", "refreshing")
    reading = ("backend/", *(f"tracing/{name}.py" for name in modules))
    start = random.randrange(6)
    return [place for number, place in enumerate(found) if not place.file.startswith(reading) or number % 6 == start]


def stopped_by(error: BaseException | None, stop: type[BaseException]) -> bool:
    """Return whether this exception stopped the run; TensorFlow converts a MemoryError, but names it in the text."""
    return type(error) is stop or (stop is MemoryError and error is not None and "MemoryError" in str(error))


def sources(ledger: Ledger) -> list[str]:
    return [event.source for event in ledger.events]


def test_an_interrupt_at_any_line_of_a_trace_keeps_the_ledger_up_to_there_and_leaves_nothing() -> None:
    tracing: list[Tracing] = []
    namespaces: list[dict[str, Any]] = []

    def call() -> Any:
        namespaces[:] = [{}]
        tracing.clear()
        tracing[:] = [Tracing(CODE, namespaces[0])]
        tracing[0].go()
        return tracing[0].traced()

    found = places(call)
    whole = sources(call().ledger)
    assert len(found) > 1200
    assert {"_construction", "_call", "adding", "unhook", "recorded", "undo", "assemble", "refresh"} <= {
        place.function for place in found
    }
    kept = 0
    for number, place in enumerate(sample(found)):
        stop = STOPS[number % 5 == 0]
        outcome = interrupted(call, place, stop)
        assert outcome.reached, place
        error = outcome.raised or outcome.value.error
        assert stopped_by(error, stop), place
        assert_nothing_is_left(place)
        for begun in tracing:
            ledger = begun.traced().ledger
            assert Ledger.from_dict(ledger.to_dict()) == ledger, place
            ended = whole[: len(ledger.events)]
            assert sources(ledger) == ended or stop is MemoryError, place
            kept += bool(ledger.events)
            assert not ("last" in namespaces[0] and sources(ledger) != whole), place
    assert kept > 200


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(colors="nocolor")
    made.run_line_magic("load_ext", "s2s_magic")
    yield made
    made.run_line_magic("unload_ext", "s2s_magic")
    InteractiveShell.clear_instance()


def test_an_interrupt_anywhere_in_the_magic_keeps_variables_and_what_was_seen(
    shell: InteractiveShell,
) -> None:
    cell = f"%%seq2seq trace seen{CODE}"

    def call() -> None:
        with capture_output():
            shell.run_cell(cell).raise_error()

    def clear() -> None:
        for name in ("seen", "x", "model", "last"):
            shell.user_ns.pop(name, None)

    drawn = [place for place in places(call) if place.file.startswith("view/")]
    clear()  # else the second run keeps the ledger of the first, which those below do not find
    others = ("view/", "tracing/", "ledger/", "backend/")
    found = [place for place in places(call, warm=False) if not place.file.startswith(others)]
    whole = sources(shell.user_ns["seen"].ledger)
    assert len(found) > 150
    after = 0
    for place in itertools.chain(found, drawn[:: len(drawn) // 20]):
        clear()
        outcome = interrupted(call, place)
        assert outcome.reached or place.hit > 1, place
        if not outcome.reached:  # a loop over the notebook's names, whose number varies
            continue
        assert type(outcome.raised) is KeyboardInterrupt, place
        assert_nothing_is_left(place)
        ended = "last" in shell.user_ns
        assert not ended or sources(shell.user_ns["seen"].ledger) == whole, place
        after += ended
        clear()
    assert after > 20, "what is drawn, is drawn after the cell"
    call()
    assert sources(shell.user_ns["seen"].ledger) == whole


def test_an_interrupt_at_any_line_of_a_build_leaves_nothing() -> None:
    spec = "vocab: 9\nembed: 2\nencoder: gru(2)\ndecoder: gru(2)\n"
    filters = list(warnings.filters)

    def call() -> Any:
        return s2s_magic.build(spec)

    found = places(call)
    assert len(found) > 1800
    early = [place for place in found if place.file.startswith(("spec/", "source/", "data/vocabularies.py"))]
    near = ("api.py", "undoing.py", "tracing/running.py", "tracing/patches.py", "tracing/execute.py", "handle.py")
    middle = [place for place in found if place.file in near]
    inside = [place for place in found if place.file.startswith(("tracing/", "backend/")) and place.file not in near]
    # what is made for each variable runs at different stages of Keras's `build` and `compile`
    hooked = [place for place in places(call, under="backend/", hits=40) if place.file.endswith("/hooks.py")]
    drawn = [*early[random.randrange(2) :: 2], *inside[random.randrange(60) :: 60], *random.sample(hooked, 20)]
    for place in (*middle, *drawn):
        outcome = interrupted(call, place)
        assert outcome.reached, place
        assert type(outcome.raised) is KeyboardInterrupt, place
        assert warnings.filters == filters, place
        assert_nothing_is_left(place)
    assert call().model is not None


def test_an_interrupt_at_any_line_leaves_the_event_loop_as_it_was(shell: InteractiveShell) -> None:
    code = "import asyncio\nfrom tensorflow import keras\nawait asyncio.sleep(0)\nd = keras.layers.Dense(1)\n"

    async def within_a_loop() -> Any:
        loop = asyncio.get_running_loop()
        levels = [shell.builtin_trap._nested_level, shell.display_trap._nested_level, shell.compile.flags]
        try:
            return run(code, shell.user_ns, shell=shell)
        finally:
            assert asyncio.get_running_loop() is loop
            assert levels == [shell.builtin_trap._nested_level, shell.display_trap._nested_level, shell.compile.flags]

    def call() -> Any:
        return asyncio.run(within_a_loop())

    found = places(call, under="tracing/execute.py")
    assert {"_drive", "_cancel_all", "execute", "_run"} <= {place.function for place in found}
    for place in found:
        outcome = interrupted(call, place)
        assert outcome.reached, place
        assert type(outcome.raised or outcome.value.error) is KeyboardInterrupt, place
        assert_nothing_is_left(place)
    assert call().error is None
