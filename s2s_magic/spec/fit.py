"""The keys of a fit body, and from its text to a plan."""

from __future__ import annotations

from collections.abc import Mapping

from s2s_magic.spec.keys import Key, Read, plain, read_keys
from s2s_magic.spec.literals import Check, call, path, read_value, real, truth, variable, whole, word
from s2s_magic.spec.reading import Entries, Faults, Items, Node, Place, read_entries
from s2s_magic.spec.records import FitPlan, Named

MAX_COUNT = 10_000_000
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
_COMMON: Mapping[str, Check] = {"weight_decay": _decay, **dict.fromkeys(_CLIPPING, _positive)}
_BETAS: Mapping[str, Check] = {"beta_1": _decay, "beta_2": _decay, "epsilon": _positive}


def _optimizer_settings(own: Mapping[str, Check]) -> Mapping[str, Check]:
    return {"learning_rate": _positive, **own, **_COMMON}


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


def _names(check: Check, expected: str, key: str) -> Read:
    """Read a list of names; one alone need not stand in brackets."""
    read_one = plain(check, expected)

    def read(node: Node, faults: Faults, places: dict[str, Place]) -> tuple[str, ...] | None:
        items = node.items if isinstance(node, Items) else (node,)
        places.update({f"{key}.{number}": item.place for number, item in enumerate(items)})
        names = tuple(read_one(item, faults, places) for item in items)
        return None if None in names else names

    return read


_read_pair = _names(variable, "the name of a notebook variable", "validation")
_read_fraction = plain(real(0, 1, closed=False), "a fraction, or the names of source and target")


def _validation(node: Node, faults: Faults, places: dict[str, Place]) -> float | tuple[str, ...] | None:
    if not isinstance(node, Items):
        fraction: float | None = _read_fraction(node, faults, places)
        return fraction
    pair: tuple[str, ...] | None = _read_pair(node, faults, places)
    if len(node.items) != 2:
        faults.add(node.place, f"expected two names, [source, target], got {len(node.items)}")
        return None
    return pair


def _inputs(node: Node, faults: Faults, places: dict[str, Place]) -> dict[str, str] | None:
    if not isinstance(node, Entries) or not node.pairs:
        faults.add(
            node.place, "expected inputs of the model with the variables that feed them, {encoder_inputs: X, ...}"
        )
        return None
    entries = read_entries(node, faults, known=None, required={}, what="input")
    places.update({f"inputs.{name}": entry.value.place for name, entry in entries.items()})
    read_one = plain(variable, "the name of a notebook variable")
    names = {name: read_one(entry.value, faults, places) for name, entry in entries.items()}
    return None if None in names.values() else names


_variable = plain(variable, "the name of a notebook variable")

FIT_KEYS: Mapping[str, Key] = {
    "source": Key("variable with the source sequences", "X", _variable, offers_variables=True),
    "target": Key("variable with the target sequences", "Y", _variable, offers_variables=True),
    "validation": Key("fraction to hold back, or [source, target]", "0.1", _validation, offers_variables=True),
    "model": Key(
        "which of the cell's Keras models to fit; the one compiled last unless given",
        "training_model",
        plain(path, "the name of a model"),
    ),
    "epochs": Key("times through the data; 1 unless given", "10", plain(whole(1, MAX_COUNT), "a number of epochs")),
    "batch": Key("examples in a step; 32 unless given", "32", plain(whole(1, MAX_COUNT), "a number of examples")),
    "optimizer": Key(
        "adam(1e-3), sgd(0.1, momentum=0.9), nadam, rmsprop(1e-3, clipnorm=1) and others",
        "adam(1e-3)",
        _named(OPTIMIZERS, "an optimizer such as adam(1e-3)"),
        offers=tuple(f"{kind}(" for kind in OPTIMIZERS),
    ),
    "loss": Key(
        "sparse_categorical_crossentropy unless given or compiled; (from_logits=true) where no softmax ends the model",
        "sparse_categorical_crossentropy",
        _named(LOSSES, "a loss such as sparse_categorical_crossentropy"),
        offers=tuple(LOSSES),
    ),
    "patience": Key(
        "epochs without a better loss after which to stop", "3", plain(whole(1, MAX_COUNT), "a number of epochs")
    ),
    "seed": Key("seed of all random numbers", "42", plain(whole(0, MAX_SEED), "a seed")),
    "metrics": Key("list of metrics", "[accuracy]", _names(word(*METRICS), "a metric", "metrics"), offers=METRICS),
    "lengths": Key(
        "variable with the target lengths; derived unless given", "seq_lengths", _variable, offers_variables=True
    ),
    "decoder_input": Key(
        "variable with the decoder's input; derived unless given", "X_decoder", _variable, offers_variables=True
    ),
    "inputs": Key("inputs of a traced model by name, with their variables", "{encoder_inputs: X}", _inputs),
    "accelerate": Key(
        "off for Keras's own kernels; on unless given", "off", plain(truth, "on or off"), offers=("on", "off")
    ),
    "shuffle": Key(
        "false to keep the order of the data; true unless given",
        "false",
        plain(truth, "true or false"),
        offers=("true", "false"),
    ),
}


def parse_fit(text: str, *, first_line: int = 1) -> FitPlan:
    """Read a fit body.

    Parameters
    ----------
    text
        YAML; see `FIT_KEYS`.
    first_line
        The cell line of the text's first line: 2 under a cell magic.

    Returns
    -------
    FitPlan
        Names are not looked up yet; `FitPlan.place_of` says where each stands.

    Raises
    ------
    SpecError
        With every fault, each at its line and column.
    """
    faults = Faults()
    values = read_keys(text, first_line, FIT_KEYS, lambda written: {"target": FIT_KEYS["target"].example}, faults)
    given, places = values["given"], values["places"]
    if "source" not in given and "inputs" not in given:
        faults.add((first_line, 1), "the key 'source' is missing: expected for instance 'source: X'")
    for key in ("source", "decoder_input", "lengths"):
        if key in given and "inputs" in given:
            faults.add(places[key], f"'{key}' and 'inputs' do not go together: name every input under 'inputs'")
    if isinstance(values.get("validation"), tuple) and "inputs" in given:
        faults.add(places["validation"], "with 'inputs', validation is a fraction, such as 0.1")
    faults.raise_if_any()
    return FitPlan(**values)
