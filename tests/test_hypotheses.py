"""Beam search finds what exhaustive search finds, and samples follow the probabilities."""

import itertools

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from s2s_magic.decoding.constraints import constraints
from s2s_magic.decoding.hypotheses import best_extensions, drawn, penalized, search
from s2s_magic.decoding.settings import SearchSettings

CLASSES, END = 3, 0


def tables(seed, longest):
    """Draw log-probabilities of the next id for each pair of time and previous id, and each row."""
    numbers = np.random.default_rng(seed).normal(size=(2, longest, CLASSES, CLASSES)) * 2
    return (numbers - np.log(np.exp(numbers).sum(-1, keepdims=True))).astype("float32")


def stepper(table):
    def step(ids, state):
        row, time = state
        places = tf.concat([row, time, ids[:, None]], axis=1)
        return tf.gather_nd(table, places), [row, time + 1]

    return step


def searched(table, how, start=1, *, seed=0, wanted=None):
    rows, longest = table.shape[:2]
    state = [tf.range(rows)[:, None], tf.zeros([rows, 1], tf.int32)]
    advance = drawn(how, seed, END) if how.sample else best_extensions(how, END)
    found = search(
        stepper(table),
        advance,
        constraints(how, END),
        tf.fill([rows], start),
        state,
        width=how.width,
        end=END,
        longest=longest,
        rank=penalized(how),
        wanted=wanted or how.width,
        alike=how.sample,
    )
    said = []
    for row in range(rows):
        ids, lengths, totals, scores = (part[row].numpy() for part in found[:4])
        kept = zip(ids, lengths, totals, scores, strict=True)
        said.append([(tuple(i[:n].tolist()), float(t), float(s)) for i, n, t, s in kept if t > -1e30])
    return said


def exhaustive(table, how, prefix=(), start=1):
    """Return every output that the settings allow, the best first."""
    longest = table.shape[0]
    found = []
    for n in range(1, longest + 1):
        for ids in itertools.product(range(CLASSES), repeat=n):
            if END in ids[:-1] or (n < longest and ids[-1] != END):
                continue
            if ids[: len(prefix)] != tuple(prefix)[:n]:
                continue
            if END in ids and ids.index(END) < how.min_length:
                continue
            size = how.no_repeat_ngram
            grams = [ids[i : i + size] for i in range(len(ids) - size + 1)] if size else []
            if len(grams) > len(set(grams)):
                continue
            total = sum(
                table[t, before, after] for t, (before, after) in enumerate(zip((start, *ids), ids, strict=False))
            )
            found.append((ids, float(total), float(total / ((5 + n) / 6) ** how.length_penalty)))
    return sorted(found, key=lambda one: -one[2])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from([(), (2,), (1, 2)]),
)
def test_a_wide_beam_finds_what_exhaustive_search_finds(seed, longest, penalty, least, ngram, prefix):
    how = SearchSettings(beam=90, length_penalty=penalty, min_length=least, no_repeat_ngram=ngram, prefix=prefix)
    table = tables(seed, longest)
    found = searched(table, how)
    for row in range(2):
        expected = exhaustive(table[row], how, prefix)
        assert [ids for ids, _, _ in found[row]] == [ids for ids, _, _ in expected]
        np.testing.assert_allclose([one[1:] for one in found[row]], [one[1:] for one in expected], rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    st.integers(0, 2),
    st.data(),
)
def test_a_row_that_is_done_early_has_the_best_of_those_found_in_the_end(seed, longest, width, penalty, least, data):
    wanted = data.draw(st.integers(1, width))
    how = SearchSettings(beam=width, length_penalty=penalty, min_length=least)
    table = tables(seed, longest)
    early, late = (searched(table, how, wanted=number) for number in (wanted, width))
    for few, every in zip(early, late, strict=True):
        assert [one[0] for one in few[:wanted]] == [one[0] for one in every[:wanted]]
        np.testing.assert_allclose([one[1:] for one in few[:wanted]], [one[1:] for one in every[:wanted]], rtol=1e-6)
