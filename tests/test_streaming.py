"""Fits on files that are streamed, and batches of as many rows as fit into a number of ids."""

import gzip
import os
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow import keras

from interrupting import interrupted, places
from s2s_magic import api
from s2s_magic.data import pools, spooled, streaming
from s2s_magic.data.batches import Stream, Table, batches, feed
from s2s_magic.data.batching import Room, in_batches
from s2s_magic.data.pools import Pools
from s2s_magic.data.reader import prepare
from s2s_magic.data.selection import find
from s2s_magic.data.sequences import Rows
from s2s_magic.data.spooled import Spool
from s2s_magic.data.subwords import sample
from s2s_magic.data.table import Shifted
from s2s_magic.errors import DataError, Seq2SeqError, SpecError
from s2s_magic.spec import parse_fit
from s2s_magic.undoing import Changes

pytestmark = pytest.mark.once

SPEC = (
    "vocab: {source: data/train.en, target: data/train.de}\nembed: 4\nencoder: gru(4)\ndecoder: gru(4)\ntokens: word\n"
)
BODY = "source: data/train.en\ntarget: data/train.de\nseed: 1\n"
STREAMED = f"{BODY}streaming: true\n"
PAIRS = 70
SKIP = "; 'bad_lines: skip' leaves such lines out"
quickly = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def texts() -> tuple[list[str], list[str]]:
    draw = random.Random(0)
    rows = [draw.choices("abcdefgh", k=draw.randint(1, 9)) for _ in range(PAIRS)]
    return [" ".join(row) for row in rows], [" ".join(row[::-1]) for row in rows]


EN, DE = texts()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    written("data/train.en", "\n".join(EN) + "\n")
    written("data/train.de", "\n".join(DE) + "\n")
    return tmp_path


@pytest.fixture
def small_pools(monkeypatch):
    """Blocks of 4 pairs, and pools of about 24: several of them in the files of these tests."""
    monkeypatch.setattr(spooled, "BLOCK", 4)
    monkeypatch.setattr("s2s_magic.data.encoding.BLOCK", 4)
    monkeypatch.setattr(pools, "POOL", 24)


def written(name: str, content: str | bytes) -> None:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def built(spec: str = SPEC):
    keras.utils.set_random_seed(3)
    return api.build(spec)


def losses(body: str, model=None, **names) -> dict[str, tuple]:
    model = built() if model is None else model
    api.fit(model, body, names, progress=lambda _: None)
    return dict(model.history)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("built"))
    Path("data").mkdir()
    written("data/train.en", "\n".join(EN))
    written("data/train.de", "\n".join(DE))
    found = built()
    os.chdir(before)
    return found


def fed(model, body: str, **names) -> tuple[list, list]:
    """Return the batches that Keras would get, of all epochs, and those of the validation."""
    plan = parse_fit(body)
    with Changes() as changes:
        prepared = prepare(model, plan, names, changes)
        model.tokenizers = prepared.tokenizers
        found = feed(
            prepared.train,
            prepared.validation,
            size=plan.batch,
            max_tokens=plan.max_tokens,
            epochs=plan.epochs,
            shuffle=plan.shuffle,
        )
        sets = [found.arguments["x"], *([found.validation["validation_data"]] if found.validation else [])]
        made = [[tf.nest.map_structure(lambda part: part.numpy().tolist(), batch) for batch in one] for one in sets]
    assert len(made[0]) == found.steps * plan.epochs
    return made[0], made[-1]


def fault(model, body: str, **names) -> str:
    with pytest.raises(Seq2SeqError) as caught:
        api.fit(model, body, names, progress=lambda _: None)
    assert model.history == {}
    return str(caught.value)


def left_over() -> list[str]:
    """Return what is in the folder for temporary files, and what is open without a name; TensorFlow has some."""
    return [*without_a_name(), *(name for name in os.listdir("temporary") if not name.startswith("__autograph"))]


def without_a_name() -> list[str]:
    """Return the files that this process has open in the folder of the test and that no folder lists."""
    links = [os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    return [link for link in links if "/temporary/" in link]


# -- the same fit, streamed --------------------------------------------------------------------------------------------


def test_a_fit_in_the_order_of_the_files_has_the_losses_of_one_in_memory(small_pools):
    end = "batch: 16\nshuffle: false\nvalidation: 0.2"
    assert losses(f"{STREAMED}{end}") == losses(f"{BODY}streaming: false\n{end}")


@pytest.mark.parametrize("batch", ["batch: 8", "max_tokens: 40"])
@pytest.mark.parametrize("held", ["0.2", "[data/train.en, data/train.de]", "[EN, DE]"])
def test_the_batches_of_a_fit_in_the_order_of_the_files_are_those_of_one_in_memory(model, batch, held):
    end = f"{batch}\nshuffle: false\nepochs: 2\nvalidation: {held}"
    assert fed(model, f"{STREAMED}{end}", EN=EN, DE=DE) == fed(model, f"{BODY}{end}", EN=EN, DE=DE)


def test_packed_files_columns_and_shards_are_streamed(model, small_pools):
    Path("data/shards").mkdir()
    written("data/shards/a", "\n".join(EN[:33]) + "\n")
    written("data/shards/b", "\n".join(EN[33:]))
    written("data/de.gz", gzip.compress("\n".join(DE).encode()))
    written("data/x.tsv", "".join(f"{a}\t{b}\n" for a, b in zip(EN, DE, strict=True)))
    end = "seed: 1\nstreaming: true\nepochs: 2\n"
    expected = fed(model, f"{STREAMED}epochs: 2\n")
    assert fed(model, f"source: data/shards\ntarget: data/de.gz\n{end}") == expected
    assert fed(model, f"source: data/x.tsv[1]\ntarget: data/x.tsv[2]\n{end}") == expected


def test_the_order_is_that_of_the_seed(model, small_pools):
    body = f"{STREAMED}epochs: 2\nbatch: 8\n"
    first = fed(model, body)
    assert fed(model, body) == first
    assert fed(model, body.replace("seed: 1", "seed: 2")) != first
    unseeded = body.replace("seed: 1\n", "")  # then it is drawn from TensorFlow's global seed
    drawn = []
    for seed in (7, 7, 8):
        keras.utils.set_random_seed(seed)
        drawn.append(fed(model, unseeded))
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("vocab", ["30", "{source: 30, target: 20}"])
def test_vocabularies_that_the_first_fit_counts_are_those_of_a_fit_in_memory(vocab, small_pools):
    spec = SPEC.replace(SPEC.split("\n")[0], f"vocab: {vocab}")
    one, other = built(spec), built(spec)
    assert fed(one, f"{STREAMED}shuffle: false") == fed(other, f"{BODY}shuffle: false")
    assert one.tokenizers == other.tokenizers


def test_subwords_are_found_in_files_that_are_streamed():
    spec = SPEC.replace("tokens: word", "tokens: subword(20)")
    in_memory = spec.replace("data/train.en", "EN").replace("data/train.de", "DE")
    assert built(spec).tokenizers == api.build(in_memory, namespace={"EN": EN, "DE": DE}).tokenizers


def test_large_files_are_streamed_unless_asked_otherwise(model, monkeypatch):
    monkeypatch.setattr(streaming, "LARGE", 1000)
    with Changes() as changes:
        for more, kind in (("", Stream), ("streaming: false\n", Table), ("class_weights: {0: 1}\n", Table)):
            assert type(prepare(model, parse_fit(BODY + more), {}, changes).train) is kind
        monkeypatch.setattr(streaming, "LARGE", 1_000_000)
        assert type(prepare(model, parse_fit(BODY), {}, changes).train) is Table


def test_progress_is_told_in_pairs(monkeypatch, small_pools):
    shown = []
    monkeypatch.setattr("s2s_magic.data.encoding._TELL", 4)
    monkeypatch.setattr("s2s_magic.training.progress.PAUSE", 0)
    monkeypatch.setattr("s2s_magic.training.callback.PAUSE", 0)
    api.fit(built(), f"{STREAMED}epochs: 2\nbatch: 8\n", {}, progress=lambda told: shown.append(told))
    assert str(shown[0]) == "model: 4 pairs read"
    running = [told for told in shown if told.pairs and told.state == "running"]
    assert all(told.pairs == PAIRS and 0 <= told.seen <= PAIRS for told in running)
    assert " of 70 pairs" in str(running[0])
    assert "pairs/s" in str(running[-1])
    assert shown[-1].seen == PAIRS


def test_a_validation_that_is_decoded_is_held_in_memory(model, monkeypatch):
    held = "validation: [data/train.en, data/train.de]\nvalidate_with: [exact]\n"
    assert losses(f"{STREAMED}{held}")["val_exact"] == (0,)
    said = fault(model, f"{STREAMED}validation: 0.2\nvalidate_with: [exact]\n")
    assert said.startswith("line 6, column 16: data/train.en is streamed, and the texts of a fraction are not held")
    monkeypatch.setattr(streaming, "LARGE", 1000)
    said = fault(model, f"{STREAMED}{held}")
    assert "data/train.en and data/train.de are 0 MB, and at most 0 MB of texts are decoded after each epoch" in said


# -- batches ----------------------------------------------------------------------------------------------------------


def spool_of(lengths: list[tuple[int, int]]) -> Spool:
    """Return a spool of pairs whose ids are their numbers."""
    spool = Spool(tempfile.TemporaryFile())  # noqa: SIM115
    for first in range(0, len(lengths), spooled.BLOCK):
        block = list(enumerate(lengths))[first : first + spooled.BLOCK]
        sides = ([[number] * each[side] for number, each in block] for side in range(2))
        spool.append(*(Rows.of([np.array(row, np.int32) for row in rows]) for rows in sides))
    return spool


def told(batch: tuple[Rows, Rows]) -> tuple[list[list[int]], list[list[int]]]:
    return tuple([rows[number].tolist() for number in range(len(rows))] for rows in batch)


LENGTHS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=40)


@quickly
@given(LENGTHS, st.integers(1, 9), st.integers(1, 30), st.integers(1, 12) | st.none(), st.integers(9, 40), st.data())
def test_every_pair_occurs_once_in_each_epoch_and_an_epoch_can_begin_at_any_batch(
    lengths, block, pool, rows, ids, data
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spooled, "BLOCK", block)
        patch.setattr(pools, "POOL", pool)
        first = data.draw(st.integers(0, len(lengths) - 1))
        end = data.draw(st.integers(first + 1, len(lengths)))
        shuffle = data.draw(st.booleans())
        made = Pools.of(spool_of(lengths), first, end, Room(rows, ids), sort=shuffle, shuffle=shuffle)
        found = [told(batch) for batch in made.batches(5, 3)]
        skip = data.draw(st.integers(0, len(found) - 1))
        assert [told(batch) for batch in made.batches(5, 3, skip)] == found[skip:]
        epoch, step = divmod(skip, made.steps)
        next(made.batches(5, epoch + 1, skip))
        counts = [len(source) for source, _ in found[epoch * made.steps :]]
        assert made.seen(epoch + 1, step) == sum(counts[:step])
    assert len(found) == 3 * made.steps
    assert made.rows == end - first
    for epoch in range(3):
        own = found[epoch * made.steps : (epoch + 1) * made.steps]
        pairs = [(source[0], len(source), len(target)) for batch in own for source, target in zip(*batch, strict=True)]
        assert sorted(pairs) == [(number, *lengths[number]) for number in range(first, end)]
    for source, target in found:
        assert [row[0] for row in source] == [row[0] for row in target]
        assert len(source) <= (rows or len(source))
        assert len(source) * max(map(len, [*source, *target])) <= ids


@settings(quickly, max_examples=15)
@given(LENGTHS, st.integers(9, 60), st.integers(0, 3))
def test_batches_of_a_table_by_max_tokens_have_each_row_once_in_each_epoch(lengths, ids, seed):
    keras.utils.set_random_seed(seed)
    columns = [Rows.of([[number] * each[side] for number, each in enumerate([*lengths, (1, 9)])]) for side in range(2)]
    table = Table((columns[0], Shifted(0)), columns[1], padding=-1)
    dataset, steps = batches(table, size=1, max_tokens=ids, epochs=2, shuffle=True)
    found = [target.numpy() for _, target in dataset]
    assert len(found) == 2 * steps == int(dataset.cardinality())
    for epoch in range(2):
        rows = np.concatenate([batch[:, 0] for batch in found[epoch * steps : (epoch + 1) * steps]])
        assert sorted(rows) == list(range(len(lengths) + 1))
    widths = [[max(np.shape(x)[1] for x in (*inputs, target)) * len(target)] for (inputs, target) in dataset]
    assert max(widths)[0] <= ids


def test_rows_of_similar_length_make_a_batch():
    draw = np.random.default_rng(0)
    lengths = np.minimum(draw.geometric(0.05, (20_000, 1)) + draw.integers(0, 3, (20_000, 2)), 100)
    for room in (Room(rows=64), Room(ids=4096)):
        found = list(in_batches(lengths, room, sort=True, draw=draw))
        filled = sum(len(rows) * lengths[rows].max(axis=0).sum() for rows in found)
        assert lengths.sum() / filled > 0.9
    fullest = [len(rows) * lengths[rows].max() for rows in found]
    assert np.mean(fullest) > 0.9 * 4096


def test_one_very_long_row_costs_no_more_than_its_own_ids():
    lengths = np.array([[4, 4]] * 100 + [[4, 1000]] + [[4, 4]] * 100)
    found = list(in_batches(lengths, Room(20, 20 * 32), sort=True))
    assert sorted(map(len, found)) == [1] + [20] * 10


def test_rows_of_one_length_have_batches_of_one_size_by_max_tokens():
    spec = "vocab: 9\nembed: 4\nencoder: gru(4)\ndecoder: gru(4)\n"
    rows, end = [[1, 2, 3, 4]] * 9, "source: X\ntarget: X\nseed: 1\nshuffle: false\n"
    assert losses(f"{end}max_tokens: 15", built(spec), X=rows) == losses(f"{end}batch: 3", built(spec), X=rows)


def test_texts_are_drawn_alike_and_all_are_where_there_are_few():
    assert sample(map(str, range(5)), 5) == list("01234")
    found = sample(map(str, range(10_000)), 500)
    assert sample(map(str, range(10_000)), 500) == found
    assert len(set(found)) == 500
    assert 4_500 < np.mean(list(map(int, found))) < 5_500


# -- faults -----------------------------------------------------------------------------------------------------------


def test_a_bad_line_stops_the_fit_or_is_skipped_and_counted(model, small_pools):
    written("data/bad.en", "\n".join(EN).encode().replace(EN[20].encode(), b"\xffb c") + b"\n")
    body = STREAMED.replace("train.en", "bad.en")
    bad = [row for row, text in enumerate(EN) if EN[20] in text]
    more = f" ({len(bad)} such lines in all)" if len(bad) > 1 else ""
    said = f"line 1, column 9: data/bad.en, line {bad[0] + 1}, byte "
    told = fault(model, body)
    assert told.startswith(said)
    assert told.endswith(f"0xff is no UTF-8{more}; 'bad_lines: skip' leaves such lines out")
    with pytest.warns(UserWarning, match=f"data/bad.en and data/train.de: {len(bad)} of 70 lines w"):
        found = fed(model, f"{body}bad_lines: skip\nshuffle: false\n")
    good = [row for row in range(PAIRS) if row not in bad]
    names = {"S": [EN[row] for row in good], "T": [DE[row] for row in good]}
    assert found == fed(model, "source: S\ntarget: T\nshuffle: false", **names)


@pytest.mark.parametrize("streaming", ["true", "false"])
def test_an_empty_source_is_skipped_too(model, streaming):
    written("data/train.en", "\n".join(["", "  ", *EN[2:]]))
    said = "2 of 70 lines were skipped: data/train.en, line 1 is empty, and a source needs"
    with pytest.warns(UserWarning, match=said):
        found = fed(model, f"{BODY}streaming: {streaming}\nbad_lines: skip\nshuffle: false\n")
    assert found == fed(model, "source: S\ntarget: T\nshuffle: false", S=EN[2:], T=DE[2:])


def test_an_empty_source_stops_the_fit(model):
    written("data/train.en", "\n".join([EN[0], "", *EN[2:], ""][:PAIRS]) + "\n")
    said = "line 1, column 9: data/train.en, line 2 is empty, and a source needs something to read; 'bad_lines: "
    assert fault(model, STREAMED).startswith(said)


def test_files_of_different_lengths_are_refused_with_the_first_line_beyond(model):
    written("data/more.en", "\n".join([*EN, "x", "y"]))
    said = fault(model, STREAMED.replace("train.en", "more.en"))
    assert said == (
        "line 2, column 9: data/more.en has 72 lines and data/train.de has 70: data/more.en, line 71 has no line "
        "beside it"
    )


@pytest.mark.parametrize("streaming", ["true", "false"])
def test_a_row_longer_than_max_tokens_is_named_by_file_and_line(model, streaming):
    written("data/long.en", "\n".join([*EN[:50], "a " * 300, *EN[51:]]))
    body = f"{BODY.replace('train.en', 'long.en')}streaming: {streaming}\nmax_tokens: 256\n"
    said = "line 1, column 9: data/long.en, line 51 has 300 ids, and 'max_tokens: 256' has no room for it"
    assert fault(model, body) == said
    said = fault(model, "source: X\ntarget: Y\nmax_tokens: 4", X=["a", "b"], Y=["a", "a b c d"])
    assert said == "line 2, column 9: Y: row 1 has 5 ids, and 'max_tokens: 4' has no room for it"


REFUSED = {
    "source: X\ntarget: Y\nstreaming: true": "only files are streamed",
    f"{STREAMED}weights: W": "'weights' and 'streaming' do not go together: what stands beside each row",
    f"{BODY}batch: 8\nmax_tokens: 80": "line 5, column 13: 'batch' and 'max_tokens' do not go together: give one",
    "data: D\nmax_tokens: 8": "'data' and 'max_tokens' do not go together: a dataset comes in batches",
    "data: D\nstreaming: true": "'data' and 'streaming' do not go together: a dataset is read as it was made",
    STREAMED.replace("train.en", "tarin.en"): "there is no file 'data/tarin.en'; did you mean 'data/train.en'?",
    f"{STREAMED}validation: 0.999": "a fraction of 0.999 of 70 rows leaves 0 to fit and 70 to validate",
    f"{BODY}streaming: maybe": "expected true or false",
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_does_not_go_together_is_refused_in_one_line(model, body):
    said = fault(model, body, X=EN, Y=DE)
    assert REFUSED[body] in said
    assert "\n" not in said


def test_ids_are_not_streamed_and_values_have_no_ids_to_count(folder):
    spec = "vocab: 9\nembed: 4\nencoder: gru(4)\ndecoder: gru(4)\n"
    assert "does not read texts by 'tokens' of a spec" in fault(api.build(spec), STREAMED)
    code = "from tensorflow import keras\nx = keras.Input([2])\nm = keras.Model(x, keras.layers.Dense(1)(x))\n"
    code += "m.compile('sgd', 'mse')"
    names = {"X": np.zeros((4, 2)), "Y": np.zeros((4, 1))}
    said = fault(api.trace(code, {}), "source: X\ntarget: Y\nmax_tokens: 8", **names)
    assert said.startswith("line 3, column 13: it counts the ids of rows, and the data are no rows of ids")


def test_a_full_disk_is_said_in_one_line(model, monkeypatch):
    class Full:
        def __getattr__(self, name):
            return getattr(self.file, name)

        def __init__(self):
            self.file = open("/dev/full", "wb")  # noqa: SIM115

        def tell(self):
            return 0

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    said = fault(model, STREAMED)
    assert "has more ids than there is room for in" in said
    assert said.endswith("No space left on device after 0 MB; the environment variable TMPDIR names another folder")


# -- the temporary file -----------------------------------------------------------------------------------------------


def test_the_temporary_file_is_gone_after_a_fit_a_fault_and_an_interrupt(folder, small_pools):
    during = []
    model = built()
    api.fit(model, STREAMED, {}, progress=lambda _: during.append(len(without_a_name())))
    assert during[0] == 1
    assert left_over() == []
    written("data/bad.en", b"\xff\n" * PAIRS)
    with pytest.raises(DataError):
        api.fit(model, STREAMED.replace("train.en", "bad.en"), {}, progress=lambda _: None)
    assert without_a_name() == []

    def interrupt(told):
        if told.step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.fit(model, f"{STREAMED}epochs: 50\n", {}, progress=interrupt)
    assert left_over() == []


def test_no_line_of_the_reading_leaves_the_file_behind_when_it_is_interrupted(model, small_pools):
    def read():
        with pytest.raises(DataError):
            api.fit(model, f"{STREAMED}validation: 0.999\n", {}, progress=lambda _: None)

    found = places(read, under="data/", warm=False)
    for place in random.Random(0).sample(found, 25):
        interrupted(read, place, KeyboardInterrupt)
        assert without_a_name() == [], place


# -- columns by number, and bad lines of a vocabulary -----------------------------------------------------------------


def test_a_table_without_names_has_its_columns_numbered():
    written("data/x.tsv", "a b\tA B\nc\tC\n")
    written("data/x.csv", '"a, b",A\nc,C\n')
    assert find("data/x.tsv[1]", {}) == ["a b", "c"]
    assert find("data/x.csv[ 2 ]", {}) == ["A", "C"]
    assert find("data/x.csv[1]", {}) == ["a, b", "c"]
    model = api.build(SPEC.replace("data/train.en", "'data/x.tsv[1]'").replace("data/train.de", "'data/x.tsv[2]'"))
    assert model.tokenizers["target"].tokens == ("A", "B", "C")


@pytest.mark.parametrize(
    ("name", "said"),
    {
        "data/x.tsv[3]": "data/x.tsv has no column 3: its first line has 2",
        "data/y.tsv[1]": "data/y.tsv, line 2 has 1 field, and the first line has 2" + SKIP,
        "data/z.tsv[1]": "data/z.tsv, line 1, column 2, byte 1: 0xff is no UTF-8" + SKIP,
        "data/train.en[1]": "data/train.en is no table: columns are read from files that end with .tsv, .tab, .csv",
    }.items(),
)
def test_what_is_wrong_with_a_numbered_column_is_said(model, name, said):
    written("data/x.tsv", "a\tA\n")
    written("data/y.tsv", "a\tA\nb\nc\tC\n")
    written("data/z.tsv", b"a\t\xff\nb\tB\n")
    assert fault(model, f"source: {name}\ntarget: T", T=["a", "b"]) == f"line 1, column 9: {said}"


def test_columns_count_from_1():
    with pytest.raises(SpecError, match=r"in quotes, such as data/x.tsv\[\"0\"\], or its number, data/x.tsv\[1\]"):
        parse_fit("source: data/x.tsv[0]\ntarget: Y")


def test_bad_lines_of_a_vocabulary_are_skipped_and_counted_when_asked():
    written("data/train.en", b"a b\n\xff\nc\n")
    with pytest.raises(
        SpecError, match=r"line 1, column 17: data/train\.en, line 2, byte 1: 0xff is no UTF-8; 'bad_lines"
    ):
        api.build(SPEC)
    with pytest.warns(
        UserWarning, match="data/train.en: 1 of 3 lines was skipped: data/train.en, line 2, byte 1: 0xff"
    ):
        model = api.build(f"{SPEC}bad_lines: skip\n")
    assert model.tokenizers["source"].tokens == ("a", "b", "c")
    with pytest.raises(SpecError, match="no file is named whose lines could be bad: leave 'bad_lines' out"):
        api.build(
            SPEC.replace("data/train.en", "EN").replace("data/train.de", "EN") + "bad_lines: skip", namespace={"EN": EN}
        )
