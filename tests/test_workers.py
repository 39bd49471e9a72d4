"""Several workers train one model as one would on the whole batches."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from workers_apart import CASES, ended, fitted, started

APART = str(Path(__file__).parent / "workers_apart.py")


@pytest.fixture(scope="module")
def alone():
    return {case: fitted(case, 1) for case in CASES}


@pytest.fixture(scope="module", params=[2, 4])
def found(request, tmp_path_factory):
    """What each of so many workers found."""
    folder = tmp_path_factory.mktemp("workers")
    statuses = ended(started(request.param, [sys.executable, APART], folder))
    assert statuses == [0] * request.param, "".join((folder / f"err{n}").read_text() for n in range(request.param))
    return [json.loads((folder / f"found{n}.json").read_text()) for n in range(request.param)]


def norms(evidence):
    return {
        key: {name: each[name] for name in ("gradient_norm", "update_norm", "norm")} for key, each in evidence.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_losses_and_evidence_are_those_of_one_worker(alone, found, case):
    one, chief = alone[case], found[0][case]
    assert chief["history"].keys() == one["history"].keys()
    for name, values in one["history"].items():
        np.testing.assert_allclose(chief["history"][name], values, rtol=1e-5, atol=1e-5, err_msg=name)
    assert all(each[case]["history"] == chief["history"] for each in found)
    ours, theirs = norms(chief["evidence"]), norms(one["evidence"])
    assert ours.keys() == theirs.keys()
    for key, values in theirs.items():
        for name, series in values.items():
            np.testing.assert_allclose(ours[key][name], series, rtol=1e-4, atol=1e-6, err_msg=f"{key} {name}")
    steps = [(run["steps"], run["batch"]) for each in (chief, one) for run in each["runs"]]
    assert len(set(steps)) == 1
