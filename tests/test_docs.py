"""The site is built strictly from the example notebooks, and what its pages and the docstrings show is true."""

import ast
import builtins
import doctest
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jsonschema
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

import s2s_magic
import test_notebooks
from s2s_magic.errors import Seq2SeqError
from s2s_magic.ledger.document import json_schema
from s2s_magic.ledger.verdicts import RULES
from s2s_magic.spec.fit import FIT_KEYS
from s2s_magic.spec.job import SECTIONS
from s2s_magic.spec.model import SPEC_KEYS
from s2s_magic.spec.score import SCORE_KEYS
from s2s_magic.verbs import VERBS, flags_of
from sessions import FLEXIBLE, differing

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = ROOT / "artifacts" / "site"
PAGES = sorted(path for folder in ("explanation", "how-to") for path in (DOCS / folder).glob("*.md"))
FIRST = DOCS / "how-to" / "index.md"

# in the process of the notebooks' own tests, which run them
pytestmark = [pytest.mark.once, pytest.mark.xdist_group("test_notebooks")]


def build(folder, site, *options):
    """Build the site from a copy of its sources, so that two can be built at once; return what Sphinx says."""
    sources = folder / "docs"
    shutil.copytree(DOCS, sources, ignore=shutil.ignore_patterns("*.ipynb"))
    sphinx = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
    command = [*sphinx, *options, "-d", folder / "trees", sources, site]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built from the notebooks as their own tests ran them; it stays in artifacts/site."""
    pytest.importorskip("sphinx", reason="no Sphinx here: pip install 's2s_magic[docs]'")
    folder = tmp_path_factory.mktemp("site")
    (folder / "examples").mkdir()
    for name in test_notebooks.NOTEBOOKS:
        nbformat.write(test_notebooks.executed(name), folder / "examples" / f"{name}.ipynb")
    shutil.rmtree(SITE, ignore_errors=True)
    done = build(folder, SITE)
    assert done.returncode == 0, done.stderr
    assert "Executing notebook" not in done.stderr
    return SITE


class Links(HTMLParser):
    """The ids of a page, and where its links and pictures lead."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.ends = set(), []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.ids |= {known["id"]} if "id" in known else set()
        self.ends += [known[key] for key in ("href", "src") if known.get(key)]


@pytest.mark.slow
def test_every_link_leads_somewhere(site):
    pages = {page: Links(page) for page in site.rglob("*.html")}
    broken = []
    for page, links in pages.items():
        for end in links.ends:
            parts = urlsplit(end)
            if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            there = target.exists() and (not parts.fragment or parts.fragment in pages[target].ids)
            broken += [] if there else [(page.name, end)]
    assert len(pages) > 40
    assert broken == []


@pytest.mark.slow
def test_no_page_asks_another_host_for_anything(site):
    foreign = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*")
    asked = {page.name: foreign.findall(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}
    assert {name: found for name, found in asked.items() if found} == {}


@pytest.mark.slow
def test_no_page_has_a_path_of_the_machine_that_built_it(site):
    folders = (f"{ROOT}/", f"{Path(nbformat.__file__).parents[1]}/", f"{Path.home()}/", f"{tempfile.gettempdir()}/")
    found = [
        (page.name, folder)
        for page in site.rglob("*.html")
        for folder in folders
        if folder in page.read_text(encoding="utf-8")
    ]
    assert found == []


@pytest.mark.slow
def test_the_tutorial_has_every_notebook_with_what_it_prints(site):
    for name in test_notebooks.NOTEBOOKS:
        page = (site / "tutorial" / f"{name}.html").read_text(encoding="utf-8")
        assert page.count('class="cell_output') >= 3, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "prefix", "names"),
    [
        ("verbs", "verb", VERBS),
        ("spec", "spec", SPEC_KEYS),
        ("fit", "fit", FIT_KEYS),
        ("score", "score", SCORE_KEYS),
        ("command-line", "job", SECTIONS),
    ],
)
def test_every_verb_and_key_can_be_linked_to_in_the_reference(site, page, prefix, names):
    ids = Links(site / "reference" / f"{page}.html").ids
    assert [name for name in names if f"{prefix}-{name.replace('_', '-')}" not in ids] == []


@pytest.mark.slow
def test_the_reference_has_every_option_verdict_error_and_function(site):
    pages = (site / "reference").glob("*.html")
    said = {page.stem: re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")) for page in pages}
    options = {flag for verb in VERBS for flag in flags_of(verb)} - {"--help"}
    assert [flag for flag in options if flag not in said["verbs"]] == []
    assert [rule.verdict for rule in RULES if rule.verdict not in said["verdicts"]] == []
    assert [kind.__name__ for kind in Seq2SeqError.__subclasses__() if kind.__name__ not in said["errors"]] == []
    assert [name for name in s2s_magic.__all__ if f"s2s_magic.{name}" not in said["python"].replace("\n", "")] == [
        "Seq2SeqError"
    ]


def test_a_ledger_is_valid_by_its_schema():
    model = s2s_magic.trace(
        "from tensorflow import keras\nx = keras.Input([3])\ny = keras.layers.Dense(2)(x)\nmodel = keras.Model(x, y)"
    )
    written = json.loads(json.dumps(model.ledger.to_dict()))
    jsonschema.validate(written, json_schema())
    del written["variables"]["v0"]["owner"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, json_schema())


def documented():
    """List the package's docstrings with examples: module, name and text, without importing anything."""
    for path in sorted((ROOT / "s2s_magic").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ">>>" in (ast.get_docstring(node) or ""):
                yield pytest.param(module, ast.get_docstring(node), id=f"{module}.{node.name}")


@pytest.mark.parametrize(("module", "text"), list(documented()))
def test_the_examples_of_a_docstring_are_true(module, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {**vars(importlib.import_module(module)), "s2s_magic": s2s_magic}
    test = doctest.DocTestParser().get_doctest(text, names, module, None, None)
    monkeypatch.setattr(builtins, "_", None, raising=False)  # doctest would leave one, and IPython heeds it
    said = []
    results = doctest.DocTestRunner(optionflags=FLEXIBLE).run(test, out=said.append)
    assert results.attempted
    assert not results.failed, "".join(said)


def test_every_public_function_has_an_example():
    functions = [name for name in s2s_magic.__all__ if inspect.isfunction(getattr(s2s_magic, name))]
    assert [name for name in functions if ">>>" not in (inspect.getdoc(getattr(s2s_magic, name)) or "")] == []


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """An IPython shell in an empty folder, in which the first of the pages was run, and the names that it made."""
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("pages"))
    shell = InteractiveShell.instance()
    assert differing(shell, FIRST) == []
    yield shell, {name: shell.user_ns[name] for name in ("words", "backwards", "reverser")}
    shell.run_line_magic("unload_ext", "s2s_magic")
    InteractiveShell.clear_instance()
    os.chdir(here)


@pytest.mark.parametrize("page", [page for page in PAGES if page != FIRST], ids=lambda page: page.stem)
def test_the_examples_of_a_page_print_what_it_says(first, page):
    shell, names = first
    shell.push(names)  # a page before may have bound them to something else
    assert differing(shell, page) == []
