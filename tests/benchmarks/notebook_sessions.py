"""Work through whole sessions in an IPython shell, with specs and fits drawn at random; print what goes wrong.

    python tests/benchmarks/notebook_sessions.py [--seed 0] [--from 0] [--to 50]

A session builds the model of a spec twice, fits one on the faster kernels and one as Keras computes it, twice each, and
then asks for all that can be asked: views, explanations of every layer and variable, outputs, scores, a quiz, saving
and loading, comparing and exports. Wrong is an error that is no line of this package, a line that says no more than a
class of errors, losses or outputs that differ between the two models, or between a model and its saved one. Lines that
refuse are printed with their numbers, to be read. A session takes about a minute.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import re
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from tensorflow import keras

from s2s_magic.errors import Seq2SeqError
from spec_grid import SOURCES, TARGETS, TEXTS, grid

OPTIMIZERS = (
    "",
    "",
    "adam(0.01)",
    "adam(0.01, clipnorm=0.1)",
    "adam(0.01, global_clipnorm=0.1)",
    "adam(cosine(0.01, steps=20, warmup=3))",
    "sgd(0.1, momentum=0.9, nesterov=true)",
    "sgd(0.1, clipvalue=0.01)",
    "rmsprop(0.01, momentum=0.5)",
    "adamw(0.01, weight_decay=0.1)",
    "nadam(0.01)",
    "adagrad(0.1)",
)
SETTINGS: dict[str, tuple[str, ...]] = {
    "optimizer": OPTIMIZERS,
    "batch": ("", "1", "2", "3", "4"),
    "max_tokens": (*[""] * 6, "10", "4"),
    "epochs": ("", "2", "3"),
    "accumulate": (*[""] * 4, "2", "3"),
    "average": (*[""] * 4, "last(2)", "last(9)"),
    "validation": (*[""] * 3, "0.25", "[S, T]"),
    "weights": (*[""] * 4, "W"),
    "class_weights": (*[""] * 6, "{3: 2.0, 5: 0.5}"),
    "patience": (*[""] * 4, "1"),
    "validate_with": (*[""] * 4, "[exact]", "[bleu, exact]"),
    "metrics": ("", "[accuracy]", "[accuracy, sparse_top_k_categorical_accuracy]"),
    "shuffle": ("", "", "false"),
    "log": (*[""] * 5, "logs"),
    "checkpoint": (*[""] * 5, "checkpoints"),
    "streaming": (*[""] * 8, "true"),
    "loss": (*[""] * 6, "sparse_categorical_crossentropy"),
}
UNKNOWN = re.compile(r"^\w+(Error|Failed|Exception)?:?\s*$")


class Session:
    """A shell, what went wrong in it, and which lines refused something."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell, self.wrong, self.refused = shell, Counter[str](), Counter[str]()
        self.name = ""

    def run(self, cell: str, must: bool = False) -> tuple[bool, str]:
        """Run a cell; return whether it came to its end, and what it printed."""
        with capture_output() as caught:
            result = self.shell.run_cell(cell)
        error = result.error_in_exec or result.error_before_exec
        said = caught.stdout + "".join(str(output.data.get("text/plain", "")) for output in caught.outputs)
        if error is None:
            return True, said
        line = str(error).strip()
        if not isinstance(error, Seq2SeqError) or UNKNOWN.match(line) or must:
            self.blame(cell, f"{type(error).__name__}: {line}", error)
        else:
            self.refused[re.sub("fast|slow|again", "NAME", f"{cell.split(chr(10))[0]}\n      {line}")] += 1
        return False, said

    def blame(self, cell: str, what: str, error: BaseException | None = None) -> None:
        """Note and print that a cell went wrong."""
        self.wrong[self.name] += 1
        print(f"-- {self.name}\n{cell}\n   {what}", flush=True)
        if error is not None:
            traceback.print_exception(error, limit=-5, file=sys.stdout)


def body(draw: random.Random, padded: bool) -> str:
    """Draw the settings of a fit; without padding, rows keep their order, for those of a batch have one length."""
    given = {key: draw.choice(values) for key, values in SETTINGS.items()}
    if given["max_tokens"]:
        given["batch"] = ""
    if given["patience"] and given["validate_with"] and not given["validation"]:
        given["validation"] = "[S, T]"
    if not padded:
        given |= {"shuffle": "false", "max_tokens": "", "batch": "2"}
    lines = ["source: S", "target: T", f"seed: {draw.randrange(9)}"]
    return "\n".join(lines + [f"{key}: {value}" for key, value in given.items() if value]) + "\n"


def names_for(text: str) -> tuple[dict[str, Any], list[Any]]:
    """Return the data for a spec, and sources to decode."""
    if re.search(r"^tokens:", text, re.MULTILINE):
        return {"S": TEXTS, "T": TEXTS[::-1]}, ["a cab", "ba", "Cab"]
    if "padding" not in text:
        return {"S": [[3, 4, 5]] * 4, "T": [[4, 5, 6]] * 4}, [[3, 4, 5], [6, 7, 8]]
    return {"S": SOURCES, "T": TARGETS}, [[3, 4, 5], [7, 8], [9]]


def same(a: Any, b: Any, close: float) -> bool:
    """Return whether two histories are equal, up to ``close`` relatively."""
    numbers = [{key: np.array(values, float) for key, values in each.items()} for each in (a, b)]  # None is no number
    pairs = [(numbers[0][key], numbers[1].get(key)) for key in a]
    return a.keys() == b.keys() and all(np.allclose(*pair, rtol=close, atol=close, equal_nan=True) for pair in pairs)


def session(session: Session, text: str, draw: random.Random, folder: Path) -> None:
    """Work through the session of one spec."""
    run, space = session.run, session.shell.user_ns
    names, sources = names_for(text)
    padded = "padding" in text or "tokens:" in text
    space.update(names, W=np.linspace(0.5, 2, len(names["S"])), D=sources, np=np, keras=keras)
    os.chdir(folder)
    close = 0.05 if "bfloat16" in text else 2e-4
    for name in ("fast", "slow"):
        space.pop(name, None)
        keras.utils.set_random_seed(5)
        run(f"%%seq2seq build {name}\n{text}", must=True)
        if name not in space:
            return
    for round_ in (1, 2):
        settings = body(draw, padded)
        ends = []
        for name, off in (("fast", ""), ("slow", "accelerate: off\n")):
            mine = settings.replace("logs", f"logs-{name}-{round_}").replace("checkpoints", f"kept-{name}-{round_}")
            keras.utils.set_random_seed(7)
            ends.append(run(f"%%seq2seq fit {name}\n{mine}{off}")[0])
        histories = [space[name].history for name in ("fast", "slow")]
        if ends[0] != ends[1]:
            session.blame(settings, f"fitted {'with' if ends[0] else 'without'} the faster kernels alone")
        if all(ends) and not same(*histories, close):
            session.blame(settings, f"accelerated {histories[0]}\n   and not     {histories[1]}")
        run("%seq2seq inspect fast")
        run("%seq2seq inspect fast --training")
        if draw.random() < 0.3 and padded:
            rows = draw.choice(("S[:2]", "S[1:2]"))
            run(f"_ = %seq2seq decode fast {rows.partition('[')[0]} --return")
    asked(session, draw)
    decoded(session, draw, sources)
    kept(session, draw)


def asked(session: Session, draw: random.Random) -> None:
    """Ask for every view and explanation."""
    run, fast = session.run, session.shell.user_ns["fast"]
    for what in [*fast.layers, *fast.live.variables, "verdicts", "decoder_inputs"]:
        run(f"%seq2seq explain fast {what}", must=True)
    run(f"%seq2seq inspect fast --after {draw.randint(1, 12)}")
    run("%seq2seq inspect fast --html page.html --json fast.json --svg fast.svg --overwrite", must=True)
    run("%seq2seq compare fast slow", must=True)
    run(f"%seq2seq quiz fast --questions 6 --seed {draw.randrange(99)}")
    run("%seq2seq code fast", must=True)
    run("%seq2seq code fast --inference")
    run("%seq2seq list", must=True)


def decoded(session: Session, draw: random.Random, sources: list[Any]) -> None:
    """Decode in every way, and tell how."""
    run, space = session.run, session.shell.user_ns
    first = f'"{sources[0]}"' if isinstance(sources[0], str) else "Q"
    space["Q"] = sources[:1]
    prefix = draw.choice(("a", "c")) if isinstance(sources[0], str) else "P"
    space["P"] = [draw.randint(3, 9)]
    for options in (
        "",
        "--beam 3 --n-best 3",
        f"--beam 4 --length-penalty {draw.choice((0.6, 1))} --min-length 2 --no-repeat-ngram 2",
        "--beam 2 --coverage-penalty 0.2",
        f"--sample --temperature 0.7 --top-k 4 --top-p 0.9 --seed {draw.randrange(99)}",
        f"--beam 2 --prefix {prefix}",
        "--alignments",
        "--max-length 2",
    ):
        made = []
        for name in NAMES:
            if run(f"said = %seq2seq decode {name} D {options} --return")[0]:
                made.append(list(space.pop("said")))
        if len(made) == 1 or made[:1] != made[1:]:
            session.blame(f"decode {options}", f"on the faster kernels, and on Keras's own: {made}")
        run(f"%seq2seq decode fast D {options}")
    run(f"%seq2seq explain fast --decode {first}")
    run(f"%seq2seq explain fast --decode {first} --instead D --beam 2")
    run(f"%seq2seq explain fast --decode {first} --among S T --nearest 2 --likely 3")
    run(f"%seq2seq explain fast --follow {first}")
    run(f"%seq2seq inspect fast --html told.html --decode {first} --follow {first} --quiz")
    run("%%seq2seq score fast\nsource: S\ntarget: T\n")
    run("%%seq2seq score fast\nsource: S\ntarget: T\nmetrics: [bleu, chrf, exact]\nbeam: 2\n")


NAMES = ("fast", "slow")


def kept(session: Session, draw: random.Random) -> None:
    """Save and load, go on, and export."""
    run, space = session.run, session.shell.user_ns
    before = run("said = %seq2seq decode fast D --return")[0] and space["said"]
    run("%seq2seq save fast kept", must=True)
    if run("%seq2seq load again kept", must=True)[0] and before:
        run("said = %seq2seq decode again D --return", must=True)
        if list(space["said"]) != list(before):
            session.blame("load", f"{list(space['said'])} after loading, {list(before)} before")
        settings = "source: S\ntarget: T\nbatch: 2\nshuffle: false\nseed: 3\n"
        for name in ("fast", "again"):
            keras.utils.set_random_seed(8)
            run(f"%%seq2seq fit {name}\n{settings}", must=True)
        ends = [space[name].history["loss"] for name in ("fast", "again")]
        if not np.allclose(*ends, rtol=1e-4):
            session.blame(settings, f"loss {ends[1]} after loading, {ends[0]} without")
    if draw.random() < 0.4:
        for option in ("--onnx as_onnx", "--savedmodel as_saved", "--script program.py"):
            run(f"%seq2seq export fast {option}")


def main() -> None:
    """Run the sessions, and print what went wrong, and what was refused."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the number of the first session")
    parser.add_argument("--to", dest="end", type=int, default=50, help="the number of the first to leave out")
    given = parser.parse_args()
    tf.get_logger().setLevel("ERROR")
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    here, all_of_them = os.getcwd(), Session(shell)
    specs = [text for text in grid(given.end + given.end // 8 + 8, given.seed) if "init:" not in text]
    for number in range(given.first, given.end):
        all_of_them.name = f"session {number} of seed {given.seed}"
        with tempfile.TemporaryDirectory() as folder:
            try:
                session(all_of_them, specs[number], random.Random(1000 * given.seed + number), Path(folder))
            finally:
                os.chdir(here)
        if all_of_them.wrong[all_of_them.name]:
            print(specs[number], flush=True)
        keras.backend.clear_session()
        gc.collect()
        print(f"{number + 1} sessions, {len(+all_of_them.wrong)} with something wrong", flush=True)
    for line, count in sorted(all_of_them.refused.items()):
        print(f"{count:4} {line}")
    sys.exit(bool(+all_of_them.wrong))


if __name__ == "__main__":
    main()
