"""``python -m s2s_magic run``: a training file is run as the cells of a notebook would be, and ends with a status."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import s2s_magic
from plainly import NAMES, quiet
from s2s_magic import api
from s2s_magic.__main__ import main
from s2s_magic.errors import SpecError
from s2s_magic.headless import run_file
from s2s_magic.spec.job import parse_job

pytestmark = pytest.mark.once

PROJECT = Path(__file__).parents[1]
CODE = """\
import numpy as np
from tensorflow import keras
keras.utils.set_random_seed(1)
numbers = np.random.default_rng(0)
X = numbers.integers(1, 20, size=(64, 6))
Y = numbers.integers(1, 20, size=(64, 6))
x = keras.Input([6], dtype="int32")
embedding = keras.layers.Embedding(20, 8)
head = keras.layers.Dense(20, activation="softmax")
model = keras.Model(x, head(embedding(x)))
model.compile("adam", "sparse_categorical_crossentropy")
"""
FIT = "source: X\n  target: Y\n  epochs: 2\n  seed: 3"
JOB = f"trace: network.py\nfit:\n  {FIT}\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the code of a model, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.py").write_text(CODE)
    return tmp_path


def test_a_file_trains_as_the_cells_do(here):
    (here / "small.yaml").write_text(f"{JOB}save: kept\n")
    log = []
    ours = run_file("small.yaml", say=log.append)
    names = {}
    by_cells = api.trace(CODE, names)
    api.fit(by_cells, FIT.replace("\n  ", "\n"), names, progress=quiet)
    assert ours.history == by_cells.history
    for one, other in zip(ours.model.get_weights(), by_cells.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert log[0] == "<Seq2Seq 'small': 340 parameters, 340 trainable, 6 events>"
    assert any(line.startswith("small: epoch 2/2") and line.endswith("done") for line in log)
    assert any("embedding.embeddings was trained" in line for line in log)
    loaded = s2s_magic.load(here / "kept", onto=api.trace(CODE, {}))
    np.testing.assert_array_equal(
        loaded.model.predict(NAMES["X"], verbose=0), ours.model.predict(NAMES["X"], verbose=0)
    )


def test_a_model_from_a_spec_is_fitted_and_scored(here, capsys):
    source, target = ([f"{a} {b}" for a in "abc" for b in "xyz"] for _ in range(2))
    (here / "source.txt").write_text("\n".join(source) + "\n")
    (here / "target.txt").write_text("\n".join(target) + "\n")
    (here / "words.yaml").write_text(
        "build:\n"
        "  vocab: [./source.txt, ./target.txt]\n"
        "  tokens: word\n"
        "  embed: 8\n"
        "  encoder: gru(8)\n"
        "  decoder: gru(8)\n"
        "fit: {source: ./source.txt, target: ./target.txt, epochs: 1}\n"
        "score: {source: ./source.txt, target: ./target.txt, metrics: [exact, token_accuracy], bootstrap: 0}\n"
    )
    assert main(["run", "words.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "<Seq2Seq 'words'" in shown
    assert "token_accuracy" in shown


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (JOB.replace("epochs", "epoch"), "SpecError: line 5, column 3: unknown key 'epoch'; did you mean 'epochs'?"),
        (
            JOB.replace("network.py", "netwrk.py"),
            "DataError: line 1, column 8: netwrk.py does not exist; did you mean 'network.py'?",
        ),
        (JOB.replace("target: Y", "target: Z"), "line 4, column 11: "),
        (f"{JOB}build: {{vocab: 9}}", "line 1, column 1: expected one of the sections 'build' and 'trace'"),
        (f"{JOB}sve: kept", "line 7, column 1: unknown section 'sve'; did you mean 'save'?"),
        ("trace: network.py", "the section 'fit' is missing"),
        ("trace: [a]\nfit: {source: X}", "line 1, column 8: expected a path, as in 'trace: model.py'"),
        ("trace: network.py\nfit: X", "line 2, column 6: expected keys with values"),
        ("", "expected sections, such as 'build:' and 'fit:'"),
        ("build: {vocab: 9, embd: 2, encoder: lstm(2), decoder: lstm(2)}\nfit: {source: X}", "line 1, column 19: "),
        ("a: &b c", "anchors and aliases"),
        (f"{JOB}save: .", "line 7, column 7: '.' is the folder that this process works in"),
        (f"{JOB}save: network.py", "line 7, column 7: 'network.py' is no folder"),
        (f"{JOB}score: {{source: X, target: Y, metrics: [blue]}}", "'blue'; did you mean 'bleu'?"),
    ],
)
def test_a_fault_is_told_in_its_place_and_the_status_is_1(here, capsys, job, said):
    (here / "job.yaml").write_text(job)
    assert main(["run", "job.yaml"]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("example", "folder"), [("dates", "dates"), ("numbers", "numbers/model")])
def test_an_example_trains_on_files_and_is_scored(here, example, folder):
    """Shortened: a hundredth of the rows, and one epoch."""
    examples = PROJECT / "examples"
    subprocess.run([sys.executable, examples / f"make_{example}.py", "--rows", "120"], check=True, capture_output=True)
    whole = re.sub(r"epochs: \d+", "epochs: 1", (examples / f"{example}.yaml").read_text())
    short = whole.replace("bidirectional(lstm(64))", "lstm(8)").replace("lstm(128)", "lstm(8)")
    (here / f"{example}.yaml").write_text(short)
    log = []
    model = run_file(f"{example}.yaml", say=log.append)
    assert model.evidence.runs[-1].steps == 2
    assert "token_accuracy" in log[-1]
    loaded = s2s_magic.load(here / "data" / folder)
    assert loaded.tokenizers == model.tokenizers
    assert loaded.tokenizers["source"].lowercase == (example == "dates")


def test_each_epoch_has_a_line_in_the_log_however_fast_they_are(here):
    (here / "small.yaml").write_text(JOB.replace("epochs: 2", "epochs: 30"))
    log = []
    model = run_file("small.yaml", say=log.append)
    epochs = [line for line in log if line.startswith("small: epoch") and not line.endswith("done")]
    assert [line.split(" · ")[0] for line in epochs] == [f"small: epoch {number}/30" for number in range(1, 31)]
    assert [line.split(" · ")[2] for line in epochs] == [f"loss {loss:.4g}" for loss in model.history["loss"]]
    owners = [line for line in log if line.startswith("  update / weight: embedding ")]
    assert len(owners) == 30


def test_all_sections_are_checked_before_anything_is_trained(here, capsys):
    (here / "network.py").write_text(f"{CODE}open('ran', 'w').close()\n")
    (here / "others").mkdir()
    (here / "others" / "file").write_text("mine")
    (here / "job.yaml").write_text(f"{JOB}save: others")
    assert main(["run", "job.yaml"]) == 1
    assert "was not written by s2s_magic" in capsys.readouterr().err
    assert not (here / "ran").exists()


def test_a_missing_file_is_named_with_the_nearest(here, capsys):
    (here / "train.yaml").write_text(JOB)
    assert main(["run", "trian.yaml"]) == 1
    assert capsys.readouterr().err == "LookupFailed: trian.yaml does not exist; did you mean 'train.yaml'?\n"


def test_sections_keep_their_places_however_they_are_written():
    blocks = parse_job(
        "# first\nbuild:\n    vocab: 9\n    embed: 2\n\nfit: {source: X,\n      target: Y}\nsave: 'a b'\n"
    )
    assert blocks["build"].text.splitlines()[:2] == ["    vocab: 9", "    embed: 2"]
    assert blocks["build"].place == (3, 5)
    assert blocks["fit"].text == "     {source: X,\n      target: Y}"
    assert blocks["save"].text == "a b"
    assert blocks.keys() == parse_job("build: {vocab: 9, embed: 2}\r\nfit: {source: X}\r\nsave: x\r\n").keys()
    with pytest.raises(SpecError, match="line 2, column 1: 'build' stands here a second time"):
        parse_job("build: {vocab: 9}\nbuild: {vocab: 9}\nfit: {source: X}")


def test_an_error_of_the_code_keeps_its_traceback(here):
    (here / "network.py").write_text("1 / 0")
    (here / "job.yaml").write_text(JOB)
    with pytest.raises(ZeroDivisionError):
        main(["run", "job.yaml"])


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_ended_saves_what_it_trained(here, sent, status):
    (here / "long.yaml").write_text(JOB.replace("epochs: 2", "epochs: 1000000") + "save: kept\n")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "s2s_magic", "run", "long.yaml"]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in running.stdout:
        if line.startswith("long: epoch"):
            break
    running.send_signal(sent)
    out, err = running.communicate(timeout=120)
    assert running.returncode == status, err
    assert "saved to" in out
    assert err.splitlines()[-1].startswith("the fit of long was interrupted in epoch")
    loaded = s2s_magic.load(here / "kept", onto=api.trace(CODE, {}))
    assert loaded.evidence.runs[-1].interrupted


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_ends_the_fit_after_a_step_and_a_second_one_at_once(here, times):
    (here / "job.yaml").write_text(JOB.replace("epochs: 2", "epochs: 1000") + "save: kept\n")
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    log = []

    def say(line):
        log.append(line)
        if len(log) == 2:  # the end of an epoch
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGTERM)
            log.append("went on")

    with pytest.raises(KeyboardInterrupt, match="the fit of job was interrupted in epoch"):
        run_file("job.yaml", say=say)
    assert ("went on" in log) == (times == 1)
    assert log[-1].startswith("saved to")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
