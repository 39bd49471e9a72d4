"""Rows of ids are read from any notebook value, and faults are reported with their place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_magic.data import sequences
from s2s_magic.data.sequences import Rows, Unreadable

RAGGED = st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=8)


def as_lists(found):
    return [list(map(int, row)) for row in found]


@given(RAGGED)
def test_ragged_lists_come_back_row_by_row(lists):
    found = sequences.ids(lists)
    assert as_lists(found) == lists
    assert found.lengths.tolist() == [len(row) for row in lists]


@given(RAGGED, st.randoms())
def test_rows_can_be_taken_in_any_order_and_any_number_of_times(lists, random):
    order = [random.randrange(len(lists)) for _ in range(5)]
    assert as_lists(Rows.of(lists).taken(np.array(order))) == [lists[number] for number in order]


@given(RAGGED)
def test_padding_is_dropped_at_the_end_of_a_row_and_only_there(lists):
    stripped = [row[: max((i + 1 for i, number in enumerate(row) if number), default=0)] for row in lists]
    assert as_lists(Rows.of(lists).without_padding(0)) == stripped


@given(RAGGED)
def test_each_row_gets_the_end_id_once(lists):
    expected = [row if row and row[-1] == 2 else [*row, 2] for row in lists]
    assert as_lists(Rows.of(lists).ended(2)) == expected


@given(RAGGED)
def test_a_value_knows_its_row_and_position(lists):
    found = Rows.of(lists)
    for index, number in enumerate(found.values):
        row, position = found.place(index)
        assert lists[row][position] == number


def test_arrays_pandas_columns_and_ragged_tensors_are_read_alike():
    import pandas as pd
    import tensorflow as tf

    lists = [[1, 2], [3, 4]]
    for value in (
        np.array(lists, np.int64),
        np.array(lists, np.float32),
        pd.Series(lists),
        pd.DataFrame({"ids": lists}),
        pd.DataFrame(lists),
        tf.constant(lists),
        tf.ragged.constant(lists),
        [np.array(row) for row in lists],
        tuple(map(tuple, lists)),
    ):
        assert as_lists(sequences.ids(sequences.plain(value))) == lists, type(value)


def test_texts_are_known_from_lists_arrays_and_columns():
    import pandas as pd
    import tensorflow as tf

    for value in (["ab", "c"], np.array(["ab", "c"]), pd.Series(["ab", "c"]), tf.constant(["ab", "c"])):
        plain = sequences.plain(value)
        assert sequences.is_text(plain), type(value)
        assert sequences.texts(plain) == ["ab", "c"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "row 1, position 1 is NaN"),
        ([[1.0, 2.0], [3.5]], "row 1, position 0 is 3.5, no whole number"),
        (np.array([[1, 2**40]]), "row 0, position 1 is 1099511627776, outside any vocabulary"),
        ([[1, -(2**40)]], "row 0, position 1 is -1099511627776, outside any vocabulary"),
        ([[2.0**40]], "row 0, position 0 is 1099511627776, outside any vocabulary"),
        (np.array([[np.inf]]), "row 0, position 0 is inf"),
        (np.array([1, 2, 3]), r"has shape \(3,\); rows of ids have two dimensions.* one row is \[\[1, 2, 3\]\]"),
        (np.zeros((2, 2), bool), "holds bool values"),
        ([[1], 2], "item 1 is 2; expected a row"),
        ([[1], [[2]]], r"row 1 is nested, \[\[2\]\]; expected rows of ids"),
        ([[[1, 2], [3]]] * 32, r"row 0 is nested, \[\[1, 2\], \[3\]\]; expected rows of ids"),
        ([1, 2, 3], r"item 0 is 1; expected a row of ids: one row is \[\[1, 2, 3\]\]"),
        ([[1], ["a"]], "row 1 is no flat row"),
        (3, "is of type int"),
    ],
)
def test_what_is_no_row_of_ids_is_named_with_its_place(value, words):
    with pytest.raises(Unreadable, match=words):
        sequences.ids(value)


def test_an_item_among_texts_that_is_none_is_named():
    with pytest.raises(Unreadable, match="item 1 is 3, no text"):
        sequences.texts(["a", 3])
