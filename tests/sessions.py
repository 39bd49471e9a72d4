"""The examples of the site's pages, run in order in an IPython shell, and what they print compared with the page."""

import doctest
import re
import shlex
from pathlib import Path

from IPython.utils.capture import capture_output

from s2s_magic.__main__ import main

FENCE = re.compile(r"^```(ipython3|sh)\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
"""An example, and what it prints, where the page says it; the rest of what a page has in fences is not run."""
FLEXIBLE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def printed(shell, kind, example):
    """Run an example, and return what a reader sees below it."""
    with capture_output() as caught:
        status = 0
        if kind == "sh":
            status = main(shlex.split(example)[3:])
        else:
            shell.run_cell(example, store_history=True)
    assert status == 0, caught.stderr
    shown = caught.stdout + "".join(f"{output.data['text/plain']}\n" for output in caught.outputs)
    return re.sub(r"\x1b\[[\d;]*m|^Out\[\d+\]: ?", "", shown, flags=re.MULTILINE)


def differing(shell, page: Path) -> list[tuple[str, str]]:
    """List the examples of a page that do not print what it says, each with what it printed.

    Three dots stand for anything. An example without a text below it may print what it likes, but no error.
    """
    found = []
    for kind, example, said in FENCE.findall(page.read_text(encoding="utf-8")):
        if kind == "sh" and not example.startswith("python -m s2s_magic"):
            continue
        shown = printed(shell, kind, example)
        same = doctest.OutputChecker().check_output(f"{said}\n", f"{shown}\n", FLEXIBLE)
        if not same if said else re.search(r"^\w*(Error|Failed)\b", shown, re.MULTILINE):
            found.append((example, shown))
    return found
