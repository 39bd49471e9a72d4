"""A model and its last fit as one plain Python program."""

from __future__ import annotations

import ast
import re

from s2s_magic import backend
from s2s_magic.data.subwords import Subwords
from s2s_magic.decoding.inference import ready_for_any
from s2s_magic.decoding.recipe import DecodingModel
from s2s_magic.decoding.spelling import Names
from s2s_magic.exporting.fit_code import callbacks_code, check_plan, compile_code
from s2s_magic.exporting.model_code import check_free, code_alone
from s2s_magic.exporting.reading_code import (
    SIDES,
    arguments_code,
    batches_code,
    named_files,
    needs_csv,
    rows_code,
    tokens_code,
)
from s2s_magic.exporting.token_files import text_imports
from s2s_magic.handle import Seq2Seq
from s2s_magic.spec import FitPlan

_DECODE_TEXT = '''\
def decode_text(text):
    """Return the most probable output for a text, id by id."""
    source = tf.constant([read_source(text)], "{dtype}")
    ids = {ids}[0].numpy().tolist()
    return write_text({cut})


for text in arguments.texts:
    print(decode_text(text))'''


def training_program(seq2seq: Seq2Seq, max_length: int | None = None) -> tuple[str, dict[str, bytes]]:
    """Return a model and its last fit as a program that needs TensorFlow, and what the model's code imports, alone.

    Parameters
    ----------
    seq2seq
        A fitted model.
    max_length
        The most ids of a decoded output; as for `s2s_magic.decode` by default.

    Returns
    -------
    program : str
        The program. It takes the files to read as arguments, and texts to decode after the training.
    models : dict
        The models of sentencepiece that must stand beside it, by the suffix that each has in place of ``.py``.

    Raises
    ------
    DecodeError
        When the model cannot be decoded.
    FitError
        When there was no fit that a program can do.
    SetupError
        When the model's code cannot stand alone.
    """
    plan = check_plan(seq2seq)
    named = named_files(seq2seq, plan)
    model_code = code_alone(seq2seq, seq2seq.source)
    inference, _ = ready_for_any(seq2seq, max_length=max_length)
    decoding = code_alone(seq2seq, _by_place(seq2seq, inference.source), [model_code])
    model = Names(seq2seq).layer(seq2seq.model)
    definitions, compiled = compile_code(seq2seq, plan, model)
    classes, callbacks = callbacks_code(plan)
    tokenizers = seq2seq.tokenizers
    own = {
        "arguments": arguments_code(named, texts="source" in tokenizers),
        "seed": "" if plan.seed is None else f"keras.utils.set_random_seed({plan.seed})",
        "tokens": "# Text to ids and back.\n" * bool(tokenizers) + tokens_code(tokenizers, inference.ids.end),
        "rows": f"# The rows to train on.\n{rows_code(seq2seq, plan, named)}",
        "batches": batches_code(seq2seq, plan),
        "classes": "\n\n\n".join(filter(None, [definitions, classes])),
        "training": _training(model, plan, compiled, callbacks),
        "decoding": _decoding(inference),
    }
    check_free(seq2seq, [model_code, decoding], own)
    standard, others = text_imports(tokenizers, SIDES)
    standard += ["import argparse", *["import csv"] * needs_csv(named), "from pathlib import Path"]
    imports = _imports(standard, [*others, *model_code.imports, *decoding.imports])
    name = seq2seq.name if seq2seq.name.isidentifier() else "the model"
    parts = [
        f'"""Train {name} as its last fit did, then decode the texts that are given."""\n\n{imports}',
        own["arguments"],
        own["seed"],
        own["tokens"],
        "\n".join(["# The model.", *dict.fromkeys([*model_code.settings, *decoding.settings]), model_code.body]),
        own["rows"],
        own["batches"],
        own["classes"],
        own["training"],
        decoding.body,
        own["decoding"],
    ]
    program = "\n\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
    models = {side: each.model for side, each in tokenizers.items() if isinstance(each, Subwords)}
    return program, {f".{side}.model": content for side, content in models.items()}


def _by_place(seq2seq: Seq2Seq, source: str) -> str:
    """Return code that reaches layers by their places: the names that Keras counts differ in another process."""

    def reached(found: re.Match[str]) -> str:
        layers = [layer.name for layer in seq2seq.namespace[found[1]].layers]
        return f"{found[1]}.layers[{layers.index(found[2])}]"

    return re.sub(r"\b(\w+)\.get_layer\('([^']+)'\)", reached, source)


def _imports(standard: list[str], others: list[str]) -> str:
    """Return import lines, those of the standard library first, each once."""
    mine = ["import tensorflow as tf"]
    if not any(line.split()[-1] == "keras" for line in others):
        mine.append("from tensorflow import keras")
    parts = [dict.fromkeys(standard), dict.fromkeys([*mine, *others])]
    return "\n\n".join("\n".join(sorted(part, key=lambda line: (line.startswith("from"), line))) for part in parts)


def _training(model: str, plan: FitPlan, compiled: str, callbacks: str) -> str:
    """Return the code that compiles the model and fits it."""
    given = [f"make_batches(source_rows, target_rows, shuffle={plan.shuffle})", f"epochs={plan.epochs}"]
    if plan.validation is not None:
        given.append("validation_data=make_batches(held_source_rows, held_target_rows, shuffle=False)")
    if callbacks:
        given.append(f"callbacks={callbacks}")
    lines = "".join(f"    {each},\n" for each in [*given, "verbose=2"])
    return "\n".join(["# The training.", *[compiled] * bool(compiled), f"history = {model}.fit(\n{lines})"])


def _decoding(inference: DecodingModel) -> str:
    """Return the code that decodes the texts that the program is given."""
    way, start, end = inference.way, inference.ids.start or 0, inference.ids.end
    assert way is not None
    starts = f"tf.constant([{start}])"
    if way.entry and way.takes == "sources":
        ids = f"tf.nest.flatten({way.entry}(source))[0]"
    elif way.entry:
        ids = f"tf.nest.flatten({way.entry}([source, {starts}]))[0]"
    else:
        functions = [node.name for node in ast.parse(inference.source).body if isinstance(node, ast.FunctionDef)]
        ids = f"{functions[-1]}(source, {starts})"
    cut = "ids" if end is None else f"ids[: ids.index({end})] if {end} in ids else ids"
    return _DECODE_TEXT.format(dtype=backend.dtype_of(way.source), ids=ids, cut=cut)
