"""The verbs of the magic with their arguments and options: one table for parsing, help and completion."""

from __future__ import annotations

from typing import Any

from s2s_magic.line_words import model_name, new_name, positive
from s2s_magic.search_options import OF_BEAMS, SEARCH

CELL_VERBS = ("build", "trace", "fit", "score")


LINE_VERBS = ("inspect", "explain", "code", "decode", "compare", "diff", "quiz", "save", "load", "export", "list")


_NAME = {"type": model_name, "metavar": "NAME"}
_MODEL = {
    "flags": ("--model",),
    "metavar": "MODEL",
    "help": "which of the code's Keras models is meant; the one compiled last unless given",
}


_TARGET = {
    "flags": ("--target",),
    "metavar": "TARGET",
    "help": "what the followed SOURCE should become; what NAME says unless given",
}
_NEW = {"type": new_name, "metavar": "NAME", "help": "the name to bind"}
_FOLDER = {"metavar": "DIR", "help": "the folder"}
_ENDS: tuple[dict[str, Any], ...] = (
    {"flags": ("--max-length",), "type": int, "metavar": "N", "help": "longest output"},
    {
        "flags": ("--start",),
        "metavar": "ID",
        "help": "the id, or the word, that outputs start with; as in the spec or the fitted data unless given",
    },
    {"flags": ("--end",), "metavar": "ID", "help": "the id, or the word, that outputs end with; likewise"},
)


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
    "score": (
        "Score the outputs of NAME beside references, with 95 % intervals and the worst outputs.",
        "%%seq2seq score translator\nsource: X\ntarget: Y\nmetrics: [bleu, chrf, exact]",
        {"name": {**_NAME, "help": "a fitted model"}},
        ({**_RETURN, "help": "return the scores instead of showing them"},),
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
            {
                "flags": ("--widget",),
                "nargs": 0,
                "default": False,
                "help": "open the inspector, which needs the kernel: it follows a fit, looks names up and decodes",
            },
            {"flags": ("--json",), "metavar": "FILE", "help": "write the ledger"},
            {"flags": ("--html",), "metavar": "FILE", "help": "write one self-contained page"},
            {
                "flags": ("--decode",),
                "metavar": "SOURCE",
                "help": "the page also tells how the output for SOURCE is said",
            },
            {"flags": ("--follow",), "metavar": "SOURCE", "help": "the page also follows SOURCE over the wires"},
            _TARGET,
            {"flags": ("--quiz",), "nargs": 0, "default": False, "help": "the page also has a quiz"},
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
        "Say who owns what about one tensor, layer or variable, and whether it is trained; or how an output is said.",
        "%seq2seq explain translator encoder_embeddings",
        {
            "name": {**_NAME, "help": "a model that build or trace bound"},
            "what": {
                "metavar": "WHAT",
                "nargs": "?",
                "help": "a tensor, a layer or a variable, such as decoder_cell.kernel; or verdicts, for their rules",
            },
        },
        (
            {
                "flags": ("--decode",),
                "metavar": "SOURCE",
                "help": "tell how the output for SOURCE is said, step by step",
            },
            {"flags": ("--instead",), "metavar": "SOURCE", "help": "and beside it that for another source"},
            {
                "flags": ("--follow",),
                "metavar": "SOURCE",
                "help": "follow SOURCE over the wires: shapes, values, norms, and the gradient on its way back",
            },
            _TARGET,
            {"flags": ("--likely",), "type": int, "metavar": "N", "help": "so many probable tokens of each step; 5"},
            {
                "flags": ("--among",),
                "nargs": 2,
                "metavar": ("SOURCES", "TARGETS"),
                "help": "variables with training pairs: those whose decoder state is nearest to that of each step",
            },
            {"flags": ("--nearest",), "type": int, "metavar": "N", "help": "so many of these pairs for each step; 3"},
            {"flags": ("--max-length",), "type": int, "metavar": "N", "help": "longest output"},
            *(option for option in SEARCH if option["flags"][0] in OF_BEAMS),
            _MODEL,
            {**_RETURN, "help": "return the explanation instead of showing it"},
        ),
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
        "Decode a text in quotes, or a notebook variable that holds many: greedily, by beam search or by sampling.",
        '%seq2seq decode translator "July 14, 1789"',
        {
            "name": {**_NAME, "help": "a fitted model"},
            "source": {"metavar": "SOURCE", "help": "text in quotes, or the name of a notebook variable"},
        },
        (
            *_ENDS,
            *SEARCH,
            {
                "flags": ("--alignments",),
                "nargs": 0,
                "default": False,
                "help": "show what the attention looked at for each output, below the outputs",
            },
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
    "diff": (
        "Say what the last run of NAME's cell changed in owners, calls and wires since the run before.",
        "%seq2seq diff translator",
        {"name": {**_NAME, "help": "a model whose cell was run again"}},
        ({**_RETURN, "help": "return the comparison instead of showing it"},),
    ),
    "quiz": (
        "Ask questions about NAME: what a call creates, who owns it, whether it is trained; with answers to open.",
        "%seq2seq quiz translator --questions 8",
        {"name": {**_NAME, "help": "a model that build or trace bound"}},
        (
            {
                "flags": ("--questions",),
                "type": positive,
                "default": 5,
                "metavar": "N",
                "help": "at most N questions; 5",
            },
            {"flags": ("--seed",), "type": int, "default": 0, "metavar": "N", "help": "draw other questions; 0"},
            {**_RETURN, "help": "return the quiz instead of showing it"},
        ),
    ),
    "save": (
        "Save NAME to a folder: weights, optimizer, tokenizers, ledger and evidence; nothing is pickled.",
        "%seq2seq save translator kept/translator",
        {"name": {**_NAME, "help": "a model that build or trace bound"}, "folder": _FOLDER},
        (
            {
                "flags": ("--overwrite",),
                "nargs": 0,
                "default": False,
                "help": "move a folder that s2s_magic did not write out of the way, to DIR.replaced",
            },
        ),
    ),
    "load": (
        "Load a saved model and bind it to NAME: one from a spec is built anew, a traced one is loaded onto NAME.",
        "%seq2seq load translator kept/translator",
        {
            "name": {**_NEW, "help": "the name to bind; for a traced model, that of the model that its code made"},
            "folder": _FOLDER,
        },
        (
            {
                "flags": ("--code",),
                "nargs": 0,
                "default": False,
                "help": "show the saved spec or code instead, and load nothing",
            },
        ),
    ),
    "export": (
        "Export NAME to where s2s_magic is not installed: as ONNX, as a SavedModel, or as a Python program.",
        "%seq2seq export translator --onnx exported",
        {"name": {**_NAME, "help": "a fitted model"}},
        (
            {
                "flags": ("--onnx",),
                "metavar": "DIR",
                "help": "encoder and decoder step for ONNX Runtime, with a decode.py that needs no TensorFlow",
            },
            {"flags": ("--savedmodel",), "metavar": "DIR", "help": "a SavedModel that decodes, with a decode.py"},
            {
                "flags": ("--script",),
                "metavar": "FILE",
                "help": "a program that trains as the last fit did, and decodes",
            },
            *_ENDS,
            _MODEL,
            {
                "flags": ("--overwrite",),
                "nargs": 0,
                "default": False,
                "help": "replace FILE, and move a folder that s2s_magic did not write out of the way, to DIR.replaced",
            },
        ),
    ),
    "list": ("List the models that this notebook has.", "%seq2seq list", {}, ()),
}


# what goes into the body of a cell verb
BODIES = {
    "build": "the spec: vocab, embed, encoder and decoder, one key a line",
    "trace": "the functional Keras code to run",
    "fit": "what to train on: source and target, one key a line",
    "score": "what to score on: source and target, one key a line",
}


def prefix(verb: str) -> str:
    """Return the magic that a verb belongs to, with its percent signs."""
    return "%%seq2seq" if verb in CELL_VERBS else "%seq2seq"


def flags_of(verb: str) -> list[str]:
    """List a verb's options."""
    return [flag for option in VERBS[verb][3] for flag in option["flags"]] + ["--help"]
