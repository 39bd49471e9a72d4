"""The report of a ledger."""

import pytest

from ledgers import large_ledger, translator_ledger
from s2s_magic.errors import LookupFailed
from s2s_magic.ledger import Layer, Ledger, Variable
from s2s_magic.view import report
from s2s_magic.view.report import OwnerRow, VariableRow


def test_every_event_is_a_step_with_what_it_created_and_reused():
    shown = report(translator_ledger())
    first, second = shown.steps[4], shown.steps[5]
    assert [step.index for step in shown.steps] == list(range(14))
    assert (first.call, first.created, first.reused) == (1, ("v0",), ())
    assert (second.call, second.created, second.reused) == (2, (), ("v0",))
    assert second.sentence == "Call 2 of embeddings creates nothing: it uses the same 1 variable again."
    assert second.inputs[0].step == 1
    assert second.phase == "wiring only"


def test_the_trainable_total_grows_to_the_model_s_parameters():
    shown = report(translator_ledger())
    assert [step.trainable for step in shown.steps if step.kind == "called"] == [
        1000, 1000, 1_072_104, 2_194_508, 2_194_508,
    ]  # fmt: skip


def test_a_nested_call_names_the_owners_of_what_it_creates():
    decoder = report(translator_ledger()).steps[11]
    assert decoder.sentence.endswith("(1,122,404 parameters): 3 owned by decoder_cell and 2 owned by output_layer.")


def test_the_model_s_step_says_that_it_finds_the_layers_by_the_wires():
    sentence = report(translator_ledger()).steps[13].sentence
    assert "follows the wires back from Y_proba" in sentence
    assert "9 variables (2,194,508 parameters)" in sentence
    assert "makes none of its own" in sentence


def _tree(shown, after=None):
    return [(line.depth, line.row.name, line.params) for line in shown.tree(after)]


def test_the_tree_goes_from_decoder_to_its_cell_to_the_kernel():
    rows = _tree(report(translator_ledger()))
    place = rows.index((0, "decoder", 1_122_404))
    assert rows[place + 1 : place + 5] == [
        (1, "decoder_cell", 1_071_104),
        (2, "kernel", 20_480),
        (2, "recurrent_kernel", 1_048_576),
        (2, "bias", 2048),
    ]


def test_a_cell_stands_alone_until_its_decoder_is_made():
    shown = report(translator_ledger())
    assert (0, "decoder_cell", 0) in _tree(shown, after=9)
    assert (1, "decoder_cell", 0) in _tree(shown, after=10)
    assert (1, "decoder_cell", 1_071_104) in _tree(shown, after=11)


@pytest.mark.parametrize("ledger", [translator_ledger(), large_ledger(20, 90)], ids=["translator", "large"])
def test_the_tree_as_of_any_step_is_the_tree_of_a_report_that_stops_there(ledger):
    whole = report(ledger)
    for step in whole.steps:
        assert _tree(whole, after=step.index) == _tree(report(ledger, after=step.index))


def test_at_every_step_the_owners_sums_add_up_to_the_totals():
    ledger = translator_ledger()
    for event in ledger.events:
        shown = report(ledger, after=event.index)
        top = sum(line.params for line in shown.tree() if line.depth == 0)
        leaves = sum(line.params for line in shown.tree() if isinstance(line.row, VariableRow))
        assert top == leaves == shown.totals.total == shown.totals.row_sum - shown.totals.shared


def test_a_cell_s_place_in_its_decoder_is_told_once_and_is_no_sharing():
    shown = report(translator_ledger())
    cell = next(owner for owner in shown.owners.values() if owner.name == "decoder_cell")
    assert (cell.role, cell.shared) == ("decoder.cell", ())
    assert {row.shared for row in shown.variables.values()} == {()}


def test_a_tied_kernel_is_shared():
    ledger = translator_ledger()
    tied = {**ledger.variables, "v0": ledger.variables["v0"].model_copy(
        update={"paths": ("embeddings.embeddings", "output_layer.table")}
    )}  # fmt: skip
    shown = report(Ledger("m", events=ledger.events, layers=ledger.layers, variables=tied))
    assert shown.variables["v0"].shared == ("output_layer.table",)


def test_findings_mark_the_rows_that_they_are_about():
    shown = report(translator_ledger())
    marked = {owner.name: {shown.findings[n].kind for n in owner.findings} for owner in shown.owners.values()}
    assert marked["embeddings"] == {"shared"}
    assert marked["decoder_cell"] == {"name"}
    assert marked["encoder"] == set()


def test_a_report_that_stops_early_knows_nothing_of_what_comes_later():
    shown = report(translator_ledger(), after=4)
    assert len(shown.steps) == 5
    assert list(shown.variables) == ["v0"]
    assert [owner.name for owner in shown.owners.values()] == ["embeddings"]
    assert shown.findings == []


@pytest.mark.parametrize("after", [-1, 14])
def test_stopping_after_an_event_that_is_not_there_says_which_are(after):
    with pytest.raises(LookupFailed, match=rf"translator has no event {after}: its events are 0 to 13"):
        report(translator_ledger(), after=after)


def test_an_empty_ledger_has_an_empty_report():
    shown = report(Ledger("nothing"))
    assert (shown.steps, shown.tree(), shown.totals.total) == ((), [], 0)


def _variable(**fields):
    plain = {"paths": ("d.kernel",), "name": "d/kernel:0", "shape": (3,), "dtype": "float32", "bytes": 12, "params": 3}
    return Variable(**{"owner": "d", "object": "L0", "trainable": True, **plain, **fields})


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "trainable"),
        ({"trainable": False, "frozen_by": "decoder"}, "frozen by decoder"),
        ({"trainable": False}, "not trainable"),
        ({"tracked": False, "object": None, "owner": "a closure"}, "untracked: never trained"),
    ],
)
def test_a_row_says_whether_it_is_trained_and_who_froze_it(fields, state):
    layer = Layer(name="d", class_name="Dense", keras_name="dense", constructed=None, own_weights=("v0",))
    shown = report(Ledger("m", layers={"L0": layer}, variables={"v0": _variable(**fields)}))
    rows = {line.row.name: line for line in shown.tree()}
    assert rows["kernel"].state == state
    assert rows["kernel"].row.born == -1
    owner = rows[fields.get("owner", "d")]
    assert isinstance(owner.row, OwnerRow)
    assert owner.state == state
