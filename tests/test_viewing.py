"""``python -m s2s_magic view``: a stored ledger is shown without a notebook or TensorFlow, or refused in one line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ledgers import translator_ledger
from s2s_magic.__main__ import main
from s2s_magic.ledger import Ledger
from s2s_magic.ledger.asking import ask
from s2s_magic.view import report, to_html, to_text

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def stored(tmp_path):
    """A ledger's file in a folder of its own."""
    path = tmp_path / "translator.json"
    path.write_text(json.dumps(translator_ledger(training=True).to_dict()))
    return path


@pytest.fixture
def ledger(stored):
    return Ledger.from_dict(json.loads(stored.read_text()))


def refused(capsys, *arguments):
    """Return the one line with which a view is refused."""
    assert main(["view", *map(str, arguments)]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def test_a_page_is_written_beside_the_ledger(stored, ledger, capsys):
    assert main(["view", str(stored)]) == 0
    page = stored.with_suffix(".html")
    assert capsys.readouterr().out == f"wrote {page}\n"
    assert page.read_text("utf-8") == to_html(report(ledger), page=True)


def test_views_are_those_of_inspect(stored, ledger, tmp_path, capsys):
    page, drawing, picture = (tmp_path / f"out.{kind}" for kind in ("html", "svg", "png"))
    given = ["--html", page, "--svg", drawing, "--png", picture, "--after", 5, "--training", "--text"]
    assert main(["view", str(stored), *map(str, given)]) == 0
    shown = report(ledger, after=5, training=True)
    assert page.read_text("utf-8") == to_html(shown, page=True)
    assert drawing.read_bytes().startswith(b"<svg")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.endswith(f"{to_text(shown)}\n")


def test_a_page_has_a_quiz_where_it_is_asked_for(stored, ledger, tmp_path, capsys):
    assert main(["view", str(stored), "--quiz"]) == 0
    assert stored.with_suffix(".html").read_text("utf-8") == to_html(report(ledger), page=True, quiz=ask(ledger))
    capsys.readouterr()
    assert "--quiz adds to a page" in refused(capsys, stored, "--quiz", "--svg", tmp_path / "out.svg")
    assert not (tmp_path / "out.svg").exists()


def test_no_tensorflow_and_no_notebook_is_loaded(stored):
    code = (
        "import sys; from s2s_magic.__main__ import main; main(['view', sys.argv[1], '--text']); "
        "sys.exit(bool({'tensorflow', 'keras', 'IPython', 'numpy'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code, str(stored)], check=True, capture_output=True, cwd=PROJECT)


def test_a_reader_who_has_seen_enough_is_no_error(stored):
    command = f'"{sys.executable}" -m s2s_magic view "{stored}" --text | head -n 1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert done.stdout.startswith("translator: 9 variables in 4 owners")
    assert done.stderr == ""


def test_names_that_a_terminal_lacks_letters_for_are_printed(stored):
    stored.write_text(stored.read_text().replace("embeddings", "\u0645\u062a"))
    command = [sys.executable, "-m", "s2s_magic", "view", str(stored), "--text"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=True, env=environment)
    assert "\\u0645\\u062a" in done.stdout


def test_a_missing_file_is_named_with_the_nearest(stored, capsys):
    assert "did you mean 'translator.json'?" in refused(capsys, stored.with_name("translater.json"))


def test_what_is_no_file_is_refused(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        assert "is not a regular file" in refused(capsys, path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1, column 1"),
        (b'{"schema":\n', "line 2, column 1"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b"{}", "the key 'schema' is None"),
        (b'{"schema": "s2s_magic.ledger/1", "name": 3}', "not a ledger: name"),
        (b"NaN", "the key 'schema' is None"),
    ],
)
def test_what_is_no_ledger_is_refused_in_one_line(tmp_path, capsys, content, said):
    path = tmp_path / "some.json"
    path.write_bytes(content)
    assert said in refused(capsys, path)


def test_a_file_of_a_million_events_is_refused_before_it_is_read(tmp_path, capsys):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(10**12)  # takes no room on the disk, and would take all memory to read
    assert "1,000,000,000,000 bytes" in refused(capsys, path)


def test_an_event_that_is_not_there_and_the_ledger_as_target_are_refused(stored, capsys):
    before = stored.read_bytes()
    assert "has no event 99; expected a number from 0 to 13" in refused(capsys, stored, "--after", 99)
    assert "is the ledger itself" in refused(capsys, stored, "--html", stored)
    assert stored.read_bytes() == before


def test_files_of_others_are_kept(stored, capsys):
    page = stored.with_suffix(".html")
    page.write_text("mine")
    assert "was not written by s2s_magic: --overwrite replaces it" in refused(capsys, stored)
    assert page.read_text() == "mine"
    assert main(["view", str(stored), "--overwrite"]) == 0


def test_an_unknown_command_or_option_is_refused(stored, capsys):
    for arguments in (["show", str(stored)], ["view", str(stored), "--htm", "x"], []):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    assert "invalid choice: 'show'" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm, to install Pyodide")
def test_a_browsers_python_writes_the_page(stored, ledger, tmp_path):
    """Pyodide is CPython 3.14 for WebAssembly: no TensorFlow, no NumPy and no graphlay exist for it."""

    def run(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    wheels, page = tmp_path / "wheels", tmp_path / "page.html"
    run("npm", "install", "--no-audit", "--no-fund", "pyodide@314.0.7")
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", wheels, "--only-binary=:all:"),
        *("--python-version=3.14", "--platform=pyemscripten_2026_0_wasm32", "pydantic"),
    )
    said = run("node", PROJECT / "tests" / "pyodide" / "view.mjs", wheels, PROJECT, stored, page)
    assert said.startswith("(3, 14) emscripten\n")
    assert to_text(report(ledger)) in said
    wiring = "Not shown: the wiring is drawn with graphlay, which is not installed: pip install graphlay."
    assert wiring in page.read_text("utf-8")
    assert "decoder_cell" in page.read_text("utf-8")
