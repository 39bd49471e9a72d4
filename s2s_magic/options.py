"""Parse the magic's line (verb, names and options) with argparse."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from s2s_magic.errors import UsageError, nearest
from s2s_magic.line_words import Quoted
from s2s_magic.verbs import BODIES, CELL_VERBS, LINE_VERBS, VERBS, flags_of, prefix

GUIDE = """\
Which of these layers owns the weights, and are they being trained?

With Keras code of your own, write at the top of its cell:
    %%seq2seq trace NAME            runs the cell, and notes what each call makes and reuses
Or have a model built from a few lines:
    %%seq2seq build translator
    vocab: 100
    embed: 10
    encoder: lstm(512)
    decoder: lstm(512)

Then look at it, train it, and ask:
    %seq2seq inspect translator     code, wiring and owners of all variables, by step
    %%seq2seq fit translator        in the lines below: source: X, target: Y, epochs: 2
    %seq2seq explain translator embeddings
    %seq2seq decode translator X

All verbs: %seq2seq --help. One verb with its options and keys: %%seq2seq fit --help.
"""


class HelpShown(Exception):
    """Raised for ``--help``, and for a line without a verb; its argument is what to print."""


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of exiting, and accepts no abbreviations."""

    def __init__(self, verb: str, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)
        self.verb = verb

    def print_help(self, file: object = None) -> None:
        raise HelpShown(self.format_help() + keys_text(self.verb))

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message} ({' '.join(self.format_usage().split())})")


class _Once(argparse.Action):
    """Store a value, and refuse a repeated option."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        given = namespace.__dict__.setdefault("given", set())
        if self.dest in given:
            parser.error(f"{option} is given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


def _parser(verb: str) -> _Parser:
    summary, example, positionals, options = VERBS[verb]
    shown = textwrap.indent(example, "  ")
    parser = _Parser(verb, prog=f"{prefix(verb)} {verb}", description=summary, epilog=f"example:\n{shown}")
    for name, settings in positionals.items():
        parser.add_argument(name, **settings)
    for option in options:
        settings = {key: value for key, value in option.items() if key != "flags"}
        parser.add_argument(*option["flags"], action=_Once, **settings)
    return parser


def words(line: str) -> list[str]:
    """Split a line as a shell does; quoted words become `Quoted`.

    Raises
    ------
    UsageError
        When a quotation mark is not closed.
    """
    lexer = shlex.shlex(line, posix=False, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        parts = list(lexer)
    except ValueError as error:
        raise UsageError(f"a quotation mark is not closed: {line.strip()}") from error
    return [Quoted(p[1:-1]) if len(p) > 1 and p[0] == p[-1] and p[0] in "\"'" else p for p in parts]


def parse_line(line: str, *, has_body: bool) -> tuple[str, argparse.Namespace]:
    """Read the magic's line.

    Parameters
    ----------
    line
        The text after ``%seq2seq`` or ``%%seq2seq``.
    has_body
        Whether it is the cell magic.

    Returns
    -------
    tuple
        The verb, and its arguments.

    Raises
    ------
    UsageError
        For an unknown verb or option (suggesting the nearest), a repeated option, or a missing name.
    HelpShown
        When help is requested.
    """
    given = words(line)
    if not given:
        raise HelpShown(GUIDE)
    if given[0] in ("--help", "-h", "help"):
        raise HelpShown(help_text())
    verb, *rest = given
    if verb not in VERBS:
        raise UsageError(f"unknown verb {str(verb)!r}{nearest(verb, VERBS) or '; expected ' + ', '.join(VERBS)}")
    asks_help = any(word in ("--help", "-h") and not isinstance(word, Quoted) for word in rest)
    if not asks_help:
        _check_form(verb, has_body=has_body)
        _check_options(verb, rest)
    # argparse takes any word that begins with a dash for an option, so quoted ones are passed as placeholders
    hidden = {f"\0{n}": word for n, word in enumerate(rest) if isinstance(word, Quoted) and word.startswith("-")}
    back = {word: stand_in for stand_in, word in hidden.items()}
    read = _parser(verb).parse_args([back.get(word, word) if isinstance(word, Quoted) else word for word in rest])
    for name, value in vars(read).items():
        if isinstance(value, str) and value in hidden:
            setattr(read, name, hidden[value])
    return verb, read


def check_body(verb: str, body: str) -> None:
    """Refuse an empty body, with an example of a valid one."""
    if not body.strip():
        example = VERBS[verb][1].partition("\n")[2].replace("\n", "; ")
        raise UsageError(
            f"the cell has no body: below %%seq2seq {verb} goes {BODIES[verb]} (for example: {example}); "
            f"%%seq2seq {verb} --help tells more"
        )


def _check_form(verb: str, *, has_body: bool) -> None:
    if has_body and verb in LINE_VERBS:
        raise UsageError(f"%%seq2seq {verb} takes no cell body: write it on a line of its own as %seq2seq {verb} ...")
    if not has_body and verb in CELL_VERBS:
        raise UsageError(
            f"%seq2seq {verb} needs a cell body: write %%seq2seq {verb} NAME on the first line of a cell, and below it "
            f"{BODIES[verb]}"
        )


def _check_options(verb: str, given: Sequence[str]) -> None:
    for word in given:
        if word.startswith("--") and not isinstance(word, Quoted) and word.partition("=")[0] not in flags_of(verb):
            hint = nearest(word, flags_of(verb)) or f"; expected {', '.join(flags_of(verb))}"
            raise UsageError(f"{prefix(verb)} {verb}: unknown option {word!r}{hint}")


def keys_text(verb: str) -> str:
    """Return help on the keys of a verb's body; empty for a verb whose body has none."""
    from s2s_magic.spec import BODY_KEYS

    if verb not in BODY_KEYS:
        return ""
    lines = [f"  {name + ':':<17} {key.help}\n" for name, key in BODY_KEYS[verb].items()]
    return "\nkeys of the body:\n" + "".join(lines)


def help_text() -> str:
    """Return an overview of all verbs, each with an example."""
    lines = ["See a sequence-to-sequence model while it is built and trained.", "", "verbs:"]
    for verb, (summary, example, _, _) in VERBS.items():
        lines += [f"  {prefix(verb)} {verb}", f"      {summary}"]
        lines += ["      for example:", *(f"          {row}" for row in example.splitlines())]
    lines += ["", "%%seq2seq VERB --help tells more of each."]
    return "\n".join(lines)
