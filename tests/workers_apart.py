"""Fits by several workers, each a process: ``python workers_apart.py`` is one of them, by its ``TF_CONFIG``.

With an argument, its two workers only refuse to train, and the chief ends as soon as it knows why.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
from tensorflow import keras

from s2s_magic import api
from s2s_magic.errors import FitError, Seq2SeqError
from s2s_magic.training import collectives
from s2s_magic.training.workers import join, workers_named

PROJECT = Path(__file__).parents[1]
LIMIT = 280
"""Seconds after which a process is taken to hang."""
DRAWN = np.random.default_rng(5)
NAMES = {
    "X": [DRAWN.integers(2, 12, 5).tolist() for _ in range(21)],
    "L": [DRAWN.integers(2, 12, DRAWN.integers(2, 7)).tolist() for _ in range(21)],
    "M": [DRAWN.integers(2, 12, DRAWN.integers(2, 7)).tolist() for _ in range(21)],
}
LENGTHS = "vocab: 12\nembed: 4\nencoder: gru(6)\ndecoder: gru(6)\npadding: 0\nstart: 1\n"
MASKED = """
from tensorflow import keras
x = keras.Input([None], dtype="int32")
vectors = keras.layers.Embedding(12, 4, mask_zero=True)(x)
hidden = keras.layers.GRU(6, return_sequences=True)(vectors)
model = keras.Model(x, keras.layers.Dense(12, "softmax")(hidden))
model.compile("rmsprop", "sparse_categorical_crossentropy")
"""
NORMED = """
from tensorflow import keras
x = keras.Input([5], dtype="int32")
pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(12, 4)(x))
hidden = keras.layers.Dense(5, kernel_regularizer="l2")(pooled)
outputs = [keras.layers.Dense(3, name=name)(hidden) for name in ("one", "two")]
model = keras.Model(x, outputs)
model.compile(keras.optimizers.SGD(0.1), "mse", metrics={"one": "mae"})
"""
SUMMED = """
from tensorflow import keras
x = keras.Input([5], dtype="int32")
model = keras.Model(x, keras.layers.Dense(12, "softmax")(keras.layers.Embedding(12, 4)(x)))
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(reduction="sum"))
"""
# 21 rows: the last batch has 5, 3 or 1 of them
CASES = {
    "rows of one length": (
        "vocab: 12\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\n",
        "source: X\ntarget: X\nbatch: 8\nepochs: 2\nvalidation: [X, X]\nmetrics: [accuracy]\n",
    ),
    "a last batch with fewer rows than workers": (LENGTHS, "source: L\ntarget: M\nbatch: 5\nepochs: 2\n"),
    "max_tokens, accumulation": (LENGTHS, "source: L\ntarget: M\nmax_tokens: 12\naccumulate: 2\n"),
    "masked by Keras": (MASKED, "source: L\ntarget: L\nbatch: 6\nepochs: 2\naccelerate: off\n"),
    "two outputs, a regularizer": (NORMED, "source: I\ntarget: {one: R, two: S}\nbatch: 8\nepochs: 2\n"),
}
FEW = ("a last batch with fewer rows than workers",)
"""The cases of four workers."""
SEEDED = "seed: 3\nshuffle: false\n"


def names():
    numbers = np.random.default_rng(1)
    return {
        **NAMES,
        "I": np.array(NAMES["X"]),
        "Z": NAMES["X"][::-1],
        **{name: numbers.normal(size=(21, 3)) for name in "RS"},
    }


def made(spec, seed):
    keras.utils.set_random_seed(seed)
    return api.trace(spec, {}, name="m") if "import" in spec else api.build(spec, name="m")


def fitted(case, seed):
    """Return history and evidence of a fit, as JSON has them."""
    spec, body = CASES[case]
    model = api.fit(made(spec, seed), body + SEEDED, names(), progress=lambda _: None)
    evidence = model.evidence.model_dump(mode="json")
    return {"history": model.history, "evidence": evidence["variables"], "runs": evidence["runs"]}


def refused(spec, body):
    try:
        api.fit(made(spec, 1), body, names(), progress=lambda _: None)
    except Seq2SeqError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def started(count, command, folder, **settings):
    """Start so many workers on free ports; return their processes, whose output is in files of a folder."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
    found = []
    for index in range(count):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_CONFIG": json.dumps(config)}
        with (folder / f"out{index}").open("w") as out, (folder / f"err{index}").open("w") as err:
            found.append(subprocess.Popen(command, env=environment, stdout=out, stderr=err, cwd=folder, **settings))
    return found


def ended(processes, limit=LIMIT):
    """Wait for processes, and return their statuses; kill them where one does not end."""
    try:
        return [each.wait(limit) for each in processes]
    finally:
        for each in processes:
            each.kill()
            each.wait()


def refuse(workers):
    def compare_and_end(*given, **settings):
        if given[2] == "told":
            end(workers, "ended")
        return at_once(*given, **settings)

    at_once = collectives.at_once
    if workers.is_chief:
        collectives.at_once = compare_and_end
    try:
        collectives.check_same(workers, {"the number of this worker": str(workers.index)})
    except FitError as error:
        end(workers, str(error))


def end(workers, found):
    Path(f"found{workers.index}.json").write_text(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


def main():
    workers = workers_named(os.environ)
    join(workers)
    if sys.argv[1:]:
        refuse(workers)
    cases = CASES if workers.count == 2 else FEW
    found = {case: fitted(case, 1 + workers.index) for case in cases}
    mean = SUMMED.replace("sum", "sum_over_batch_size")
    found["refused"] = {
        "sum": refused(SUMMED, "source: X\ntarget: X\n"),
        "data": refused(SUMMED, "data: D\n"),
        "other data": refused(mean, f"source: X\ntarget: {'XZ'[min(1, workers.index)]}\n"),
        "other body": refused(mean, f"source: X\ntarget: X\nbatch: {8 + workers.index}\n"),
    }
    end(workers, found)


if __name__ == "__main__":
    main()
