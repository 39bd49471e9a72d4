"""One server of each kind, one Chromium, and pages that end with a screenshot.

All of them are closed after the last test of a file: Playwright's event loop would else run beneath the tests that
come after it, and open pages would take time from them.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness import browser, chromium, jupyter, open_notebook, run_all, use_theme

REPOSITORY = Path(__file__).parents[2]
ARTIFACTS = REPOSITORY / "artifacts"


@pytest.fixture(scope="module")
def chrome():
    if chromium() is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    pytest.importorskip("playwright", reason="no playwright here: pip install playwright")
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def served(tmp_path_factory, chrome):
    """Give a function that starts a server once, and gives its address, folder and home."""
    running, stack = {}, []

    def start(front_end):
        if front_end not in running:
            place = tmp_path_factory.mktemp(front_end)
            folder, home = place / "notebooks", place / "home"
            folder.mkdir()
            server = jupyter(front_end, folder, home)
            running[front_end] = (server.__enter__(), folder, home)
            stack.append(server)
        return running[front_end]

    yield start
    for server in stack:
        server.__exit__(None, None, None)


@pytest.fixture(scope="module")
def notebook_page(served, chrome):
    """Give a function that opens a copy of a notebook, runs it, and gives the page: one a front-end and theme."""
    pages = {}

    def open_page(front_end, path, *, theme="Light"):
        wanted = (front_end, path, theme)
        if wanted not in pages:
            address, folder, home = served(front_end)
            name = f"{path.stem}-{len(pages)}.ipynb"
            shutil.copy(path, folder / name)
            use_theme(home, theme)
            page = chrome.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(60_000)
            open_notebook(page, address, front_end, name)
            run_all(page, path)
            pages[wanted] = page
        return pages[wanted]

    yield open_page
    for page in pages.values():
        page.close()


@pytest.fixture
def photograph():
    """Give a function that keeps a screenshot of a page or of a part of it."""

    def keep(subject, name):
        ARTIFACTS.mkdir(exist_ok=True)
        subject.screenshot(path=ARTIFACTS / f"{name}.png")

    return keep


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """Give axe-core's source, as npm has it."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm here to bring axe-core: apt-get install npm")
    place = tmp_path_factory.mktemp("axe")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(place), "axe-core@4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot bring axe-core: {done.stderr.strip()[-200:]}")
    return (place / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
