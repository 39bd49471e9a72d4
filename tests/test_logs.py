"""TensorBoard logs of a fit hold its history and its evidence, read back by TensorBoard itself."""

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from plainly import COMPILED, NAMES, TAGGER, quiet, traced
from s2s_magic import api
from s2s_magic.errors import DataError, SpecError

BODY = "source: X\ntarget: Y\nepochs: 2\nvalidation: 0.25\nlog: {}"


def logged(folder):
    """Return by tag the steps and values that a folder's logs hold."""
    read = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    read.Reload()
    return {
        tag: ([e.step for e in read.Tensors(tag)], [float(tf.make_ndarray(e.tensor_proto)) for e in read.Tensors(tag)])
        for tag in read.Tags()["tensors"]
    }


def test_logs_hold_the_history_and_the_evidence_of_all_fits(tmp_path):
    model = traced(TAGGER + COMPILED)
    folder = tmp_path / "runs" / "one two"
    for _ in range(2):
        api.fit(model, BODY.format(f"'{folder}'"), NAMES, progress=quiet)
    found = logged(folder)
    wanted = {f"epoch/{name}": values for name, values in model.history.items()}
    for key, variable in model.ledger.variables.items():
        measured = model.evidence.variables[key]
        name = variable.paths[0]
        wanted |= {
            f"gradient norm/{name}": measured.gradient_norm,
            f"update norm/{name}": measured.update_norm,
            f"distance/{name}": measured.distance,
            f"norm/{name}": measured.norm,
        }
    assert found.keys() == wanted.keys()
    assert "epoch/val_loss" in found
    assert "distance/lstm.cell.kernel" in found
    for tag, values in wanted.items():
        assert found[tag][0] == [1, 2, 3, 4]
        np.testing.assert_allclose(found[tag][1], values, rtol=1e-6)


def test_no_writer_of_ours_is_left_as_the_default(tmp_path):
    api.fit(traced(TAGGER + COMPILED), BODY.format(tmp_path / "runs"), NAMES, progress=quiet)
    assert not tf.summary.should_record_summaries()


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_step(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    model = traced(TAGGER + COMPILED)
    before = [value.copy() for value in model.model.get_weights()]
    with pytest.raises(DataError, match=r"line 5, column 6: logs cannot be written to .*taken'"):
        api.fit(model, BODY.format(taken), NAMES, progress=quiet)
    for one, other in zip(before, model.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.evidence is None
    assert taken.read_text() == "a file"


@pytest.mark.parametrize("written", ["", "[a, b]", "'  '"])
def test_what_is_no_folders_name_is_refused_with_its_place(written):
    with pytest.raises(SpecError, match="line 5, column"):
        api.fit(traced(TAGGER + COMPILED), BODY.format(written), NAMES, progress=quiet)
