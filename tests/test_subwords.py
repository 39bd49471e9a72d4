"""Subwords, and the settings of characters and words."""

import json
import sys
import unicodedata
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tensorflow import keras

from s2s_magic import api
from s2s_magic.data.subwords import Subwords, check_model
from s2s_magic.data.tokens import END, REPLACEMENT, START, UNKNOWN, Tokenizer, prepared
from s2s_magic.data.values import Unreadable
from s2s_magic.errors import DataError, SetupError, SpecError
from s2s_magic.spec import parse_spec

pytestmark = pytest.mark.once

sentencepiece = pytest.importorskip("sentencepiece")

TEXTS = [
    *("the cat sat on the mat", "the dog sat there", "A cat ran", "the cats ran", "ein Hund läuft 😀"),
    *("שלום עולם", "e\u0301 Ａ ﬁ"),
]
SPEC = "embed: 6\nencoder: gru(8)\ndecoder: gru(8)\n"
# every character that UTF-8 can hold, with those that are written from right to left or put together drawn often
OFTEN = "שלוםمرحبا\u0301\u0308\u200d😀👩 \u2581\u2028\t\n\r<s>/"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(OFTEN), max_size=40)


@cache
def trained(kind="bpe", form=None, lowercase=False) -> Subwords:
    size = 60 if kind == "bpe" else 34
    return Subwords.train(TEXTS, size, kind, form=form, lowercase=lowercase)


def own(model: Subwords) -> "sentencepiece.SentencePieceProcessor":
    return sentencepiece.SentencePieceProcessor(model_proto=model.model)


def normalized(model: Subwords, text: str) -> str:
    """Return sentencepiece's own normalized text, with its marks for spaces made spaces."""
    return own(model).normalize(prepared(text, model.lowercase, model.form)).replace("\u2581", " ").removeprefix(" ")


@pytest.mark.parametrize("form", [None, "nfc", "nfd", "nfkd"])
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_every_text_trained_on_comes_back_as_sentencepiece_normalizes_it(kind, form):
    model = trained(kind, form)
    assert [model.decode(model.encode(text)) for text in TEXTS] == [normalized(model, text) for text in TEXTS]
    assert not model.unknown(TEXTS)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_any_texts_come_back_from_the_subwords_trained_on_them(texts):
    written = [normalized(trained(), text) for text in texts]
    letters = len({letter for text in written for letter in text} | {" "})
    # to these sentencepiece gives no piece, or one of its own that is no text
    own_marks = ("\0", "\u2047", "<s>", "</s>", "<unk>", "<pad>")
    assume(any(written) and not any(mark in text for mark in own_marks for text in texts))
    model = Subwords.train(texts, 4 + letters, "bpe")
    readable = [text for text in texts if UNKNOWN not in model.encode(text)]
    assert [model.decode(model.encode(text)) for text in readable] == [normalized(model, text) for text in readable]
    assert readable == texts


@settings(max_examples=200, deadline=None)
@given(ANY_TEXT, st.sampled_from([None, "nfc", "nfkd"]), st.booleans())
def test_any_text_has_ids_in_the_vocabulary_and_what_is_unknown_is_counted(text, form, lowercase):
    model = trained("bpe", form, lowercase)
    ids = model.encode(text)
    assert all(UNKNOWN <= number < model.size for number in ids)
    assert ids.count(UNKNOWN) == sum(model.unknown([text]).values())
    assert model.decode(ids).count(REPLACEMENT) == ids.count(UNKNOWN)


def test_the_special_ids_are_those_of_every_tokenizer():
    model = trained()
    assert own(model).id_to_piece([0, START, END, UNKNOWN]) == ["<pad>", "<s>", "</s>", "<unk>"]
    assert model.size == own(model).get_piece_size() == 60
    ids = model.encode("the cat")
    assert ids == own(model).encode("the cat")
    assert model.decode([START, *ids, 0, END, *ids]) == "the cat"
    assert model.decode([*ids, UNKNOWN]) == f"the cat{REPLACEMENT}"
    with pytest.raises(ValueError, match="id 60 is outside the vocabulary of 60"):
        model.decode([60])


def foreign(folder, **settings) -> str:
    """Train a model as sentencepiece does by itself, with its own special ids, and return its file's name."""
    (folder / "texts").write_text("\n".join(TEXTS), "utf-8")
    given = {"vocab_size": 50, "model_type": "bpe", "minloglevel": 2, **settings}
    sentencepiece.SentencePieceTrainer.train(input=str(folder / "texts"), model_prefix=str(folder / "my"), **given)
    return str(folder / "my.model")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"user_defined_symbols": ["<de>"], "control_symbols": ["<mask>"]},
        {"pad_id": 3, "unk_id": 7, "bos_id": -1, "vocab_size": 300, "byte_fallback": True},
        {"model_type": "unigram", "vocab_size": 33},
    ],
)
def test_a_model_of_a_file_keeps_our_special_ids_whatever_its_own_are(tmp_path, settings):
    name = foreign(tmp_path, **settings)
    theirs = sentencepiece.SentencePieceProcessor(model_file=name)
    model = api.build(f"tokens: subword({json.dumps(name)})\n{SPEC}")
    ours = model.tokenizers["source"]
    assert ours is model.tokenizers["target"]
    assert model.spec.vocab.source == ours.size == 4 + len(ours.tokens)
    assert not {"<s>", "</s>", "<unk>", "<mask>"} & set(ours.tokens)
    for text in TEXTS:
        pieces = [REPLACEMENT if number == UNKNOWN else ours.tokens[number - 4] for number in ours.encode(text)]
        assert pieces == [
            REPLACEMENT if theirs.is_unknown(number) else theirs.id_to_piece(number) for number in theirs.encode(text)
        ]
        said = theirs.decode(theirs.encode(text)).replace(" \u2047 ", REPLACEMENT)
        assert ours.decode(ours.encode(text)) == said


def fault_of(spec: str, **namespace) -> str:
    with pytest.raises(SpecError) as caught:
        api.build(spec, namespace=namespace)
    (fault,) = caught.value.faults
    return str(fault)


def test_a_files_faults_are_one_line_each_and_sentencepiece_keeps_quiet(tmp_path, capfd, monkeypatch):
    name = foreign(tmp_path)
    capfd.readouterr()
    monkeypatch.chdir(tmp_path)
    model = (tmp_path / "my.model").read_bytes()
    (tmp_path / "cut.model").write_bytes(model[: len(model) // 2])
    (tmp_path / "empty.model").write_bytes(b"")
    (tmp_path / "folder.model").mkdir()

    def said(file: str) -> str:
        return fault_of(f'tokens: subword("{file}")\n{SPEC}')

    place = "line 1, column 9: "
    assert said("mi.model") == f"{place}there is no file 'mi.model'; did you mean 'my.model'?"
    assert said("cut.model") == f"{place}cut.model is damaged, or no model of sentencepiece"
    assert said("texts") == f"{place}texts is damaged, or no model of sentencepiece"
    assert said("empty.model") == f"{place}empty.model is empty"
    assert said("folder.model") == f"{place}folder.model is a folder: expected the name of a file"
    assert said("/dev/zero") == f"{place}/dev/zero is no regular file: expected the name of a file"
    assert "there is no folder 'nowhere' in" in said("nowhere/my.model")
    assert fault_of(f'vocab: 20\ntokens: subword("{name}")\n{SPEC}').startswith("line 1, column 8: 20 is too small: ")
    assert "has a vocabulary of its own" in fault_of(
        f'vocab: {{source: T, target: 99}}\ntokens: subword("my.model")\n{SPEC}'
    )
    assert capfd.readouterr().err == ""


def model_or_reason(content: bytes) -> Subwords | str:
    try:
        check_model(content)
    except Unreadable as error:
        return str(error)
    return Subwords(content)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_model_is_refused_or_works(data):
    content = bytearray(trained().model)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        content[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    read = model_or_reason(bytes(content))
    works = isinstance(read, Subwords) and all(3 <= one < read.size for text in TEXTS for one in read.encode(text))
    assert works or read in ("is damaged, or no model of sentencepiece", "is empty")


def test_a_size_that_the_texts_do_not_allow_is_answered_with_one_that_they_do(capfd):
    texts = ["the cat sat", "the dog sat"]

    def said(tokens: str) -> str:
        return fault_of(f"vocab: {{source: T, target: 9}}\ntokens: {{source: {tokens}, target: char}}\n{SPEC}", T=texts)

    for kind in ("unigram", "bpe"):
        many, few = said(f"subword(8000, kind={kind})"), said(f"subword(6, kind={kind})")
        assert many.startswith("line 1, column 17: T holds too little text for 8,000 subwords: at most subword(")
        assert few == "line 1, column 17: T holds 10 different characters with the space: at least subword(14)"
        most = int(many.rpartition("(")[2].rstrip(")"))
        assert Subwords.train(texts, most, kind).size == most
        assert Subwords.train(texts, 14, kind).size == 14
    assert capfd.readouterr().err == ""
    with pytest.raises(Unreadable, match="holds no text to find subwords in"):
        Subwords.train(["", " "], 9)


def test_one_long_text_is_trained_on_like_any_other():
    assert not Subwords.train(["ab " * 5000 + "q", "ab"], 9, "bpe").unknown(["q"])


def test_subwords_lowercase_and_normalize_as_they_are_told():
    assert trained(lowercase=True).decode(trained(lowercase=True).encode("THE Cat ﬁ")) == "the cat fi"
    assert trained(form="nfc").decode(trained(form="nfc").encode("ﬁ e\u0301")) == "ﬁ \u00e9"
    assert trained().decode(trained().encode("A  cat Ａ")) == "A cat A"


@given(st.text(), st.sampled_from(["nfc", "nfd", "nfkc", "nfkd"]))
def test_what_is_lowercased_and_normalized_is_in_that_form(text, form):
    made = prepared(text, True, form)
    assert unicodedata.is_normalized(form.upper(), made)
    assert prepared(text, False, form) == unicodedata.normalize(form.upper(), text)
    assert prepared(text, False, None) == text


def test_words_and_characters_are_counted_in_prepared_texts():
    words = Tokenizer.count(["The ﬁg the", "a B"], "word", lowercase=True, form="nfkc", min_count=1)
    assert words.tokens == ("the", "fig", "a", "b")
    assert words.encode("THE Fig") == [4, 5]
    assert words.unknown(["THE Tree"]) == {"tree": 1}
    assert Tokenizer.count(["aab", "b c"], "char", min_count=2).tokens == ("a", "b")
    assert Tokenizer.from_dict(json.loads(json.dumps(words.to_dict()))) == words
    assert Subwords.from_dict(json.loads(json.dumps(trained(lowercase=True).to_dict()))) == trained(lowercase=True)


@pytest.mark.parametrize(
    ("value", "column", "message"),
    [
        ("subword", 9, "subword needs a number of subwords or a model's file, such as subword(8000)"),
        ("subwords(80)", 9, "unknown kind 'subwords'; did you mean 'subword'?"),
        ("subword(80, kind=bp)", 26, "expected unigram or bpe, got 'bp'; did you mean 'bpe'?"),
        ("subword(80, lowrcase=true)", 21, "subword has no setting 'lowrcase'; did you mean 'lowercase'?"),
        ("subword(my.model)", 17, "expected a number of subwords, or a model's file in quotes"),
        ('subword("")', 17, "expected the name of a model's file, got an empty one"),
        ('subword("a", kind=bpe)', 9, "the model 'a' has its kind: leave 'kind' out"),
        ("word(normalize=nfkk)", 24, "expected nfkc, nfc, nfd or nfkd, got 'nfkk'; did you mean 'nfkd'?"),
        ("word(min_count=0)", 24, "expected a whole number from 1"),
        ("char(max_size=3)", 23, "expected a whole number from 5"),
        ("{source: char, target: subword(80, kind=bp)}", 49, "expected unigram or bpe"),
        ("__import__('os')", 9, "unknown kind '__import__'"),
    ],
)
def test_faults_in_tokens_have_their_place(value, column, message):
    with pytest.raises(SpecError) as caught:
        parse_spec(f"tokens: {value}\nvocab: {{source: A, target: B}}\n{SPEC}")
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == (1, column)
    assert fault.message.startswith(message)


@pytest.mark.parametrize(
    "value",
    [
        "char",
        "word(lowercase=true, normalize=nfkc, min_count=2, max_size=10000)",
        "subword(8000, kind=bpe, lowercase=true)",
        'subword("my.model", normalize=nfd)',
        "{source: subword(8000, kind=bpe), target: word(min_count=3)}",
    ],
)
def test_tokens_are_written_as_they_were_read(value):
    spec = parse_spec(f"tokens: {value}\nvocab: {{source: 9000, target: 9000}}\n{SPEC}")
    assert spec.tokens_text == value


def test_a_side_whose_subwords_come_from_a_file_needs_no_vocabulary():
    mixed = parse_spec(f'vocab: {{target: T}}\ntokens: {{source: subword("a.model"), target: word}}\n{SPEC}')
    assert mixed.names_needed() == {"target": "T"}
    assert parse_spec(f'tokens: {{source: subword("a"), target: subword("b")}}\n{SPEC}').names_needed() == {}
    with pytest.raises(SpecError, match="the side 'source' is missing: expected for instance 'source: 100'"):
        parse_spec(f"vocab: {{target: T}}\ntokens: word\n{SPEC}")
    with pytest.raises(SpecError, match=r"5000 is too small: tokens: subword\(8000\) has 8,000 ids"):
        parse_spec(f"vocab: 5000\ntokens: subword(8000)\n{SPEC}")


def test_without_sentencepiece_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(SetupError, match=r'pip install "s2s_magic\[subwords\]"'):
        api.build(f"vocab: {{source: T, target: T}}\ntokens: subword(9)\n{SPEC}", namespace={"T": TEXTS})


def test_a_model_of_subwords_is_fitted_decoded_and_told_with_its_pieces():
    names = {"S": ["the cat sat", "the dog ran", "a cat ran", "a dog sat"], "T": ["die Katze", "der Hund", "sie", "er"]}
    spec = f"vocab: {{source: S, target: T}}\ntokens: subword(22, kind=bpe)\nattention: luong\nmax_length: 20\n{SPEC}"
    keras.utils.set_random_seed(1)
    model = api.build(spec, namespace=names)
    api.fit(model, "source: S\ntarget: T\nepochs: 150\nseed: 1\noptimizer: adam(0.03)", names, progress=lambda _: None)
    assert list(api.decode(model, names["S"])) == names["T"]
    assert api.decode(model, ["the cat sat"], prefix="sie", max_length=9)[0].startswith("sie")
    (told,) = api.explain(model, decode="the cat sat").parts
    assert told.source == tuple(
        model.tokenizers["source"].tokens[i - 4] for i in model.tokenizers["source"].encode("the cat sat")
    )
    assert "".join(step.token for step in told.steps).removesuffix("end").replace("\u2581", " ").strip() == "die Katze"
    (heat,) = told.alignments
    assert (heat.source, heat.target[-1]) == (told.source, "end")


def test_subwords_are_trained_at_the_first_fit_where_only_a_size_is_given():
    model = api.build(f"vocab: 30\ntokens: subword(20, kind=bpe)\n{SPEC}")
    names = {"S": ["the cat", "the dog"], "T": ["a cat", "a dog"]}
    with pytest.raises(DataError, match=r"S holds too little text for 20 subwords: at most subword\(\d+\)"):
        api.fit(model, "source: S\ntarget: T", {"S": ["ab"], "T": ["b"]}, progress=lambda _: None)
    assert model.tokenizers == {}
    api.fit(model, "source: S\ntarget: T", names, progress=lambda _: None)
    assert model.tokenizers["source"].size == 20
    assert model.tokenizers["source"] is model.tokenizers["target"]
    assert len(api.explain(model, decode="the cat", likely=30).parts) == 1
