"""Any text in the cell becomes a plan or a SpecError, quickly and without any other exception."""

import random
import re
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2s_magic.errors import SpecError
from s2s_magic.source import generate
from s2s_magic.spec import FIT_KEYS, SCORE_KEYS, SPEC_KEYS, FitPlan, ScorePlan, Spec, parse_fit, parse_score, parse_spec

pytestmark = pytest.mark.once

EXAMPLES = 2_100
thorough = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

VALID = """\
vocab: {source: 50, target: texts}
embed: 10 # small
encoder: 2 * bidirectional(lstm(64, dropout=0.2))
decoder: "2 * lstm(128)"
bridge: dense
tokens: char
max_length: 40
"""
VALID_FIT = """\
source: X
target: Y
validation: [Xv, Yv]
optimizer: adam(1e-3, clipnorm=1)
metrics: [accuracy]
epochs: 3
"""
VALID_SCORE = """\
source: X
target: [Y, df.b]
metrics: [bleu, exact]
beam: 5
prefix: [3, 7]
bootstrap: 100
"""
HOSTILE = [
    *("\t", "\x00", "\x85", "\u2028", "\ufeff", "\ud800", "\U0010ffff", "\r", "\r\n", "é", "ﬃ", "٣", "\\"),
    *(
        "&a ",
        "*a",
        "!!python/name:os.system ",
        "!<x> ",
        "%YAML 9.9\n",
        "%YAML " + "9" * 5000 + "\n",
        "%TAG ! x\n",
        "---\n",
        "...\n",
    ),
    *("<<: ", "? ", "- ", "|\n", ">\n", "[", "]", "{", "}", ", ", ": ", "#", "'", '"', "`", "@", "~", "null"),
    *('"\\U00110000"', '"\\ud800"', '"\\x', "9" * 400, "1e999", "-0", "0x_", "0b", "1if 2else 3", "1_0", "nan", ".inf"),
    *(
        "__import__('os').system('x')",
        "lambda: 0",
        "(" * 150,
        "-" * 150,
        "not " * 40,
        "f'{x}'",
        "b''",
        "...",
        "*x",
        "**x",
    ),
    *(
        "lstm(",
        "gru(*[8])",
        "lstm(**{})",
        "lstm(units=1, units=2)",
        "x := 1",
        "yield",
        "await x",
        "a.b.c",
        "2 * 3 * lstm(4)",
    ),
]
scalars = st.one_of(
    st.sampled_from(HOSTILE),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=20),
    st.text(string.printable, max_size=30),
    st.sampled_from([key.example for key in (*SPEC_KEYS.values(), *FIT_KEYS.values(), *SCORE_KEYS.values())]),
    st.builds(
        "{} * {}({}, {}={})".format,
        st.integers(-1, 20),
        st.sampled_from(["lstm", "gru", "bidirectional", "lsmt"]),
        st.one_of(st.integers(-5, 600), st.just("bidirectional(lstm(3))")),
        st.sampled_from(["dropout", "recurrent_dropout", "units", "x"]),
        st.floats(-1, 2),
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.dictionaries(st.sampled_from(["source", "target", "sorce", "x"]), inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=5,
)
keys = st.one_of(st.sampled_from([*SPEC_KEYS, *FIT_KEYS, *SCORE_KEYS]), scalars)
structured = st.lists(st.tuples(keys, values), max_size=9).map(lambda pairs: "".join(f"{k}: {v}\n" for k, v in pairs))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw a valid text with up to six deletions, duplications and hostile insertions."""
    text = draw(st.sampled_from([VALID, VALID_FIT, VALID_SCORE]))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 8)))
        text = text[:start] + draw(st.sampled_from([*HOSTILE, "", text[start:end] * 2, "\n", " "])) + text[end:]
    return text


sizes = st.sampled_from(["8", "100", "{source: 7, target: 9}"])
parts = st.builds(
    "{}{}({}{})".format,
    st.sampled_from(["", "", "1 * ", "2 * "]),
    st.sampled_from(["lstm", "lstm", "gru"]),
    st.sampled_from([4, 8]),
    st.sampled_from(["", "", ", dropout=0.5", ", recurrent_dropout=0.1"]),
)
plausible = st.fixed_dictionaries(
    {
        "vocab": sizes | st.sampled_from(["texts", "{source: a, target: 9}", "2"]),
        "embed": sizes,
        "encoder": parts | parts.map(lambda part: re.sub(r"([lg].*\))", r"bidirectional(\1)", part)),
        "decoder": parts,
        "bridge": st.sampled_from(["none", "dense", "dense", "zero"]),
        "start": st.sampled_from(["0", "1", "1", "1", "8"]),
    },
    optional={
        "share": st.sampled_from(["true", "false"]),
        "tokens": st.sampled_from(["none", "none", "char", "word"]),
        "end": st.sampled_from(["2", "2", "none"]),
        "padding": st.sampled_from(["0", "0", "none"]),
    },
).map(lambda lines: "".join(f"{key}: {value}\n" for key, value in lines.items()))


def check(text: str) -> None:
    for parse, plan in ((parse_spec, Spec), (parse_fit, FitPlan), (parse_score, ScorePlan)):
        try:
            read, faults = parse(text, first_line=2), []
        except SpecError as error:
            read, faults = None, error.faults
        assert isinstance(read, plan) or faults
        for fault in faults:
            assert 2 <= fault.line <= 2 + text.count("\n"), fault
            assert fault.column >= 1
            fault.message.encode()  # a message can always be printed


@thorough
@given(st.text(max_size=200))
def test_free_text_gives_a_plan_or_a_spec_error(text):
    check(text)


@thorough
@given(structured)
def test_yaml_of_all_shapes_gives_a_plan_or_a_spec_error(text):
    check(text)


@thorough
@given(mutated())
def test_damaged_specs_give_a_plan_or_a_spec_error(text):
    check(text)


@thorough
@given(
    st.lists(st.sampled_from([*HOSTILE, *re.findall(r"\w+|\W", VALID + VALID_FIT + VALID_SCORE)]), max_size=60).map(
        "".join
    )
)
def test_shuffled_pieces_give_a_plan_or_a_spec_error(text):
    check(text)


@thorough
@given(plausible)
def test_plausible_specs_give_a_spec_error_or_a_plan_whose_source_compiles(text):
    check(text)
    try:
        spec = parse_spec(text)
    except SpecError:
        return
    if not spec.names_needed():
        compile(generate(spec), "generated", "exec")


@pytest.mark.parametrize("piece", ["[", "{", "- ", "? ", "a: {", "&a [*a, ", "(", "'", "!", "%", "a:\n "])
def test_long_repetitions_of_one_piece_end_in_a_spec_error(piece):
    for times in (10, 1_000, 9_000):
        with pytest.raises(SpecError):
            parse_spec(piece * times)


def test_the_sound_texts_that_are_damaged_are_sound():
    assert isinstance(parse_spec(VALID), Spec)
    assert isinstance(parse_fit(VALID_FIT), FitPlan)
    assert isinstance(parse_score(VALID_SCORE), ScorePlan)


def test_nothing_is_evaluated(tmp_path):
    made = tmp_path / "made"
    attack = f"open({str(made)!r}, 'w')"
    for key in SPEC_KEYS:
        for text in (
            attack,
            f"lstm({attack})",
            f'!!python/object/apply:eval ["{attack}"]',
            f"lstm(8, dropout={attack})",
        ):
            with pytest.raises(SpecError):
                parse_spec(f"{key}: {text}\n")
    assert not made.exists()


def test_ten_thousand_texts_are_tried():
    tests = [name for name, item in globals().items() if getattr(item, "is_hypothesis_test", False)]
    assert len(tests) * EXAMPLES >= 10_000


def test_random_bytes_read_as_text_give_a_plan_or_a_spec_error():
    source = random.Random(7)
    for _ in range(500):
        check(source.randbytes(source.randrange(200)).decode("latin-1"))
