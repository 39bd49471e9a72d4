"""What all tests share."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# The fresh sample of a run, the same in all of its processes.
os.environ.setdefault("S2S_MAGIC_SAMPLE", str(secrets.randbelow(1_000_000)))

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew from what the tests got")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Give a function that compares a text with tests/golden/<name>, and writes that file under --update-golden."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"tests/golden/{name} is missing: run pytest with --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return compare


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, where ``pytest -n 2 --dist loadgroup`` runs them in several.

    The drawn programs go to whichever process is free.
    """
    for item in items:
        if item.path.stem != "test_differential":
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
