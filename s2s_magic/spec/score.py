"""The keys of a score body, and the reader that turns its text into a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s2s_magic.spec.keys import Key, Read, plain, read_keys
from s2s_magic.spec.literals import Value, number_in, path, truth, whole, word
from s2s_magic.spec.plans import Placed
from s2s_magic.spec.reading import Faults, Items, Node, Place, Scalar, shown
from s2s_magic.spec.references import listed, names, variable

SCORES = ("exact", "bleu", "chrf", "ter", "token_accuracy", "perplexity", "wer", "per")
"""The metrics of whole outputs, and of the tokens of a target."""
USUAL_SCORES = ("exact", "token_accuracy", "perplexity")
"""The metrics unless given: those that need no further library."""
MOST_RESAMPLES = 100_000
MAX_WORST = 10_000
MAX_SEED = 2**31 - 1
SEED = 12345
"""The seed unless given, which is that of sacrebleu."""


class ScorePlan(Placed):
    """The settings of a score body.

    Attributes
    ----------
    source
        Name of the notebook variable with the sources, or a part of one such as ``df.a``.
    target
        Names of the variables with the references: each holds one for each source.
    metrics
        The metrics, in the order in which they are shown.
    inputs
        What feeds the training model, by input or in order, where it does not follow from source and target.
    search
        The options of the search that the body names; see `s2s_magic.decoding.settings.SearchSettings`.
    max_length, start, end
        As for `s2s_magic.decode`.
    bootstrap
        The number of resamples for the intervals; 0 for no intervals.
    seed
        Of the resamples, and of outputs that are drawn.
    worst
        How many of the worst outputs are kept.
    model
        Name of the Keras model to score, where the code made several.
    """

    source: str
    target: tuple[str, ...]
    metrics: tuple[str, ...] = USUAL_SCORES
    inputs: Mapping[str, str] | tuple[str, ...] = {}
    search: Mapping[str, Any] = {}
    max_length: Any = None
    start: str | None = None
    end: str | None = None
    bootstrap: int = 1000
    seed: int = SEED
    worst: int = 10
    model: str | None = None


def _number(value: Value, faults: Faults) -> int | float | None:
    """Read any number: which ones an option takes is checked where the search reads its options."""
    number = number_in(value)
    if number is None:
        faults.add(value.place, f"expected a number, got {shown(value.text)}")
    return number


def _text(node: Node, faults: Faults, places: dict[str, Place]) -> str | None:
    """Read a text, with or without quotes; the ids of a list become a text with blanks between them."""
    parts = node.items if isinstance(node, Items) else (node,)
    if parts and all(isinstance(part, Scalar) for part in parts):
        return " ".join(part.text for part in parts if isinstance(part, Scalar))
    faults.add(node.place, "expected a text, or ids such as [3, 7]")
    return None


_ANY_NUMBER = plain(_number, "a number")

SEARCH_KEYS: Mapping[str, Key] = {
    "beam": Key("beam search with so many hypotheses; greedy search unless given", "5", _ANY_NUMBER),
    "length_penalty": Key("divide a beam's log-probabilities by ((5 + length) / 6) ** A", "0.6", _ANY_NUMBER),
    "coverage_penalty": Key(
        "rank all outputs that a beam met also by B times how well attention covered the source", "0.2", _ANY_NUMBER
    ),
    "min_length": Key("the least number of ids before the end", "2", _ANY_NUMBER),
    "no_repeat_ngram": Key("say no sequence of N ids twice", "3", _ANY_NUMBER),
    "prefix": Key("what every output begins with: a text, or ids", "[3, 7]", _text),
    "sample": Key(
        "true to draw ids from their probabilities", "true", plain(truth, "true or false"), offers=("true", "false")
    ),
    "temperature": Key("divide logits by T before drawing", "0.8", _ANY_NUMBER),
    "top_k": Key("draw from the N most probable ids", "10", _ANY_NUMBER),
    "top_p": Key("draw from the fewest most probable ids whose probabilities sum to P", "0.9", _ANY_NUMBER),
}
"""The options of a search, which is where their values are checked; with samples, `seed` is that of the drawing."""


def scores(key: str) -> Read:
    """Return the reader of a key with a list of metrics."""
    return listed(plain(word(*SCORES), "a metric"), key)


SCORE_KEYS: Mapping[str, Key] = {
    "source": Key("variable with the sources to decode", "X", variable, offers_variables=True),
    "target": Key(
        "variable with the reference of each source; a list of variables for several references of each",
        "Y",
        listed(variable, "target"),
        offers_variables=True,
    ),
    "metrics": Key(
        f"list of {', '.join(SCORES[:-1])} and {SCORES[-1]}; {', '.join(USUAL_SCORES)} unless given",
        "[bleu, chrf, exact]",
        scores("metrics"),
        offers=SCORES,
    ),
    **SEARCH_KEYS,
    "max_length": Key("longest output", "50", _ANY_NUMBER),
    "start": Key("the id, or the word, that outputs start with; as decode has it unless given", "1", _text),
    "end": Key("the id, or the word, that outputs end with; likewise", "2", _text),
    "inputs": Key(
        "inputs of a traced model, as in a fit, for token_accuracy and perplexity; derived unless given",
        "{encoder_inputs: X, decoder_inputs: D}",
        names("inputs", "input", alone=False),
    ),
    "bootstrap": Key(
        "resamples for the 95 % intervals; 1000 unless given, 0 for no intervals",
        "1000",
        plain(whole(0, MOST_RESAMPLES), "a number of resamples"),
    ),
    "seed": Key(
        f"seed of the resamples, and of outputs that are drawn; {SEED} unless given",
        "42",
        plain(whole(0, MAX_SEED), "a seed"),
    ),
    "worst": Key(
        "how many of the worst outputs are shown; 10 unless given", "5", plain(whole(0, MAX_WORST), "a number of rows")
    ),
    "model": Key(
        "which of the cell's Keras models to score; the one compiled last unless given",
        "training_model",
        plain(path, "the name of a model"),
    ),
}


def parse_score(text: str, *, first_line: int = 1) -> ScorePlan:
    """Read a score body.

    Parameters
    ----------
    text
        YAML; see `SCORE_KEYS`.
    first_line
        The cell line of the text's first line: 2 under a cell magic.

    Returns
    -------
    ScorePlan
        Names are not looked up yet, and the options of the search not checked; `ScorePlan.place_of` returns the place
        of each.

    Raises
    ------
    SpecError
        With every fault, each at its line and column.
    """
    faults = Faults()
    required = {key: SCORE_KEYS[key].example for key in ("source", "target")}
    values = read_keys(text, first_line, SCORE_KEYS, lambda written: required, faults)
    for key in ("target", "metrics"):
        check_each_once(key, values, faults)
    faults.raise_if_any()
    search = {name: values.pop(name) for name in SEARCH_KEYS if name in values}
    return ScorePlan(**values, search=search)


def check_each_once(key: str, values: Mapping[str, Any], faults: Faults) -> None:
    """Add a fault for an empty list, and for one that has an item twice."""
    items = values.get(key)
    if items == ():
        faults.add(values["places"][key], f"an empty list: expected for instance '{key}: {SCORE_KEYS[key].example}'")
    for place, item in enumerate(items or ()):
        if item in (items or ())[:place]:
            faults.add(values["places"][f"{key}.{place}"], f"{item!r} stands here a second time")
