"""Locating an expression, from the running frame to the mark on the page, in any script and any comprehension."""

import ast
import re

import pytest

pytest.importorskip("tensorflow")

from bs4 import BeautifulSoup

from s2s_magic.tracing import run
from s2s_magic.tracing.expressions import around_comprehensions
from s2s_magic.view import report, to_html, to_text
from s2s_magic.view.escaping import visible
from s2s_magic.view.widget.pieces import steps_html

SETUP = (
    "from tensorflow import keras\nfrom tensorflow.keras import layers\nemb = layers.Dense(2)\nx = keras.Input([2])\n"
)
LINES = {
    "umlauts": "größe = emb(x)",
    "greek": "αβγ = δ = emb(x)  # ω",
    "chinese": "嵌入, 输出 = '你好', emb(x)",
    "hebrew, written from the right": "שלום = 'שלום'; מילה = emb(x)",
    "arabic with vowel signs": "كَلِمَة = ['مَرْحَبًا', emb(x)]",
    "devanagari": "नमस्ते = ('नमस्ते', emb(x))[1]",
    "combining characters": "e\u0301 = 'e\u0301o\u0308' and emb(x)",
    "emoji of several code points": "a = '👩‍👩‍👧‍👦🇩🇪😀' and emb(x); b = emb(x) # 😀",
    "beyond the first plane": "𝒙 = '𝒙𝄞' and emb(x)",
    "tabs": "if x is not None:\n\ta\t=\temb(x)\t# tab\n",
    "full width": "ｗｉｄｅ = 'ｗｉｄｅ' and emb(x)",
    "no-break and zero-width blanks": "z = '\u00a0\u200b\ufeff' and emb(x)",
    "line ends that are none to Python": "u = 'a\u2028b\u0085c\x1c\x1d\x0b' and emb(x)",
    "a form feed": "\x0cf = emb(x)",
    "markup": "m = '<b>&amp;\"' and emb(x)",
    "over several lines": "größen = [\n    'ä', emb(\n        x  # ß\n    ), 'ö']",
}
CODE = SETUP + "\n".join(LINES.values()) + "\n"

# Python 3.12 runs comprehensions in the enclosing frame, except for some within a class, a lambda or a function.
COMPREHENSIONS = """\
from tensorflow import keras
from tensorflow.keras import layers
x = keras.Input([2])
emb = layers.Dense(2)
def f(v):
    return emb(v)
one = [emb(x) for _ in "1"]
two = [[emb(x) for a in "1"] for b in "1"]
three = {emb(x).name for a in "1"}
four = {k: emb(x) for k in "1"}
five = list(emb(x) for a in "1")
six = [f(x) for a in "1"]
seven = [(lambda: emb(x))() for a in "1"]
eight = [a for a in [emb(x)]]
nine = [a for a in "1" if emb(x) is not None]
ten = [a for b in "1" for a in [emb(x)]]
class C:
    y = [emb(v) for v in [x]]
    z = [[emb(v) for v in [w]] for w in [x]]
def g():
    return [emb(x) for _ in "1"]
eleven = g()
def h():
    k = [f(y) for y in [x]]
    return k
twelve = h()
thirteen = [layers.Dense(1, name="d" + n)(x) for n in "12"]
fourteen = [
    emb(
        x
    )
    for _ in "1"]
fifteen = [y for y in (emb(v) for v in [x])]
sixteen = [[f(v) for v in [x]][0] for _ in "1"]
seventeen = sum([emb(v) for v in [x]], [emb(x)][0])
a, b = [emb(x) for _ in "12"]
r = emb(x) if (n := emb(x)) is not None else None
with open("/dev/null") as fh: w = [emb(x) for _ in "1"]
for q in [emb(x)]: pass
lam = lambda v: [emb(t) for t in [v]]
eighteen = lam(x)
nineteen = [lam(t) for t in [x]]
def deco(fun):
    return [fun(t) for t in [x]][0]
@deco
def twenty(t): return emb(t)
try:
    1 / 0
except ZeroDivisionError:
    twentyone = [emb(x) for _ in "1"]
twentytwo = f"{emb(x).shape} {[emb(x).shape for _ in '1']}"
"""


@pytest.fixture(scope="module")
def seen():
    traced = run(CODE, {}, first_line=2)
    assert traced.error is None
    return traced.ledger


def test_every_call_is_found_in_the_characters_of_the_cell(seen):
    calls = [event for event in seen.events if event.kind == "called"]
    assert len(calls) == len(LINES) + 1
    lines = ["", *re.split("\n", CODE)]
    short = [call for call in calls if call.line == call.end_line]
    assert [lines[call.line - 1][call.column : call.end_column] for call in short] == ["emb(x)"] * len(LINES)
    assert [call.source for call in short] == ["emb(x)"] * len(LINES)
    assert [call.source for call in calls if call not in short] == ["emb(\n        x  # ß\n    )"]


def test_the_page_and_the_widget_mark_exactly_the_call(seen):
    shown = report(seen)
    page = BeautifulSoup(to_html(shown), "html.parser")
    for event in seen.events:
        marks = page.select(f".s2s-line code [data-is~=s{event.index}]")
        expected = [part.strip() for part in event.source.split("\n")]
        assert [mark.get_text().strip() for mark in marks[: len(expected)]] == expected, event.line
        present = BeautifulSoup(steps_html(shown, event.index), "html.parser").select(".s2s-present")
        assert [mark.get_text().strip() for mark in present] == expected, event.line


def test_the_page_shows_each_line_of_the_cell_under_its_number(seen):
    page = BeautifulSoup(to_html(report(seen)), "html.parser")
    source = page.select_one(".s2s-source")
    rows = {int(row.select_one(".s2s-gutter").get_text()): row for row in source.select(".s2s-line")}
    assert list(rows) == list(range(2, 2 + CODE.count("\n")))
    for number, line in enumerate(CODE.split("\n")[:-1], 2):
        text = rows[number].code.get_text() if rows[number].code else ""
        assert text.split() == visible(line).split(), "the reader of the page folds blanks"


def test_the_text_names_every_call_and_its_line(seen):
    text = to_text(report(seen))
    calls = [event for event in seen.events if event.kind == "called"]
    for event in calls:
        assert re.search(rf"^ *{event.index} +{event.line} +emb\( ?x", text, re.MULTILINE), event


def test_places_are_the_same_in_every_python(golden):
    traced = run(COMPREHENSIONS, {})
    assert traced.error is None
    lines = []
    for event in traced.ledger.events:
        around = f" in {event.outer.source!r}, line {event.outer.line}" if event.outer else ""
        names = [out.name for out in event.outputs] if event.kind == "called" else []
        place = f"{event.line}:{event.column} to {event.end_line}:{event.end_column}"
        lines.append(f"{event.kind} {event.layer} {place} {event.source!r}{around} {names}")
    golden("places.txt", "\n".join(lines).replace("keras.ops.add", "tf.__operators__.add") + "\n")


@pytest.mark.parametrize(
    ("code", "whole"),
    [
        ("y = [g(x) for _ in '1']", "[g(x) for _ in '1']"),
        ("y = {k: g(x) for k in '1'}", "{k: g(x) for k in '1'}"),
        ("y = [[g(x) for a in b] for b in c]", "[[g(x) for a in b] for b in c]"),
        ("y = [a for a in b if g(x)]", "[a for a in b if g(x)]"),
        ("y = [a for a in g(x)]", "g(x)"),
        ("y = [a for b in c for a in g(x)]", "[a for b in c for a in g(x)]"),
        ("y = [[a for a in g(x)] for b in c]", "[[a for a in g(x)] for b in c]"),
        ("y = [(lambda: g(x))() for a in b]", "g(x)"),
        ("y = list(g(x) for a in b)", "g(x)"),
        ("y = f(g(x))", "g(x)"),
    ],
)
def test_a_call_within_a_comprehension_has_the_comprehension_around_it(code, whole):
    tree = ast.parse(code)
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            child.parent = node
    (call,) = [node for node in ast.walk(tree) if ast.unparse(node) == "g(x)" and isinstance(node, ast.Call)]
    assert ast.get_source_segment(code, around_comprehensions(call)) == whole
