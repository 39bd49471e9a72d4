"""Convert text to ids and back by subwords, with models of sentencepiece that are trained here or read from a file."""

from __future__ import annotations

import io
import random
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from s2s_magic.data.tokens import END, PADDING, SPECIAL, START, UNKNOWN, Form, prepared, spelled
from s2s_magic.data.values import Unreadable, one_line
from s2s_magic.errors import SetupError

Kind = Literal["unigram", "bpe"]

_TOO_MANY = re.compile(r"Vocabulary size too high \(\d+\)\. Please set it to a value <= (\d+)")
_TOO_FEW = re.compile(r"Vocabulary size is smaller than required_chars\. \d+ vs (\d+)")
_LONGEST = 1 << 30
"""sentencepiece's own limit, in bytes: its trainer leaves out texts that are longer than what it is told."""
SAMPLE = 500_000
"""The most texts that a model is trained on."""
_QUIET = 2
"""sentencepiece writes only errors and worse, which it also raises, from this level on."""


@dataclass(frozen=True)
class Subwords:
    """A model of sentencepiece (Kudo and Richardson, 2018, https://arxiv.org/abs/1808.06226) as a vocabulary.

    Ids 0 to 3 are padding, start, end and unknown, whatever they are in the model; its other pieces have the ids from
    4 on, in the model's order. For a model trained here the ids are those of the model.

    Parameters
    ----------
    model
        The model, serialized.
    lowercase, form
        What is done to each text before the model normalizes it in its own way; see `s2s_magic.data.tokens.prepared`.
    """

    model: bytes
    lowercase: bool = False
    form: Form | None = None
    unit: Literal["subword"] = "subword"

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        size: int,
        kind: Kind = "unigram",
        *,
        lowercase: bool = False,
        form: Form | None = None,
    ) -> Subwords:
        """Train a model in which every character of the texts, or of those drawn, has an id.

        Parameters
        ----------
        texts
            The texts; of more than `SAMPLE`, so many are drawn.
        size
            The number of ids, including the four special ones.
        kind
            ``unigram`` (Kudo, 2018, https://arxiv.org/abs/1804.10959), sentencepiece's default, or ``bpe`` (Sennrich
            et al., 2016, https://arxiv.org/abs/1508.07909).
        lowercase, form
            What is done to each text first. Without a form the model normalizes by sentencepiece's own rule, NFKC
            with white space made one space.

        Raises
        ------
        Unreadable
            When the texts cannot have so many subwords, or need more; the message has the limit.
        SetupError
            When sentencepiece is not installed.
        """
        library, made = _library(), io.BytesIO()
        form_first: Form | None = "nfkc" if lowercase and form is None else form
        found = [prepared(text, lowercase, form_first) for text in sample(texts)]
        if form is not None:  # the model's own rule, which makes white space one space, is turned off
            found = [" ".join(text.split()) for text in found]
        if not any(text.strip() for text in found):
            raise Unreadable("holds no text to find subwords in")
        try:
            library.SentencePieceTrainer.train(
                sentence_iterator=iter(found),
                model_writer=made,
                vocab_size=size,
                model_type=kind,
                pad_id=PADDING,
                bos_id=START,
                eos_id=END,
                unk_id=UNKNOWN,
                character_coverage=1.0,
                max_sentence_length=_LONGEST,
                normalization_rule_name="nmt_nfkc" if form is None else "identity",
                minloglevel=_QUIET,
            )
        except RuntimeError as error:
            raise Unreadable(_in_words(error, size)) from error
        return cls(made.getvalue(), lowercase, form_first)

    @property
    def size(self) -> int:
        """The number of ids, including the special ones."""
        return len(SPECIAL) + len(self.tokens)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The pieces in the order of their ids from 4 on; ``▁`` is the space before a word."""
        return tuple(self._processor.id_to_piece(number) for number in self._pieces)

    @cached_property
    def _processor(self) -> Any:
        return _library().SentencePieceProcessor(model_proto=self.model)

    @cached_property
    def _pieces(self) -> Sequence[int]:
        """The model's own ids of its pieces, but for the special ones."""
        model = self._processor
        numbers = range(model.get_piece_size())
        return [n for n in numbers if not (model.is_unknown(n) or model.is_control(n) or model.is_unused(n))]

    @cached_property
    def _ids(self) -> Mapping[int, int]:
        return {piece: number for number, piece in enumerate(self._pieces, start=len(SPECIAL))}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without start and end; what the model has no piece for becomes unknown."""
        return [self._ids.get(piece, UNKNOWN) for piece in self._processor.encode(self._prepared(text))]

    def unknown(self, texts: Iterable[str]) -> Counter[str]:
        """Count what some texts have that the model has no piece for."""
        found: Counter[str] = Counter()
        for text in texts:
            asked = self._prepared(text)
            numbers = self._processor.encode(asked)
            if any(number not in self._ids for number in numbers):
                spelling = self._processor.encode(asked, out_type=str)
                found.update(s for s, number in zip(spelling, numbers, strict=True) if number not in self._ids)
        return found

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids up to the first end, with its words put together; padding and start are skipped.

        Raises
        ------
        ValueError
            When an id is outside the vocabulary.
        """
        text: str = self._processor.decode_pieces(spelled(ids, self.tokens))
        return text

    def _prepared(self, text: str) -> str:
        return prepared(text, self.lowercase, self.form)

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary as a JSON document."""
        model = b64encode(self.model).decode()
        return {"unit": self.unit, "model": model, "lowercase": self.lowercase, "form": self.form}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Subwords:
        """Create a tokenizer from the result of `to_dict`."""
        return cls(b64decode(document["model"]), document["lowercase"], document["form"])


def sample(texts: Iterable[str], most: int = SAMPLE) -> list[str]:
    """Return all texts, or so many of them, drawn alike in each call, by reservoir sampling (Vitter, 1985).

    sentencepiece's own sample cannot be drawn again: its generator is that of the whole process.
    """
    remaining = iter(texts)
    found = list(islice(remaining, most))
    draw = random.Random(0)
    for seen, text in enumerate(remaining, most + 1):
        place = int(draw.random() * seen)
        if place < most:
            found[place] = text
    return found


def check_model(model: bytes) -> None:
    """Check that sentencepiece can read a model, and that there are pieces in it.

    Raises
    ------
    Unreadable
        When it cannot.
    SetupError
        When sentencepiece is not installed.
    """
    _library()
    if not model:
        raise Unreadable("is empty")
    try:
        found = Subwords(model).size
    except (RuntimeError, ValueError, UnicodeDecodeError) as error:
        raise Unreadable("is damaged, or no model of sentencepiece") from error
    if found == len(SPECIAL):
        raise Unreadable("is a model of sentencepiece without any pieces")


def _in_words(error: RuntimeError, size: int) -> str:
    said = str(error)
    if most := _TOO_MANY.search(said):
        return f"holds too little text for {size:,} subwords: at most subword({most.group(1)})"
    if least := _TOO_FEW.search(said):
        number = int(least.group(1))
        return f"holds {number - len(SPECIAL):,} different characters with the space: at least subword({number})"
    return f"cannot be made into {size:,} subwords: sentencepiece raised {one_line(error)}"


def _library() -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise SetupError(
            'tokens: subword(...) needs sentencepiece, which is not installed: pip install "s2s_magic[subwords]"'
        ) from error
    return sentencepiece
