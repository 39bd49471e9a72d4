"""Batches have every row once per epoch, with minimal padding, and the columns derived from the target."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow import keras

from kerases import only_keras2
from plainly import quiet
from s2s_magic import api
from s2s_magic.data.batches import Lengths, Shifted, Table, batches, by_length, feed
from s2s_magic.data.sequences import Rows

PAIRS = st.lists(
    st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.lists(st.integers(1, 9), min_size=1, max_size=7)),
    min_size=1,
    max_size=12,
)


GRUS = "vocab: 12\nembed: 3\nencoder: gru(4)\ndecoder: gru(4)\npadding: 0\nstart: 10\nend: 11\ncode: keras"
ROWS = [[1 + (row + step) % 9 for step in range(2 + row % 5)] for row in range(16)]


def table_of(pairs, weighted=False):
    source, target = Rows.of([p[0] for p in pairs]), Rows.of([p[1] for p in pairs])
    return Table((source, Shifted(11), Lengths()), target, weighted)


def unpadded(row):
    return tuple(int(number) for number in row if number)


@settings(max_examples=25, deadline=None)
@given(PAIRS, st.integers(1, 5), st.booleans())
def test_each_epoch_has_every_row_once_trimmed_shifted_and_measured(pairs, size, shuffle):
    dataset, steps = batches(table_of(pairs), size=size, epochs=2, shuffle=shuffle)
    found = list(dataset)
    assert len(found) == 2 * steps
    for epoch in (found[:steps], found[steps:]):
        seen = []
        for (source, decoder, lengths), target in epoch:
            assert target.shape[1] == max(lengths.numpy()), "trimmed to the batch's longest"
            assert source.shape[1] == max(len(unpadded(row)) for row in source.numpy())
            for row in range(len(lengths)):
                seen.append((unpadded(source[row].numpy()), unpadded(target[row].numpy())))
                assert lengths[row] == len(seen[-1][1])
                assert decoder[row].numpy().tolist() == [11, *target[row].numpy().tolist()[:-1]]
        assert sorted(seen) == sorted((tuple(a), tuple(b)) for a, b in pairs)


def test_rows_of_one_length_tell_the_graph_their_steps():
    alike, ragged = [([1, 2], [3, 4, 5])] * 5, [([1, 2], [3, 4, 5]), ([1, 2], [3])]
    (source, decoder, _), target = batches(table_of(alike), size=2)[0].element_spec
    assert [spec.shape[1] for spec in (source, decoder, target)] == [2, 3, 3]
    assert table_of(alike).fixed_lengths == {2: 3}

    (source, decoder, _), target = batches(table_of(ragged), size=2)[0].element_spec
    assert [spec.shape[1] for spec in (source, decoder, target)] == [2, None, None]
    assert not table_of(ragged).fixed_lengths


def test_rows_of_one_length_go_to_keras_as_plain_arrays():
    given = feed(table_of([([1, 2], [3, 4, 5]), ([6, 7], [8, 9, 1])]), table_of([([1], [2])]), size=1, shuffle=True)
    source, decoder, lengths = given.arguments["x"]
    np.testing.assert_array_equal(source, [[1, 2], [6, 7]])
    np.testing.assert_array_equal(decoder, [[11, 3, 4], [11, 8, 9]])
    np.testing.assert_array_equal(lengths, [3, 3])
    np.testing.assert_array_equal(given.arguments["y"], [[3, 4, 5], [8, 9, 1]])
    assert (given.arguments["batch_size"], given.arguments["shuffle"], given.steps) == (1, True, 2)
    np.testing.assert_array_equal(given.validation["validation_data"][1], [[2]])
    assert [column.shape[0] for column in (*given.first()[0], given.first()[1])] == [1, 1, 1, 1]


@settings(max_examples=25, deadline=None)
@given(PAIRS)
def test_weights_make_the_loss_the_mean_over_the_real_ids(pairs):
    ((_, _, lengths), target, weights), *rest = batches(table_of(pairs, weighted=True), size=len(pairs))[0]
    assert not rest
    losses = np.random.default_rng(0).random(target.shape).astype("float32")
    by_keras = float(np.mean(losses * weights.numpy()))
    by_hand = np.mean(np.concatenate([losses[row, :length] for row, length in enumerate(lengths.numpy())]))
    assert by_keras == pytest.approx(by_hand, rel=1e-5)


@only_keras2("it shuffles its own data sets; see test_training_same for the order of a whole fit")
def test_rows_of_one_length_come_in_the_order_that_keras_gives_them():
    rows = Rows.of([[number, 1] for number in range(35)])
    seen = []

    class Spy(keras.Model):
        def train_step(self, data):
            seen.append(data[0].numpy()[:, 0].tolist())
            return {"loss": tf.constant(0.0)}

    spy = Spy()
    spy.compile(run_eagerly=True)
    numbers = rows.values.reshape(-1, 2)
    keras.utils.set_random_seed(3)
    spy.fit(numbers, numbers, batch_size=8, epochs=2, verbose=0)
    keras.utils.set_random_seed(3)
    ours = [target.numpy()[:, 0].tolist() for _, target in batches(Table((), rows), size=8, epochs=2, shuffle=True)[0]]
    assert ours == seen


def skewed(count=4000):
    numbers = np.random.default_rng(0)
    lengths = np.clip(numbers.gamma(2.0, 5.0, size=(count, 2)).astype(int), 4, 40)
    return [(list(range(1, a + 1)), list(range(1, b + 1))) for a, b in lengths]


def test_bucketed_batches_hold_little_padding_and_differ_from_epoch_to_epoch():
    dataset, steps = batches(table_of(skewed()), size=32, epochs=2, shuffle=True)
    shapes = [(target.shape[1], int(lengths.numpy().sum()), len(lengths)) for (_, _, lengths), target in dataset]
    real, filled = sum(s[1] for s in shapes), sum(s[0] * s[2] for s in shapes)
    assert real / filled > 0.95
    assert shapes[:steps] != shapes[steps:]
    widths = [shape[0] for shape in shapes[:steps]]
    assert np.abs(np.diff(widths)).mean() > 3, "short and long batches come in a mixed order"


def test_a_seed_gives_the_same_batches_again():
    def drawn():
        tf.random.set_seed(7)
        return [target.numpy().tolist() for _, target in batches(table_of(skewed(200)), size=8, shuffle=True)[0]]

    assert drawn() == drawn()


def test_a_fits_seed_gives_rows_of_mixed_lengths_the_same_order_in_every_process():
    def losses():
        model = api.build(GRUS)
        rows = [np.full(np.shape(each), 0.1) * (number + 1) for number, each in enumerate(model.model.get_weights())]
        model.model.set_weights(rows)
        api.fit(model, "source: X\ntarget: X\nbatch: 2\nepochs: 2\nseed: 3", {"X": ROWS}, progress=quiet)
        return model.history["loss"]

    assert losses() == losses()


def test_rows_in_order_of_length_keep_source_and_target_together():
    pairs = [([1, 1], [3, 3, 3]), ([2], [4]), ([5, 5, 5], [6, 6])]
    ordered = by_length(table_of(pairs))
    assert [(unpadded(s), unpadded(t)) for s, t in zip(ordered.inputs[0], ordered.target, strict=True)] == [
        ((2,), (4,)),
        ((5, 5, 5), (6, 6)),
        ((1, 1), (3, 3, 3)),
    ]


def with_long_rows(long=(20000, 600, 500)):
    lengths = np.insert(np.random.default_rng(0).integers(3, 12, 63), [30, 50, 60][: len(long)], long)
    return [([number + 1] * int(length),) * 2 for number, length in enumerate(lengths)]


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_row_much_longer_than_most_fills_up_no_other(shuffle):
    table = table_of(with_long_rows(), weighted=True)
    tokens = int(table.target.lengths.sum())
    dataset, steps = batches(table, size=32, epochs=2, shuffle=shuffle)
    found = list(dataset)
    assert len(found) == 2 * steps == 2 * (2 + 2)
    for epoch in (found[:steps], found[steps:]):
        seen = sorted(int(number) for _, target, _ in epoch for number in target.numpy()[:, 0])
        assert seen == list(range(1, 67))
        assert sum(target.shape[0] * target.shape[1] for _, target, _ in epoch) < 1.05 * tokens
        places = epoch if shuffle else epoch[:1]
        assert (1, 20000) in [target.shape for _, target, _ in places], "alone, and unshuffled where it would have come"


def test_rows_of_about_the_same_length_are_not_set_apart():
    from s2s_magic.data.costs import long_batches

    lengths = np.random.default_rng(0).gamma(2.0, 5.0, 4000).astype(int) + 1
    assert not long_batches(lengths, 32)
    assert not long_batches(np.array([1, 30]), 32), "short rows cost nothing"
    (alone,) = long_batches(np.array([5, 5000]), 32)
    assert alone.tolist() == [1]
    assert [len(batch) for batch in long_batches(np.r_[np.full(100, 10), np.full(5, 100)], 8)] == [3, 2]


LONG_SPEC = "vocab: 70\nembed: 2\nencoder: gru(2)\ndecoder: gru(2)\npadding: 0\nstart: 68\nend: 69\n"


def test_the_cost_of_long_rows_is_said_before_the_fit_and_paid_by_them_alone():
    from s2s_magic import api

    model = api.build(LONG_SPEC)
    pairs = with_long_rows([900])
    names = {"X": [source[:5] for source, _ in pairs], "Y": [target for _, target in pairs]}
    said = (
        r"^Y: 1 of 64 rows has 901 ids, and most have \d+ or fewer; in batches of their own \(1 more an epoch\) they "
    )
    with pytest.warns(UserWarning, match=said) as found:
        api.fit(model, "source: X\ntarget: Y\nvalidation: [X, Y]", names, progress=lambda progress: None)
    warned = [warning for warning in found if "901 ids" in str(warning.message)]
    assert warned[0].filename == "fit model"
    assert warned[0].lineno == 2
    assert model.evidence.runs[-1].steps == 3


def test_rows_that_memory_has_no_room_for_are_refused_before_anything_is_allocated():
    from s2s_magic import api
    from s2s_magic.errors import DataError

    model = api.build("vocab: {source: 9, target: 1000000}\nembed: 2\nencoder: gru(2)\ndecoder: gru(2)\n")
    before = model.model.get_weights()
    names = {"X": np.ones((64, 5), int), "Y": np.ones((64, 2000), int)}
    said = r"Y: a batch of 64 rows with up to 2,000 ids needs more than 512\.\d GB .*'batch: \d', or shorter rows"
    with pytest.raises(DataError, match=said):
        api.fit(model, "source: X\ntarget: Y\nbatch: 64", names)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.model.get_weights(), strict=True))


def test_empty_rows_of_a_target_are_counted_in_a_warning():
    from s2s_magic import api

    names = {"X": [[3, 4], [5], [6, 7]], "Y": [[3], [], []]}
    with pytest.warns(UserWarning, match=r"^Y: of 3 rows 2 rows are empty, which teaches the decoder to end at once$"):
        api.fit(api.build(LONG_SPEC), "source: X\ntarget: Y", names, progress=lambda progress: None)
