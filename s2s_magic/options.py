"""The magic's line: verbs, names and options, read with argparse; one table serves parsing, help and completion."""

from __future__ import annotations

import argparse
import keyword
import shlex
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Any, NoReturn

from s2s_magic.errors import UsageError, nearest

CELL_VERBS = ("build", "trace", "fit")
LINE_VERBS = ("inspect", "explain", "code", "decode", "compare", "list")


class Quoted(str):
    """A word that stood in quotes on the line: text, never a name."""

    __slots__ = ()


class HelpShown(Exception):
    """``--help`` was asked for; the text is the exception's argument."""


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of leaving, and knows no abbreviations."""

    def __init__(self, verb: str, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)
        self.verb = verb

    def print_help(self, file: object = None) -> None:
        raise HelpShown(self.format_help() + keys_text(self.verb))

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message} ({' '.join(self.format_usage().split())})")


class _Once(argparse.Action):
    """Store a value, and refuse the option the second time."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        given = namespace.__dict__.setdefault("given", set())
        if self.dest in given:
            parser.error(f"{option} is given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


def model_name(word: str) -> str:
    """Read a NAME: a Python identifier that is no keyword and is not quoted."""
    if isinstance(word, Quoted) or not word.isidentifier() or keyword.iskeyword(word):
        raise argparse.ArgumentTypeError(f"{str(word)!r} is not a name that Python can bind")
    return unicodedata.normalize("NFKC", word)  # as Python reads it in code


def new_name(word: str) -> str:
    """Read a NAME to bind: IPython keeps those that begin with an underscore for itself."""
    name = model_name(word)
    if name.startswith("_"):
        raise argparse.ArgumentTypeError(f"{name!r} begins with an underscore, as the names that IPython keeps do")
    return name


_NAME = {"type": model_name, "metavar": "NAME"}
_MODEL = {
    "flags": ("--model",),
    "metavar": "MODEL",
    "help": "which of the code's Keras models is meant; the one compiled last unless given",
}
_NEW = {"type": new_name, "metavar": "NAME", "help": "the name to bind"}
_RETURN = {"flags": ("--return",), "dest": "wanted", "nargs": 0, "default": False}

# verb -> (one line, example, positional arguments, options)
VERBS: dict[str, tuple[str, str, dict[str, dict[str, Any]], tuple[dict[str, Any], ...]]] = {
    "build": (
        "Build a model from the spec in the cell and bind it to NAME.",
        "%%seq2seq build translator\nvocab: 100\nembed: 10\nencoder: lstm(512)\ndecoder: lstm(512)",
        {"name": _NEW},
        (),
    ),
    "trace": (
        "Run the cell's functional Keras code as a plain cell would, and bind the ledger of it to NAME.",
        "%%seq2seq trace translator\nembeddings = keras.layers.Embedding(100, 10)\n...",
        {"name": _NEW},
        (
            {
                "flags": ("--continue",),
                "dest": "going_on",
                "nargs": 0,
                "default": False,
                "help": "go on with NAME's ledger from an earlier cell",
            },
        ),
    ),
    "fit": (
        "Train NAME on notebook variables, with evidence for every variable.",
        "%%seq2seq fit translator\nsource: X\ntarget: Y\nepochs: 2",
        {"name": {**_NAME, "help": "a model that build or trace bound"}},
        (),
    ),
    "inspect": (
        "Show what each call created and reused, and who owns which variables after it.",
        "%seq2seq inspect translator --after 7",
        {"name": {**_NAME, "help": "a model that build or trace bound"}},
        (
            _MODEL,
            {"flags": ("--after",), "type": int, "metavar": "N", "help": "stop after event N"},
            {
                "flags": ("--training",),
                "nargs": 0,
                "default": False,
                "help": "open with what training did to each variable",
            },
            {"flags": ("--json",), "metavar": "FILE", "help": "write the ledger"},
            {"flags": ("--html",), "metavar": "FILE", "help": "write one self-contained page"},
            {"flags": ("--svg",), "metavar": "FILE", "help": "write the wiring as SVG"},
            {"flags": ("--png",), "metavar": "FILE", "help": "write the wiring as PNG"},
            {
                "flags": ("--overwrite",),
                "nargs": 0,
                "default": False,
                "help": "replace files, also those that s2s_magic did not write",
            },
            {**_RETURN, "help": "return the ledger instead of showing it"},
        ),
    ),
    "explain": (
        "Say who owns what about one tensor, layer or variable, and whether it is trained.",
        "%seq2seq explain translator encoder_embeddings",
        {
            "name": {**_NAME, "help": "a model that build or trace bound"},
            "what": {
                "metavar": "WHAT",
                "help": "a tensor, a layer or a variable, such as decoder_cell.kernel; or verdicts, for their rules",
            },
        },
        (_MODEL, {**_RETURN, "help": "return the explanation instead of showing it"}),
    ),
    "code": (
        "Show the plain Keras code of NAME.",
        "%seq2seq code translator --cell",
        {"name": {**_NAME, "help": "a model that build or trace bound"}},
        (
            {"flags": ("--cell",), "nargs": 0, "default": False, "help": "put it into the next cell"},
            {
                "flags": ("--inference",),
                "nargs": 0,
                "default": False,
                "help": "the code of the decoding model instead",
            },
            {**_MODEL, "help": "the code up to where this one of its Keras models is made"},
            {**_RETURN, "help": "return the text instead of showing it"},
        ),
    ),
    "decode": (
        "Decode greedily: a text in quotes, or a notebook variable that holds many.",
        '%seq2seq decode translator "July 14, 1789"',
        {
            "name": {**_NAME, "help": "a fitted model"},
            "source": {"metavar": "SOURCE", "help": "text in quotes, or the name of a notebook variable"},
        },
        (
            {"flags": ("--max-length",), "type": int, "metavar": "N", "help": "longest output"},
            {
                "flags": ("--start",),
                "metavar": "ID",
                "help": "the id, or the word, that outputs start with; as in the spec or the fitted data unless given",
            },
            {"flags": ("--end",), "metavar": "ID", "help": "the id, or the word, that outputs end with; likewise"},
            _MODEL,
            {**_RETURN, "help": "return the outputs instead of showing them"},
        ),
    ),
    "compare": (
        "Compare who owns what in two models.",
        "%seq2seq compare shared separate",
        {"name": {**_NAME, "help": "one model"}, "other": {**_NAME, "metavar": "OTHER", "help": "the other"}},
        ({**_RETURN, "help": "return the comparison instead of showing it"},),
    ),
    "list": ("List the models that this notebook has.", "%seq2seq list", {}, ()),
}


# what goes into the body of a cell verb
BODIES = {
    "build": "the spec: vocab, embed, encoder and decoder, one key a line",
    "trace": "the functional Keras code to run",
    "fit": "what to train on: source and target, one key a line",
}


def prefix(verb: str) -> str:
    """Give the magic as it is written before a verb."""
    return "%%seq2seq" if verb in CELL_VERBS else "%seq2seq"


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
    """Split a line as a shell does, with quoted words marked as `Quoted`.

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


def flags_of(verb: str) -> list[str]:
    """List a verb's options."""
    return [flag for option in VERBS[verb][3] for flag in option["flags"]] + ["--help"]


def parse_line(line: str, *, has_body: bool) -> tuple[str, argparse.Namespace]:
    """Read the magic's line.

    Parameters
    ----------
    line
        What stands behind ``%seq2seq`` or ``%%seq2seq``.
    has_body
        Whether it is the cell magic.

    Returns
    -------
    tuple
        The verb, and its arguments.

    Raises
    ------
    UsageError
        For an unknown verb or option, with the nearest right one; an option given twice; a verb without its name.
    HelpShown
        When help was asked for.
    """
    given = words(line)
    if not given or given[0] in ("--help", "-h", "help"):
        raise HelpShown(help_text())
    verb, *rest = given
    if verb not in VERBS:
        raise UsageError(f"unknown verb {str(verb)!r}{nearest(verb, VERBS) or '; expected ' + ', '.join(VERBS)}")
    asks_help = any(word in ("--help", "-h") and not isinstance(word, Quoted) for word in rest)
    if not asks_help:
        _check_form(verb, has_body=has_body)
        _check_options(verb, rest)
    # argparse takes any word that begins with a dash for an option: quoted ones go in under another name
    hidden = {f"\0{n}": word for n, word in enumerate(rest) if isinstance(word, Quoted) and word.startswith("-")}
    back = {word: stand_in for stand_in, word in hidden.items()}
    read = _parser(verb).parse_args([back.get(word, word) if isinstance(word, Quoted) else word for word in rest])
    for name, value in vars(read).items():
        if isinstance(value, str) and value in hidden:
            setattr(read, name, hidden[value])
    return verb, read


def check_body(verb: str, body: str) -> None:
    """Refuse an empty body, and say what goes into it."""
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
    """List the keys that the body of ``build`` or ``fit`` can have; nothing for the other verbs."""
    if verb not in ("build", "fit"):
        return ""
    from s2s_magic.spec import FIT_KEYS, SPEC_KEYS

    keys = SPEC_KEYS if verb == "build" else FIT_KEYS
    return "\nkeys of the body:\n" + "".join(f"  {name + ':':<15} {key.help}\n" for name, key in keys.items())


def help_text() -> str:
    """Give the overview of all verbs, with an example each."""
    lines = ["See a sequence-to-sequence model while it is built and trained.", "", "verbs:"]
    for verb, (summary, example, _, _) in VERBS.items():
        lines += [f"  {prefix(verb)} {verb}", f"      {summary}"]
        lines += ["      for example:", *(f"          {row}" for row in example.splitlines())]
    lines += ["", "%%seq2seq VERB --help tells more of each."]
    return "\n".join(lines)
