"""A spec becomes a plan, or one error that names every fault, its place and the nearest valid alternative."""

import subprocess
import sys

import pytest

from s2s_magic.errors import SpecError, nearest
from s2s_magic.spec import FIT_KEYS, SCORE_KEYS, SPEC_KEYS, Recurrent, Spec, parse_fit, parse_score, parse_spec

FIVE_LINES = """\
vocab: 100
embed: 10
encoder: lstm(512)
decoder: lstm(512)
"""


def spec_with(**lines: str) -> Spec:
    keys = {"vocab": "100", "embed": "10", "encoder": "lstm(512)", "decoder": "lstm(512)", **lines}
    return parse_spec("".join(f"{key}: {value}\n" for key, value in keys.items()))


def faults_of(text: str, parse=parse_spec, **options) -> list[tuple[int, int, str]]:
    with pytest.raises(SpecError) as caught:
        parse(text, **options)
    return [(fault.line, fault.column, fault.message) for fault in caught.value.faults]


def only_fault(**lines: str) -> tuple[int, int, str]:
    with pytest.raises(SpecError) as caught:
        spec_with(**lines)
    (fault,) = caught.value.faults
    return fault.line, fault.column, fault.message


def test_the_five_line_spec_is_one_vocabulary_and_one_shared_embedding():
    spec = parse_spec(FIVE_LINES)
    assert (spec.vocab.source, spec.vocab.target, spec.vocab.one) == (100, 100, True)
    assert spec.shared
    assert spec.encoder == spec.decoder == Recurrent(kind="lstm", units=512)
    assert (spec.bridge, spec.tokens, spec.start, spec.end, spec.padding, spec.max_length) == (
        "none",
        "none",
        0,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("lines", "shared"),
    [
        ({}, True),
        ({"share": "true"}, True),
        ({"share": "false"}, False),
        ({"vocab": "{source: 100, target: 100}"}, False),
        ({"embed": "{source: 10, target: 10}"}, False),
    ],
)
def test_the_embedding_is_shared_exactly_with_one_vocabulary_and_one_size_unless_told_otherwise(lines, shared):
    assert spec_with(**lines).shared is shared


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("lstm(512) # a comment", {"kind": "lstm", "units": 512}),
        ("gru(units=256)", {"kind": "gru", "units": 256}),
        ("'gru(256)'", {"kind": "gru", "units": 256}),
        ('"2 * gru(256)"', {"kind": "gru", "units": 256, "layers": 2}),
        ("lstm(512)*3", {"kind": "lstm", "units": 512, "layers": 3}),
        ("bidirectional(lstm(128))", {"kind": "lstm", "units": 128, "bidirectional": True}),
        ("2 * bidirectional(lstm(64))", {"kind": "lstm", "units": 64, "bidirectional": True, "layers": 2}),
        (
            "lstm(512, dropout=0.2,\n    recurrent_dropout=0.1)",
            {"kind": "lstm", "units": 512, "dropout": 0.2, "recurrent_dropout": 0.1},
        ),
        ("lstm(1_024)", {"kind": "lstm", "units": 1024}),
    ],
)
def test_a_recurrent_part_is_read_from_a_call_of_literals(text, fields):
    assert spec_with(encoder=text, bridge="dense").encoder == Recurrent(**fields)


@pytest.mark.parametrize("text", ["lstm(512)", "2 * gru(8, dropout=0.25)", "3 * bidirectional(lstm(4, dropout=0.5))"])
def test_a_recurrent_part_prints_as_it_is_written(text):
    assert str(spec_with(encoder=text, bridge="dense").encoder) == text


def test_all_faults_are_told_at_once_each_at_its_line_and_column():
    text = """\
vocab: {source: 50, taget: 60}
embed: ten
encodr: lstm(512)
decoder: 2 * lstm(25.6, dropot=0.1, recurrent_dropout=2)
start: -1
start: 2
"""
    assert faults_of(text, first_line=2) == [
        (2, 21, "unknown side 'taget'; did you mean 'target'?"),
        (3, 8, "expected a whole number from 1 to 16,384, got 'ten'"),
        (4, 1, "unknown key 'encodr'; did you mean 'encoder'?"),
        (5, 19, "expected a whole number from 1 to 16,384, got '25.6'"),
        (5, 25, "lstm has no setting 'dropot'; did you mean 'dropout'?"),
        (5, 55, "expected a number from 0 to less than 1, got '2'"),
        (6, 8, "expected a whole number from 0 to 9,999,999, got '-1'"),
        (7, 1, "'start' stands here a second time; first on line 6"),
    ]


def test_a_missing_key_is_named_with_an_example_of_its_line():
    assert faults_of("vocab: 100\nembed: 10\nencoder: lstm(512)\n", first_line=2) == [
        (2, 1, "the key 'decoder' is missing: expected for instance 'decoder: lstm(512)'")
    ]
    assert {message.split("'")[1] for _, _, message in faults_of("# nothing\n")} == {
        "vocab",
        "embed",
        "encoder",
        "decoder",
    }


@pytest.mark.parametrize("value", ["[20, 30]", "20, 30", "(20, 30)"])
@pytest.mark.parametrize("key", ["vocab", "embed"])
def test_two_values_without_their_sides_are_answered_with_the_line_that_was_meant(key, value):
    line, column, message = only_fault(**{key: value})
    assert (line, column) == (["vocab", "embed"].index(key) + 1, 8)
    assert message.endswith("; for two sides write {source: 20, target: 30}")


def test_a_vocabulary_that_tokens_are_counted_for_is_asked_for_by_variables():
    text = "embed: 10\nencoder: lstm(8)\ndecoder: lstm(8)\n"
    missing = "the key 'vocab' is missing: expected for instance"
    assert faults_of(text + "tokens: char") == [(1, 1, f"{missing} 'vocab: {{source: sources, target: targets}}'")]
    assert faults_of(text + "tokens: none") == [(1, 1, f"{missing} 'vocab: 100'")]
    examples = "vocab: {source: sources, target: targets}\ntokens: char\n"
    assert set(parse_spec(text + examples).names_needed().values()) == {"sources", "targets"}


def test_the_nearest_word_is_found_whatever_its_capitals_and_told_as_it_is_known():
    assert nearest("LSTM", ["gru", "lstm"]) == "; did you mean 'lstm'?"
    assert nearest("encoderinputs", ["EncoderInputs", "x"]) == "; did you mean 'EncoderInputs'?"
    assert nearest("Xs", ["x", "X"]) == "; did you mean 'X'?"
    assert nearest("LSTM", ["transformer"]) == ""


@pytest.mark.parametrize(
    ("value", "column", "message"),
    [
        ("lsmt(512)", 10, "unknown kind 'lsmt'; did you mean 'lstm'?"),
        ("LSTM(4)", 10, "unknown kind 'LSTM'; did you mean 'lstm'?"),
        ("2 * transformer(8)", 14, "unknown kind 'transformer'; expected one of lstm, gru, bidirectional"),
        ("bidirectonal(lstm(8))", 10, "unknown kind 'bidirectonal'; did you mean 'bidirectional'?"),
        ("bidirectional(lstn(8))", 24, "unknown kind 'lstn'; did you mean 'lstm'?"),
        ("bidirectional(2 * lstm(8))", 24, "the number of layers stands outside: 2 * bidirectional(lstm(128))"),
        ("bidirectional", 10, "bidirectional takes one kind, such as bidirectional(lstm(128))"),
        ("lstm", 10, "lstm needs its number of units, such as lstm(256)"),
        ("99 * lstm(8)", 10, "expected a whole number from 1 to 16, got '99'"),
        ("lstm(8, 0.2)", 18, "lstm takes further settings by name, such as lstm(..., dropout=...)"),
        ("lstm(8, units=9)", 18, "lstm has units twice"),
        ("lstm(True)", 15, "expected a whole number from 1 to 16,384, got 'True'"),
        ("lstm(__import__('os'))", 15, "expected a whole number from 1 to 16,384, got \"__import__('os')\""),
        ("lstm(512", 14, "cannot read 'lstm(512' ('(' was never closed): expected a recurrent kind such as lstm(512)"),
        ("[lstm(8)]", 10, "expected a recurrent kind such as lstm(512) or 2 * gru(256), got a list"),
        ("os.system('x')", 10, "expected a recurrent kind such as lstm(512) or 2 * gru(256), got \"os.system('x')\""),
    ],
)
def test_a_fault_in_a_value_points_at_the_very_part(value, column, message):
    line, found_column, found = only_fault(encoder=value, bridge="dense")
    assert (line, found_column) == (3, column)
    assert found.startswith(message)


def test_columns_count_characters_inside_quotes_and_after_a_line_break():
    assert only_fault(encoder="'lstm(512, dropout=7)'", bridge="dense")[:2] == (3, 29)
    assert only_fault(encoder="lstm(512,\n    dropout=7)", bridge="dense")[:2] == (4, 13)
    with pytest.raises(SpecError) as caught:
        spec_with(encoder="lstm(größe, dropout=7)")
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(3, 15), (3, 30)]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("vocab:\t100", (2, 7), "a tab cannot stand here: use spaces"),
        ("vocab:\n\tsource: 1", (3, 1), "a tab: YAML indents with spaces only"),
        ("vocab: a: b", (2, 9), "a second ':' on the line"),
        ("vocab 100\nembed: 10", (3, 6), "the line before has no ':' after its key: expected 'key: value'"),
        ("vocab:20\nembed: 10", (2, 7), "a space is missing after 'vocab:': expected 'key: value'"),
        ("embed: 10\nvocab:20\nshare:no", (3, 7), "a space is missing after 'vocab:'"),
        ("embed: 10\nvocab:20\nshare:no", (4, 7), "a space is missing after 'share:'"),
        ("vocab:20\nembed:10", (3, 7), "a space is missing after 'embed:'"),
        ("vocab: {source:20, target: 30}", (2, 16), "a space is missing after 'source:'"),
        ("embed: 10\nvocab 100", (3, 10), "expected ':' and a value after the key"),
        ("vocab: len(x)", (2, 8), "expected a number of ids, or the bare name of a notebook variable, got"),
        ("vocab: {source: d[0], target: 9}", (2, 18), "inside brackets a part of a variable stands in quotes"),
        ("vocab: &x 100\nembed: *x", (2, 8), "anchors and aliases (& and *) are not read: write the value out"),
        ("vocab: !!python/object/apply:os.system ['x']", (2, 8), "tags are not read"),
        ("vocab: 1\n---\nvocab: 2", (3, 1), "a second document: expected one spec in a cell"),
        ("vocab: 1\x07", (2, 9), r"the character '\x07' cannot stand in a spec"),
        ("vocab: \ud800", (2, 8), r"the character '\ud800' cannot stand in a spec"),
        ("[" * 500, (2, 5), "nested more than 4 deep"),
        ('vocab: "\\UFFFFFFFF"', (2, 1), "not YAML"),
        ("vocab: " + "9" * 9000, (2, 8), "got 9,000 characters"),
        ("vocab: " + "9" * 20_000, (2, 1), "the text has 20,007 characters; at most 10,000 are read"),
        ("- vocab", (2, 1), "expected keys with values"),
        ("? [vocab]\n: 100", (2, 3), "expected a word as key"),
    ],
)
def test_what_a_spec_has_no_use_for_is_refused_at_its_place(text, place, message):
    faults = faults_of(text, first_line=2)
    assert any(fault[:2] == place and message in fault[2] for fault in faults), faults


def test_sharing_cannot_be_asked_of_two_vocabularies():
    line, column, message = only_fault(vocab="{source: 50, target: 60}", share="true")
    assert (line, column) == (5, 8)
    assert message == "with two vocabularies nothing can be shared: give one 'vocab', or leave 'share' out"


def test_states_that_do_not_fit_are_refused_with_both_sides_and_the_ways_out():
    line, column, message = only_fault(encoder="bidirectional(lstm(128))", decoder="2 * gru(256)")
    assert (line, column) == (4, 10)
    assert message == (
        "the encoder bidirectional(lstm(128)) ends with h and c of 256 units, but the decoder 2 * gru(256) starts from "
        "h of 256 units in each of 2 layers: give 'bridge: dense' (learned), "
        "or make the decoder lstm(256)"
    )


def test_a_dense_bridge_lets_any_states_meet():
    assert spec_with(encoder="lstm(8)", decoder="3 * gru(5)", bridge="dense").bridge == "dense"


def test_a_bridge_of_zeros_lets_stacks_of_other_heights_meet_and_is_offered_there():
    assert spec_with(encoder="lstm(8)", decoder="3 * lstm(8)", bridge="zero").bridge == "zero"
    message = only_fault(encoder="lstm(8)", decoder="3 * lstm(8)")[2]
    assert "give 'bridge: dense' (learned) or 'bridge: zero' (zeros where none fits), or make" in message


@pytest.mark.parametrize(
    ("encoder", "decoder", "fitting"),
    [
        ("2 * lstm(8)", "3 * lstm(6)", "3 * lstm(8)"),
        ("lstm(8)", "gru(8)", "lstm(8)"),
        ("bidirectional(gru(4))", "gru(4, dropout=0.5)", "gru(8, dropout=0.5)"),
    ],
)
def test_a_bridge_of_nothing_but_zeros_would_drop_the_source_and_is_refused(encoder, decoder, fitting):
    line, column, message = only_fault(encoder=encoder, decoder=decoder, bridge="zero")
    assert (line, column) == (5, 9)
    assert "none fits, so 'bridge: zero' would leave the source without influence on the output" in message
    assert message.endswith(f"; give 'bridge: dense' (learned), or make the decoder {fitting}")
    assert spec_with(encoder=encoder, decoder=fitting, bridge="zero").decoder.units == 8


def test_a_bidirectional_encoder_fits_a_decoder_of_twice_its_units():
    assert spec_with(encoder="bidirectional(lstm(128))", decoder="lstm(256)").encoder.state_units == 256


def test_a_decoder_cannot_read_backwards():
    assert only_fault(decoder="bidirectional(lstm(256))")[2].startswith("a decoder reads forward only")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"start": "100"}, "start is 100, outside the target vocabulary of ids 0 to 99"),
        ({"end": "100"}, "end is 100, outside the target vocabulary of ids 0 to 99"),
        (
            {"vocab": "{source: 5, target: 100}", "padding": "7"},
            "padding is 7, outside the source vocabulary of ids 0 to 4",
        ),
        ({"padding": "0"}, "padding and start are both 0 (start is 0 unless given): padding is masked"),
        ({"padding": "2", "end": "2", "start": "1"}, "padding and end are both 2: padding is masked"),
        ({"start": "1", "end": "1"}, "start and end are both 1: a decoder that has begun would be at its end"),
        ({"end": "0"}, "start and end are both 0 (start is 0 unless given): a decoder"),
        (
            {"tokens": "{source: char, target: word}"},
            "one vocabulary cannot hold both sides' tokens, {source: char, target: word}: give 'vocab: {source: ...,",
        ),
        (
            {"tokens": "{source: char, target: word}", "vocab": "{source: a, target: b}", "end": "7"},
            "with tokens: {source: char, target: word}, end is 2: leave 'end' out",
        ),
        ({"tokens": "{source: char}"}, "the side 'target' is missing"),
        ({"tokens": "char", "end": "7"}, "with tokens: char, end is 2: leave 'end' out"),
        ({"tokens": "char", "padding": "none"}, "with tokens: char, padding is 0: leave 'padding' out"),
        ({"tokens": "word", "vocab": "4"}, "4 is too small: tokens: word takes ids 0 to 3"),
    ],
)
def test_special_ids_stand_in_the_vocabulary_and_out_of_each_others_way(lines, message):
    assert only_fault(**lines)[2].startswith(message)


def test_tokens_are_given_for_each_side_where_they_differ():
    spec = spec_with(vocab="{source: letters, target: sounds}", tokens="{source: char, target: word}")
    assert (str(spec.tokens_of("source")), str(spec.tokens_of("target")), spec.reads_text) == ("char", "word", True)
    assert (spec.start, spec.end, spec.padding) == (1, 2, 0)
    assert str(spec_with(tokens="{source: char, target: char}").tokens) == "char"
    assert not spec_with(tokens="none").reads_text
    small = spec_with(vocab="{source: letters, target: 4}", tokens="{source: char, target: none}")
    assert (small.tokens_of("target"), small.vocab.target) == ("none", 4)


def test_tokens_bring_their_special_ids():
    spec = spec_with(tokens="char", start="1")
    assert (spec.padding, spec.start, spec.end) == (0, 1, 2)


def test_a_vocabulary_can_be_counted_later_from_notebook_variables():
    spec = spec_with(vocab="{source: dates, target: iso}", tokens="char")
    assert spec.names_needed() == {"source": "dates", "target": "iso"}
    assert spec.place_of("vocab.target") == (1, 32)
    full = spec.with_vocab(source=40, target=15)
    assert (full.vocab.source, full.vocab.target, full.names_needed()) == (40, 15, {})
    assert not full.shared


def test_one_counted_vocabulary_stays_one():
    spec = spec_with(vocab="texts")
    assert spec.names_needed() == {"source": "texts", "target": "texts"}
    assert spec.with_vocab(source=30, target=30).shared
    with pytest.raises(ValueError, match="do not complete"):
        spec.with_vocab(source=30, target=31)
    with pytest.raises(ValueError, match="do not complete"):
        spec.with_vocab(source=30)


def test_a_counted_vocabulary_too_small_for_an_id_is_told_at_that_id():
    spec = spec_with(vocab="{source: X, target: 100}", padding="50", start="1")
    with pytest.raises(SpecError) as caught:
        spec.with_vocab(source=10)
    assert str(caught.value) == "line 5, column 10: padding is 50, outside the source vocabulary of ids 0 to 9"


def test_a_plan_knows_what_was_given_and_where():
    spec = parse_spec(FIVE_LINES, first_line=2)
    assert spec.given == {"vocab", "embed", "encoder", "decoder"}
    assert spec.place_of("encoder") == (4, 10)
    assert spec.place_of("vocab.source") == (2, 8)
    assert spec.place_of("padding") == (0, 0)


NEEDED = {
    "tie_output": ["embed: 512"],
    "residual": ["encoder: 2 * lstm(512)", "decoder: 2 * lstm(512)"],
    "init": ["vocab: texts", "tokens: word"],
    "input_feeding": ["attention: luong"],
    "validate_with": ["validation: 0.1"],
    "monotonic": ["attention: luong", "input_feeding: true"],
}
"""What the examples of some keys go with."""


def test_every_key_has_help_and_an_example_that_is_read():
    for keys, parse, base in (
        (SPEC_KEYS, parse_spec, FIVE_LINES + "start: 1\n"),
        (FIT_KEYS, parse_fit, "source: X\ntarget: Y\n"),
        (SCORE_KEYS, parse_score, "source: X\ntarget: Y\n"),
    ):
        required = {line.split(":")[0]: line for line in base.splitlines()}
        for name, key in keys.items():
            without = dict(required)
            if name in ("inputs", "data") and keys is FIT_KEYS:
                del without["source"]
            if name == "data":
                del without["target"]
            without |= {line.split(":")[0]: line for line in NEEDED.get(name, ())}
            plan = parse("\n".join({**without, name: f"{name}: {key.example}"}.values()))
            assert name in plan.given
            assert key.help
            assert "\n" not in key.help


def test_a_fit_body_becomes_a_plan():
    plan = parse_fit(
        "source: X\ntarget: Y\nvalidation: 0.1\nepochs: 20\nbatch: 64\noptimizer: adam(1e-3, clipnorm=1)\n"
        "patience: 3\nseed: 42\nmetrics: [accuracy]\naccelerate: off\nlengths: n\n",
        first_line=2,
    )
    assert (plan.source, plan.target, plan.validation, plan.epochs, plan.batch) == ("X", "Y", 0.1, 20, 64)
    assert (plan.optimizer.kind, plan.optimizer.arguments) == ("adam", {"learning_rate": 1e-3, "clipnorm": 1.0})
    assert (plan.patience, plan.seed, plan.metrics, plan.lengths) == (3, 42, ("accuracy",), "n")
    assert (plan.accelerate, plan.shuffle, plan.loss) == (False, True, None)
    assert plan.place_of("source") == (2, 9)
    assert "optimizer" in plan.given
    assert "loss" not in plan.given


def test_validation_can_be_two_names_and_each_has_its_place():
    plan = parse_fit("source: X\ntarget: Y\nvalidation: [Xv, Yv]\n")
    assert plan.validation == ("Xv", "Yv")
    assert plan.place_of("validation.1") == (3, 18)


def test_inputs_of_a_traced_model_are_given_by_name():
    plan = parse_fit("target: Y\ninputs:\n  encoder_inputs: X\n  lengths: n\n")
    assert plan.inputs == {"encoder_inputs": "X", "lengths": "n"}
    assert plan.place_of("inputs.lengths") == (4, 12)


def test_data_are_named_alone_in_order_or_by_what_they_are_for():
    plan = parse_fit(
        "inputs: [X, D]\ntarget: {priority: P, department: df.dep}\nweights: [W, V]\nclass_weights: {0: 1, 1: 2.5}\n"
        "validation:\n  inputs: {a: A}\n  target: [P, Q]\n"
    )
    assert (plan.inputs, plan.weights, plan.class_weights) == (("X", "D"), ("W", "V"), {0: 1.0, 1: 2.5})
    assert plan.target == {"priority": "P", "department": "df.dep"}
    assert (plan.validation.inputs, plan.validation.target) == ({"a": "A"}, ("P", "Q"))
    assert plan.place_of("target.department") == (2, 35)
    assert plan.place_of("validation.target.1") == (7, 15)
    plan = parse_fit("data: batches\nvalidation: others\n")
    assert (plan.data, plan.validation, plan.source, plan.target) == ("batches", "others", None, None)


@pytest.mark.parametrize(
    "part", ["Y[:40]", "df.a", 'd["x"]', "d['x'][0].b", "Y[:, 1:-1]", "Y[..., 0]", "df[['a', 'b']]"]
)
def test_a_part_of_a_variable_is_named_by_literals(part):
    assert parse_fit(f"source: {part}\ntarget: Y\n").source == part


@pytest.mark.parametrize(
    "part",
    ["f(X)", "X + 1", "X[i]", "X[f()]", "X.__class__", "X._private", "[1, 2]", "(X, Y)", "X[1.5]", "X if Y else Z"],
)
def test_what_would_have_to_be_evaluated_is_refused_with_the_remedy(part):
    (fault,) = faults_of(f"source: {part!r}\ntarget: Y\n", parse_fit)
    assert "assign it to a name first" in fault[2]


def test_a_bare_optimizer_and_a_single_metric_need_no_brackets():
    plan = parse_fit("source: X\ntarget: Y\noptimizer: nadam\nmetrics: accuracy\n")
    assert (plan.optimizer.kind, dict(plan.optimizer.arguments), plan.metrics) == ("nadam", {}, ("accuracy",))


def test_all_faults_of_a_fit_body_are_told_at_once():
    text = """\
source: X + 1
optimzer: adam(1e-3)
validation: [A, B, C]
metrics: [acuracy, loss]
epochs: 0
accelerate: maybe
"""
    found = [(*fault[:2], fault[2].partition(", got")[0]) for fault in faults_of(text, parse_fit)]
    assert found == [
        (1, 1, "the key 'target' is missing: expected for instance 'target: Y'"),
        (1, 9, "expected the bare name of a notebook variable, or a part of one such as df.a, d['x'] or Y[:40]"),
        (2, 1, "unknown key 'optimzer'; did you mean 'optimizer'?"),
        (3, 13, "expected two names, [source, target]"),
        (4, 11, found[4][2]),
        (4, 20, found[5][2]),
        (5, 9, "expected a whole number from 1 to 10,000,000"),
        (6, 13, "expected true or false"),
    ]
    assert "did you mean 'accuracy'?" in faults_of(text, parse_fit)[4][2]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("source: X\ntarget: Y\ninputs: {a: X}", "'source' and 'inputs' do not go together"),
        ("target: Y\ninputs: {a: X}\nvalidation: [A, B]", "with 'inputs', validation is a fraction"),
        ("target: Y\ninputs: X", "expected inputs of the model with the variables that feed them"),
        ("source: X\ntarget: Y\noptimizer: sgd(0.1, clipnorm=1, clipvalue=1)", "clipnorm and clipvalue do not go"),
        ("source: X\ntarget: Y\noptimizer: adm", "unknown kind 'adm'; did you mean 'adam'?"),
        ("source: X\ntarget: Y\nvalidation: 1.5", "expected a number above 0 and below 1, got '1.5'"),
        ("source: X\ntarget: Y\noptimizer: adam(1e6)", "expected a number above 0 and below 1,000,000, got '1e6'"),
        ("target: Y", "the key 'source' is missing"),
        ("data: d\ntarget: Y", "'data' and 'target' do not go together"),
        ("data: d\nbatch: 3", "'data' and 'batch' do not go together: a dataset comes in batches"),
        ("data: d\nvalidation: 0.1", "with 'data', validation is the name of another dataset"),
        ("source: X\ntarget: Y\nvalidation: V", "expected a fraction, such as 0.1, or [source, target], got one name"),
        ("source: X\ntarget: Y\nvalidation: {source: V}", "the key 'target' is missing"),
        ("source: X\ntarget: Y\nvalidation: {target: V}", "expected 'source' or 'inputs' for the validation"),
        ("source: X\ntarget: {}", "expected outputs of the model with the variables for them, {name: Y, ...}"),
        ("source: X\ntarget: Y\nclass_weights: 3", "expected the weight of each class, such as {0: 1.0, 1: 2.5}"),
        ("source: X\ntarget: Y\nclass_weights: {0: 1, 0: 2}", "the class 0 stands here a second time"),
        ("source: X\ntarget: Y\nclass_weights: {0: -1}", "expected a weight of 0 or more"),
        ("source: X\ntarget: Y\nclass_weights: {0.5: 1}", "the class 0.5 is no whole number"),
    ],
)
def test_what_does_not_go_together_in_a_fit_body_is_said(lines, message):
    assert any(fault[2].startswith(message) for fault in faults_of(lines, parse_fit))


def test_reading_a_spec_imports_no_tensorflow():
    code = f"import s2s_magic.spec, sys; s2s_magic.spec.parse_spec({FIVE_LINES!r}); print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
