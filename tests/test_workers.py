"""Several workers train one model as one would on the whole batches."""

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import s2s_magic
from s2s_magic import api
from s2s_magic.__main__ import main
from s2s_magic.errors import SetupError
from s2s_magic.keeping.checkpoints import checkpoints_in
from s2s_magic.training.workers import workers_named
from workers_apart import CASES, FEW, LIMIT, ended, fitted, started

pytestmark = pytest.mark.once

APART = str(Path(__file__).parent / "workers_apart.py")


@pytest.fixture(scope="module")
def alone():
    return {case: fitted(case, 1) for case in CASES}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of two workers, and of four, found."""
    by_count = {}
    for count in (2, 4):
        folder = tmp_path_factory.mktemp("workers")
        statuses = ended(started(count, [sys.executable, APART], folder))
        assert statuses == [0] * count, "".join((folder / f"err{n}").read_text() for n in range(count))
        by_count[count] = [json.loads((folder / f"found{n}.json").read_text()) for n in range(count)]
    return by_count


def norms(evidence):
    names = ("gradient_norm", "update_norm", "norm")
    return {key: {name: each[name] for name in names} for key, each in evidence.items()}


@pytest.mark.parametrize(("count", "case"), [*((2, case) for case in CASES), *((4, case) for case in FEW)])
def test_losses_and_evidence_are_those_of_one_worker(alone, found, count, case):
    one, chief = alone[case], found[count][0][case]
    assert chief["history"].keys() == one["history"].keys()
    for name, values in one["history"].items():
        np.testing.assert_allclose(chief["history"][name], values, rtol=0, atol=1e-5, err_msg=name)
    assert all(each[case]["history"] == chief["history"] for each in found[count])
    ours, theirs = norms(chief["evidence"]), norms(one["evidence"])
    assert ours.keys() == theirs.keys()
    for key, values in theirs.items():
        for name, series in values.items():
            np.testing.assert_allclose(ours[key][name], series, rtol=1e-4, atol=1e-7, err_msg=f"{key} {name}")
    steps = [(run["steps"], run["batch"]) for each in (chief, one) for run in each["runs"]]
    assert len(set(steps)) == 1


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("sum", "FitError: the loss of m is a mean over neither the rows of a batch nor the ids other than padding"),
        ("data", "DataError: line 1, column 7: batches that you made yourself are not shared out among workers"),
        ("other data", "FitError: the 2 workers cannot train one model: the data must be the same on all of them"),
        ("other body", "FitError: the 2 workers cannot train one model: the body of the fit must be the same on all"),
    ],
)
def test_what_workers_cannot_do_is_refused_on_each_of_them(found, what, said):
    for each in found[2]:
        assert each["refused"][what].startswith(said)


def test_a_worker_says_why_it_refuses_where_another_one_that_knows_has_ended(tmp_path):
    assert ended(started(2, [sys.executable, APART, "refuse"], tmp_path)) == [0, 0], (tmp_path / "err1").read_text()
    chief, other = (json.loads((tmp_path / f"found{index}.json").read_text()) for index in range(2))
    assert chief == "ended"
    assert other.startswith("the 2 workers cannot train one model: the number of this worker must be the same")


CODE = """\
import json, os
import numpy as np
from tensorflow import keras
task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"index": 0})
keras.utils.set_random_seed(task["index"])  # the chief's weights count
numbers = np.random.default_rng(0)
X = numbers.integers(1, 12, size=(44, 5))
Y = X[:, ::-1]
encoder_inputs, decoder_inputs = keras.Input([None], dtype="int32"), keras.Input([None], dtype="int32")
embedding = keras.layers.Embedding(12, 4)
encoder = keras.layers.LSTM(6, dropout=0.2, return_state=True)
decoder = keras.layers.LSTM(6, return_sequences=True)
_, *states = encoder(embedding(encoder_inputs))
decoded = decoder(embedding(decoder_inputs), initial_state=states)
head = keras.layers.Dense(12, activation="softmax")
model = keras.Model([encoder_inputs, decoder_inputs], head(keras.layers.Dropout(0.1)(decoded)))
model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
"""
JOB = """\
trace: network.py
fit:
  source: X
  target: Y
  batch: 8
  epochs: 120
  seed: 7
  checkpoint: {folder: FOLDER, epochs: 1, keep: 1}
  resume: FOLDER
save: kept
"""
RUN = [sys.executable, "-m", "s2s_magic", "run", "job.yaml"]


@pytest.fixture
def job(tmp_path):
    """Two folders with a job: workers train there, and not all of them from the same weights by themselves."""
    folders = [tmp_path / name for name in ("whole", "cut")]
    for folder in folders:
        folder.mkdir()
        (folder / "network.py").write_text(CODE)
        (folder / "job.yaml").write_text(JOB.replace("FOLDER", "runs"))
    return folders


def after_more(folder, steps):
    """Wait until a checkpoint has more steps."""
    limit = time.monotonic() + LIMIT
    while max(checkpoints_in(folder / "runs"), default=0) <= steps:
        assert time.monotonic() < limit, (folder / "err0").read_text()
        time.sleep(0.01)


def test_a_job_goes_on_after_a_worker_was_terminated_and_another_one_killed(job):
    whole, cut = job
    assert ended(started(2, RUN, whole)) == [0, 0], (whole / "err0").read_text()
    workers = started(2, RUN, cut)
    after_more(cut, 0)
    workers[1].send_signal(signal.SIGTERM)
    assert ended(workers) == [143, 143], (cut / "err0").read_text()
    for number in range(2):
        last = (cut / f"err{number}").read_text().splitlines()[-1]
        assert last.startswith("the fit of job was interrupted in epoch")
    steps = max(checkpoints_in(cut / "runs"))
    workers = started(2, RUN, cut)
    after_more(cut, steps)
    workers[1].kill()
    assert ended(workers) == [1, -signal.SIGKILL]
    assert (cut / "err0").read_text().splitlines()[-1].startswith("FitError: worker 0 of 2 lost the others after step")
    assert ended(started(2, RUN, cut)) == [0, 0], (cut / "err0").read_text()
    one, other = (s2s_magic.load(each / "kept", onto=api.trace(CODE, {})) for each in job)
    assert one.history.keys() == other.history.keys()
    for name, values in one.history.items():
        np.testing.assert_allclose(other.history[name], values, rtol=0, atol=1e-5, err_msg=name)
    assert other.evidence.runs[-1].steps == one.evidence.runs[-1].steps == 720
    assert (cut / "out1").read_text() == "job: worker 1 of 2; waits for the others for 30 minutes at most\n"
    assert [line for line in (cut / "out0").read_text().splitlines() if line.startswith("job: epoch 120/120")]


def config(cluster, **task):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0, **task}})}


TWO = ["one:2222", "two:2222"]


@pytest.mark.parametrize(
    ("environment", "number"),
    [
        (config({"worker": TWO}), (0, 2)),
        (config({"worker": TWO}, index=1), (1, 2)),
        (config({"worker": TWO, "chief": ["three:1"]}, index=1), (2, 3)),
        (config({"worker": TWO, "chief": ["three:1"]}, type="chief"), (0, 3)),
    ],
)
def test_the_chief_comes_first(environment, number):
    workers = workers_named(environment)
    assert (workers.index, workers.count) == number
    assert workers.is_chief == (number[0] == 0)


@pytest.mark.parametrize(
    "environment",
    [{}, {"TF_CONFIG": " "}, {"TF_CONFIG": "{}"}, config({"chief": ["one:1"]}, type="chief"), config({})],
)
def test_one_machine_needs_no_others(environment):
    assert workers_named(environment) is None


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TF_CONFIG": "worker"}, "is no JSON: "),
        ({"TF_CONFIG": "[" * 100_000}, "is no JSON: "),
        ({"TF_CONFIG": "[1]"}, "is no JSON object"),
        ({"TF_CONFIG": '{"cluster": [1]}'}, "has a 'cluster' that is no JSON object"),
        (config({"workers": TWO}), "has a 'cluster' with 'workers'; did you mean 'worker'?"),
        (config({"worker": TWO, "ps": ["three:1"]}), "names tasks of type 'ps'"),
        (config({"worker": "one:1"}), "whose 'worker' is no list of addresses"),
        (config({"worker": [1, 2]}), "whose 'worker' is no list of addresses"),
        (config({"worker": ["one:2222", "two"]}), "names the address 'two': expected a host and a port"),
        (config({"worker": ["one:2222", "two:99999"]}), "names the address 'two:99999'"),
        (config({"worker": ["one:1", "one:1"]}), "names 'one:1' twice"),
        (config({"worker": TWO, "chief": TWO}), "names more than one chief"),
        (config({"worker": TWO}, index=2), "is worker 2: expected a number from 0 to 1"),
        (config({"worker": TWO}, index="0"), "is worker '0': expected a number from 0 to 1"),
        (config({"worker": TWO}, index=True), "is worker True"),
        (config({"worker": TWO}, type="wroker"), "is a 'wroker', and the cluster has 'worker'; did you mean"),
        (config({"worker": TWO}, type=["worker"]), "is a ['worker'], and the cluster has 'worker'"),
        ({"TF_CONFIG": json.dumps({"cluster": {"worker": TWO}})}, "'task' with 'type' and 'index' is missing"),
    ],
)
def test_a_faulty_configuration_is_told_in_one_line(environment, said):
    with pytest.raises(SetupError) as error:
        workers_named(environment)
    assert str(error.value).startswith("TF_CONFIG ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_with_a_faulty_configuration_has_the_status_1(job, monkeypatch, capsys):
    monkeypatch.chdir(job[0])
    monkeypatch.setenv("TF_CONFIG", "{")
    assert main(["run", "job.yaml"]) == 1
    assert capsys.readouterr().err.startswith("SetupError: TF_CONFIG is no JSON")
