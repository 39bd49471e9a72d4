"""The report, explanations and comparisons as plain text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgers import large_ledger, translator_ledger
from s2s_magic.ledger import Ledger
from s2s_magic.ledger.compare import compare, side_by_side
from s2s_magic.ledger.explain import explain
from s2s_magic.view import report, to_text
from s2s_magic.view.comparison import comparison_text
from s2s_magic.view.explained import explanation_text
from s2s_magic.view.tables import Table
from s2s_magic.view.text import table


def test_the_mission_s_report_reads_as_ever(golden):
    golden("view_translator.txt", to_text(report(translator_ledger())))


def test_the_report_after_the_embedding_s_second_call_reads_as_ever(golden):
    golden("view_translator_after_5.txt", to_text(report(translator_ledger(), after=5)))


def test_the_training_report_reads_as_ever(golden):
    golden("view_translator_training.txt", to_text(report(translator_ledger(training=True), training=True)))


def test_explanations_read_as_ever(golden):
    ledger = translator_ledger(training=True)
    asked = ("encoder_embeddings", "embeddings", "encoder", "decoder", "decoder_cell", "decoder_cell.kernel")
    golden("view_explanations.txt", "\n".join(explanation_text(explain(ledger, what)) for what in asked))


def test_a_comparison_reads_as_ever(golden):
    golden("view_comparison.txt", comparison_text(compare(translator_ledger(), large_ledger(4, 20))))


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_asked_and_none_has_blanks_at_its_end(width):
    for line in to_text(report(translator_ledger(training=True), training=True), width=width).splitlines():
        assert len(line) <= width
        assert line == line.rstrip()


@pytest.mark.parametrize("after", range(3))
def test_there_are_no_totals_before_there_is_a_layer_object(after):
    assert "parameters in all" not in to_text(report(translator_ledger(), after=after))


@pytest.mark.parametrize("after", range(3, 14))
def test_the_totals_in_print_reconcile_after_every_step(after):
    text = to_text(report(translator_ledger(), after=after))
    found = re.search(r"([\d,]+) parameters in all, all of them trainable$", text, re.MULTILINE)
    assert found, "as soon as there is a layer object there is a total"
    totals = report(translator_ledger(), after=after).totals
    assert int(found.group(1).replace(",", "")) == totals.total == totals.row_sum - totals.shared


def test_there_is_no_colour_in_it():
    assert "\x1b" not in to_text(report(translator_ledger()))


def test_a_report_of_nothing_says_so():
    assert "Nothing was recorded." in to_text(report(Ledger("nothing")))


def test_training_that_did_not_happen_is_said():
    assert "Nothing was fitted yet." in to_text(report(translator_ledger(), training=True))


def test_a_decoding_model_owns_nothing_of_its_own():
    training = translator_ledger()
    older = {key: v.model_copy(update={"created_by": None}) for key, v in training.variables.items() if key != "v1"}
    inference = Ledger("decoding", layers=training.layers, variables=older)
    text = comparison_text(side_by_side(training, inference))
    assert "Decoding owns nothing of its own: it creates no variable." in text
    assert "It uses 8 variables of the training model again" in text
    assert re.search(r"decoder_cell.kernel +20,480 +1 +20,480 +0 +the same variable", text)
    assert re.search(r"encoder.cell.kernel +20,480 +1 +– +– +only training", text)


def test_a_decoding_model_that_makes_variables_is_told_of():
    ledger = translator_ledger()
    assert "Decoding makes 9 variables of its own" in comparison_text(side_by_side(ledger, ledger))


def test_equal_ledgers_differ_in_nothing():
    comparison = compare(translator_ledger(), translator_ledger())
    assert comparison.sentences == ("In total both have 2,194,508 parameters.",)
    assert comparison.first != comparison.second


def test_different_shapes_calls_and_switches_are_said():
    first, second = translator_ledger(), translator_ledger()
    changed = dict(second.variables)
    changed["v0"] = changed["v0"].model_copy(update={"shape": (50, 10), "params": 500})
    changed["v8"] = changed["v8"].model_copy(update={"trainable": False})
    events = [event for event in second.events if event.index != 5]
    other = Ledger("other", events=events, layers=second.layers, variables=changed)
    assert compare(first, other).sentences == (
        "embeddings.embeddings: shape (100, 10) in translator, (50, 10) in other.",
        "embeddings.embeddings: used twice in translator, once in other.",
        "output_layer.bias: trainable in translator, not in other.",
        "In total translator has 500 parameters more than other.",
    )


PATH = r" {0,6}[a-z_]{1,30}(\.[a-z_]{1,30}){0,5}( \([A-Z][a-z]{1,20}\))?"


@given(st.lists(st.from_regex(PATH, fullmatch=True), min_size=1, max_size=5), st.integers(12, 60))
def test_a_name_is_folded_whole_or_says_where_it_is_cut(names, width):
    lines = table(Table("", ("NAME", "VERDICT"), [(name, "trained") for name in names]), width=width + 9)[2:]
    assert max(map(len, lines)) <= width + 9
    read: list[str] = []
    for line in lines:
        if line.endswith("  trained"):
            read.append("")
        read[-1] += line.removesuffix("trained").strip()
    assert len(read) == len(names)
    for name, shown in zip(names, read, strict=True):
        whole = name.replace(" ", "")
        shown = shown.replace(" ", "")
        assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]) and len(name) > width)
