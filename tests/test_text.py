"""Converting text to ids and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_magic.data.tokens import END, REPLACEMENT, START, UNKNOWN, Tokenizer, listed

WORDS = st.text(st.characters(exclude_categories=["Z", "Cc"]), min_size=1)


@given(st.lists(st.text()))
def test_every_text_that_was_counted_comes_back_from_its_characters(texts):
    tokenizer = Tokenizer.count(texts, "char")
    assert [tokenizer.decode(tokenizer.encode(text)) for text in texts] == texts


@given(st.lists(st.lists(WORDS)))
def test_every_text_that_was_counted_comes_back_from_its_words(sentences):
    texts = [" ".join(words) for words in sentences]
    tokenizer = Tokenizer.count(texts, "word")
    assert [tokenizer.decode(tokenizer.encode(text)) for text in texts] == [" ".join(text.split()) for text in texts]


@given(st.lists(st.text()), st.text(), st.integers(4, 12))
def test_ids_stay_inside_the_vocabulary_and_the_special_ids_are_never_given_away(texts, other, size):
    tokenizer = Tokenizer.count(texts, "char", max_size=size)
    assert tokenizer.size <= size
    assert all(UNKNOWN <= number < tokenizer.size for number in tokenizer.encode(other))


def test_ids_go_by_frequency_and_then_by_first_appearance():
    assert Tokenizer.count(["cab", "bd"], "char").tokens == ("b", "c", "a", "d")


def test_the_rarest_tokens_are_left_out_and_become_unknown():
    tokenizer = Tokenizer.count(["one two two", "three two one"], "word", max_size=6)
    assert tokenizer.encode("one two three") == [5, 4, UNKNOWN]
    assert tokenizer.decode([5, UNKNOWN]) == f"one {REPLACEMENT}"


def test_decoding_stops_at_the_end_and_skips_start_and_padding():
    tokenizer = Tokenizer.count(["ab"], "char")
    assert tokenizer.decode([START, 4, 0, 5, END, 4]) == "ab"


def test_unknown_tokens_are_counted_and_listed_the_most_frequent_first():
    letters = Tokenizer.count(["ab"], "char")
    unknown = letters.unknown(["azq", "z b"])
    assert unknown == {"z": 2, "q": 1, " ": 1}
    assert listed(unknown) == "z, q, ' '"
    assert listed(unknown, most=2) == "z, q, …"
    assert not letters.unknown(["abba"])


def test_an_id_outside_the_vocabulary_is_refused_when_decoding():
    with pytest.raises(ValueError, match="id 9 is outside the vocabulary of 6"):
        Tokenizer.count(["ab"], "char").decode([9])


def test_a_size_with_no_room_for_the_special_ids_is_refused():
    with pytest.raises(ValueError, match="max_size is 3"):
        Tokenizer.count(["ab"], "char", max_size=3)


@given(st.lists(st.text()))
def test_a_vocabulary_survives_json(texts):
    tokenizer = Tokenizer.count(texts, "char")
    assert Tokenizer.from_dict(json.loads(json.dumps(tokenizer.to_dict()))) == tokenizer
