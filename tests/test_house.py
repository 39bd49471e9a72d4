"""The rules for modules and what they may import, checked on their source without importing them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "s2s_magic"
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}

# What each room may import from the package; every room may import `errors` and `undoing`.
ARROWS = {
    "spec": "",
    "source": "spec",
    "backend": "kinds",
    "addons": "backend",
    "kernels": "backend",
    "ledger": "kinds",
    "view": "ledger",
    "tracing": "addons backend ledger cells compatibility",
    "data": "backend ledger handle spec",
    "acceleration": "backend kernels source",
    "scores": "",
    "training": "backend data ledger tracing acceleration handle followed decoding decoded scores",
    "keeping": "backend data files ledger handle memory spec training",
    "exporting": "backend data decoding handle spec training",
    "decoding": "backend data ledger tracing acceleration kernels handle decoded told scores",
}
# The packages that no module of a room may import.
STRANGERS = {
    "spec": "tensorflow keras",
    "source": "tensorflow keras",
    "ledger": "tensorflow keras numpy",
    "view": "tensorflow keras",
    "handle": "tensorflow keras",
    "decoded": "tensorflow keras",
    "told": "tensorflow keras",
    "followed": "tensorflow keras",
    "scores": "tensorflow keras",
    "scored": "tensorflow keras",
}
# Private-looking names that are not Keras's: those of Python's own protocols and modules.
OF_PYTHON = {"_fields", "_repr_mimebundle_", "_current_frames", "_get_running_loop", "_set_running_loop"}
OF_PYTHON |= {"_render_traceback_", "_getframe", "_exit"}


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports, also within functions, but not imports for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in SOURCES else str(node.module) for name in inner)
        else:
            yield from _imports(node)


IMPORTS = {name: set(_imports(tree)) - {name} for name, tree in TREES.items()}


def _room(module: str) -> str:
    return module.split(".")[1] if module.startswith("s2s_magic.") else ""


def _behind(module: str, seen: set[str]) -> set[str]:
    """Return all that a module imports, directly or indirectly."""
    for other in IMPORTS.get(module, ()):
        if other in SOURCES and other not in seen:
            seen.add(other)
            _behind(other, seen)
    return seen


@pytest.mark.parametrize("room", ARROWS)
def test_a_room_imports_only_the_rooms_below_it(room):
    allowed = {room, "errors", "undoing", *ARROWS[room].split()}
    found = {
        (module, other) for module in SOURCES if _room(module) == room for other in IMPORTS[module] & SOURCES.keys()
    }
    assert {(module, other) for module, other in found if _room(other) not in allowed} == set()


@pytest.mark.parametrize("room", STRANGERS)
def test_a_room_of_plain_data_imports_no_tensorflow(room):
    refused = set(STRANGERS[room].split())
    found = {(module, other) for module in SOURCES if _room(module) == room for other in IMPORTS[module]}
    assert {(module, other) for module, other in found if other.partition(".")[0] in refused} == set()


def test_no_module_imports_itself_by_way_of_others():
    assert [module for module in SOURCES if module in _behind(module, set())] == []


def test_no_two_modules_share_a_name_but_those_of_each_keras():
    packages = {module.rpartition(".")[0] for module in SOURCES}
    subjects = {re.sub(r"\.keras\d\.", ".keras.", module) for module in SOURCES.keys() - packages}
    names = Counter(module.rpartition(".")[2] for module in subjects)
    assert {name for name, count in names.items() if count > 1} == set()


def test_what_is_private_to_a_keras_is_named_in_its_backend_alone():
    found = []
    for module, tree in TREES.items():
        if _room(module) == "backend":
            continue
        named = {name for name in ("keras.src", "tf_keras.src", "tensorflow.python") if name in SOURCES[module]}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
                of_ours = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                named |= set() if of_ours or node.attr in OF_PYTHON else {node.attr}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= {node.value} & PRIVATE
        found += [(module, name) for name in sorted(named)]
    assert found == []


def _private_names() -> set[str]:
    """Return the private names of Keras objects that the backend uses, as attributes or strings."""
    found = set()
    for module, tree in TREES.items():
        if _room(module) == "backend":
            own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            found |= {name for name in texts | attributes if re.fullmatch(r"_[a-z]\w*", name)} - own
    return found


PRIVATE = _private_names()


def test_modules_are_short_enough_to_read():
    lines = {module: source.count("\n") for module, source in SOURCES.items() if _room(module) != "kernels"}
    assert {module: count for module, count in lines.items() if count > 300} == {}


def test_only_the_view_writes_html():
    tag = re.compile(r"<(/?)(div|span|table|tr|td|th|p|pre|code|b|br|style|details|summary|svg|ul|li)\b[^<]*>")
    texts = [
        (module, node.value)
        for module, tree in TREES.items()
        if _room(module) != "view"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [(module, text) for module, text in texts if tag.search(text)] == []


def _asserted_under_a_condition(node: ast.AST, under: bool = False) -> Iterator[int]:
    for child in ast.iter_child_nodes(node):
        inside = under or (isinstance(node, ast.If) and child is not node.test)
        if inside and isinstance(child, ast.Assert):
            yield child.lineno
        yield from _asserted_under_a_condition(child, inside)


def test_what_is_to_be_left_again_is_entered_by_what_survives_an_interrupt():
    """An interrupt just before ``__exit__`` skips it, so `Changes` is entered three times.

    Contexts that are harmless if not exited are exempt: an open file, a suppressed exception, a control dependency in
    a discarded graph.
    """
    harmless = ("suppress(", "path.open(", "tf.control_dependencies(")
    found = [
        f"{name}:{node.lineno}: {ast.unparse(node.items[0])}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.With, ast.AsyncWith))
        and not ast.unparse(node.items[0]).startswith(harmless)
        and [ast.unparse(item.context_expr) for item in node.items]
        != ["Changes()", *2 * [ast.unparse(node.items[0].optional_vars or node.items[0].context_expr)]]
    ]
    assert not found


def _within(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield nodes and all nodes below them that run with them; function bodies defined there are excluded."""
    for node in nodes:
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            yield from _within(ast.iter_child_nodes(node))


def test_no_try_stands_among_changes():
    """In Python 3.11 a ``with`` does not guard the line of a ``try`` in it, unless that is its first line."""
    found = [
        f"{name}:{inner.lineno}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and ast.unparse(node.items[0]).startswith("Changes()")
        for inner in _within(node.body)
        if isinstance(inner, ast.Try) and inner is not node.body[0]
    ]
    assert not found


def test_no_test_asserts_only_under_a_condition():
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(Path(__file__).parent.rglob("*.py"))}
    assert [(path.name, line) for path, tree in trees.items() for line in _asserted_under_a_condition(tree)] == []
