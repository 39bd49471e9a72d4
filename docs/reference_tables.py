"""Pages of the reference, as Markdown, from the tables in the code: what a table does not have, no page has."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from typing import Any

import s2s_magic
from s2s_magic.__main__ import main
from s2s_magic.errors import Seq2SeqError
from s2s_magic.ledger.document import json_schema
from s2s_magic.ledger.verdicts import NOTES, RULES
from s2s_magic.spec.fit import FIT_KEYS
from s2s_magic.spec.job import SECTIONS
from s2s_magic.spec.keys import Key
from s2s_magic.spec.model import SPEC_KEYS
from s2s_magic.spec.score import SCORE_KEYS
from s2s_magic.verbs import BODIES, VERBS, prefix

KEYS_OF_BODY = {"build": "spec", "fit": "fit", "score": "score"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; its cells are Markdown on one line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def plain(text: str) -> str:
    """Return a text in which Markdown finds no markup."""
    return re.sub(r"([\\*_<>\[\]{}`$~#|])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Return a text of one line as code."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def sentence(text: str) -> str:
    """Return a text with a capital letter, as a sentence begins."""
    return text[:1].upper() + text[1:]


def anchored(text: str, anchor: str) -> str:
    """Return a name as code that a link can lead to."""
    return f"[{code(text)}]{{#{anchor}}}"


def keys(kind: str, known: Mapping[str, Key]) -> str:
    """Return the table of the keys of a spec, a fit or a score."""
    rows = (
        (anchored(name, f"{kind}-{name.replace('_', '-')}"), plain(key.help), code(f"{name}: {key.example}"))
        for name, key in known.items()
    )
    return table(("Key", "Is", "For example"), rows)


def verbs() -> str:
    """Return a section for each verb, with its arguments and its options."""
    return "\n\n".join("\n\n".join(_verb(name)) for name in VERBS)


def _verb(name: str) -> Iterator[str]:
    line, example, arguments, options = VERBS[name]
    yield f"(verb-{name})=\n## {prefix(name)} {name}"
    yield plain(line)
    yield f"```ipython3\n{example}\n```"
    if name in BODIES:
        where = f": see [its keys]({KEYS_OF_BODY[name]}.md)" if name in KEYS_OF_BODY else ""
        yield f"The cell's body is {plain(BODIES[name])}{where}."
    shown = [(str(settings["metavar"]), settings["help"]) for settings in arguments.values()]
    shown += [(_option(option), option.get("help", "")) for option in options]
    if shown:
        yield table(("Write", "For"), ((code(written), plain(sentence(said))) for written, said in shown))


def _option(option: Mapping[str, Any]) -> str:
    wanted = option.get("metavar", ())
    return " ".join([option["flags"][0], *([wanted] if isinstance(wanted, str) else wanted)])


def sections() -> str:
    """Return the table of a training file's sections."""
    return table(
        ("Section", "Holds"), ((anchored(name, f"job-{name}"), plain(said)) for name, said in SECTIONS.items())
    )


def commands() -> str:
    """Return the help of each command of the command line."""
    os.environ["COLUMNS"] = "100"  # for argparse, on any terminal
    return "\n\n".join(f"## {name}\n\n```text\n{_help(name)}\n```" for name in ("run", "view"))


def _help(command: str) -> str:
    with redirect_stdout(io.StringIO()) as said, suppress(SystemExit):
        main([command, "--help"])
    return said.getvalue().rstrip()


def verdicts() -> str:
    """Return the rules of verdicts in their order, and what their terms mean."""
    rows = ((str(number), code(rule.verdict), plain(rule.words)) for number, rule in enumerate(RULES, 1))
    return "\n\n".join([table(("", "Verdict", "When"), rows), *map(plain, NOTES)])


def errors() -> str:
    """Return the table of the expected errors, wherever in the package they are."""
    for module in pkgutil.walk_packages(s2s_magic.__path__, "s2s_magic."):
        if module.name != "s2s_magic.__main__" and ".keras" not in module.name:
            importlib.import_module(module.name)
    found: list[type[Seq2SeqError]] = [Seq2SeqError]
    for kind in found:
        found += sorted(set(kind.__subclasses__()) - set(found), key=lambda error: error.__name__)
    rows = (
        (
            code(kind.__name__),
            plain(_first_paragraph(kind)),
            "" if kind is Seq2SeqError else code(kind.__base__.__name__),
        )
        for kind in found
    )
    return table(("Error", "Means", "Is a"), rows)


def _first_paragraph(kind: Any) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0]


def records() -> str:
    """Return a section for each record of a ledger's document, with its keys; each comes after one that names it."""
    schema = json_schema()
    kinds = {"Ledger": {key: value for key, value in schema.items() if key != "$defs"}, **schema["$defs"]}
    names = ["Ledger"]
    for name in names:
        within = re.findall(r"#/\$defs/(\w+)", json.dumps(kinds[name]))
        names += [other for other in dict.fromkeys(within) if other not in names]
    return "\n\n".join("\n\n".join(_record(name, kinds[name])) for name in names)


def _record(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    said, _, attributes = inspect.cleandoc(schema.get("description", "")).partition("\nAttributes\n")
    meant = dict(_attributes(attributes))
    yield f"(record-{name.lower()})=\n## {name}"
    yield from (" ".join(map(str.strip, part.split("\n"))).replace("``", "`") for part in said.split("\n\n") if part)
    rows = [(code(key), _type(value), _meaning(key, meant)) for key, value in schema["properties"].items()]
    if meant:
        yield table(("Key", "Type", "Is"), rows)
    else:
        yield table(("Key", "Type"), (row[:2] for row in rows))


def _meaning(key: str, meant: Mapping[str, str]) -> str:
    return meant.get(key, "").replace("``", "`")


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Read the attributes of a docstring in NumPy's style."""
    for match in re.finditer(r"^(\w[\w, ]*)\n((?:[ ]{4}.*\n?)+)", text, flags=re.MULTILINE):
        for name in match[1].split(", "):
            yield name, " ".join(match[2].split())


def _type(value: Mapping[str, Any]) -> str:
    """Say a JSON Schema's type in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#record-{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in value:
            return " or ".join(_type(each) for each in value[several])
    if "const" in value or "enum" in value:
        return " or ".join(code(str(each)) for each in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        return f"list of {_type(value['items'])}" if value.get("items") else "list"
    if value.get("type") == "object":
        inner = value.get("additionalProperties")
        return f"{_type(inner)} by name" if isinstance(inner, dict) else "object"
    return str(value.get("type", "anything"))


def functions() -> str:
    """Return the public functions and classes, for autodoc."""
    names = [name for name in s2s_magic.__all__ if inspect.isfunction(getattr(s2s_magic, name))]
    return "\n\n".join(f"```{{eval-rst}}\n.. autofunction:: s2s_magic.{name}\n```" for name in names)


TABLES: dict[str, Callable[[], str]] = {
    "verbs": verbs,
    "spec": lambda: keys("spec", SPEC_KEYS),
    "fit": lambda: keys("fit", FIT_KEYS),
    "score": lambda: keys("score", SCORE_KEYS),
    "sections": sections,
    "commands": commands,
    "verdicts": verdicts,
    "errors": errors,
    "records": records,
    "functions": functions,
}
"""What a page's comment ``<!-- table: NAME -->`` is replaced with."""
