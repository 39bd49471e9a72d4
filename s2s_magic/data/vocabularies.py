"""Count or read the vocabularies that a spec asks for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from s2s_magic.data import sequences
from s2s_magic.data.selection import find, records, same_file
from s2s_magic.data.subwords import Subwords, check_model
from s2s_magic.data.text_files import content
from s2s_magic.data.tokens import Tokenizer
from s2s_magic.data.values import Unknown, Unreadable
from s2s_magic.errors import Fault, SpecError
from s2s_magic.spec.references import is_file

if TYPE_CHECKING:
    from s2s_magic.spec import Spec, Tokenization

AnyTokenizer = Tokenizer | Subwords


def count_vocabularies(spec: Spec, namespace: Mapping[str, Any]) -> tuple[Spec, dict[str, AnyTokenizer]]:
    """Count the vocabularies for which a spec names notebook variables instead of sizes, and read those of files.

    Parameters
    ----------
    spec
        A plan whose ``vocab`` may name variables: texts if it has ``tokens``, else rows of ids.
    namespace
        Where the names are looked up.

    Returns
    -------
    spec : Spec
        The plan with all sizes filled in.
    tokenizers : dict
        ``source`` and ``target`` tokenizers (one object if they share a vocabulary). Empty for ids, and if sizes were
        given as numbers: then the first fit counts its data.

    Raises
    ------
    SpecError
        When a name is unknown, its variable holds the wrong kind of data, or a file cannot be read.
    SetupError
        When subwords are asked for and sentencepiece is not installed.
    """
    needed = spec.names_needed()
    faults: set[Fault] = set()
    made: dict[Any, int | AnyTokenizer] = {}
    sizes, tokenizers = {}, {}
    cause: BaseException | None = None
    bad = _BadLines(spec.bad_lines == "skip")
    for side in ("source", "target"):
        tokens, file, named = spec.tokens_of(side), spec.file_of(side), needed.get(side)
        if file is None and named is None:
            continue
        place = spec.place_of(f"vocab.{side}" if file is None else f"tokens.{side}")
        try:
            if (named, tokens) not in made:
                assert file is None or tokens != "none"
                made[named, tokens] = _counted_in(named, namespace, tokens, bad) if named else _read(tokens)
        except Unreadable as error:
            what = file if named is None else named if isinstance(named, str) else " and ".join(named)
            message = str(error) if isinstance(error, Unknown) else f"{what} {error}".replace("NAME", str(what))
            faults.add(Fault(*place, message))
            cause = cause or error.__cause__
            continue
        counted = made[named, tokens]
        sizes[side] = counted if isinstance(counted, int) else counted.size
        if not isinstance(counted, int):
            tokenizers[side] = counted
            room = getattr(spec.vocab, side)
            if isinstance(room, int) and room < counted.size:
                message = f"{room:,} is too small: {tokens} has {counted.size:,} ids"
                faults.add(Fault(*spec.place_of(f"vocab.{side}"), message))
    files = [name for named in needed.values() for name in ([named] if isinstance(named, str) else named)]
    if spec.bad_lines is not None and not any(map(is_file, files)):
        message = "no file is named whose lines could be bad: leave 'bad_lines' out"
        faults.add(Fault(*spec.place_of("bad_lines"), message))
    if faults:
        raise SpecError(faults) from cause
    for said in bad.said:
        warnings.warn(said, UserWarning, stacklevel=3)
    if spec.vocab.one and tokenizers:
        tokenizers["target"] = tokenizers["source"]
    return (spec.with_vocab(**sizes) if sizes else spec), tokenizers


@dataclass
class _BadLines:
    """What is done with bad lines, and what is said of those that were skipped."""

    skip: bool
    said: list[str] = field(default_factory=list)

    def texts_of(self, name: str, namespace: Mapping[str, Any]) -> Iterator[str]:
        """Yield the texts of a file, one at a time.

        Raises
        ------
        Unknown
            When it cannot be read; in the end, when lines of it cannot, and they are not skipped.
        """
        count, lines, first = 0, 0, ""
        for lines, record in enumerate(records(name, namespace), 1):  # noqa: B007
            if record.bad:
                count, first = count + 1, first or record.bad
            else:
                yield record.text
        if count and self.skip and count < lines:
            some = f"{count:,} of {lines:,} lines {'was' if count == 1 else 'were'} skipped"
            self.said += [said for said in [f"{name}: {some}: {first}"] if said not in self.said]
        elif count:
            more = f" ({count:,} such lines in all)" if count > 1 else ""
            raise Unknown(f"{first}{more}" + ("" if self.skip else "; 'bad_lines: skip' leaves such lines out"))


def counted(texts: Iterable[str], tokens: Tokenization, most: int | None = None) -> AnyTokenizer:
    """Return the vocabulary of some texts.

    Parameters
    ----------
    texts
        The texts.
    tokens
        What they are taken apart into; not subwords of a file.
    most
        The most ids.

    Raises
    ------
    Unreadable
        When subwords cannot be found in them; see `Subwords.train`.
    SetupError
        When subwords are asked for and sentencepiece is not installed.
    """
    if tokens.unit == "subword":
        assert tokens.size is not None
        return Subwords.train(texts, tokens.size, tokens.kind, lowercase=tokens.lowercase, form=tokens.normalize)
    limits = [size for size in (most, tokens.max_size) if size is not None]
    return Tokenizer.count(
        texts,
        tokens.unit,
        min(limits, default=None),
        min_count=tokens.min_count,
        lowercase=tokens.lowercase,
        form=tokens.normalize,
    )


def _counted_in(
    names: str | tuple[str, ...], namespace: Mapping[str, Any], tokens: Any, bad: _BadLines
) -> int | AnyTokenizer:
    """Count what one variable or file holds, or several together."""
    several = (names,) if isinstance(names, str) else names
    if tokens == "none":
        return max(_largest(_found(name, namespace)) for name in several)
    return counted(chain.from_iterable(_texts_in(name, namespace, tokens, bad) for name in several), tokens)


def _texts_in(name: str, namespace: Mapping[str, Any], tokens: Tokenization, bad: _BadLines) -> Iterable[str]:
    if is_file(name) and name not in namespace:
        return bad.texts_of(name, namespace)
    value = sequences.plain(_found(name, namespace))
    if not sequences.is_text(value):
        raise Unreadable(f"holds no texts, and tokens: {tokens} counts them")
    return sequences.texts(value)


def _found(name: str, namespace: Mapping[str, Any]) -> Any:
    found = find(name, namespace)
    if (file := same_file(name)) is not None:
        warnings.warn(f"{name} is the variable; the file of that name is {file}", UserWarning, stacklevel=5)
    return found


def _largest(value: Any) -> int:
    """Return the size of the vocabulary of ids."""
    value = sequences.plain(value)
    if sequences.is_text(value):
        raise Unreadable("holds text, and the spec reads ids: add tokens: char, tokens: word or tokens: subword(8000)")
    return int(sequences.ids(value).values.max(initial=-1)) + 1


def _read(tokens: Any) -> Subwords:
    """Read the model of a file."""
    model = content(tokens.file)
    check_model(model)
    return Subwords(model, tokens.lowercase, tokens.normalize)
