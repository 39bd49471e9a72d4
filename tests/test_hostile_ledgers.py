"""Untrusted documents are refused in one line, or shown well-formed in a time proportional to their size."""

import copy
import json
import re
import time
from contextlib import suppress
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledgers import large_ledger, translator_ledger
from s2s_magic.errors import LookupFailed
from s2s_magic.ledger import Ledger, LedgerFormatError
from s2s_magic.ledger.asking import ask
from s2s_magic.ledger.compare import compare
from s2s_magic.ledger.explain import explain, names
from s2s_magic.view import report, to_html, to_png, to_svg, to_text
from s2s_magic.view.comparison import comparison_html, comparison_text
from s2s_magic.view.escaping import visible
from s2s_magic.view.explained import explanation_html, explanation_text
from s2s_magic.view.quizzes import quiz_html, quiz_text
from s2s_magic.view.widget.inspector import close_tree, to_widget
from test_view_html import read

pytestmark = pytest.mark.once

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
HARMFUL = [
    "\x00",
    "\x1b[31m",
    "\x07",
    "\x0c",
    "\r",
    "\x85",
    "\u2028",
    "\u202e",
    "\ud800",
    "\ufffe",
    "\U0001ffff",
    "$x^2$",
    "]]>",
]


def document():
    return copy.deepcopy(_DOCUMENT)


_DOCUMENT = json.loads(json.dumps(translator_ledger(training=True).to_dict()))


def shown_everywhere(ledger):
    """Render a ledger with every text renderer, and check each result for what would break a front-end."""
    shown = report(ledger, training=True)
    text = to_text(shown)
    assert not CONTROL.search(text)
    page = to_html(shown, page=True)
    assert not CONTROL.search(page)
    read(page)
    svg = to_svg(ledger)
    ElementTree.fromstring(svg)
    known = [name for name in names(ledger) if name][:3]
    for name in known:
        try:
            explanation = explain(ledger, name)
        except LookupFailed:
            continue
        read(explanation_html(explanation))
        assert not CONTROL.search(explanation_text(explanation))
    comparison = compare(ledger, translator_ledger())
    read(comparison_html(comparison))
    assert not CONTROL.search(comparison_text(comparison))
    with suppress(LookupFailed):  # nothing to ask about
        asked = ask(ledger, 20)
        read(quiz_html(ledger.name, asked))
        assert not CONTROL.search(quiz_text(ledger.name, asked))
    return text, page, svg


def shown_as_picture_and_widget(ledger, tmp_path):
    to_png(ledger, tmp_path / "wiring.png")
    assert (tmp_path / "wiring.png").read_bytes().startswith(b"\x89PNG")
    close_tree(to_widget(report(ledger, training=True)))


def refused(changed):
    with pytest.raises(LedgerFormatError) as caught:
        Ledger.from_dict(changed)
    said = str(caught.value)
    assert "\n" not in said
    assert not CONTROL.search(said)
    assert len(said) < 300
    return said


def test_the_ledger_that_the_others_are_made_from_is_good(tmp_path):
    for good in (document(), large_ledger(50, 400).to_dict()):
        shown_everywhere(Ledger.from_dict(good))
        shown_as_picture_and_widget(Ledger.from_dict(good), tmp_path)


def test_objects_that_hold_themselves_are_refused():
    for circle in (["L1"], ["L1", "L2"], ["L1", "L2", "L3", "L4", "L5"]):
        changed = document()
        for key, parent in zip(circle, [*circle[1:], circle[0]], strict=True):
            changed["layers"][key]["parent"] = parent
        assert "holds itself" in refused(changed)
    deep = document()
    for number in range(3000):
        above = f"D{number - 1}" if number else None
        deep["layers"][f"D{number}"] = {
            **deep["layers"]["L0"],
            "name": f"deep{number}",
            "parent": above,
            "in_models": [],
        }
    assert "more than 100 deep" in refused(deep)
    wide = document()
    for number in range(3000):
        wide["layers"][f"W{number}"] = {
            **wide["layers"]["L0"],
            "name": f"wide{number}",
            "parent": "L0",
            "in_models": [],
        }
    Ledger.from_dict(wide)


REFERENCES = {
    "event's layer": (["events", 4, "object"], "layer no-such"),
    "event's variable": (["events", 5, "created"], "variable no-such"),
    "part": (["events", 6, "parts", 0, "object"], "layer no-such"),
    "input's event": (["events", 5, "inputs", 0, "from"], "missing or comes after"),
    "input's output": (["events", 5, "inputs", 0, "output"], "which is missing"),
    "cell": (["events", 5, "cell"], "stands in cell 99"),
    "line": (["events", 5, "end_line"], "does not have"),
    "parent": (["layers", "L4", "parent"], "layer no-such"),
    "constructed": (["layers", "L4", "constructed"], "event 99"),
    "own weights": (["layers", "L4", "own_weights"], "variable no-such"),
    "layer's models": (["layers", "L4", "in_models"], "model no-such"),
    "seen in": (["layers", "L4", "unseen_in"], "layer no-such"),
    "owner": (["variables", "v0", "object"], "layer no-such"),
    "created by": (["variables", "v0", "created_by"], "event 99"),
    "held by": (["variables", "v0", "held_by"], "layer no-such"),
    "variable's models": (["variables", "v0", "in_models"], "model no-such"),
    "model's object": (["models", 0, "object"], "layer no-such"),
    "model's layers": (["models", 0, "layers"], "layer no-such"),
    "model's event": (["models", 0, "event"], "event 99"),
    "model's weights": (["models", 0, "trained"], "variable no-such"),
    "optimizer's": (["models", 0, "unknown"], "variable no-such"),
    "model's output": (["models", 0, "outputs", 0, "from"], "which is missing"),
    "model's links": (["models", 0, "links"], "layer no-such"),
    "chosen": (["chosen"], "model no-such"),
    "share's variable": (["training", "by_call", 0, "variable"], "variable no-such"),
    "share's event": (["training", "by_call", 0, "event"], "event 99"),
}


@pytest.mark.parametrize("which", REFERENCES)
def test_every_key_that_a_record_names_must_be_there(which):
    path, expected = REFERENCES[which]
    changed = document()
    here = changed
    for step in path[:-1]:
        here = here[step]
    old = here.get(path[-1])
    numbers = path[-1] in ("from", "output", "cell", "end_line", "constructed", "created_by", "event")
    lists = path[-1] in ("created", "own_weights", "in_models", "held_by", "layers", "trained", "unknown")
    wire = {"source": "L0", "target": "no-such", "shape": None, "dtype": "float32"}
    here[path[-1]] = [wire] if path[-1] == "links" else 99 if numbers else ["no-such"] if lists else "no-such"
    assert here[path[-1]] != old
    assert expected in refused(changed)


def test_evidence_of_a_variable_that_is_not_there_is_refused():
    changed = document()
    changed["training"]["variables"]["v99"] = next(iter(changed["training"]["variables"].values()))
    assert "names the variable v99" in refused(changed)


@pytest.mark.parametrize("value", [-1, 2**63, 10**400, "many", None, [], {}])
@pytest.mark.parametrize(
    "path", [["variables", "v0", "params"], ["variables", "v0", "shape", 0], ["events", 5, "call"]]
)
def test_sizes_that_no_model_has_are_refused(path, value):
    changed = document()
    here = changed
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    if value is None and path[-1] == 0:
        return
    refused(changed)


def test_what_is_no_mapping_or_another_schema_is_refused():
    for changed in (None, [], "x", 3, {}, {"schema": "s2s_magic.ledger/2"}, {"schema": "\x1b" * 10**6}, {"schema": []}):
        refused(changed)
    nested = document()
    for _ in range(5000):
        nested = {"schema": "s2s_magic.ledger/1", "name": nested}
    refused(nested)


@pytest.mark.parametrize("odd", HARMFUL)
def test_control_characters_in_any_name_show_as_something_else(odd, tmp_path):
    changed = document()
    name = f"a{odd}b"

    def put(value):
        if isinstance(value, dict):
            texts = ("name", "layer", "class", "keras_name", "source", "title", "owner", "text", "initializer", "dtype")
            return {key: name if key in texts and isinstance(part, str) else put(part) for key, part in value.items()}
        return [put(part) for part in value] if isinstance(value, list) else value

    lines = "\n".join([name.replace("\r", "\u240d")] * 40)
    changed = put({key: value for key, value in changed.items() if key not in ("models", "training", "chosen")})
    changed["cells"][0]["text"] = lines
    for layer in changed["layers"].values():
        layer["in_models"] = []
    for variable in changed["variables"].values():
        variable["in_models"] = []
        variable["paths"] = [f"{name}.{name}"]
    text, page, svg = shown_everywhere(Ledger.from_dict(changed))
    shown_as_picture_and_widget(Ledger.from_dict(changed), tmp_path)
    one_line = " ".join(visible(name).split())
    for shown in (text, read(page).get_text(), "".join(ElementTree.fromstring(svg).itertext())):
        assert one_line in " ".join(shown.split()) or odd in ("\r", "\x0c", "\x85", "\u2028")


def test_what_is_shown_of_very_much_code_is_bounded():
    changed = document()
    changed["cells"][0]["text"] += "\n" * 2_000_000
    changed["cells"][0]["text"] += "x" * 1_000_000
    start = time.process_time()
    ledger = Ledger.from_dict(changed)
    shown = report(ledger)
    page = to_html(shown, page=True)
    close_tree(to_widget(shown))
    for name in ("embeddings", "sampler"):
        explain(ledger, name)
    assert time.process_time() - start < 20
    assert len(page) < 1_000_000
    assert "… 1,99" in page
    changed = large_ledger(40, 3000).to_dict()
    for event in changed["events"]:
        event["line"], event["end_line"], event["column"] = 1, 80, 0
    changed["cells"][0]["text"] = "x\n" * 80
    start = time.process_time()
    to_html(report(Ledger.from_dict(changed)), page=True)
    assert time.process_time() - start < 20


def test_an_expression_of_very_many_lines_is_marked_where_it_begins():
    changed = document()
    changed["cells"][0]["text"] += "\n" * 100_000
    for event in changed["events"]:
        event["end_line"] = 100_000
    start = time.process_time()
    page = to_html(report(Ledger.from_dict(changed)), page=True)
    assert time.process_time() - start < 20
    assert len(page) < 3_000_000


def leaves(value, path=()):
    """Return the paths of all values in a document."""
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from leaves(part, (*path, number))


PATHS = [path for path in leaves(_DOCUMENT) if path and path[0] not in ("findings", "totals")]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 40),
    st.sampled_from([2**62, 2**64, 10**30, float("inf"), float("nan"), -1e300]),
    st.floats(), st.text(max_size=8), st.sampled_from(["L0", "L3", "v0", "v2", "model", "", "a\nb", *HARMFUL]),
    st.just([]), st.just({}), st.lists(st.sampled_from(["L0", "v0", "v1", None, 3]), max_size=3),
)  # fmt: skip


@pytest.mark.parametrize("number", [number for number, event in enumerate(_DOCUMENT["events"]) if "via" in event])
def test_a_call_with_inputs_that_keras_itself_made_is_shown_with_whatever_else_is_known(number):
    """Where it is the only one of its layer, nothing is drawn for it, and no wire leads to it."""
    changed = document()
    changed["events"][number]["via"] = "fit"
    shown_everywhere(Ledger.from_dict(changed))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_document_is_refused_or_shown(data):
    changed = document()
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(PATHS))
        here = changed
        try:
            for step in path[:-1]:
                here = here[step]
            old = here[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        how = data.draw(st.sampled_from(["replace", "replace", "delete", "copy", "repeat"]))
        if how == "delete":
            del here[path[-1]]
        elif how == "copy":
            other = data.draw(st.sampled_from(PATHS))
            source = _DOCUMENT
            for step in other:
                source = source[step]
            here[path[-1]] = copy.deepcopy(source)
        elif how == "repeat" and isinstance(here, list):
            here.insert(path[-1], copy.deepcopy(old))
        else:
            here[path[-1]] = data.draw(VALUES)
    start = time.process_time()
    try:
        ledger = Ledger.from_dict(changed)
    except LedgerFormatError:
        refused(changed)
    else:
        shown_everywhere(ledger)
        assert Ledger.from_dict(json.loads(json.dumps(ledger.to_dict()))).to_dict() is not None
    assert time.process_time() - start < 10
