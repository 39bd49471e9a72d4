"""The keys of a fit body, and the reader that turns its text into a plan."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from s2s_magic.spec.fit_plan import FitPlan
from s2s_magic.spec.held import validation
from s2s_magic.spec.intervals import checkpoints
from s2s_magic.spec.keys import BAD_LINES, Key, Read, plain, read_keys, text
from s2s_magic.spec.learning_rates import learning_rate
from s2s_magic.spec.literals import Check, call, path, read_value, real, truth, whole, word
from s2s_magic.spec.parts import Named
from s2s_magic.spec.reading import Faults, Node, Place
from s2s_magic.spec.references import class_weights, listed, names, variable
from s2s_magic.spec.score import SCORES, check_each_once, scores

MAX_COUNT = 10_000_000
MAX_AVERAGED = 1000
MAX_SEED = 2**32 - 1

METRICS = (
    "accuracy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
)

_positive = real(0, 1e6, closed=False)
_decay = real(0, 1, closed=True)
_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
_COMMON: Mapping[str, Check] = {
    "weight_decay": _decay,
    "ema": real(0, 1, closed=False),
    **dict.fromkeys(_CLIPPING, _positive),
}
_BETAS: Mapping[str, Check] = {"beta_1": _decay, "beta_2": _decay, "epsilon": _positive}


def _optimizer_settings(own: Mapping[str, Check]) -> Mapping[str, Check]:
    return {"learning_rate": learning_rate, **own, **_COMMON}


OPTIMIZERS: Mapping[str, Mapping[str, Check]] = {
    "adam": _optimizer_settings({**_BETAS, "amsgrad": truth}),
    "adamw": _optimizer_settings({**_BETAS, "amsgrad": truth}),
    "nadam": _optimizer_settings(_BETAS),
    "adamax": _optimizer_settings(_BETAS),
    "sgd": _optimizer_settings({"momentum": _decay, "nesterov": truth}),
    "rmsprop": _optimizer_settings({"rho": _decay, "momentum": _decay, "epsilon": _positive, "centered": truth}),
    "adagrad": _optimizer_settings({"initial_accumulator_value": _positive, "epsilon": _positive}),
}
LOSSES: Mapping[str, Mapping[str, Check]] = {
    "sparse_categorical_crossentropy": {"from_logits": truth},
    "categorical_crossentropy": {"from_logits": truth},
    "binary_crossentropy": {},
    "mean_squared_error": {},
    "mean_absolute_error": {},
}


def _named(table: Mapping[str, Mapping[str, Check]], expected: str) -> Read:
    def read(node: Node, faults: Faults, places: dict[str, Place]) -> Named | None:
        value = read_value(node, faults, expected)
        named = None if value is None else call(value, faults, table, expected)
        if value is None or named is None:
            return None
        clipping = [name for name in _CLIPPING if name in named.arguments]
        if len(clipping) > 1:
            faults.add(value.place, f"{' and '.join(clipping)} do not go together: give one")
        return Named(kind=named.kind, arguments=named.arguments)

    return read


_last = _named({"last": {"epochs": whole(1, MAX_AVERAGED)}}, "a number of epochs such as last(5)")


def _average(node: Node, faults: Faults, places: dict[str, Place]) -> int | None:
    """Read over how many of the last epochs the weights are averaged."""
    found = _last(node, faults, places)
    if found is not None and "epochs" not in found.arguments:
        faults.add(node.place, "last needs a number of epochs, as in last(5)")
    return None if found is None else found.arguments.get("epochs")


FIT_KEYS: Mapping[str, Key] = {
    "source": Key("variable or file with the source sequences", "X", variable, offers_variables=True),
    "target": Key(
        "variable or file with the target sequences; for several outputs {name: Y, ...}, a list, or one for all; left "
        "out where the model's loss is its own",
        "Y",
        names("target", "output"),
        offers_variables=True,
    ),
    "data": Key(
        "a tf.data.Dataset or keras.utils.Sequence of batches (inputs, targets), in place of source and target",
        "dataset",
        variable,
        offers_variables=True,
    ),
    "validation": Key(
        "fraction to hold back, [source, target], {inputs: ..., target: ...}, or a dataset where 'data' names one",
        "0.1",
        validation,
        offers_variables=True,
    ),
    "weights": Key(
        "variable with a weight for each row, or for each position; for several outputs {name: W, ...}",
        "W",
        names("weights", "output"),
        offers_variables=True,
    ),
    "class_weights": Key("weight of each class of the target", "{0: 1.0, 1: 2.5}", class_weights),
    "model": Key(
        "which of the cell's Keras models to fit; the one compiled last unless given",
        "training_model",
        plain(path, "the name of a model"),
    ),
    "epochs": Key("times through the data; 1 unless given", "10", plain(whole(1, MAX_COUNT), "a number of epochs")),
    "batch": Key("examples in a step; 32 unless given", "32", plain(whole(1, MAX_COUNT), "a number of examples")),
    "max_tokens": Key(
        "in place of batch: a step has as many examples as fit, counted as examples times ids in the longest",
        "4096",
        plain(whole(1, MAX_COUNT), "a number of ids"),
    ),
    "optimizer": Key(
        "adam(1e-3), sgd(0.1, momentum=0.9), rmsprop(1e-3, clipnorm=1) and others; the rate may be a schedule",
        "adam(cosine(1e-3, steps=10000, warmup=500))",
        _named(OPTIMIZERS, "an optimizer such as adam(1e-3)"),
        offers=tuple(f"{kind}(" for kind in OPTIMIZERS),
    ),
    "accumulate": Key(
        "batches whose gradients are averaged for one update; 1 unless given",
        "4",
        plain(whole(1, MAX_COUNT), "a number of batches"),
    ),
    "average": Key(
        "last(5) gives the model in the end the mean of its weights after each of the last 5 epochs",
        "last(5)",
        _average,
        offers=("last(",),
    ),
    "loss": Key(
        "sparse_categorical_crossentropy unless given or compiled; (from_logits=true) where no softmax ends the model",
        "sparse_categorical_crossentropy",
        _named(LOSSES, "a loss such as sparse_categorical_crossentropy"),
        offers=tuple(LOSSES),
    ),
    "patience": Key(
        "epochs without a better loss, or first metric of validate_with, after which to stop",
        "3",
        plain(whole(1, MAX_COUNT), "a number of epochs"),
    ),
    "validate_with": Key(
        "metrics of decoded outputs, as in a score, for the validation after each epoch; patience counts on the first",
        "[bleu, exact]",
        scores("validate_with"),
        offers=SCORES,
    ),
    "seed": Key("seed of all random numbers", "42", plain(whole(0, MAX_SEED), "a seed")),
    "metrics": Key(
        "list of metrics", "[accuracy]", listed(plain(word(*METRICS), "a metric"), "metrics"), offers=METRICS
    ),
    "lengths": Key(
        "variable with the target lengths; derived unless given", "seq_lengths", variable, offers_variables=True
    ),
    "decoder_input": Key(
        "variable with the decoder's input; derived unless given", "X_decoder", variable, offers_variables=True
    ),
    "inputs": Key(
        "inputs of a traced model by name, with their variables; or their variables in the model's order",
        "{encoder_inputs: X}",
        names("inputs", "input", alone=False),
    ),
    "bad_lines": BAD_LINES,
    "streaming": Key(
        "true to stream files, false to hold them in memory; true for more than 100 MB unless given",
        "true",
        plain(truth, "true or false"),
        offers=("true", "false"),
    ),
    "accelerate": Key(
        "off for Keras's own kernels; on unless given", "off", plain(truth, "on or off"), offers=("on", "off")
    ),
    "shuffle": Key(
        "false to keep the order of the data; true unless given",
        "false",
        plain(truth, "true or false"),
        offers=("true", "false"),
    ),
    "log": Key("folder for TensorBoard logs of losses and evidence", "runs/first", text),
    "checkpoint": Key(
        "folder to save the fit to, after each epoch and every 10 minutes unless {folder: ..., minutes: 5, epochs: 2, "
        "keep: 3} says otherwise",
        "runs/dates",
        checkpoints,
    ),
    "resume": Key("folder of checkpoints to go on from, at the step that the newest one has", "runs/dates", text),
}


_ELSEWHERE = {"precision": "'precision' is a key of a build: layers are made with it, and keep it"}
_IN_BATCHES = "a dataset's batches hold inputs and targets"
_NOT_WITH_DATA: Mapping[str, str] = {
    **dict.fromkeys(("source", "target", "inputs", "decoder_input", "lengths"), _IN_BATCHES),
    "weights": "weights are the third part of a dataset's batches",
    "bad_lines": "a dataset has no lines",
    **dict.fromkeys(("batch", "max_tokens"), "a dataset comes in batches, dataset.batch(32)"),
    "streaming": "a dataset is read as it was made",
    "shuffle": "a dataset comes in its own order, dataset.shuffle(1000)",
}


def _required(needs_target: bool, written: Mapping[str, str]) -> Mapping[str, str]:
    return {"target": FIT_KEYS["target"].example} if needs_target and "data" not in written else {}


def parse_fit(text: str, *, first_line: int = 1, needs_target: bool = True) -> FitPlan:
    """Read a fit body.

    Parameters
    ----------
    text
        YAML; see `FIT_KEYS`.
    first_line
        The cell line of the text's first line: 2 under a cell magic.
    needs_target
        Whether the key ``target`` may not be missing: False for a model that no loss compares with anything.

    Returns
    -------
    FitPlan
        Names are not looked up yet; `FitPlan.place_of` returns the place of each.

    Raises
    ------
    SpecError
        With every fault, each at its line and column.
    """
    faults = Faults()
    required = partial(_required, needs_target)
    values = read_keys(text, first_line, FIT_KEYS, required, faults, elsewhere=_ELSEWHERE)
    given, places = values["given"], values["places"]
    if not {"source", "inputs", "data"} & given:
        faults.add((first_line, 1), "the key 'source' is missing: expected for instance 'source: X'")
    for key in ("source", "decoder_input", "lengths"):
        if key in given and "inputs" in given:
            faults.add(places[key], f"'{key}' and 'inputs' do not go together: name every input under 'inputs'")
    held = values.get("validation")
    if isinstance(held, tuple) and "inputs" in given:
        how = "a fraction, such as 0.1, or {inputs: {...}, target: Yv}"
        faults.add(places["validation"], f"with 'inputs', validation is {how}")
    if {"batch", "max_tokens"} <= given:
        faults.add(places["max_tokens"], "'batch' and 'max_tokens' do not go together: give one")
    if "data" in given:
        for key in _NOT_WITH_DATA:
            if key in given:
                faults.add(places[key], f"'data' and '{key}' do not go together: {_NOT_WITH_DATA[key]}")
        if held is not None and not isinstance(held, str):
            faults.add(places["validation"], "with 'data', validation is the name of another dataset")
    elif isinstance(held, str):
        faults.add(places["validation"], "expected a fraction, such as 0.1, or [source, target], got one name")
    if "validate_with" in given:
        if "data" in given:
            faults.add(places["validate_with"], "a dataset's batches hold no sources to decode: name source and target")
        elif "validation" not in given:
            faults.add(places["validate_with"], "there is no validation to decode: add for instance 'validation: 0.1'")
        check_each_once("validate_with", values, faults)
    faults.raise_if_any()
    return FitPlan(**values)
