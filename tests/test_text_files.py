"""Files of text in a fit and in a spec: their lines, columns and shards, and whatever is wrong with one."""

import csv
import gzip
import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2s_magic import api
from s2s_magic.data.selection import all_lines, find
from s2s_magic.data.text_files import Lines
from s2s_magic.data.values import Unknown
from s2s_magic.errors import DataError, SpecError
from s2s_magic.spec import parse_fit, parse_spec
from s2s_magic.spec.references import is_file, path_and_column

pytestmark = pytest.mark.once

EN = ["the cat sat", "the dog ran", "a cat", "a dog"]
DE = ["die Katze", "der Hund", "sie", "er"]
SPEC = (
    "vocab: {source: data/train.en, target: data/train.de}\nembed: 4\nencoder: gru(4)\ndecoder: gru(4)\ntokens: char\n"
)
# whatever UTF-8 can hold but line feeds, with what is written from right to left or put together drawn often
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\n\0") | st.sampled_from(
    "שלום\u0301😀\u2028\x85\t \r\ufeff"
)
LINES = st.lists(st.text(LETTERS, max_size=20).map(lambda line: line.rstrip("\r")), min_size=1, max_size=8)
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    written("data/train.en", "\n".join(EN) + "\n")
    written("data/train.de", "\n".join(DE) + "\n")
    return tmp_path


def written(name: str, content: str | bytes) -> None:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def in_file(lines: list[str], end: str = "\n") -> bytes:
    """Return lines as a file's content; one that would look empty, or marked, has a mark before it."""
    return b"\xef\xbb\xbf" + "".join(line + end for line in lines).encode()


# -- what a reference is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["data/train.en", "./train.en", "../x/y.gz", "/tmp/x", "~/x.tsv", 'a/b.tsv["en"]', "shards/"]
)
def test_a_slash_makes_a_reference_a_file(text):
    assert is_file(text)
    assert parse_fit(f"source: {text}\ntarget: {{y: '{text}'}}").source == text
    assert parse_spec(SPEC.replace("data/train.en", f"'{text}'")).names_needed()["source"] == text


@pytest.mark.parametrize("text", ["X", "df.a", "train.en", 'd["a/b"]', "Y[:40]"])
def test_without_one_it_is_a_variable_or_a_part_of_one(text):
    assert not is_file(text)
    assert parse_fit(f"source: {text}\ntarget: Y").source == text


def test_a_column_stands_in_brackets_and_quotes():
    assert path_and_column('a/b.tsv["en"]') == path_and_column("a/b.tsv['en']") == ("a/b.tsv", "en")
    assert path_and_column("a/b.tsv") == ("a/b.tsv", None)
    with pytest.raises(SpecError, match=r'line 1, column 16: .* in quotes, such as a/b.tsv\["en"\]'):
        parse_fit("source: a/b.tsv[en]\ntarget: Y")


def test_several_files_are_counted_together():
    assert parse_spec(SPEC.replace(SPEC.split("\n")[0], "vocab: [a/b, c/d]")).names_needed() == {
        "source": ("a/b", "c/d"),
        "target": ("a/b", "c/d"),
    }
    both = api.build(
        SPEC.replace(SPEC.split("\n")[0], "vocab: [data/train.en, data/train.de, X]"), namespace={"X": ["Q"]}
    )
    assert both.tokenizers["source"] is both.tokenizers["target"]
    assert set(both.tokenizers["source"].tokens) == set("".join([*EN, *DE, "Q"]))
    ids = "vocab: [A, B]\nembed: 4\nencoder: gru(4)\ndecoder: gru(4)\n"
    assert api.build(ids, namespace={"A": [[1, 7]], "B": [[3]]}).spec.vocab.source == 8


def test_a_name_that_is_a_variable_and_a_file_is_said_to_be_so():
    written("train.en", "x\n")
    model = api.build(SPEC)

    class Held:
        pass

    train = Held()
    train.en = EN
    with pytest.warns(UserWarning, match=r"train\.en is the variable; the file of that name is \./train\.en"):
        api.fit(model, "source: train.en\ntarget: data/train.de", {"train": train}, progress=lambda _: None)
    assert fault(model, "source: train.en\ntarget: data/train.de").endswith(
        "there is no variable 'train'; the file of that name is ./train.en"
    )
    assert "; to divide the variable X, assign X/255 to a name first" in fault(
        model, "source: X/255\ntarget: Y", X=1, Y=DE
    )
    with pytest.raises(SpecError, match=r"a file beside the notebook is \./pairs-new\.txt"):
        parse_fit("source: pairs-new.txt\ntarget: Y")


# -- what is read -----------------------------------------------------------------------------------------------------


@quickly
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_all_lines_of_a_file_come_back(lines, end, packed):
    content = in_file(lines, end)
    written("data/x.gz" if packed else "data/x", gzip.compress(content) if packed else content)
    assert find("data/x.gz" if packed else "data/x", {}) == lines


@quickly
@given(LINES, LINES)
def test_shards_are_read_in_the_order_of_their_names(first, second):
    Path("data/shards").mkdir(exist_ok=True)
    written("data/shards/part-2", in_file(second))
    written("data/shards/part-1", in_file(first))
    written("data/shards/.hidden", b"\0")
    lines = all_lines("data/shards", {})
    assert lines.texts == first + second
    assert lines.where(0) == "data/shards/part-1, line 1"
    assert lines.where(len(first + second) - 1) == f"data/shards/part-2, line {len(second)}"


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)


@quickly
@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=6), st.booleans())
def test_the_columns_of_a_csv_come_back_whatever_is_in_them(rows, packed):
    made = io.StringIO()
    csv.writer(made, quoting=csv.QUOTE_ALL).writerows([("en", "de, new"), *rows])
    name = "data/x.csv.gz" if packed else "data/x.csv"
    written(name, gzip.compress(made.getvalue().encode()) if packed else made.getvalue())
    assert find(f'{name}["en"]', {}) == [row[0] for row in rows]
    assert find(f"{name}['de, new']", {}) == [row[1] for row in rows]


@quickly
@given(
    st.lists(
        st.tuples(*2 * [st.text(LETTERS, max_size=9).map(lambda field: field.translate({9: 32, 13: 32}))]), min_size=1
    )
)
def test_the_columns_of_a_tsv_come_back_with_their_quotes(rows):
    written("data/x.tsv", in_file(["\t".join(row) for row in [("en", "de"), *rows]]))
    assert find('data/x.tsv["en"]', {}) == [row[0] for row in rows]
    assert find('data/x.tsv["de"]', {}) == [row[1] for row in rows]


def by_python(content: bytes) -> tuple[list[str], set[int]]:
    """Return the lines that can be decoded, and the numbers of the others, from 0."""
    rows = [line.removesuffix(b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").split(b"\n")]
    bad = {number for number, row in enumerate(rows) if row.decode("utf-8", "replace").encode() != row}
    return [row.decode() for number, row in enumerate(rows) if number not in bad], bad


@quickly
@given(LINES, st.data())
def test_a_damaged_file_loses_its_bad_lines_alone_and_each_has_its_number(lines, data):
    content = bytearray(in_file(lines))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(3, len(content)))
        content[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"\xff", b"\xc3", b"\x80\n", b""])
        )
    written("data/x", bytes(content) + b"end")
    good, bad = by_python(bytes(content) + b"end")
    read: Lines = all_lines("data/x", {})
    assert [text for row, text in enumerate(read.texts) if row not in read.bad] == good
    assert set(read.bad) == bad
    assert all(said.startswith(f"data/x, line {row + 1}, byte ") for row, said in read.bad.items())


def read_or_reason(name: str) -> Lines | str:
    try:
        return all_lines(name, {})
    except Unknown as error:
        return str(error)


@quickly
@given(st.binary(max_size=60), st.sampled_from(["x", "x.gz", "x.csv", 'x.csv["en"]', 'x.tsv.gz["en"]', 'x["en"]']))
def test_any_bytes_are_lines_or_one_sentence_with_the_files_name(content, name):
    written(f"data/{name.partition('[')[0]}", content)
    read = read_or_reason(f"data/{name}")
    assert isinstance(read, Lines) or (read.startswith("data/x") and "\n" not in read)


# -- a fit ------------------------------------------------------------------------------------------------------------


def losses(model, body: str, **names) -> list[float]:
    api.fit(model, f"{body}\nseed: 1", names, progress=lambda _: None)
    return [*model.history["loss"], *model.history.get("val_loss", ())]


def seeded():
    from tensorflow import keras

    keras.utils.set_random_seed(3)
    return api.build(SPEC)


def test_a_fit_of_files_is_that_of_the_same_texts_in_variables():
    Path("data/shards").mkdir()
    written("data/shards/a", "\n".join(EN[:3]))
    written("data/shards/b", EN[3])
    written("data/pairs.tsv", "".join(f"{a}\t{b}\n" for a, b in [("en", "de"), *zip(EN, DE, strict=True)]))
    written("data/train.de.gz", gzip.compress("\n".join(DE).encode()))
    expected = losses(seeded(), "source: EN\ntarget: DE\nvalidation: [EN, DE]", EN=EN, DE=DE)
    held = """validation: {source: "data/pairs.tsv['en']", target: data/train.de}"""
    assert losses(seeded(), f"source: data/shards\ntarget: data/train.de.gz\n{held}") == expected
    pair = "validation: [data/train.en, data/train.de]"
    columns = f"source: data/pairs.tsv['en']\ntarget: data/pairs.tsv[\"de\"]\n{pair}"
    assert losses(seeded(), columns) == expected


def fault(model, body: str, **names) -> str:
    with pytest.raises(DataError) as caught:
        api.fit(model, body, names, progress=lambda _: None)
    (found,) = caught.value.faults
    return str(found)


SKIP = "; 'bad_lines: skip' leaves such lines out"
FAULTS = {
    "data/none.en": "there is no file 'data/none.en'; did you mean 'data/one.en'?",
    "daat/one.en": "there is no file 'daat/one.en'; did you mean 'data/one.en'?",
    "./onee.en": "there is no file './onee.en'; did you mean './one.en'?",
    "qqqq/one.en": "there is no file 'qqqq/one.en': there is no folder 'qqqq' in .",
    "data/bad.en": f"data/bad.en, line 2, byte 4: 0xff is no UTF-8{SKIP}",
    "data/bad.en/": "data/bad.en/ is no folder: leave the / at its end out",
    "data/bad.en/x": "'data/bad.en/x' cannot be read: Not a directory",
    "data/empty": "data/empty is empty",
    "data/binary": "data/binary is a binary file: expected text in UTF-8",
    "data/utf16": "data/utf16 is UTF-16: save it as UTF-8",
    "data/no.gz": "data/no.gz is damaged, or no gzip file: Not a gzipped file (b'he')",
    "data/hollow": "data/hollow is a folder without files: expected files of text in it",
    "data/deep": "data/deep holds the folder 'in': expected nothing but files of text in it",
    "data/fifo": "data/fifo is no regular file: expected the name of a file",
    "/dev/zero": "/dev/zero is no regular file: expected the name of a file",
    "data/x.tsv": "data/x.tsv has the columns en, de: name one of them, data/x.tsv['en'], or number it if the "
    "first line names none, data/x.tsv[1]",
    "data/x.tsv['enn']": "data/x.tsv has no column 'enn'; did you mean 'en'?",
    "data/x.tsv['qq']": "data/x.tsv has no column 'qq'; it has 'en', 'de'",
    "data/x.tsv['en']": f"data/x.tsv, line 3 has 1 field, and the first line has 2 (2 such lines in all){SKIP}",
    "data/y.csv['en']": f"data/y.csv, line 4, column 'de', byte 1: 0xff is no UTF-8{SKIP}",
    "data/z.csv['en']": "data/z.csv, line 1: the column 'en' stands here 2 times",
    "data/blank.csv": "data/blank.csv, line 1 is empty: expected the names of the columns",
    "data/head.csv['en']": "data/head.csv has no rows below its first line, which names the columns",
    "data/one.en['en']": "data/one.en is no table: columns are read from files that end with .tsv, .tab, .csv",
    "data/three": "data/train.de has 4 lines and data/three has 3: data/train.de, line 4 has no line beside it",
    "data/five": "data/five has 5 lines and data/train.de has 4: data/five/b, line 2 has no line beside it",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("built"))
    Path("data").mkdir()
    written("data/train.en", "\n".join(EN))
    written("data/train.de", "\n".join(DE))
    built = api.build(SPEC)
    os.chdir(before)
    return built


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_file_is_one_line_with_its_name_and_place(name, model):
    written("data/one.en", "x\n")
    written("one.en", "x\n")
    written("data/bad.en", b"one\ntwo\xff\nthree\nfour\n")
    written("data/empty", b"")
    written("data/binary", b"\x7fELF\0\0\0")
    written("data/utf16", "hallo".encode("utf-16"))
    written("data/no.gz", b"hello")
    Path("data/hollow").mkdir()
    Path("data/deep/in").mkdir(parents=True)
    os.mkfifo("data/fifo")
    written("data/x.tsv", "en\tde\na\tb\nc\n\ne\tf\n")
    written("data/y.csv", b'en,de\na,"b\nb"\nc,\xff\n"d, d",d\n1,2\n')
    written("data/z.csv", "en,en\n1,2\n")
    written("data/head.csv", "en,de\n")
    written("data/blank.csv", "\n1,2\n")
    written("data/three", "a\nb\nc\n")
    Path("data/five").mkdir()
    written("data/five/a", "a\nb\nc\n")
    written("data/five/b", "d\ne\n")
    start = "line 2, column 9: " if name in ("data/three", "data/five") else "line 1, column 9: "
    assert fault(model, f"source: {name}\ntarget: data/train.de").replace(start, "") == FAULTS[name]
    assert model.history == {}


def test_a_file_that_may_not_be_read_is_said_to_be_so(model, folder):
    os.chmod("data/train.en", 0)
    was = os.geteuid()
    os.chmod(folder, 0o755)
    if was == 0:
        os.seteuid(65534)
    try:
        said = read_or_reason("data/train.en")
    finally:
        os.seteuid(was)
    assert said.endswith("cannot be read: Permission denied")


def test_bad_lines_are_skipped_on_both_sides_counted_and_said(model):
    written("data/bad.en", b"the cat sat\nthe \xff\na cat\na dog\n")
    written("data/bad.de", b"die Katze\nder Hund\nsie \xc3\ner\n")
    said = r"data/bad.en and data/bad.de: 2 of 4 lines were skipped: data/bad.en, line 2, byte 5: 0xff is no UTF-8"
    body = "source: data/bad.en\ntarget: data/bad.de\nbad_lines: skip"
    one, other = seeded(), seeded()
    with pytest.warns(UserWarning, match=said):
        skipped = losses(one, body)
    assert skipped == losses(other, "source: S\ntarget: T", S=["the cat sat", "a dog"], T=["die Katze", "er"])
    held = "source: data/train.en\ntarget: data/train.de\nvalidation: [data/bad.en, data/bad.de]\nbad_lines: "
    assert fault(model, held + "stop").startswith("line 3, column 14: data/bad.en, line 2, byte 5: 0xff is no UTF-8")
    with pytest.warns(UserWarning, match=said):
        losses(seeded(), held + "skip")


def test_a_line_is_not_skipped_where_what_stands_beside_it_would_stay(model):
    written("data/bad.en", b"the cat sat\nthe \xff\na cat\na dog\n")
    said = fault(model, "source: data/bad.en\ntarget: T\nbad_lines: skip", T=DE)
    assert said.endswith("0xff is no UTF-8; it cannot be skipped, as T is no file, and would keep its row")
    written("data/none.en", b"\xff\n\xff\n\xff\n\xff\n")
    said = fault(model, "source: data/none.en\ntarget: data/train.de\nbad_lines: skip")
    assert said.endswith("so it is with all 4 lines, and none is left")
    assert "leave 'bad_lines' out" in fault(model, "source: S\ntarget: T\nbad_lines: skip", S=EN, T=DE)
    with pytest.raises(SpecError, match="expected stop or skip, got 'skp'; did you mean 'skip'"):
        parse_fit("source: data/x\ntarget: data/y\nbad_lines: skp")
    with pytest.raises(SpecError, match="'data' and 'bad_lines' do not go together"):
        parse_fit("data: D\nbad_lines: skip")


def test_a_faulty_file_in_a_spec_has_its_place_there():
    written("data/bad.en", b"one\n\xff\n\xff\n")
    with pytest.raises(SpecError) as caught:
        api.build(SPEC.replace("data/train.en", "data/bad.en").replace("data/train.de", "data/train.dee"))
    assert [str(one) for one in caught.value.faults] == [
        "line 1, column 17: data/bad.en, line 2, byte 1: 0xff is no UTF-8 (2 such lines in all); 'bad_lines: skip' "
        "leaves such lines out",
        "line 1, column 38: there is no file 'data/train.dee'; did you mean 'data/train.de'?",
    ]


def test_a_model_that_vectorizes_texts_itself_reads_files():
    code = """
import tensorflow as tf
from tensorflow import keras
words = keras.layers.TextVectorization()
words.adapt(["the cat sat", "the dog ran"])
given = keras.Input([], dtype="string")
x = keras.layers.Embedding(12, 4)(words(given))
model = keras.Model(given, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(x)))
model.compile("sgd", "mse")
"""
    traced = api.trace(code, {})
    api.fit(traced, "source: data/train.en\ntarget: Y", {"Y": [1.0, 2.0, 3.0, 4.0]}, progress=lambda _: None)
    assert len(traced.history["loss"]) == 1
