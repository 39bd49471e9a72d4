"""The site: ``python -m sphinx -W docs artifacts/site``; see CONTRIBUTING.md."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import reference_tables
import s2s_magic
from s2s_magic.ledger.document import json_schema

project = "s2s_magic"
author = "the authors of s2s_magic"
version = release = s2s_magic.__version__
html_title = f"s2s_magic {version}"
language = "en"
smartquotes_action = "D"  # dashes alone: quotes and dots of options and keys are shown as they are written

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

# The notebooks are those of examples/. One that comes with outputs is shown as it is, any other is run.
NOTEBOOKS = sorted((DOCS.parent / "examples").glob("*.ipynb"))
nb_execution_mode = "auto"
nb_execution_excludepatterns = [
    f"tutorial/{notebook.name}"
    for notebook in NOTEBOOKS
    if any(cell.get("outputs") for cell in json.loads(notebook.read_text("utf-8"))["cells"])
]
nb_execution_timeout = 1800
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
nb_output_stderr = "remove"  # warnings of libraries, with the paths of a machine

autodoc_typehints = "none"  # the signature has them
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
default_role = "py:obj"

html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
# no address of another host: a page asks the network for nothing
nb_ipywidgets_js: dict[str, Any] = {}
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]


def bring_notebooks(app: Any) -> None:
    """Copy the example notebooks to where the tutorial is; one that has not changed keeps its date."""
    for notebook in NOTEBOOKS:
        copy = Path(app.srcdir, "tutorial", notebook.name)
        if not copy.exists() or copy.read_bytes() != notebook.read_bytes():
            copy.write_bytes(notebook.read_bytes())


def put_tables(app: Any, page: str, source: list[str]) -> None:
    """Put what is generated from the code's tables in place of the comments that name it."""
    for name, text in reference_tables.TABLES.items():
        mark = f"<!-- table: {name} -->"
        if mark in source[0]:
            source[0] = source[0].replace(mark, text())


def write_schema(app: Any, error: Exception | None) -> None:
    """Write the JSON Schema of a ledger beside the page that links it."""
    if error is None:
        Path(app.outdir, "reference", "ledger.schema.json").write_text(json.dumps(json_schema(), indent=1), "utf-8")


def setup(app: Any) -> None:
    """Connect what is made at build time; nothing that is made is stored."""
    app.connect("builder-inited", bring_notebooks)
    app.connect("source-read", put_tables)
    app.connect("build-finished", write_schema)
