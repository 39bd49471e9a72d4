"""The live objects behind a ledger's keys, kept alive so that identities stay valid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from s2s_magic.ledger import Ledger


@dataclass
class Live:
    """Keras and TensorFlow objects by the ledger's keys.

    Attributes
    ----------
    layers, variables
        Layer objects and ``tf.Variable`` objects by ledger key (``L3``, ``v0``).
    tensors
        Symbolic tensors by (event index, output number).
    models
        Keras models by their names in the ledger's ``models``.
    filenames
        Numbers of the traced cells by the file names their code was compiled under: functions of an earlier cell
        keep their place.
    starts
        Initial values of variables, as tensors by ledger key, where they were seen and kept.
    examined
        Indexes of the calls already examined for where gradients end.
    listed
        Keys of the variables that a layer has listed at some time.
    within
        Keys of two layers, of which the first was seen to call the second.
    """

    layers: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    tensors: dict[tuple[int, int], Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    filenames: dict[str, int] = field(default_factory=dict)
    starts: dict[str, Any] = field(default_factory=dict)
    examined: set[int] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    within: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class Traced:
    """The result of running a cell under capture.

    Attributes
    ----------
    ledger, live
        What happened, as plain data, and the objects it happened to.
    namespace
        Where the code's names live.
    error
        What the code raised, KeyboardInterrupt included; the ledger then ends there. None if it ran to its end.
    """

    ledger: Ledger
    live: Live
    namespace: dict[str, Any]
    error: BaseException | None = None
