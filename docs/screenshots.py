"""Make the site's pictures from real runs: python docs/screenshots.py.

A short notebook runs in JupyterLab, in Notebook 7, in nbconvert and in IPython in a terminal, and is opened with its
outputs in VS Code, where npm's `code-server`, which is VS Code in a browser, is on the path. The pictures of pages are
screenshots of Chromium; what the terminal shows is set as a page before that. The wiring is the SVG that `inspect`
writes.
"""

from __future__ import annotations

import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pexpect
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from harness import PATIENCE, browser, chromium, free_port, jupyter, open_notebook, run_all, wait_for

PICTURES = Path(__file__).parent / "images"
WINDOW = {"width": 1100, "height": 760}
CELLS = (
    "%env TF_CPP_MIN_LOG_LEVEL=3\n%load_ext s2s_magic",
    "%%seq2seq trace reverser\n"
    "from tensorflow import keras\n"
    'given, wanted = keras.Input([None], dtype="int32"), keras.Input([None], dtype="int32")\n'
    "embedding = keras.layers.Embedding(60, 16)\n"
    "_, h, c = keras.layers.LSTM(64, return_state=True)(embedding(given))\n"
    "decoder = keras.layers.LSTM(64, return_sequences=True)\n"
    'chances = keras.layers.Dense(60, activation="softmax")(decoder(embedding(wanted), initial_state=[h, c]))\n'
    "model = keras.Model([given, wanted], chances)",
)
TYPED = (*CELLS[0].splitlines()[:1], CELLS[1], "%seq2seq explain reverser embedding")
SPEC = "vocab: 100\nembed: 10\nencoder: lstm(512)\ndecoder: lstm(512)\n"
OF_TERMINAL = "margin:0;padding:16px;background:#1e1e1e;color:#e8e8e8;font:14px/1.35 monospace;width:fit-content"


def keep(name: str, picture: bytes) -> None:
    """Store a screenshot as a small WebP."""
    path = PICTURES / f"{name}.webp"
    Image.open(io.BytesIO(picture)).save(path, quality=80, method=6)
    print(f"wrote {path.name} ({path.stat().st_size // 1024} KiB)")


def notebook(folder: Path) -> Path:
    """Write the short notebook."""
    path = folder / "reverser.ipynb"
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(made, path)
    return path


def of_front_end(chrome: Any, front_end: str, folder: Path) -> None:
    """Run the notebook in a Jupyter server, and keep a picture of the window."""
    served = folder / front_end
    served.mkdir()
    path = notebook(served)
    with jupyter(front_end, served, folder / f"home-{front_end}") as address:
        page = chrome.new_page(viewport=WINDOW)
        page.set_default_timeout(PATIENCE)
        open_notebook(page, address, front_end, path.name)
        run_all(page, path)
        if front_end == "lab":
            page.keyboard.press("Control+b")  # fold the side bar
        page.locator(".jp-Notebook .jp-CodeCell").nth(1).evaluate("cell => cell.scrollIntoView({block: 'start'})")
        page.mouse.move(0, 0)
        page.wait_for_timeout(1500)
        keep(front_end, page.screenshot())
        page.close()


def of_nbconvert(chrome: Any, folder: Path) -> None:
    """Execute the notebook with nbconvert, and keep a picture of the page."""
    path = notebook(folder)
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    page = chrome.new_page(viewport=WINDOW)
    page.goto(path.with_suffix(".html").as_uri())
    page.wait_for_timeout(1000)
    keep("nbconvert", page.screenshot())
    page.close()


def of_vscode(chrome: Any, folder: Path) -> None:
    """Open the notebook, executed before, in VS Code, and keep a picture of the window."""
    server = shutil.which("code-server")
    if server is None:
        print("left vscode.webp as it is: no code-server here, npm install code-server")
        return
    opened = folder / "vscode"
    opened.mkdir()
    path = notebook(opened)
    execute = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(path)]
    subprocess.run(execute, check=True, capture_output=True)
    settings = folder / "data" / "User" / "settings.json"
    settings.parent.mkdir(parents=True)
    chosen = {
        "workbench.colorTheme": "Default Dark Modern",
        "workbench.startupEditor": "none",
        "workbench.secondarySideBar.defaultVisibility": "hidden",
        "chat.disableAIFeatures": True,
    }
    settings.write_text(json.dumps(chosen))
    port = free_port()
    where = [
        f"--bind-addr=127.0.0.1:{port}",
        f"--user-data-dir={folder / 'data'}",
        f"--extensions-dir={folder / 'more'}",
    ]
    run = [server, "--auth=none", *where, "--disable-telemetry", "--disable-workspace-trust", str(opened)]
    log = folder / "vscode.log"
    with log.open("w") as told:
        started = subprocess.Popen(run, stdout=told, stderr=told)
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz", started, log)
        page = chrome.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(60_000)
        page.goto(f"http://localhost:{port}/?folder={opened}")
        listed = page.locator(".explorer-folders-view .monaco-list-row", has_text=path.name).first
        listed.wait_for()
        page.wait_for_timeout(5000)  # until it knows what a notebook is
        listed.dblclick()
        page.locator(".notebook-editor .code-cell-row").first.wait_for(state="attached")
        page.keyboard.press("Control+b")  # fold the side bar
        page.wait_for_timeout(8000)
        page.mouse.move(200, 500)
        page.mouse.wheel(0, 620)
        page.wait_for_timeout(2000)
        keep("vscode", page.screenshot())
        page.close()
    finally:
        started.terminate()
        started.wait()


def of_terminal(chrome: Any, folder: Path) -> None:
    """Type lines into IPython in a terminal, and keep a picture of what stands there."""
    options = ["-m", "IPython", "--no-banner", "--colors=NoColor", "--simple-prompt", "--no-confirm-exit"]
    environment = {**os.environ, "IPYTHONDIR": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    ipython = pexpect.spawn(
        sys.executable, options, env=environment, encoding="utf-8", timeout=60, dimensions=(60, 110)
    )
    shown = ""
    for cell in TYPED:
        lines = [*cell.splitlines(), *(["", ""] if "\n" in cell else [])]  # two blank lines end a cell
        for line in lines:
            ipython.expect(r"In \[\d+\]: |   \.\.\.: ")
            shown += ipython.before + ipython.after
            ipython.sendline(line)
    ipython.expect(r"In \[\d+\]: ")
    shown += ipython.before
    ipython.close()
    page = chrome.new_page(viewport=WINDOW)
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown).replace("\r", "").strip()
    lines = [line for line in text.splitlines() if not re.match(r"(WARNING: All log|[IWE]0000 )", line)]
    start = next(n for n, line in enumerate(lines) if "explain" in line)
    page.set_content(f'<pre style="{OF_TERMINAL}">{html.escape(chr(10).join(lines[start:]))}</pre>')
    keep("terminal", page.locator("pre").screenshot())
    page.close()


def of_the_wiring() -> None:
    """Write the picture of the first page."""
    import s2s_magic
    from s2s_magic.view import to_svg

    ledger = s2s_magic.build(SPEC).ledger
    (PICTURES / "wiring.svg").write_text(to_svg(ledger), encoding="utf-8")


def main() -> None:
    """Make all pictures."""
    if chromium() is None:
        sys.exit("no Chromium here: apt-get install chromium")
    PICTURES.mkdir(exist_ok=True)
    of_the_wiring()
    scratch = Path(tempfile.mkdtemp())
    try:
        with browser() as chrome:
            of_terminal(chrome, scratch)
            of_nbconvert(chrome, scratch)
            for front_end in ("lab", "notebook"):
                of_front_end(chrome, front_end, scratch)
            of_vscode(chrome, scratch)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
