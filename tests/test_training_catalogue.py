"""The value of any notebook variable is read correctly, or refused in one line that says what to give instead."""

import array
import collections
import decimal
import enum
import fractions
import types

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorflow import keras

from kerases import KERAS3
from models import by_hand
from s2s_magic import api
from s2s_magic.data.reader import prepare
from s2s_magic.data.sequences import Rows
from s2s_magic.errors import DataError, DecodeError, SpecError
from s2s_magic.spec import parse_fit

IDS = [[3, 4, 5], [6, 7, 8]]
GOOD = np.array(IDS)
WIDE = np.zeros((4, 6), int)
WIDE[::2, ::2] = GOOD
SPEC = "vocab: 20\nembed: 2\nencoder: gru(3)\ndecoder: gru(3)\n"


def stranger(**methods):
    """Return an object with these methods, each of which returns a value or raises an exception."""

    def method(answer):
        def answered(self, *args, **kwargs):
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return answered

    return type("Stranger", (), {name: method(answer) for name, answer in methods.items()})()


class ListThatLies(list):
    def __len__(self):
        return 1000


class ListThatRaises(list):
    def __iter__(self):
        raise OSError("the disk is gone\nand more")


class RowThatRaises:
    def __array__(self, *args, **kwargs):
        raise ZeroDivisionError("no row")


class NoClass:
    @property
    def __class__(self):
        raise RuntimeError("who am I")


class NoRepr:
    def __repr__(self):
        raise RuntimeError("I have no words")


class Letters(enum.Enum):
    A = 3


class Numbered(enum.IntEnum):
    A = 3
    B = 4


class Spoken(str, enum.Enum):
    A = "ab"


def read_only():
    found = GOOD.copy()
    found.flags.writeable = False
    return found


def to_itself():
    found = stranger()
    type(found).to_numpy = lambda self: self
    return found


def endless():
    found = []
    found.append(found)
    return found


def nested(depth):
    found = [1]
    for _ in range(depth):
        found = [found]
    return found


def masked(kind=int):
    return np.ma.array(GOOD, mask=[[0, 0, 0], [0, 1, 0]], dtype=kind)


READ_AS_IDS = {
    "list of lists": lambda: IDS,
    "list of tuples": lambda: [tuple(row) for row in IDS],
    "tuple of tuples": lambda: tuple(map(tuple, IDS)),
    "list of ranges": lambda: [range(3, 6), range(6, 9)],
    "list of arrays": lambda: list(GOOD),
    "list of np.int64": lambda: [[np.int64(i) for i in row] for row in IDS],
    "list of floats": lambda: [[float(i) for i in row] for row in IDS],
    "list of deques": lambda: [collections.deque(row) for row in IDS],
    "list of array.array": lambda: [array.array("i", row) for row in IDS],
    "list of Series": lambda: [pd.Series(row) for row in IDS],
    "list of tensors": lambda: [tf.constant(row) for row in IDS],
    "list of masked rows without a mask": lambda: [np.ma.array(row) for row in IDS],
    "list of ragged and flat rows": lambda: [list(GOOD[0]), tf.constant(GOOD[1])],
    "deque": lambda: collections.deque(IDS),
    "UserList": lambda: collections.UserList(IDS),
    "list that lies about its length": lambda: ListThatLies(IDS),
    **{f"array of {kind}": lambda kind=kind: GOOD.astype(kind) for kind in "bBhHiIlLqQefdg"},
    "big-endian": lambda: GOOD.astype(">i8"),
    "big-endian float": lambda: GOOD.astype(">f4"),
    "Fortran order": lambda: np.asfortranarray(GOOD),
    "strided": lambda: WIDE[::2, ::2],
    "reversed": lambda: GOOD[::-1, ::-1][::-1, ::-1],
    "read-only": read_only,
    "transposed": lambda: GOOD.T.copy().T,
    "broadcast": lambda: np.broadcast_to(GOOD, (2, 3)),
    "array of objects": lambda: GOOD.astype(object),
    "array of lists": lambda: np.array([*IDS, None], object)[:-1],
    "np.matrix": lambda: np.matrix(GOOD),
    "memory map": lambda: np.ndarray.view(GOOD, np.memmap),
    "masked array without a mask": lambda: np.ma.array(GOOD),
    "masked array with nothing masked": lambda: np.ma.array(GOOD, mask=np.zeros((2, 3), bool)),
    "DataFrame": lambda: pd.DataFrame(GOOD, columns=list("abc")),
    "DataFrame of one column of lists": lambda: pd.DataFrame({"ids": IDS}),
    "DataFrame of Int64": lambda: pd.DataFrame(GOOD).astype("Int64"),
    "DataFrame of sparse columns": lambda: pd.DataFrame(GOOD).astype(pd.SparseDtype("int64", 0)),
    "Series of lists": lambda: pd.Series(IDS, index=[7, 3]),
    "tensor": lambda: tf.constant(IDS),
    "tensor of int64": lambda: tf.constant(IDS, tf.int64),
    "tensor of bfloat16": lambda: tf.constant(IDS, tf.bfloat16),
    "tf.Variable": lambda: tf.Variable(IDS),
    "ragged tensor": lambda: tf.ragged.constant(IDS),
    "Keras variable": lambda: keras.backend.variable(GOOD),
    "something with numpy()": lambda: stranger(numpy=GOOD),
    "something with to_numpy()": lambda: stranger(to_numpy=GOOD),
    "something with __array__": lambda: stranger(__array__=GOOD),
    "whole numbers that are enums": lambda: [[Numbered.A, Numbered.B, 5], [6, 7, 8]],
}

REFUSED_AS_IDS = {
    "None": (lambda: None, "V is None"),
    "number": (lambda: 3, "the single value 3; expected an array"),
    "np.int64": (lambda: np.int64(3), "single value"),
    "array without dimensions": (lambda: np.array(3), "the single value 3; expected an array"),
    "tensor without dimensions": (lambda: tf.constant(3), "the single value 3; expected an array"),
    "text": (lambda: "abc", r"is one text, 'abc'; expected a list of them: one text is \['abc'\]"),
    "bytes": (lambda: b"abc", r"is one text, b'abc'"),
    "tensor of one text": (lambda: tf.constant("abc"), "is one text, b'abc'"),
    "texts": (lambda: ["ab", "c"], "holds text, and the model reads ids"),
    "array of texts": (lambda: np.array(["ab", "c"]), "holds text, and the model reads ids"),
    "table of texts": (lambda: np.array([["ab", "c"]]), "holds text, and the model reads ids"),
    "texts and ids": (lambda: ["ab", [1, 2]], "holds text, and the model reads ids"),
    "ids and texts in a row": (lambda: [[1, 2, 3], [1, "a", 3]], "row 1"),
    "flat list": (lambda: [1, 2, 3], r"item 0 is 1; expected a row of ids: one row is \[\[1, 2, 3\]\]"),
    "range": (lambda: range(3), r"item 0 is 0; expected a row of ids: one row is \[\[0, 1, 2\]\]"),
    "array.array": (lambda: array.array("i", [1, 2]), r"item 0 is 1; expected a row of ids: one row is \[\[1, 2\]\]"),
    "one dimension": (lambda: GOOD[0], r"has shape \(3,\); rows of ids have two dimensions"),
    "three dimensions": (lambda: GOOD[None], r"has shape \(1, 2, 3\); rows of ids have two dimensions"),
    "Series of numbers": (lambda: pd.Series([1, 2]), r"has shape \(2,\)"),
    "Index": (lambda: pd.Index([1, 2]), r"has shape \(2,\)"),
    "Categorical": (lambda: pd.Categorical(["a", "b"]), "holds text, and the model reads ids"),
    "Series of strings": (lambda: pd.Series(["a", "b"], dtype="string"), "holds text, and the model reads ids"),
    "Series with a hole": (lambda: pd.Series([[1], None]), r"row 1 is missing: drop such rows, or fill them"),
    "DataFrame with NA": (
        lambda: pd.DataFrame({"a": [1, None], "b": [None, 2]}, dtype="Int64"),
        r"row 0, column 'b' is missing \(2 such places in all\): drop such rows, or fill them",
    ),
    "DataFrame with NaN": (lambda: pd.DataFrame({"a": [1, None]}), "row 1, column 'a' is missing"),
    "DataFrame of times": (lambda: pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}), "holds datetime64"),
    "groups of a DataFrame": (lambda: pd.DataFrame({"a": [1]}).groupby("a"), "is a pandas DataFrameGroupBy"),
    "masked": (masked, r"row 1, position 1 is masked: fill such places, V\.filled"),
    "masked row": (lambda: [masked()[1], [1, 2, 3]], r"row 0: index \(1,\) is masked"),
    "masked alone": (lambda: np.ma.masked, "masked"),
    "array with fields": (
        lambda: np.zeros(2, [("ids", int)]),
        r"with fields: name one of them, .* V\['ids'\]",
    ),
    "raw bytes": (lambda: np.zeros((2, 3), "V4"), r"array of type \|V4"),
    "truth values": (lambda: GOOD > 4, "holds bool values; ids are whole numbers"),
    "lists of truth values": (lambda: [[True, False]], "row 0"),
    "complex numbers": (lambda: GOOD * 1j, "holds complex128 values"),
    "times": (lambda: GOOD.astype("datetime64[D]"), r"holds datetime64\[D\] values"),
    "NaN": (lambda: [[1.0, np.nan, 3.0]], "row 0, position 1 is NaN"),
    "infinity": (lambda: np.array([[1.0, np.inf, 3.0]]), "row 0, position 1 is inf"),
    "fractions": (lambda: np.array([[1.0, 2.5]]), "row 0, position 1 is 2.5, no whole number"),
    "huge": (lambda: [[1, 2**70, 3]], f"row 0, position 1 is {2**70}, outside any vocabulary"),
    "huge and negative": (lambda: [[1, -(2**70), 3]], f"row 0, position 1 is -{2**70}, outside any vocabulary"),
    "uint64": (lambda: np.array([[1, 2**63 + 5]], np.uint64), r"row 0, position 1 is 92233720368547758\d\d, outside"),
    "negative": (lambda: GOOD - 4, r"row 0, position 0 \(both from 0\) is id -1, outside the vocabulary of 20"),
    "outside the vocabulary": (lambda: GOOD * 3, r"row 1, position 1 \(both from 0\) is id 21"),
    "Decimal": (lambda: [[decimal.Decimal(3)] * 3], r"row 0, position 0 is Decimal\('3'\), no whole number"),
    "Fraction": (lambda: [[1, fractions.Fraction(1, 2), 3]], r"row 0, position 1 is Fraction\(1, 2\), no whole"),
    "enums": (lambda: [[Letters.A, 3, 4]], "row 0, position 0 is <Letters.A: 3>, no whole number"),
    "None in a row": (lambda: [[1, None, 2]], "row 0, position 1 is None, no whole number"),
    "a row of None": (lambda: [[1, 2, 3], None], "row 1: is None"),
    "a set as a row": (lambda: [{1, 2}], "row 0: is a set, which has no order"),
    "a generator as a row": (lambda: [(i for i in [1, 2])], "row 0: is a generator, which can be read only once"),
    "empty list": (list, "no rows to fit on|0 rows"),
    "empty array": (lambda: np.zeros((0, 3)), "no rows to fit on|0 rows"),
    "rows without ids": (lambda: np.zeros((2, 0)), "row 0 is empty|0 ids against"),
    "an empty row": (lambda: [[1, 2, 3], []], "row 1 is empty|0 ids against"),
    "nested too deep": (lambda: [[[1, 2], [3, 4]]], r"row 0 is nested, \[\[1, 2\], \[3, 4\]\]"),
    "nested far too deep": (lambda: nested(100), "row 0 is nested"),
    "a list in itself": (endless, "row 0 is nested"),
    "dict": (lambda: {"a": IDS}, r"is a dict with several values: name one of them, such as V\['a'\]"),
    "OrderedDict": (lambda: collections.OrderedDict(a=1), "is a OrderedDict with several values"),
    "set": (lambda: {1, 2}, r"is a set, which has no order of rows: give a list, sorted"),
    "frozenset": (lambda: frozenset([1]), "is a frozenset, which has no order"),
    "generator": (lambda: (row for row in IDS), r"is a generator, which can be read only once: give a list, list\("),
    "map": (lambda: map(list, IDS), "is a map, which can be read only once"),
    "zip": (lambda: zip(IDS, IDS, strict=True), "is a zip, which can be read only once"),
    "iterator": (lambda: iter(IDS), "is a list_iterator, which can be read only once"),
    "dataset": (lambda: tf.data.Dataset.from_tensor_slices(GOOD), "is a tf.data dataset, .*'data:'"),
    "iterator of a dataset": (lambda: iter(tf.data.Dataset.range(3)), "'data:'|read only once"),
    "sparse tensor": (lambda: tf.sparse.from_dense(GOOD), r"is a sparse tensor: .*tf\.sparse\.to_dense"),
    "ragged tensor of three dimensions": (lambda: tf.ragged.constant([[[1], [2, 3]]]), "row 0 is nested"),
    "symbolic tensor": (lambda: keras.Input([3]), "is a symbolic tensor, a wire of a model without numbers"),
    "layer": (lambda: keras.layers.Dense(2), "is of type Dense; expected an array"),
    "module": (lambda: types, "is a module, not data"),
    "function": (lambda: masked, "is the function <function masked"),
    "builtin": (lambda: len, "is the function <built-in function len>"),
    "class": (lambda: Letters, "is the class <enum 'Letters'>"),
    "object": (object, "is of type object; expected an array, a list of rows or a list of texts"),
    "slice": (lambda: slice(3), "is of type slice"),
    "to_numpy raises": (
        lambda: stranger(to_numpy=ValueError("not today\nnor tomorrow")),
        r"V cannot be read: its to_numpy\(\) raised ValueError: not today$",
    ),
    "numpy raises": (lambda: stranger(numpy=MemoryError()), r"its numpy\(\) raised MemoryError$"),
    "__array__ raises": (lambda: stranger(__array__=KeyError("a")), r"its __array__\(\) raised KeyError: 'a'$"),
    "iteration raises": (lambda: ListThatRaises(IDS), "going through it raised OSError: the disk is gone$"),
    "a row raises": (
        lambda: [RowThatRaises()],
        r"row 0: cannot be read: its __array__\(\) raised ZeroDivis",
    ),
    "to_numpy gives a list": (lambda: stranger(to_numpy=IDS), r"its to_numpy\(\) gave a list, no NumPy array"),
    "to_numpy gives itself": (to_itself, r"its to_numpy\(\) gave a Stranger, no NumPy array"),
    "to_numpy gives None": (lambda: stranger(to_numpy=None), r"its to_numpy\(\) gave a NoneType"),
    "numpy gives a number": (lambda: stranger(numpy=np.int64(3)), "the single value 3"),
    "no class": (NoClass, "is of type NoClass"),
    "no repr": (lambda: [[NoRepr()]], "row 0, position 0 is an object of class NoRepr, no whole number"),
    "length raises": (lambda: stranger(__len__=OSError(), __getitem__=OSError()), "is of type Stranger"),
    "length lies": (lambda: stranger(__len__=10**9, __getitem__=[1]), "is of type Stranger"),
    "iterates only": (lambda: stranger(__iter__=iter([])), "is of type Stranger"),
}


@pytest.fixture(scope="module")
def model():
    """A model that was fitted once, so that it has an optimizer, a history and evidence to lose."""
    keras.utils.set_random_seed(1)
    found = api.build(SPEC)
    return api.fit(found, "source: X\ntarget: X", {"X": GOOD}, progress=lambda progress: None)


def state(model, names):
    """Return everything that a refusal must leave unchanged."""
    variables = [*model.model.weights, *model.model.optimizer.variables]
    values = [variable.numpy().tobytes() for variable in variables]
    kept = [model.evidence.model_dump_json(), repr(model.history), dict(model.tokenizers)]
    kept.append(api.current_ledger(model).to_dict())
    loss = getattr(model.model, "_compile_loss" if KERAS3 else "compiled_loss")
    compiled = [id(model.model.optimizer), id(model.model.loss), id(loss), model.fitted]
    return values, kept, compiled, {name: id(value) for name, value in names.items()}


BODIES = {
    "source": "source: V\ntarget: X",
    "target": "source: X\ntarget: V",
    "validation": "source: X\ntarget: X\nvalidation: [V, X]",
    "validation target": "source: X\ntarget: X\nvalidation: [X, V]",
    "decoder_input": "source: X\ntarget: X\ndecoder_input: V",
}


def column(prepared, role):
    table = prepared.validation if role.startswith("validation") else prepared.train
    if role.endswith("target"):
        return table.target
    return table.inputs[1 if role == "decoder_input" else 0]


@pytest.mark.parametrize("role", BODIES)
@pytest.mark.parametrize("kind", READ_AS_IDS)
def test_rows_of_ids_are_read_from_what_holds_them(model, kind, role):
    found = column(prepare(model, parse_fit(BODIES[role]), {"X": GOOD, "V": READ_AS_IDS[kind]()}), role)
    assert isinstance(found, Rows)
    assert [list(map(int, row)) for row in found] == IDS


@pytest.mark.parametrize("role", BODIES)
@pytest.mark.parametrize("kind", REFUSED_AS_IDS)
def test_what_holds_no_rows_of_ids_is_refused_and_nothing_is_changed(model, kind, role):
    make, words = REFUSED_AS_IDS[kind]
    names = {"X": GOOD, "V": make()}
    before = state(model, names)
    with pytest.raises(DataError, match=words) as error:
        api.fit(model, BODIES[role], names)
    assert all("V" in fault.message and "\n" not in fault.message for fault in error.value.faults)
    places = {"source": (1, 9), "target": (2, 9), "validation": (3, 14), "validation target": (3, 17)}
    assert (error.value.faults[0].line, error.value.faults[0].column) == places.get(role, (3, 16))
    assert state(model, names) == before
    assert (error.value.__cause__ is not None) == ("raise" in kind and kind != "length raises")


def test_nothing_of_a_user_is_written_to(model):
    values = [read_only(), GOOD.copy(), [list(row) for row in IDS], masked()]
    kept = [np.array(value).tobytes() for value in values]
    for value in values[:-1]:
        api.fit(model, "source: V\ntarget: V", {"V": value}, progress=lambda progress: None)
    assert [np.array(value).tobytes() for value in values] == kept


def test_masked_places_are_read_as_padding_where_there_is_one():
    padded = api.build(SPEC + "padding: 0\nstart: 1\nend: 2\n")
    value = np.ma.array(GOOD, mask=[[0, 0, 1], [0, 0, 0]])
    prepared = prepare(padded, parse_fit("source: V\ntarget: V"), {"V": value})
    assert [row.tolist() for row in prepared.train.inputs[0]] == [[3, 4], [6, 7, 8]]
    assert [row.tolist() for row in prepared.train.target] == [[3, 4, 2], [6, 7, 8, 2]]


# -- lengths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        [3, 2],
        (3, 2),
        np.array([3, 2]),
        np.array([3.0, 2.0]),
        np.array([[3], [2]]),
        np.matrix([[3], [2]]),
        range(3, 1, -1),
        collections.deque([3, 2]),
        array.array("i", [3, 2]),
        pd.Series([3, 2]),
        pd.Series([3, 2], dtype="Int64"),
        pd.Index([3, 2]),
        pd.DataFrame({"n": [3, 2]}),
        tf.constant([3, 2]),
        tf.Variable([3, 2]),
        [np.int64(3), np.int64(2)],
        [tf.constant(3), tf.constant(2)],
        np.array([3, 2], object),
        np.ma.array([3, 2]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_lengths_are_read_from_what_holds_one_whole_number_a_row(model, value):
    prepared = prepare(model, parse_fit("source: X\ntarget: X\nlengths: L"), {"X": GOOD, "L": value})
    assert [row.tolist() for row in prepared.train.target] == [[3, 4, 5], [6, 7]]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "L is None"),
        (3, "single value 3"),
        ([3, None], "item 1 is None"),
        ([3, "2"], "L"),
        ([3, [2]], "item 1 has shape"),
        ([3, 2.5], "row 1 is 2.5; expected 1 to 3"),
        ([3, 0], "row 1 is 0; expected 1 to 3"),
        ([3, 4], "row 1 is 4; expected 1 to 3"),
        ([3, -1], "row 1 is -1; expected 1 to 3"),
        ([3], "holds 1 values"),
        ([3.0, np.nan], "is nan at index 1"),
        (np.array([3, 2], "m8[s]"), "holds timedelta64"),
        (np.array([True, True]), "holds truth values"),
        (np.array([3, 2 + 0j]), "holds complex"),
        (["a", "b"], "holds text"),
        (pd.Series([3, None], dtype="Int64"), "row 1 is missing"),
        (np.ma.array([3, 2], mask=[0, 1]), r"index \(1,\) is masked"),
        ({3, 2}, "is a set"),
        ({"a": 3}, "is a dict"),
        (iter([3, 2]), "read only once"),
        (stranger(to_numpy=OSError("gone")), r"its to_numpy\(\) raised OSError: gone"),
        ([RowThatRaises(), 2], r"item 0 cannot be read: its __array__\(\) raised ZeroDivisionError"),
        ([decimal.Decimal(3), decimal.Decimal(2)], "item 0 is of type Decimal"),
        ([2**70, 2], "L"),
        (len, "is the function"),
    ],
)
def test_lengths_that_are_none_are_refused(model, value, words):
    names = {"X": GOOD, "L": value}
    before = state(model, names)
    with pytest.raises(DataError, match=f"line 3, column 10: L.*{words}|line 3, column 10: {words}"):
        api.fit(model, "source: X\ntarget: X\nlengths: L", names)
    assert state(model, names) == before


# -- texts ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader():
    letters = ["ab", "ba"]
    spec = "vocab: {source: L, target: L}\nembed: 2\nencoder: gru(3)\ndecoder: gru(3)\ntokens: char\n"
    found = api.build(spec, namespace={"L": letters})
    return api.fit(found, "source: L\ntarget: L", {"L": letters}, progress=lambda progress: None)


READ_AS_TEXTS = {
    "list": lambda: ["ab", "b"],
    "tuple": lambda: ("ab", "b"),
    "deque": lambda: collections.deque(["ab", "b"]),
    "array": lambda: np.array(["ab", "b"]),
    "array of bytes": lambda: np.array([b"ab", b"b"]),
    "array of objects": lambda: np.array(["ab", "b"], object),
    "column of an array": lambda: np.array([["ab"], ["b"]]),
    "list of np.str_": lambda: [np.str_("ab"), np.str_("b")],
    "list of bytes": lambda: [b"ab", bytearray(b"b")],
    "Series": lambda: pd.Series(["ab", "b"], index=[9, 9]),
    "Series of string": lambda: pd.Series(["ab", "b"], dtype="string"),
    "Series of category": lambda: pd.Series(["ab", "b"], dtype="category"),
    "Categorical": lambda: pd.Categorical(["ab", "b"]),
    "Index": lambda: pd.Index(["ab", "b"]),
    "DataFrame": lambda: pd.DataFrame({"text": ["ab", "b"]}),
    "tensor": lambda: tf.constant(["ab", "b"]),
    "enums of text": lambda: [Spoken.A, "b"],
}

REFUSED_AS_TEXTS = {
    "ids": (lambda: IDS, "holds ids, and model was built with tokens: char"),
    "texts and ids": (lambda: ["ab", 3], "item 1 is 3, no text"),
    "texts and None": (lambda: ["ab", None], "item 1 is None, no text"),
    "texts and NaN": (lambda: pd.Series(["ab", np.nan]), "row 1 is missing: drop such rows"),
    "object NaN": (lambda: ["ab", float("nan")], "item 1 is nan, no text"),
    "broken UTF-8": (lambda: [b"ab", b"a\xff"], r"item 1 is no UTF-8: byte 0xff at 1; decode it with its own encoding"),
    "broken UTF-8 in a tensor": (lambda: tf.constant([b"\xe4b"]), "item 0 is no UTF-8: byte 0xe4 at 0"),
    "broken UTF-8 in an array": (lambda: np.array([b"ab", b"\x80"]), "item 1 is no UTF-8: byte 0x80 at 0"),
    "a surrogate": (lambda: ["ab", "a\ud800"], r"item 1 holds '\\ud800' at 1, half of a surrogate pair"),
    "one text": (lambda: "ab", r"is one text, 'ab'; .*\['ab'\]"),
    "a table of texts": (lambda: np.array([["a", "b"]]), r"has shape \(1, 2\); texts stand in one dimension"),
    "None": (lambda: None, "V is None"),
    "set": (lambda: {"ab"}, "is a set"),
    "dict": (lambda: {"ab": "b"}, "is a dict"),
    "generator": (lambda: (t for t in ["ab"]), "is a generator"),
    "file": (lambda: open(__file__), "is a TextIOWrapper, which can be read only once"),  # noqa: SIM115
}


@pytest.mark.parametrize("role", ["source", "target"])
@pytest.mark.parametrize("kind", READ_AS_TEXTS)
def test_texts_are_read_from_what_holds_them(reader, kind, role):
    found = column(prepare(reader, parse_fit(BODIES[role]), {"X": ["ab", "a"], "V": READ_AS_TEXTS[kind]()}), role)
    assert [reader.tokenizers["source"].decode(row) for row in found] == ["ab", "b"]


@pytest.mark.parametrize("role", ["source", "target", "validation"])
@pytest.mark.parametrize("kind", REFUSED_AS_TEXTS)
def test_what_holds_no_texts_is_refused_and_nothing_is_changed(reader, kind, role):
    make, words = REFUSED_AS_TEXTS[kind]
    names = {"X": ["ab", "b"], "V": make()}
    before = state(reader, names)
    with pytest.raises(DataError, match=words) as error:
        api.fit(reader, BODIES[role], names)
    assert all("\n" not in fault.message for fault in error.value.faults)
    assert state(reader, names) == before
    if hasattr(names["V"], "close"):
        names["V"].close()


# -- inputs, targets and weights of any other model -------------------------------------------------------------------

OTHER = """
import tensorflow as tf
from tensorflow import keras
L = keras.layers
x = keras.Input({given})
model = keras.Model(x, {out})
model.compile("sgd", "mse")
"""
OWN_CLASS = """
from tensorflow import keras
class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)
    def call(self, x):
        return self.dense(x)
model = Own()
model.compile("sgd", "mse")
"""
READERS = {
    "numbers": OTHER.format(given="[3]", out="L.Dense(2)(x)"),
    "ragged": OTHER.format(
        given="[None], ragged=True, dtype='int32'", out="L.Dense(2)(L.GRU(2)(L.Embedding(20, 2)(x)))"
    ),
    "sparse": OTHER.format(given="[3], sparse=True", out="L.Dense(2)(x)"),
    "a class of its own": OWN_CLASS,
}
ROLES = {
    "an input": ("numbers", "source: V\ntarget: T"),
    "a ragged input": ("ragged", "source: V\ntarget: T"),
    "a sparse input": ("sparse", "source: V\ntarget: T"),
    "an input of a class of its own": ("a class of its own", "source: V\ntarget: T"),
    "a target": ("numbers", "source: F\ntarget: V"),
    "a target of a class of its own": ("a class of its own", "source: F\ntarget: V"),
    "weights": ("numbers", "source: F\ntarget: T\nweights: V"),
    "weights of a class of its own": ("a class of its own", "source: F\ntarget: T\nweights: V"),
    "a validation": ("numbers", "source: F\ntarget: T\nvalidation: [V, T]"),
    "a validation's target": ("numbers", "source: F\ntarget: T\nvalidation: {source: F, target: V}"),
    "a validation's weights": ("numbers", "source: F\ntarget: T\nvalidation: {source: F, target: T, weights: V}"),
    "batches": ("numbers", "data: V"),
}
NUMBERS = {"F": GOOD.astype("float32"), "T": GOOD[:, :2]}
NOWHERE = {
    "None": (lambda: None, "is None|NoneType"),
    "number": (lambda: 3, "single value 3|is of type int"),
    "text": (lambda: "abc", "is one text, 'abc'|is of type str"),
    "masked": (masked, r"row 1, position 1 is masked|is of type MaskedArray"),
    "NaN": (lambda: np.full([2, 2], np.nan), "nan|NaN|is of type ndarray"),
    "complex numbers": (lambda: GOOD * 1j, "complex128 values|is of type ndarray"),
    "dict": (lambda: {"a": IDS}, "is a dict with several values|is of type dict"),
    "set": (lambda: {1, 2}, "is a set, which has no order|is of type set"),
    "generator": (lambda: (row for row in IDS), "is a generator|is of type generator"),
    "function": (lambda: len, "is the function|is of type builtin"),
    "symbolic tensor": (lambda: keras.Input([3]), "is a symbolic tensor|is of type KerasTensor"),
    "rows that differ": (lambda: [[[1], [2, 3]], [[1]]], r"item|nested|row 0|differ|is of type list|dimensions"),
    "to_numpy raises": (
        lambda: stranger(to_numpy=ValueError("not\nnow")),
        r"raised ValueError: not$|is of type Stranger",
    ),
    "__array__ raises": (lambda: stranger(__array__=KeyError("a")), r"raised KeyError: 'a'$|is of type Stranger"),
    "iteration raises": (lambda: ListThatRaises(IDS), "raised OSError: the disk is gone$|is of type ListThatRaises"),
    "a row raises": (lambda: [RowThatRaises(), [1, 2]], "raised ZeroDivisionError: no row$|is of type list"),
    "to_numpy gives None": (lambda: stranger(to_numpy=None), "gave a NoneType|is of type Stranger"),
    "length lies": (lambda: stranger(__len__=10**9, __getitem__=[1]), "is of type Stranger"),
    "no class": (NoClass, "is of type NoClass"),
}


@pytest.fixture(scope="module")
def readers():
    return {name: api.trace(code) for name, code in READERS.items()}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", NOWHERE)
def test_what_holds_no_numbers_is_refused_in_one_line_wherever_it_is_named(readers, kind, role):
    reader, body = ROLES[role]
    make, words = NOWHERE[kind]
    model = readers[reader]
    compiled, weights = model.model.compiled_loss, [weight.numpy() for weight in model.model.weights]
    with pytest.raises(DataError, match=words) as error:
        api.fit(model, body, NUMBERS | {"V": make()})
    (fault,) = error.value.faults
    assert "V" in fault.message
    assert "\n" not in fault.message
    line = next(number for number, text in enumerate(body.splitlines(), 1) if "V" in text)
    assert (fault.line, fault.column) == (line, body.splitlines()[line - 1].index("V") + 1)
    assert (error.value.__cause__ is not None) is ("raised" in fault.message or "cannot be made" in fault.message)
    assert (model.evidence, model.model.compiled_loss) == (None, compiled)
    assert all((weight.numpy() == old).all() for weight, old in zip(model.model.weights, weights, strict=True))


@pytest.mark.parametrize(
    ("role", "make"),
    [
        *((role, lambda: np.matrix(GOOD[:, :2])) for role in ("a target", "a target of a class of its own")),
        *((role, lambda: np.matrix(GOOD)) for role in ("an input", "an input of a class of its own", "a validation")),
        ("a ragged input", lambda: np.matrix(GOOD)),
        ("an input", lambda: np.ma.array(GOOD)),
        ("an input", lambda: stranger(to_numpy=GOOD)),
        ("weights", lambda: np.matrix([[1], [2]])),
        ("weights", lambda: np.ma.array([1, 2])),
        ("weights", lambda: pd.Series([1, 2], index=[7, 3])),
        ("weights of a class of its own", lambda: [tf.constant(1), tf.constant(2)]),
    ],
)
def test_numbers_are_read_from_what_holds_them_wherever_it_is_named(readers, role, make):
    reader, body = ROLES[role]
    prepared = prepare(readers[reader], parse_fit(body), NUMBERS | {"V": make()})
    table = prepared.validation if "validation" in role else prepared.train
    found = table.weights[0] if "weights" in role else table.target if "target" in role else table.inputs[0]
    found = np.asarray(found.to_tensor() if role == "a ragged input" else found)
    expected = np.array([1, 2]) if "weights" in role else GOOD[:, :2] if "target" in role else GOOD
    assert found.ravel().tolist() == expected.ravel().tolist()
    assert type(found) is np.ndarray
    assert "weights" in role or found.shape == expected.shape


@pytest.mark.parametrize(
    "kind", [k for k in REFUSED_AS_IDS if k not in ("negative", "outside the vocabulary", "an empty row")]
)
def test_a_vocabulary_is_counted_from_rows_or_refused_in_one_line(kind):
    value = REFUSED_AS_IDS[kind][0]()
    with pytest.raises(SpecError) as error:
        api.build(SPEC.replace("vocab: 20", "vocab: V"), namespace={"V": value})
    assert all("\n" not in fault.message and fault.line == 1 for fault in error.value.faults)


READ_BY = {
    "rows of ids": by_hand(20, 2, 3),
    "numbers": """
from tensorflow import keras
L = keras.layers
source, so_far = keras.Input([3]), keras.Input([None], dtype="int32")
written = L.GRU(3, return_sequences=True)(L.Embedding(20, 2)(so_far), initial_state=L.Dense(3)(source))
model = keras.Model([source, so_far], L.Dense(20)(written))
""",
    "one-hot vectors": """
from tensorflow import keras
L = keras.layers
source, so_far = keras.Input([None, 20]), keras.Input([None, 20])
_, state = L.GRU(3, return_state=True)(source)
model = keras.Model([source, so_far], L.Dense(20)(L.GRU(3, return_sequences=True)(so_far, initial_state=state)))
""",
}
"""Encoders, by what they read."""


@pytest.fixture(scope="module")
def encoders(reader):
    return {"texts": reader} | {name: api.trace(code) for name, code in READ_BY.items()}


@pytest.mark.parametrize("reads", ["texts", *READ_BY])
@pytest.mark.parametrize("kind", [kind for kind in NOWHERE if kind != "text"])
def test_what_holds_no_sources_is_refused_in_one_line(encoders, reads, kind):
    with pytest.raises(DecodeError) as error:
        api.decode(encoders[reads], NOWHERE[kind][0](), max_length=2)
    said = str(error.value)
    assert said.startswith("the sources ")
    assert "\n" not in said
    assert "NAME" not in said
    chain = [error.value, error.value.__cause__, getattr(error.value.__cause__, "__cause__", None)]
    assert (chain[2] is not None) is ("raised" in said)


def test_texts_that_are_no_utf_8_are_refused_wherever_they_are_named(reader):
    broken = [b"ab", b"a\xff"]
    said = r"item 1 is no UTF-8: byte 0xff at 1; decode it with its own encoding, such as item.decode\('latin-1'\)"
    with pytest.raises(DecodeError, match=f"^the sources {said}$"):
        api.decode(reader, broken)
    with pytest.raises(SpecError, match=f"line 1, column 8: V {said}$"):
        api.build(SPEC.replace("vocab: 20", "vocab: V") + "tokens: char\n", namespace={"V": broken})
    texts = api.trace(
        "import tensorflow as tf\nfrom tensorflow import keras\nL = keras.layers\n"
        "words = L.TextVectorization(9, output_sequence_length=3)\nwords.adapt(['a b'])\n"
        "x = keras.Input([], dtype=tf.string)\n"
        "model = keras.Model(x, L.Dense(9, activation='softmax')(L.Embedding(9, 2)(words(x))))\n"
    )
    for body in ("source: V\ntarget: IDS", "source: TEXTS\ntarget: V", "inputs: {x: V}\ntarget: IDS"):
        names = {"V": broken, "TEXTS": ["a", "b"], "IDS": GOOD}
        with pytest.raises(DataError, match=f"V {said}$") as error:
            api.fit(texts, body, names)
        assert isinstance(error.value.__cause__, UnicodeDecodeError)


def test_masked_places_of_sources_are_read_as_padding_where_there_is_one():
    padded = api.build(SPEC + "padding: 0\nstart: 1\nend: 2\n")
    hidden = np.ma.array(GOOD, mask=[[0, 0, 1], [0, 0, 0]])
    assert api.decode(padded, hidden, max_length=3) == api.decode(padded, [[3, 4], [6, 7, 8]], max_length=3)
