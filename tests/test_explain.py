"""Findings and explanations from hand-made ledgers; reading one needs no TensorFlow."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledgers import translator_ledger
from s2s_magic.errors import LookupFailed
from s2s_magic.ledger import Cell, Ledger, LedgerFormatError
from s2s_magic.ledger.explain import explain, names, shape_text
from s2s_magic.ledger.wires import gradient_events


@pytest.fixture(scope="module")
def ledger():
    return translator_ledger()


def told(ledger, what):
    return " ".join(explain(ledger, what).sentences)


def test_a_tensor_holds_no_weights_and_leads_back_to_the_layer_that_made_it(ledger):
    text = told(ledger, "encoder_embeddings")
    assert "It holds no weights" in text
    assert "call 1 of embeddings, an Embedding layer object: embeddings(encoder_inputs)" in text
    assert "embeddings owns 1 variable, 1,000 parameters" in text
    assert "The same object is also used by call 2" in text
    assert "encoder (line 9) → decoder (line 15) → tf.nn.softmax (line 17) → Y_proba" in text
    assert "the gradient of the loss comes back the same way, into 1 trainable variable of embeddings" in text


def test_a_tensor_that_nothing_uses_gets_no_gradient_though_its_layer_does(ledger):
    text = told(ledger, "encoder_outputs")
    assert "no gradient comes back through it" in text
    assert "The same call also gave state_h and state_c" in text


def test_a_layer_that_is_called_inside_another_says_so(ledger):
    text = told(ledger, "decoder_cell")
    assert "decoder_cell owns 3 variables, 1,071,104 parameters" in text
    assert "never called by the cell itself; decoder calls it inside" in text
    assert told(ledger, "decoder.cell").startswith("decoder_cell is an LSTMCell layer object (decoder.cell is the same")


def test_a_variable_has_one_owner_and_one_creating_event(ledger):
    text = told(ledger, "decoder_cell.kernel")
    assert "Its owner is decoder_cell" in text
    assert "created in line 15 by call 1 of decoder" in text
    assert "not been fitted" in text
    assert "exists once" in told(ledger, "embeddings.embeddings")


def test_present_norms_stand_beside_initial_ones(ledger):
    key = next(key for key, v in ledger.variables.items() if v.owner == "embeddings")
    rows = dict(explain(ledger, "embeddings.embeddings", norms={key: 2.5}).rows)
    assert rows["present norm"] == "2.5"


def test_every_name_can_be_explained(ledger):
    for name in names(ledger):
        assert len(explain(ledger, name).sentences) >= 2, name


@given(st.text())
def test_a_name_that_is_not_there_is_a_clean_error(word):
    ledger = translator_ledger()
    known = {*names(ledger), "verdicts", *re.findall(r"\w+", json.dumps(ledger.to_dict()))}
    assume(word not in known and not set(word.split(".")) <= known)
    with pytest.raises(LookupFailed) as caught:
        explain(ledger, word)
    assert repr(word) in str(caught.value)


def test_the_nearest_name_is_suggested(ledger):
    with pytest.raises(LookupFailed, match="did you mean 'encoder_embeddings'"):
        explain(ledger, "encoder_embedding")


def test_a_shared_layer_and_a_misleading_name_are_found(ledger):
    kinds = {(finding.kind, finding.about) for finding in ledger.findings}
    assert ("shared", "embeddings") in kinds
    assert ("name", "decoder_cell") in kinds


def test_the_gradient_reaches_both_calls_of_the_shared_layer(ledger):
    reached = gradient_events(ledger, ledger.main_model.outputs)
    assert {event.index for event in ledger.events if event.layer == "embeddings" and event.kind == "called"} <= reached


def test_owners_grow_with_the_events(ledger):
    first_call = next(event for event in ledger.events if event.kind == "called")
    assert ledger.owners(after=first_call.index - 1)["embeddings"] == []
    assert [v.params for v in ledger.owners(after=first_call.index)["embeddings"]] == [1000]
    assert sum(v.params for owned in ledger.owners().values() for v in owned) == 2_194_508


def test_a_ledger_goes_through_json_unchanged(ledger):
    document = json.loads(json.dumps(ledger.to_dict()))
    assert Ledger.from_dict(document) == ledger
    assert document["schema"] == "s2s_magic.ledger/1"
    assert document["events"][4]["inputs"][0]["from"] == 0
    assert document["totals"] == {"row_sum": 2194508, "shared": 0, "trainable": 2194508, "total": 2194508, "outside": 0}


@pytest.mark.parametrize("part", ["variables", "layers", "events"])
def test_a_document_of_which_a_part_is_missing_is_refused(ledger, part):
    document = ledger.to_dict()
    document[part] = document[part][2:] if part == "events" else {}
    with pytest.raises(LedgerFormatError, match="missing"):
        Ledger.from_dict(document)


def test_a_name_that_holds_tensors_leads_to_them(ledger):
    assert "it holds final_outputs.rnn_output and final_outputs.sample_id" in told(ledger, "final_outputs")
    assert "it holds state_h and state_c" in told(ledger, "encoder_state")


def test_a_name_bound_to_something_else_owns_nothing(ledger):
    assert "sampler is bound in line 11 to tfa.seq2seq.TrainingSampler()" in told(ledger, "sampler")
    assert "it owns nothing that is trained" in told(ledger, "sampler")


def test_a_name_within_a_class_is_not_said_to_be_no_tensor():
    text = "class Own(keras.Model):\n    def call(self, x):\n        logits = self.head(x)\nown = Own()\n"
    ledger = Ledger("own", cells=[Cell(number=1, text=text)])
    assert "logits is bound in line 3 to self.head(x). That is within a function" in told(ledger, "logits")
    assert "neither a tensor" not in told(ledger, "logits")
    assert "neither a tensor" in told(ledger, "own")


@pytest.mark.parametrize(
    ("document", "words"),
    [({}, "'schema' is None"), ({"schema": "x"}, "'schema' is 'x'"), ({"schema": "s2s_magic.ledger/1"}, "name")],
)
def test_a_document_that_is_no_ledger_is_refused(document, words):
    with pytest.raises(LedgerFormatError, match=words):
        Ledger.from_dict(document)


def test_a_ledger_is_read_and_explained_without_tensorflow(ledger, tmp_path):
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps(ledger.to_dict()))
    code = f"""
import json, sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from pathlib import Path
from s2s_magic.ledger import Ledger
from s2s_magic.ledger.explain import explain
from s2s_magic.view import report, to_html, to_text
ledger = Ledger.from_dict(json.loads(Path({str(path)!r}).read_text()))
print(explain(ledger, "embeddings").sentences[0])
print(len(to_text(report(ledger))), len(to_html(report(ledger), page=True)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Embedding layer object" in done.stdout


@pytest.mark.parametrize(
    ("shape", "text"), [(None, "unknown shape"), ((), "()"), ((None,), "(None,)"), ((2, None, 3), "(2, None, 3)")]
)
def test_shapes_are_written_as_keras_writes_them(shape, text):
    assert shape_text(shape) == text
