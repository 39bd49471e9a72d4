"""Batches hold every row once an epoch, filled up no further than they must, with what is derived from the target."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow import keras

from s2s_magic.training.pipeline import Lengths, Shifted, Table, batches, by_length, feed
from s2s_magic.training.rows import Rows

PAIRS = st.lists(
    st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.lists(st.integers(1, 9), min_size=1, max_size=7)),
    min_size=1,
    max_size=12,
)


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


def test_rows_in_order_of_length_keep_source_and_target_together():
    pairs = [([1, 1], [3, 3, 3]), ([2], [4]), ([5, 5, 5], [6, 6])]
    ordered = by_length(table_of(pairs))
    assert [(unpadded(s), unpadded(t)) for s, t in zip(ordered.inputs[0], ordered.target, strict=True)] == [
        ((2,), (4,)),
        ((5, 5, 5), (6, 6)),
        ((1, 1), (3, 3, 3)),
    ]
