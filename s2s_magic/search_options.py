"""The options of a search on the line of a magic, and their names in Python."""

from __future__ import annotations

from typing import Any

SEARCH: tuple[dict[str, Any], ...] = (
    {"flags": ("--beam",), "type": int, "metavar": "N", "help": "beam search with so many hypotheses"},
    {"flags": ("--n-best",), "type": int, "metavar": "N", "help": "show so many outputs for each source, best first"},
    {
        "flags": ("--length-penalty",),
        "type": float,
        "metavar": "A",
        "help": "divide log-probabilities by ((5 + length) / 6) ** A; of use in a beam",
    },
    {
        "flags": ("--coverage-penalty",),
        "type": float,
        "metavar": "B",
        "help": "rank all outputs that a beam met also by B times how well attention covered the source",
    },
    {"flags": ("--min-length",), "type": int, "metavar": "N", "help": "the least number of ids before the end"},
    {"flags": ("--no-repeat-ngram",), "type": int, "metavar": "N", "help": "say no sequence of N ids twice"},
    {"flags": ("--prefix",), "metavar": "TEXT", "help": "what every output begins with"},
    {"flags": ("--sample",), "nargs": 0, "default": None, "help": "draw ids from their probabilities"},
    {"flags": ("--temperature",), "type": float, "metavar": "T", "help": "divide logits by T before drawing"},
    {"flags": ("--top-k",), "type": int, "metavar": "N", "help": "draw from the N most probable ids"},
    {
        "flags": ("--top-p",),
        "type": float,
        "metavar": "P",
        "help": "draw from the fewest most probable ids whose probabilities sum to P",
    },
    {"flags": ("--seed",), "type": int, "metavar": "N", "help": "of the drawing"},
)


OF_BEAMS = ("--beam", "--n-best", "--length-penalty", "--min-length", "--no-repeat-ngram", "--prefix")


SEARCH_OPTIONS = tuple(str(option["flags"][0]).lstrip("-").replace("-", "_") for option in SEARCH)
"""The names of these options, in Python."""


TELL_OPTIONS = ("likely", "nearest", "max_length", *(flag.lstrip("-").replace("-", "_") for flag in OF_BEAMS))
"""The names of the options of telling how an output is said, in Python."""
