"""A search works with any step and any choice."""

import tensorflow as tf

from s2s_magic.decoding.search import greedy, most_probable

CLASSES = 6


def counting(ids, state):
    """A decoder step that returns the next number until its row's limit, then 0."""
    (limit,) = state
    following = tf.where(ids + 1 < limit[:, 0], ids + 1, 0)
    return tf.one_hot(following, CLASSES), [limit]


def searched(choice=most_probable, *, limits=(3, 5, 2), start=1, end=0, longest=5):
    state = [tf.constant(limits)[:, None]]
    ids, lengths, _ = greedy(counting, choice, tf.fill([len(limits)], start), state, end=end, longest=longest)
    return [row[:length].tolist() for row, length in zip(ids.numpy(), lengths.numpy(), strict=True)]


def test_each_row_is_fed_its_own_ids_and_keeps_its_own_state_until_it_ends():
    assert searched() == [[2, 0], [2, 3, 4, 0], [0]]
    assert searched(limits=(2, 2)) == [[0], [0]]


def test_rows_that_never_end_are_as_long_as_they_may_be():
    assert searched(end=-1, longest=4) == [[2, 0, 1, 2], [2, 3, 4, 0], [0, 1, 0, 1]]


def test_what_is_taken_from_the_scores_is_up_to_the_choice():
    def second(scores):
        return tf.math.top_k(scores, 2).indices[:, 1]

    assert searched(second, limits=(5, 1), longest=3) == [[0], [1, 1, 1]]
