"""The ``decode.py`` of an exported model: a program that decodes texts, or rows of ids, without s2s_magic."""

from __future__ import annotations

from s2s_magic.data.subwords import Subwords
from s2s_magic.exporting.greedy_graphs import Searched
from s2s_magic.exporting.token_files import (
    DOCUMENT,
    model_line,
    reader,
    spelling_line,
    text_imports,
    vocabulary_line,
    writer,
)

_PROGRAM = '''\
"""Decode {what} with {runs}: python decode.py {example}."""

{standard}

{others}

here = Path(__file__).parent
settings = json.loads((here / "{document}").read_text("utf-8"))
{lines}


{read}


{decode}


{write}


if __name__ == "__main__":
    for text in sys.argv[1:]:
        source = read(text) or sys.exit(f"{{text!r}} has nothing to read")
        print(write(decode(source)))
'''

_BY_STEPS = '''\
def decode(source):
    """Return the ids of an output: at each step the most probable one, until the end id."""
    state = encoder.run(None, {"source": np.array([source], np.int32)})
    ids = [settings["start"]]
    for _ in range(settings["longest"]):
        given = [np.array(ids[-1:], np.int32), *state]
        scores, *after = decoder_step.run(None, dict(zip(inputs, given)))
        state = [*after, *state[len(after) :]]  # a step changes the first parts of the state
        ids.append(int(scores[0].argmax()))
        if ids[-1] == settings["end"]:
            break
    return [each for each in ids[1:] if each != settings["end"]]'''

_AS_A_WHOLE = '''\
def decode(source):
    """Return the ids of an output: at each step the most probable one, until the end id."""
    found = serve(source=tf.constant([source], tf.int32))
    ids = found["ids"][0, : found["lengths"][0]].numpy().tolist()
    return ids[:-1] if ids[-1] == settings["end"] else ids'''


def onnx_program(model: Searched) -> str:
    """Return the ``decode.py`` beside ``encoder.onnx`` and ``decoder_step.onnx``."""
    return _program(
        model,
        "encoder.onnx and decoder_step.onnx",
        ["import numpy as np", "import onnxruntime"],
        [
            'encoder = onnxruntime.InferenceSession(str(here / "encoder.onnx"))',
            'decoder_step = onnxruntime.InferenceSession(str(here / "decoder_step.onnx"))',
            "inputs = [each.name for each in decoder_step.get_inputs()]",
        ],
        _BY_STEPS,
    )


def saved_model_program(model: Searched) -> str:
    """Return the ``decode.py`` within a SavedModel's folder."""
    return _program(
        model,
        "the SavedModel in this folder",
        ["import tensorflow as tf"],
        ["loaded = tf.saved_model.load(str(here))", 'serve = loaded.signatures["serving_default"]'],
        _AS_A_WHOLE,
    )


def _program(model: Searched, runs: str, others: list[str], lines: list[str], decode: str) -> str:
    source, target = model.tokenizers.get("source"), model.tokenizers.get("target")
    standard, more = text_imports(model.tokenizers, ["source"])
    lines = [
        model_line(side, f'here / "{side}.model"')
        for side, each in sorted(model.tokenizers.items())
        if isinstance(each, Subwords)
    ] + lines
    if source is not None:
        lines.append(vocabulary_line(source, "source", 'settings["source"]["tokens"]'))
    if target is not None:
        lines.append(spelling_line('settings["target"]["tokens"]'))
    return _PROGRAM.format(
        what="rows of ids" if source is None else "texts",
        runs=runs,
        example='"5 3 8" "4 7"' if source is None else '"a text" "another"',
        standard="\n".join(["import json", "import sys", "from pathlib import Path", *standard]),
        others="\n".join(sorted([*others, *more])),
        document=DOCUMENT,
        lines="\n".join(lines),
        read=reader(source, "source", "read"),
        decode=decode,
        write=writer(target, model.end, "write"),
    )
