"""Run the core of the tests on the stacks that people have, each in a virtual environment of its own.

A table of what passed is printed.

    python tests/matrix.py                         # all of them
    python tests/matrix.py addons colab            # some
    python tests/matrix.py --keep ~/.cache/matrix  # environments that are made once and used again
    python tests/matrix.py --brief --minutes 8     # the files that tell most, each stack within a time

An interpreter is looked for on the path and among pyenv's versions; a stack without one is skipped, and it is said.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "nbclient", "ipykernel", "pandas", "beautifulsoup4")
COLAB = ("ipython==7.34.*", "ipywidgets==7.7.1", "traitlets==5.7.1", "ipykernel==6.17.*", "numpy==2.1.*")
CORE = {
    "tracing": "places trace_running trace_ledger trace_kernel names cells unseen keras3",
    "what is said": "one_owner roles verdicts drift explain gradient_reasons advice kerases",
    "fit": "training_same training_rows training_pipeline training_progress keras3_fit",
    "kernels": "kernels_recurrent kernels_loss acceleration_layers acceleration_fit",
    "decoding": "search hypotheses decoding_layers decoding_written decoding decoding_search",
    "views and magics": "view_text view_html view_wiring view_display widget magics options files surface",
}
BRIEF = {
    "tracing": "places trace_ledger cells keras3",
    "what is said": "roles kerases",
    "fit": "training_rows",
    "kernels": "kernels_loss",
    "decoding": "decoding_written",
    "views and magics": "view_text widget magics",
}


@dataclass(frozen=True)
class Stack:
    """A Python and packages that are installed together.

    Attributes
    ----------
    python
        The interpreter's version.
    title
        The stack's name in the table.
    packages
        The packages to install besides this one and the test tools.
    environment
        The environment variables that choose the Keras.
    core
        The test files to run, by subject; a missing subject does not work on this stack yet.
    """

    python: str
    title: str
    packages: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    core: dict[str, str] = field(default_factory=lambda: CORE)


ADDONS = ("tensorflow==2.15.*", "tensorflow-addons==0.23.*")
LEGACY = {"TF_USE_LEGACY_KERAS": "1"}
NOT_YET = "not yet"
UNFINISHED = "did not run to its end"
LEFT_OUT = "left out"
STACKS = {
    "addons-3.10": Stack("3.10", "TensorFlow 2.15, Addons 0.23", ADDONS),
    "addons": Stack("3.11", "TensorFlow 2.15, Addons 0.23", ADDONS),
    "tf_keras": Stack("3.12", "TensorFlow 2.19, tf_keras", ("tensorflow==2.19.*", "tf_keras==2.19.*"), LEGACY),
    "colab": Stack(
        "3.13",
        "TensorFlow 2.20, tf_keras, the rest as on Colab",
        ("tensorflow==2.20.*", "tf_keras==2.20.*", *COLAB),
        LEGACY,
    ),
    "keras3-2.18": Stack(
        "3.11",
        "TensorFlow 2.18, Keras 3",
        ("tensorflow==2.18.*", "tf_keras==2.18.*"),
    ),
    "keras3-colab": Stack(
        "3.13",
        "TensorFlow 2.20, Keras 3.13, the rest as on Colab",
        ("tensorflow==2.20.*", "keras==3.13.*", "tf_keras==2.20.*", *COLAB),
    ),
    "keras3": Stack(
        "3.13",
        "TensorFlow 2.21, Keras 3.15",
        ("tensorflow==2.21.*", "keras==3.15.*", "tf_keras==2.21.*"),
    ),
}


def interpreter(version: str) -> str | None:
    """Return an interpreter that reports this version; None if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in (*pyenv.glob(f"{version}.*/bin/python"), shutil.which(f"python{version}"), sys.executable):
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False) if found else None
        if said is not None and said.stdout.startswith(f"Python {version}."):
            return str(found)
    return None


def environment(stack: Stack, folder: Path) -> Path:
    """Create a virtual environment with a stack, unless it exists already; return its interpreter."""
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        subprocess.run([interpreter(stack.python) or "", "-m", "venv", "--clear", folder], check=True)
        wanted = [
            *stack.packages,
            *(tool for tool in TOOLS if not any(p.startswith(tool) for p in stack.packages)),
        ]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted, "-e", ROOT], check=True)
        done.touch()
    return python


def results(stack: Stack, python: Path, brief: bool, minutes: float) -> list[str]:
    """Run the core, or its brief form, for so many minutes at most, and return the result of each part in words."""
    named = {
        part: [name for name in stack.core.get(part, "").split() if not brief or name in BRIEF[part].split()]
        for part in CORE
    }
    files = [f"tests/test_{name}.py" for names in named.values() for name in names]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # IPython takes the packages of an activated environment in, whatever interpreter runs it
        left_out = ("TF_USE_LEGACY_KERAS", "VIRTUAL_ENV", "PYTHONPATH")
        chosen = {name: value for name, value in os.environ.items() if name not in left_out}
        command = [python, "-m", "pytest", "-q", "-n", "3", "--dist", "loadgroup", "--tb=short"]
        command += [f"--junitxml={report}", *files]
        counts = None
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, cwd=ROOT, env=chosen | stack.environment, check=False, timeout=60 * minutes)
            counts = _counted(report) if done.returncode in (0, 1) else None  # the others: it stopped on its way
    return [
        _in_words(counts, names) if names else LEFT_OUT if part in stack.core else NOT_YET
        for part, names in named.items()
    ]


def _counted(report: Path) -> Counter[tuple[str, str]]:
    """Count the tests of each file by how they ended."""
    counts: Counter[tuple[str, str]] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").removeprefix("tests.test_").partition(".")[0]
        ends = {child.tag for child in case}
        ended = "failed" if ends & {"failure", "error"} else "skipped" if "skipped" in ends else "passed"
        counts[file, ended] += 1
    return counts


def _in_words(counts: Counter[tuple[str, str]] | None, names: list[str]) -> str:
    if counts is None:
        return UNFINISHED
    sums = {ended: sum(counts[name, ended] for name in names) for ended in ("passed", "failed", "skipped")}
    return ", ".join(f"{count} {ended}" for ended, count in sums.items() if count) or "nothing ran"


def versions(python: Path) -> str:
    """Return the installed versions of the packages that matter."""
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    wanted = "tensorflow|tf_keras|keras|numpy|ipython|ipywidgets"
    return ", ".join(re.findall(rf"^((?:{wanted})==\S+)$", listed, re.MULTILINE | re.IGNORECASE))


def main() -> int:
    """Run the requested stacks; return 0 as exit status if everything that ran passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", nargs="*", choices=[*STACKS, []], metavar="STACK", help=", ".join(STACKS))
    parser.add_argument("--keep", type=Path, help="folder for the environments; a temporary one by default")
    parser.add_argument("--brief", action="store_true", help="run only the files of tests that tell most")
    parser.add_argument("--minutes", type=float, default=120, help="the longest that the tests of a stack take; 120")
    options = parser.parse_args()
    table = [["Python", "with", *CORE], ["---"] * (len(CORE) + 2)]
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.stacks or STACKS:
            stack = STACKS[name]
            if interpreter(stack.python) is None:
                reason = f"skipped: no Python {stack.python} here"
                print(f"{name}: {reason}", flush=True)
                said = [reason] * len(CORE)
            else:
                python = environment(stack, (options.keep or Path(temporary)) / name)
                print(f"{name}: {versions(python)}", flush=True)
                said = results(stack, python, options.brief, options.minutes)
            table.append([stack.python, stack.title, *said])
    print("\n".join(f"| {' | '.join(row)} |" for row in table))
    return any("failed" in said or said in (UNFINISHED, "nothing ran") for row in table for said in row)


if __name__ == "__main__":
    sys.exit(main())
