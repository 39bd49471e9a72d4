"""The site's pages in a real browser: with axe-core, in light and dark, wide and narrow."""

import shutil

import pytest

from harness import grave
from test_docs import ROOT, build

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The site, with notebooks that were not run: it is about the pages around them."""
    pytest.importorskip("sphinx", reason="no Sphinx here: pip install 's2s_magic[docs]'")
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(ROOT / "examples", folder / "examples")
    done = build(folder, folder / "site", "-D", "nb_execution_mode=off")
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "explanation/owners", "reference/python"])
def test_axe_finds_nothing_grave(chrome, axe, photograph, pages, name, scheme):
    context = chrome.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        page.goto((pages / f"{name}.html").as_uri())
        assert grave(page, axe, "html") == []
        photograph(page, f"site-{name.replace('/', '-')}-{scheme}")
    finally:
        context.close()


@pytest.mark.parametrize("name", ["index", "front-ends", "reference/verbs"])
def test_nothing_sticks_out_at_400_pixels(chrome, pages, name):
    context = chrome.new_context(viewport={"width": 400, "height": 800})
    try:
        page = context.new_page()
        page.goto((pages / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        context.close()
