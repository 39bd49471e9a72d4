"""Embeddings that begin with the vectors of a text file: what is read, what is refused, and the code for it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from tensorflow import keras

import s2s_magic
from s2s_magic.data.word_vectors import LONGEST_LINE, check_vectors
from s2s_magic.errors import Seq2SeqError, SpecError
from s2s_magic.source import vectors as written
from s2s_magic.spec import parse_spec

pytestmark = pytest.mark.once

SOURCES, TARGETS = ["the cat sat", "the dog sat"], ["le chat", "le chien"]
NAMES = {"S": SOURCES, "T": TARGETS}
SPEC = "vocab: {source: S, target: T}\nembed: 2\nencoder: lstm(2)\ndecoder: lstm(2)\ntokens: word\n"
SHARED = SPEC.replace("{source: S, target: T}", "S")
GLOVE = "the 0.5 -0.25\ncat 1e-1 2\nbird 3 4\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("vectors.txt").write_text(GLOVE, "utf-8")


def table(model, owner):
    return model.layers[owner].get_weights()[0]


def refused(spec, names=NAMES):
    with pytest.raises(SpecError) as caught:
        s2s_magic.build(spec, namespace=names)
    return str(caught.value)


def refused_file(content, spec=SHARED):
    Path("vectors.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    said = refused(spec + "init: vectors.txt\n")
    assert said.startswith("line 6, column 7: vectors.txt"), said
    return said.removeprefix("line 6, column 7: vectors.txt")


def test_tokens_of_the_file_begin_with_its_vectors_and_the_others_as_they_would(capsys):
    keras.utils.set_random_seed(3)
    plain = table(s2s_magic.build(SHARED, namespace=NAMES), "embeddings")
    keras.utils.set_random_seed(3)
    model = s2s_magic.build(SHARED + "init: vectors.txt\n", namespace=NAMES)
    found = table(model, "embeddings")
    ids = {token: number for number, token in enumerate(model.tokenizers["source"].tokens, 4)}
    np.testing.assert_array_equal(found[ids["the"]], [0.5, -0.25])
    np.testing.assert_array_equal(found[ids["cat"]], np.float32([0.1, 2]))
    others = [number for number in range(8) if number not in (ids["the"], ids["cat"])]
    np.testing.assert_array_equal(found[others], plain[others])
    assert capsys.readouterr().out == "2 of 4 tokens have a vector in vectors.txt\n"


def test_each_side_has_a_file_of_its_own_or_none(capsys):
    Path("fr.txt").write_text("1 3\nchat 7 8 9\n", "utf-8")
    spec = SPEC.replace("embed: 2", "embed: {source: 2, target: 3}")
    model = s2s_magic.build(spec + "init: {source: vectors.txt, target: fr.txt}\n", namespace=NAMES)
    assert [0.5, -0.25] in table(model, "source_embeddings").tolist()
    assert [7, 8, 9] in table(model, "target_embeddings").tolist()
    said = "2 of 4 source tokens have a vector in vectors.txt\n1 of 3 target tokens have a vector in fr.txt\n"
    assert capsys.readouterr().out == said
    one = s2s_magic.build(spec + "init:\n  target: fr.txt\n", namespace=NAMES)
    assert np.abs(table(one, "source_embeddings")).max() <= 0.05
    assert [7, 8, 9] in table(one, "target_embeddings").tolist()


def test_one_vocabulary_with_two_embeddings_gives_both_the_vectors():
    model = s2s_magic.build(SHARED + "share: false\ninit: vectors.txt\n", namespace=NAMES)
    assert [0.5, -0.25] in table(model, "source_embeddings").tolist()
    assert [0.5, -0.25] in table(model, "target_embeddings").tolist()


@pytest.mark.parametrize("more", ["", "tie_output: true\n", "attention: luong\n", "code: keras\n"])
def test_frozen_vectors_stay_through_a_fit_and_keep_their_one_owner(more):
    model = s2s_magic.build(SHARED + f"init: vectors.txt\nfreeze: [embeddings]\n{more}", namespace=NAMES)
    before = table(model, "embeddings")
    (variable,) = [each for each in model.ledger.variables.values() if each.owner == "embeddings"]
    assert variable.frozen_by == "embeddings"
    assert variable.initial_norm == pytest.approx(np.linalg.norm(before), rel=1e-5)
    s2s_magic.fit(model, "source: S\ntarget: S\nepochs: 2\n", NAMES, progress=lambda _: None)
    np.testing.assert_array_equal(table(model, "embeddings"), before)
    assert [0.5, -0.25] in before.tolist()


def test_vectors_that_are_not_frozen_are_trained_from_there_on():
    model = s2s_magic.build(SHARED + "init: vectors.txt\n", namespace=NAMES)
    s2s_magic.fit(model, "source: S\ntarget: S\nepochs: 2\n", NAMES, progress=lambda _: None)
    (key,) = [key for key, each in model.ledger.variables.items() if each.owner == "embeddings"]
    moved = np.linalg.norm(table(model, "embeddings") - np.asarray(model.fitted.starts[key]))
    assert moved == pytest.approx(model.evidence.variables[key].distance[-1], rel=1e-4)
    assert 0 < moved < 0.2  # a few steps of Adam, and not the way from the random numbers to the vectors


def test_the_code_runs_in_a_python_of_its_own_and_sets_the_same_vectors():
    model = s2s_magic.build(SHARED + "init: vectors.txt\n", namespace=NAMES)
    code = model.source + "\nprint(embeddings.get_weights()[0][4:].tolist())\n"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert "2 of 4 tokens have a vector in vectors.txt" in ran.stdout
    assert "[0.5, -0.25]" in ran.stdout
    assert max(map(len, model.source.splitlines())) <= 100


def test_characters_can_have_vectors_also_the_space():
    Path("vectors.txt").write_text("  8 9\na 1 2\n\" 3 4\n' 5 6\n", "utf-8")
    names = {"S": ["a \"'\n"]}
    model = s2s_magic.build(SHARED.replace("word", "char") + "init: vectors.txt\n", namespace=names)
    assert table(model, "embeddings")[4:8].tolist() == [[1, 2], [8, 9], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "init: vectors.txt",
            "line 6, column 7: word vectors are found by token, and ids stand for none: give 'tokens",
        ),
        ("init: [a, b]", "line 6, column 7: expected the name of a file, or {source: ..., target: ...}, got a list"),
        ("init: {sorce: a}", "line 6, column 8: unknown side 'sorce'; did you mean 'source'?"),
        ("init: {source: [a]}", "line 6, column 16: expected the name of a file"),
        ("tokens: word\ninit: vectors.txt", "line 6, column 7: word vectors need to know which token an id stands for"),
    ],
)
def test_what_a_spec_says_amiss_is_told_with_its_place(lines, message):
    spec = "vocab: 9\nembed: 2\nencoder: lstm(2)\ndecoder: lstm(2)\n"
    assert message in refused(spec + ("" if "tokens" in lines else "end: 2\n") + lines + "\n")


def test_one_embedding_takes_one_file():
    said = refused(SHARED + "init: {source: vectors.txt, target: other.txt}\n")
    assert said == (
        "line 6, column 7: one embedding serves both sides: give one file, such as 'init: vectors.txt', or "
        "'share: false'"
    )


def test_vectors_of_another_size_are_told_where_the_size_is_given():
    said = refused(SHARED.replace("embed: 2", "embed: 50") + "init: vectors.txt\n")
    assert said.startswith(
        "line 2, column 8: the embeddings have 50 numbers, and the vectors of vectors.txt have 2: give 2 here"
    )
    Path("vectors.txt").write_text("3 2\n" + GLOVE, "utf-8")
    assert "have 3 numbers, and the vectors of vectors.txt have 2" in refused(
        SPEC.replace("embed: 2", "embed: {source: 2, target: 3}") + "init: vectors.txt\n"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("vector.txt", "there is no file 'vector.txt'; did you mean 'vectors.txt'?"),
        ("none/vectors.txt", "there is no folder 'none' for the file 'vectors.txt'"),
        (".", "'.' is a folder: expected a file of word vectors"),
        ('"a\\0b"', "'a\\x00b' cannot be a file"),
        ("/dev/zero", "/dev/zero, line 1, column 1: the line has 1,000,000 bytes or more"),
        ("a" * 300, "cannot be read"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_the_nearest(path, message):
    said = refused(SHARED + f"init: {path}\n")
    assert said.startswith("line 6, column ")
    assert message in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", " has no vectors: expected lines such as 'the 0.418 0.24968'"),
        ("\n\n", " has no vectors: expected lines such as 'the 0.418 0.24968'"),
        ("2 2\nthe 1 2\n", ", line 1: it counts 2 vectors, and 1 follow: the file was cut off"),
        ("the 1 2\ncat 1\n", ", line 2, column 1: expected a word and 2 numbers, got 1 after 'cat'"),
        ("the 1 2\nbird 1 2 3\n", ", line 2, column 1: expected a word and 2 numbers, got 3 after 'bird'"),
        ("the 1 x2\n", ", line 1, column 7: 'x2' is not a number"),
        ("the 1 1_0\n", ", line 1, column 7: '1_0' is not a number"),
        ("thé 1 2\nthe 1 ٣\n", ", line 2, column 7: '٣' is not a number"),
        ("the nan 2\n", ", line 1, column 5: 'nan' is no number to begin with: expected a finite one"),
        ("the 1 -Inf\n", ", line 1, column 7: '-Inf' is no number to begin with"),
        ("the 1 1e39\n", ", line 1, column 7: '1e39' is too large for float32"),
        ("bird 1 2\nthe  1 2\n", ", line 2, column 5: two spaces in a row: expected one"),
        ("bird 1 2\n 1 2\n", ", line 2, column 1: no word stands before the numbers"),
        (
            "the\t1\t2\n",
            ", line 1, column 1: expected a word and the numbers of its vector, two at least, separated by",
        ),
        ("the 1\n", ", line 1, column 1: expected a word and the numbers of its vector, two at least"),
        ("é 1 2\nä".encode() + b"\xff 1 2\n", ", line 2, column 2: the byte 0xff is not UTF-8: expected a text"),
        (b"\x1f\x8b\x08\x00\x00", ", line 1, column 1: it is packed by gzip: unpack it first"),
        (b"\xef\xbb\xbfthe 1 2\n", ", line 1, column 1: it begins with a byte order mark"),
        ("the 1 2\rcat 3 4\n", ", line 1, column 8: a carriage return stands within the line"),
        ("a" * LONGEST_LINE, ", line 1, column 1: the line has 1,000,000 bytes or more: that is no vector"),
    ],
)
def test_what_a_file_has_amiss_is_told_with_its_line_and_column(content, message):
    assert refused_file(content).startswith(message)


def test_several_faults_are_told_together_and_not_thousands():
    said = refused_file("the 1 2\n" + "cat 1\n" * 5000)
    assert said.count("\n") == 4
    assert "line 2, column 1" in said
    assert "line 6, column 1" in said


@pytest.mark.parametrize(
    ("content", "spec", "message"),
    [
        ("The 1 2\nA 3 4\n", SHARED, "the case differs, it has 'The' for the token 'the'; write the texts as it does"),
        ("un 1 2\n", SHARED, "its words are such as 'un', and the tokens such as 'cat', 'dog', 'sat'"),
        ("cat 1 2\n", SHARED.replace("word", "char"), "the tokens are characters, and its words are such as 'cat'"),
    ],
)
def test_a_file_with_no_vector_for_any_token_is_refused_with_the_likely_cause(content, spec, message):
    Path("vectors.txt").write_text(content, "utf-8")
    said = refused(spec + "init: vectors.txt\n")
    assert said.startswith("line 6, column 7: none of the ")
    assert message in said


def test_words_that_stand_twice_or_have_spaces_are_told_and_the_first_counts():
    Path("vectors.txt").write_text("the 1 2\nthe 3 4\nat the 5 6\ncat 1 1\ncat 2 2\n", "utf-8")
    with pytest.warns(UserWarning, match="a vector in line 1") as warned:
        model = s2s_magic.build(SHARED + "init: vectors.txt\n", namespace=NAMES)
    assert [str(each.message) for each in warned if "vectors.txt" in str(each.message)] == [
        "vectors.txt: 'the' has a vector in line 1 and one in line 2, and so have 1 more; the first counts",
        "vectors.txt: 1 of its words have a space, such as 'at the' in line 3: no token has one, so their vectors are "
        "not used",
    ]
    assert [1, 2] in table(model, "embeddings").tolist()


def test_the_magic_says_it_in_the_cells_output_and_a_refusal_keeps_the_model():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    shell.user_ns.update(NAMES)
    try:
        with capture_output() as shown:
            shell.run_cell_magic("seq2seq", "build worded", SHARED + "init: vectors.txt\n")
        assert "2 of 4 tokens have a vector in vectors.txt" in shown.stdout
        before = shell.user_ns["worded"]
        Path("vectors.txt").write_text("the 1 2\ncat 3\n", "utf-8")
        with pytest.raises(SpecError, match=r"line 7, column 7: vectors\.txt, line 2, column 1"):
            shell.run_cell_magic("seq2seq", "build worded", SHARED + "init: vectors.txt\n")
        assert shell.user_ns["worded"] is before
    finally:
        shell.run_line_magic("unload_ext", "s2s_magic")
        InteractiveShell.clear_instance()


def test_a_vocabulary_of_many_lines_is_written_whole():
    words = [f"word{number}'\"\\"[: 5 + number % 7] + str(number) for number in range(300)]
    for unit, tokens in (("word", words), ("char", sorted(set("".join(map(chr, range(1, 800))))))):
        lines = written._tokens("tokens", tokens, unit)
        assert max(map(len, lines.splitlines())) <= 100
        names: dict = {}
        exec(lines, names)
        assert names["tokens"] == tokens


EMBEDDING = keras.layers.Embedding(8, 2)
EMBEDDING.build([None])
BEGINNING = np.full((8, 2), 99.0, np.float32)
FIELDS = st.sampled_from(
    ["the", "cat", "The", "1", "-2.5", "1e3", "x", "nan", "", "\xa0", "\u2028", "\x1c", "é", "8 2"]
)
LINES = st.lists(st.lists(FIELDS, max_size=5).map(" ".join), max_size=6)


@settings(max_examples=300, deadline=None)
@given(lines=LINES, ending=st.sampled_from(["\n", "\r\n", " \n"]))
@example(lines=["1 2", "the 1 -2.5"], ending="\n")
@example(lines=["the 1 2", "cat 3 4", "the 9 9"], ending=" \n")
@example(lines=["the 1 1", "the the the"], ending="\n")
def test_whatever_is_read_without_a_fault_the_code_sets_as_the_lines_say(tmp_path_factory, lines, ending):
    path = tmp_path_factory.mktemp("vectors") / "v.txt"
    path.write_bytes("".join(line + ending for line in lines).encode())
    spec = parse_spec(SHARED + f"init: {path}\n")
    tokenizer = s2s_magic.data.tokens.Tokenizer.count(["the cat 1 é"], "word")
    names: dict = {}
    exec(written.FUNCTION, names)
    EMBEDDING.set_weights([BEGINNING])
    try:
        check_vectors(spec, {"source": tokenizer, "target": tokenizer}, "model")
    except Seq2SeqError:
        return
    names["set_vectors"](EMBEDDING, tokenizer.tokens, path, "tokens")
    expected, left = BEGINNING.copy(), set(tokenizer.tokens)
    for line in lines:
        fields = line.split()
        if fields and fields[0] in left and len(fields) == 3:  # the first vector of a word counts
            left.remove(fields[0])
            expected[4 + tokenizer.tokens.index(fields[0])] = [float(each) for each in fields[1:]]
    counted, following = re.fullmatch(r"(\d+) \d+", lines[0]), [line for line in lines[1:] if line.strip()]
    assert counted is None or len(following) == int(counted[1])
    np.testing.assert_array_equal(EMBEDDING.get_weights()[0], expected)
