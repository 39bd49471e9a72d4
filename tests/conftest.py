"""Fixtures and hooks that all tests share."""

import gc
import os
import secrets
import signal
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# The new sample of a run, the same in all of its processes.
os.environ.setdefault("S2S_MAGIC_SAMPLE", str(secrets.randbelow(1_000_000)))

if "PYTEST_XDIST_WORKER" in os.environ and "malloc" in os.environ.get("LD_PRELOAD", ""):
    del os.environ["LD_PRELOAD"]  # another malloc is for these processes alone: what they start is as users have it

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts what it runs in the background so, and then no test could be interrupted
    signal.signal(signal.SIGINT, signal.default_int_handler)
# said by what stands in for it, if asked for another part than seq2seq
ADDONS_MISSING = "TensorFlow Addons is not installed"
GOLDEN = Path(__file__).parent / "golden"
GAVE_WAY = "the time of this run was over"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew from what the tests got")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that compares a text with tests/golden/<name>, or writes that file with --update-golden."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"tests/golden/{name} is missing: run pytest with --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture
def beams_of_any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a beam hold all hypotheses, so that it is an exhaustive search; users' are as wide as their vocabulary."""
    monkeypatch.setattr("s2s_magic.decoding.model_settings.check_width", lambda *_: None)


def pywrap_tfe() -> Any:
    """Return the TensorFlow module that knows which gradient tapes are active."""
    from tensorflow.python import pywrap_tfe

    return pywrap_tfe


def pytest_collection_finish() -> None:
    """Exclude imported objects from garbage collection, which took a third of the time of tests with many traces.

    And collect less often: a traced graph is hundreds of thousands of objects that all stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Skip a test whose fixtures need a part of TensorFlow Addons that only it has, if it is not installed.

    And one marked ``once``, after the time, in seconds since 1970, that ``S2S_MAGIC_UNTIL`` gives, and one marked
    ``late`` five minutes later: where a run has only so much time, on a slow day these give way, and the end of the run
    says how many.
    """
    late = time.time() - float(os.environ.get("S2S_MAGIC_UNTIL", "inf"))
    if (late > 0 and item.get_closest_marker("once")) or (late > 300 and item.get_closest_marker("late")):
        pytest.skip(GAVE_WAY)
    return (yield from _unless_addons_are_missing())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests gave way for want of time."""
    left = sum(GAVE_WAY in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if left:
        terminalreporter.line(f"{left} tests marked `once` or `late` were left out: {GAVE_WAY}.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Skip a test that needs a part of TensorFlow Addons that only it has, if it is not installed."""
    return (yield from _unless_addons_are_missing())


def _unless_addons_are_missing() -> Any:
    try:
        return (yield)
    except BaseException as error:
        if not any(isinstance(each, AttributeError) and ADDONS_MISSING in str(each) for each in _behind(error)):
            raise
    pytest.skip("needs more of TensorFlow Addons than seq2seq, and it is not installed")


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.fixture(autouse=True, scope="module")
def _memory_given_back() -> Iterator[None]:
    """Bound the memory and the time of a long run: the memory of a file's models is freed after its last test.

    What is left then stays, as in TensorFlow's registries, and no later collection looks through it again: in a process
    that had run a thousand tests, collections took two thirds of the time of the randomly drawn programs.
    """
    from forgetting import gradients_forgotten

    with gradients_forgotten():
        yield
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _no_gpu_forms(request: pytest.FixtureRequest) -> Iterator[None]:
    """Spare Keras 2, in what tests fit plainly too, the second form of recurrent layers, which nothing calls here.

    It took a third of the time of their fits. A file with ``GPU_FORMS`` set to true has Keras as it is, and so have
    the notebooks and programs that run in processes of their own.
    """
    from s2s_magic import backend
    from s2s_magic.undoing import Changes

    with Changes() as changes, changes, changes:
        if not getattr(request.module, "GPU_FORMS", False):
            backend.skip_gpu_forms(changes)
        yield


@pytest.fixture(autouse=True)
def _no_tape_left() -> Iterator[None]:
    """Fail a test that leaves a gradient tape active: it would record everything that later tests run."""
    yield
    assert "tensorflow" not in sys.modules or pywrap_tfe().TFE_Py_TapeSetIsEmpty(), "a GradientTape is still active"


@pytest.fixture(autouse=True)
def _no_handler_left() -> Iterator[None]:
    """Fail a test that leaves a handler of signals: it would decide what later ones do at an interrupt."""
    before = signal.getsignal(signal.SIGINT)
    yield
    after = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)
    assert after is before or after is signal.default_int_handler, f"{after} handles interrupts still"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process when ``pytest -n 3 --dist loadgroup`` uses several.

    The files of a folder share its servers and its browser. The randomly drawn programs may run in any process, and a
    file may name the process of another one, whose results it uses.
    First of all hooks: pytest-xdist's own reads the marks that are there when it is called.

    ``S2S_MAGIC_HALF`` is 1 in a run with one Keras and 2 in the run with the other one that follows it, with the same
    ``S2S_MAGIC_SAMPLE``. Then each test marked ``once``, which are long and should give the same on both, is run in one
    of the two; the number of the sample decides in which. The pages in a browser and the built site are tested in the
    first, and what only one Keras can pass wherever it can.
    """
    half = int(os.environ.get("S2S_MAGIC_HALF", "0"))
    for item in items:
        pages = item.path.parent.name == "browser" or "site" in getattr(item, "fixturenames", ())
        if half and (pages or item.get_closest_marker("once")) and half != (1 if pages else _half_of(item)):
            item.add_marker(pytest.mark.skip(reason="run with the other Keras this time"))
        if item.path.stem != "test_differential" and item.get_closest_marker("xdist_group") is None:
            group = item.path.stem if item.path.parent == Path(__file__).parent else item.path.parent.name
            item.add_marker(pytest.mark.xdist_group(group))


def _half_of(item: pytest.Item) -> int:
    """Return which of two runs has a test: what has the same first parameter, and so often models, stays together."""
    if item.get_closest_marker("skipif"):
        return int(os.environ["S2S_MAGIC_HALF"])
    case = getattr(item, "callspec", None)
    name = f"{item.path.stem} {case.id.split('-')[0] if case else item.name}"
    return (zlib.crc32(name.encode()) + int(os.environ["S2S_MAGIC_SAMPLE"])) % 2 + 1
