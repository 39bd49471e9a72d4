"""Running code under capture: places, errors, patches, and IPython's behaviour."""

import ast
import gc
import inspect
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from kerases import KERAS3
from s2s_magic.errors import UsageError
from s2s_magic.ledger import Called
from s2s_magic.tracing import Traced, run

Layer = tf.keras.layers.Layer
ORIGINAL = (Layer.__init__, Layer.__call__, Layer.add_weight)
IMPORTS = "import tensorflow as tf\nfrom tensorflow import keras\nfrom tensorflow.keras import layers\n"


def namespace() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(IMPORTS, names)
    return names


@pytest.fixture(autouse=True)
def _no_patch_stays() -> Iterator[None]:
    yield
    assert (Layer.__init__, Layer.__call__, Layer.add_weight) == ORIGINAL


def where(seen: Traced, number: int) -> tuple[Any, ...]:
    event = seen.ledger.events[number]
    return event.line, event.column, event.end_line, event.end_column, event.source


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(colors="nocolor")
    made.run_cell(IMPORTS)
    yield made
    InteractiveShell.clear_instance()


def test_the_base_class_is_as_it_was_after_success_error_and_interrupt() -> None:
    inside = {"seen": [], **namespace()}
    assert run("seen.append(layers.Layer.__call__)", inside).error is None
    assert inside["seen"][0] is not ORIGINAL[1], "the test would prove nothing if nothing had been patched"
    for raised in ("ValueError('x')", "KeyboardInterrupt()", "SystemExit()"):
        seen = run(f"d = layers.Dense(1)\nraise {raised}", inside)
        assert type(seen.error).__name__ == raised.partition("(")[0]
        assert [event.layer for event in seen.ledger.events] == ["d"]
        assert (Layer.__init__, Layer.__call__, Layer.add_weight) == ORIGINAL


def test_a_trace_within_a_trace_is_refused() -> None:
    names = {"run": run, **namespace()}
    seen = run("run('1', {})", names)
    assert isinstance(seen.error, UsageError)


def test_nested_expressions_have_their_own_places() -> None:
    seen = run("x = keras.Input([8])\ny = layers.Dense(3)(layers.Dense(4)(x)); z = layers.Dense(2)(y)\n", namespace())
    assert [where(seen, n) for n in range(1, 5)] == [
        (2, 4, 2, 19, "layers.Dense(3)"),
        (2, 20, 2, 35, "layers.Dense(4)"),
        (2, 20, 2, 38, "layers.Dense(4)(x)"),
        (2, 4, 2, 39, "layers.Dense(3)(layers.Dense(4)(x))"),
    ]
    assert where(seen, 6) == (2, 45, 2, 63, "layers.Dense(2)(y)")


def test_a_place_counts_characters_and_can_span_lines() -> None:
    seen = run("größe = 3\nx = keras.Input([größe]); é = layers.Dense(\n    größe,\n)\n", namespace())
    assert where(seen, 0) == (2, 4, 2, 24, "keras.Input([größe])")
    assert where(seen, 1) == (2, 30, 4, 1, "layers.Dense(\n    größe,\n)")


def test_a_loop_has_one_place_and_many_calls() -> None:
    seen = run("d = layers.Dense(4)\nx = keras.Input([4])\nfor _ in range(3):\n    x = d(x)\n", namespace())
    calls = seen.ledger.events[2:]
    assert [(e.line, e.source, e.call, e.inputs[0].from_event) for e in calls] == [
        (4, "d(x)", 1, 1), (4, "d(x)", 2, 2), (4, "d(x)", 3, 3),
    ]  # fmt: skip
    assert [e.outer for e in calls] == [None] * 3


def test_a_helper_function_has_an_inner_and_an_outer_place() -> None:
    code = (
        "def f(v):\n    return layers.Dense(2)(v)\ndef g(v):\n    return f(f(v))\n"
        "x = keras.Input([2])\ny = [g(x) for _ in '1']\n"
    )
    seen = run(code, namespace())
    call = seen.ledger.events[2]
    assert (call.line, call.source, call.outer.line, call.outer.source) == (
        2, "layers.Dense(2)(v)", 6, "[g(x) for _ in '1']",
    )  # fmt: skip


def test_operators_and_functions_of_tensorflow_are_calls_of_implicit_layers() -> None:
    code = "x = keras.Input([4])\ny = x + 1.0\nz = tf.nn.softmax(y[:, 0:2] * x[:, 1:3])\n"
    seen = run(code, namespace())
    ours = ("add", "get_item", "get_item#2", "multiply")
    named = (
        [f"keras.ops.{name}" for name in ours]
        if KERAS3
        else ["tf.__operators__.add", "tf.__operators__.getitem", "tf.__operators__.getitem#2", "tf.math.multiply"]
    )
    sources = ["x + 1.0", "y[:, 0:2]", "x[:, 1:3]", "y[:, 0:2] * x[:, 1:3]"]
    assert [(e.layer, e.source) for e in seen.ledger.events[1:]] == [
        *zip(named, sources, strict=True),
        ("tf.nn.softmax", "tf.nn.softmax(y[:, 0:2] * x[:, 1:3])"),
    ]
    assert all(layer.implicit for layer in seen.ledger.layers.values() if layer.name != "x")


def test_a_users_tf_function_keeps_its_line_behind_autograph() -> None:
    code = (
        "d = layers.Dense(2)\nd.build([None, 2])\n"
        "@tf.function\ndef f(v):\n    if tf.reduce_sum(v) > 0:\n        v = v + d(v)\n    return v\n"
        "f(tf.ones([2, 2]))\n"
    )
    seen = run(code, namespace())
    assert seen.error is None
    call = [e for e in seen.ledger.events if isinstance(e, Called)][-1]
    assert (call.line, call.source, call.outer.source, call.in_graph) == (6, "d(v)", "f(tf.ones([2, 2]))", False)


def test_a_wrapping_subclass_is_placed_where_it_is_called() -> None:
    code = (
        "class Mine(layers.Dense):\n    def __init__(self):\n        super().__init__(2)\n"
        "    def __call__(self, v):\n        return super().__call__(v)\n"
        "m = Mine()\nx = keras.Input([2])\ny = m(x)\n"
    )
    seen = run(code, namespace())
    assert [(e.line, e.source, e.outer) for e in seen.ledger.events] == [
        (6, "Mine()", None), (7, "keras.Input([2])", None), (8, "m(x)", None),
    ]  # fmt: skip


def test_an_error_ends_the_ledger_and_points_into_the_cell() -> None:
    seen = run(
        "d = layers.Dense(2)\nx = keras.Input([2])\ndef f(v):\n    return d(v) + oops\ny = f(x)\nz = d(y)\n",
        namespace(),
    )
    assert [e.source for e in seen.ledger.events] == ["layers.Dense(2)", "keras.Input([2])", "d(v)"]
    frames = traceback.extract_tb(seen.error.__traceback__)
    assert [(f.lineno, f.line) for f in frames] == [(5, "y = f(x)"), (4, "return d(v) + oops")]


def test_no_frame_of_this_package_is_left_in_an_error_from_keras() -> None:
    seen = run("d = layers.Dense(2)\nd(keras.Input([2]))\nd(keras.Input([3]))\n", namespace())
    assert isinstance(seen.error, ValueError)
    assert "s2s_magic" not in "".join(traceback.format_exception(seen.error))
    assert traceback.extract_tb(seen.error.__traceback__)[0].lineno == 3


def test_lines_count_as_the_gutter_does() -> None:
    seen = run("d = layers.Dense(2)\nd(1/0)\n", namespace(), first_line=2)
    assert (seen.ledger.events[0].line, traceback.extract_tb(seen.error.__traceback__)[0].lineno) == (2, 3)
    seen = run("a = 1\nb = = 2\n", namespace(), first_line=2)
    assert isinstance(seen.error, SyntaxError)
    assert (seen.error.lineno, seen.error.text, seen.error.__traceback__) == (3, "b = = 2\n", None)
    assert [(cell.text, cell.first_line) for cell in seen.ledger.cells] == [("a = 1\nb = = 2\n", 2)]


def test_a_constructor_that_failed_leaves_nothing_and_a_failed_call_what_it_made() -> None:
    seen = run("x = keras.Input([2])\nd = keras.Sequential([x, layers.Dense(2), 3])\n", namespace())
    assert isinstance(seen.error, ValueError if KERAS3 else TypeError)
    assert [e.source for e in seen.ledger.events][-1] == "layers.Dense(2)"
    assert not any(layer.class_name == "Sequential" for layer in seen.ledger.layers.values())
    code = (
        "class Broken(layers.Layer):\n    def build(self, shape):\n"
        "        self.w = self.add_weight(name='w', shape=[2])\n"
        "    def call(self, v):\n        raise RuntimeError('late')\n"
        "b = Broken()\nb(keras.Input([2]))\n"
    )
    seen = run(code, namespace())
    assert [(e.layer, e.created) for e in seen.ledger.events if isinstance(e, Called)] == [("b", ("v0",))]


def test_an_error_the_code_catches_itself_is_no_error() -> None:
    seen = run(
        "d = layers.Dense(2)\ntry:\n    d(keras.Input([]))\nexcept ValueError:\n    pass\ny = d(keras.Input([2]))\n",
        namespace(),
    )
    assert seen.error is None
    assert [(e.layer, e.call) for e in seen.ledger.events if isinstance(e, Called)] == [("d", 1)]


def test_calls_of_other_threads_are_not_the_cells() -> None:
    names = {"threading": threading, **namespace()}
    code = (
        "d = layers.Dense(2)\ndef other():\n    layers.Dense(3)(tf.ones([1, 1]))\n    d(tf.ones([1, 2]))\n"
        "t = threading.Thread(target=other)\nt.start()\nt.join()\n"
    )
    seen = run(code, names)
    assert [e.layer for e in seen.ledger.events] == ["d"]


def test_keras_finds_the_signatures_it_reads_while_patched() -> None:
    names = {"inspect": inspect, "pickle": pickle, **namespace()}
    code = (
        "class Plain(layers.Layer):\n    pass\n"
        "methods = layers.Layer.__init__, layers.Layer.__call__, layers.Layer.add_weight\n"
        "signatures = [str(inspect.signature(method)) for method in methods]\n"
        "config = layers.LSTM(3, name='l').get_config()\n"
        "again = layers.LSTM.from_config(config)\n"
        "d = pickle.loads(pickle.dumps(layers.Dense(2)))\n"
    )
    seen = run(code, names)
    assert seen.error is None
    assert names["signatures"] == [str(inspect.signature(method)) for method in ORIGINAL]
    assert names["again"].get_config() == names["config"]


def test_future_statements_hold_for_the_whole_code() -> None:
    names = namespace()
    seen = run("from __future__ import annotations\ndef f(v: Unknown) -> 1 / 0:\n    pass\n", names)
    assert seen.error is None
    assert names["f"].__annotations__ == {"v": "Unknown", "return": "1 / 0"}


def test_a_cell_displays_its_last_expression_and_binds_as_a_plain_one(shell: InteractiveShell) -> None:
    with capture_output() as shown:
        seen = run("six = 6\nsix * 7", shell.user_ns, shell=shell)
    assert seen.error is None
    assert "42" in shown.stdout
    assert (shell.user_ns["_"], shell.user_ns["six"]) == (42, 6)
    with capture_output() as shown:
        run("six * 7;", shell.user_ns, shell=shell)
        run("if six:\n    six", shell.user_ns, shell=shell)
    assert shown.stdout == ""


def test_magics_and_shell_commands_run_and_are_one_place(shell: InteractiveShell) -> None:
    with capture_output() as shown:
        seen = run(
            "%time d = layers.Dense(3)\n!echo from the shell\ny = d(keras.Input([2]))\n",
            shell.user_ns,
            shell=shell,
            first_line=2,
        )
    assert seen.error is None
    assert "from the shell" in shown.stdout
    assert where(seen, 0) == (2, 0, 2, 25, "%time d = layers.Dense(3)")
    assert where(seen, 1)[0] == 4
    assert seen.ledger.cells[0].text.startswith("%time d")


def test_top_level_await_runs_in_the_same_thread(shell: InteractiveShell) -> None:
    code = (
        "import asyncio\nasync def later(v):\n    await asyncio.sleep(0.01)\n    return layers.Dense(2)(v)\n"
        "x = keras.Input([2])\ny = await later(x)\nz = await asyncio.gather(later(y), later(y))\n"
    )
    seen = run(code, shell.user_ns, shell=shell)
    assert seen.error is None
    calls = [e for e in seen.ledger.events if isinstance(e, Called)]
    assert [(e.line, tuple(o.name for o in e.outputs)) for e in calls] == [(4, ("y",)), (4, ("z[0]",)), (4, ("z[1]",))]


def test_a_shells_future_statements_go_on(shell: InteractiveShell) -> None:
    run("from __future__ import annotations", shell.user_ns, shell=shell)
    seen = run("def f(v: Unknown): pass", shell.user_ns, shell=shell)
    assert seen.error is None


def test_an_error_in_a_shell_shows_the_line_of_the_cell(shell: InteractiveShell) -> None:
    seen = run("one = 1\ndef f():\n    one / 0\nf()\n", shell.user_ns, shell=shell, first_line=2)
    frames = traceback.extract_tb(seen.error.__traceback__)
    assert [(f.lineno, f.line) for f in frames] == [(5, "f()"), (4, "one / 0")]
    seen = run("one = 1\nthen that\n", shell.user_ns, shell=shell, first_line=2)
    assert (type(seen.error), seen.error.lineno) == (SyntaxError, 3)


def test_every_way_to_show_expressions_is_kept(shell: InteractiveShell) -> None:
    for way, text in {"all": "1\n2\n", "last_expr": "2\n", "none": "", "last_expr_or_assign": "2\n"}.items():
        shell.ast_node_interactivity = way
        with capture_output() as shown:
            run("1\n2", shell.user_ns, shell=shell)
        assert [line.rpartition(" ")[2] for line in shown.stdout.split("\n") if line.strip()] == text.split()
    with capture_output() as shown:
        run("a = 3", shell.user_ns, shell=shell)
    assert "3" in shown.stdout


def test_ten_times_the_layers_and_calls_take_about_ten_times_as_long() -> None:
    code = "ds = [layers.Dense(1) for _ in range({})]\nx = tf.ones([1, 1])\nfor d in ds * 5:\n    d(x)\n"
    names = namespace()
    run(code.format(20), names)
    seconds, events = [], []
    for count in (40, 400):
        before = time.process_time()
        seen = run(code.format(count), names)
        seconds.append(time.process_time() - before)
        events.append(len(seen.ledger.events))
    assert events == [240, 2400]
    assert seen.ledger.events[-1].call == 5
    assert seconds[1] < 30 * seconds[0]


def test_traces_of_many_cells_keep_no_syntax_trees() -> None:
    def trees() -> int:
        gc.collect()
        return sum(isinstance(each, ast.AST) for each in gc.get_objects())

    code = "x = keras.Input([2])\nwith open('/dev/null'):\n    y = [layers.Dense(2)(x) for _ in '1'][0]\n# {}\n"
    run(code.format(0), namespace())
    before = trees()
    for number in range(1, 6):
        run(code.format(number), namespace())
    assert trees() - before < 50, "a cell of this size has more than that"


def test_a_trace_leaves_no_more_objects_behind_than_running_the_cell_does() -> None:
    code = (
        "x = keras.Input([2, 3])\nh = layers.LSTM(4)(layers.Dense(3)(x))\nmodel = keras.Model(x, layers.Dense(2)(h))\n"
    )

    def kept(once: Callable[[], object], times: int = 5) -> int:
        for _ in range(3):
            once()
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(times):
            once()
        gc.collect()
        return len(gc.get_objects()) - before

    plainly = kept(lambda: exec(code, namespace()))
    assert kept(lambda: run(code, namespace())) <= plainly + 5, "Keras keeps a graph and names of its own"
