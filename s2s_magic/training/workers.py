"""The workers that train one model together, each a process, as the environment variable ``TF_CONFIG`` names them."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from s2s_magic.errors import SetupError, first_line_of, nearest
from s2s_magic.undoing import Changes

VARIABLE = "TF_CONFIG"
KINDS = ("chief", "worker")
"""The kinds of tasks, in the order in which workers are numbered."""
MINUTES = 30
"""How long a worker waits for the others to start."""

_EXAMPLE = '{"cluster": {"worker": ["one:2222", "two:2222"]}, "task": {"type": "worker", "index": 0}}'
_JOINED: list[tuple[Workers, Any]] = []
"""The workers that this process has joined, with TensorFlow's strategy, which keeps the connections."""


@dataclass(frozen=True)
class Workers:
    """The workers of a fit.

    Attributes
    ----------
    addresses
        Host and port of each, the chief's first.
    index
        The number of this process among them, from 0; worker 0 is the chief, and writes all files.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes."""
        return self.index == 0

    def __str__(self) -> str:
        return f"worker {self.index} of {self.count}"


def workers_named(environment: Mapping[str, str]) -> Workers | None:
    """Read ``TF_CONFIG``; None if it is not set, or names no worker but this one.

    Raises
    ------
    SetupError
        When it is not as TensorFlow documents it: https://www.tensorflow.org/guide/distributed_training#TF_CONFIG
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _fault(f"is no JSON: {first_line_of(error)}") from error
    if not isinstance(given, dict):
        raise _fault("is no JSON object")
    cluster = given.get("cluster") or {}
    if not isinstance(cluster, dict):
        raise _fault("has a 'cluster' that is no JSON object")
    for kind in cluster:
        if kind in ("ps", "evaluator"):
            raise _fault(
                f"names tasks of type {kind!r}, and a fit has none: every worker trains, and the chief validates"
            )
        if kind not in KINDS:
            raise _fault(f"has a 'cluster' with {kind!r}{nearest(kind, KINDS)}")
    listed = {kind: _addresses(kind, cluster[kind]) for kind in KINDS if kind in cluster}
    addresses = tuple(address for kind in KINDS for address in listed.get(kind, ()))
    if len(listed.get("chief", ())) > 1:
        raise _fault("names more than one chief")
    if len(set(addresses)) < len(addresses):
        twice = next(each for each in addresses if addresses.count(each) > 1)
        raise _fault(f"names {twice!r} twice")
    return None if len(addresses) < 2 else Workers(addresses, _index(given.get("task"), listed))


def _addresses(kind: str, given: Any) -> tuple[str, ...]:
    sound = isinstance(given, list) and all(isinstance(each, str) for each in given)
    if not sound:
        raise _fault(f"has a 'cluster' whose {kind!r} is no list of addresses")
    for each in given:
        host, _, port = each.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise _fault(f"names the address {each!r}: expected a host and a port, such as 'one:2222'")
    return tuple(given)


def _index(task: Any, listed: Mapping[str, tuple[str, ...]]) -> int:
    """Return the number among all workers of the task that this process is."""
    if not isinstance(task, dict) or not {"type", "index"} <= task.keys():
        raise _fault("does not say which task this process is: 'task' with 'type' and 'index' is missing")
    kind, index = task["type"], task["index"]
    if not isinstance(kind, str) or kind not in listed:
        hint = nearest(kind, listed) if isinstance(kind, str) else ""
        raise _fault(
            f"says that this process is a {kind!r}, and the cluster has {' and '.join(map(repr, listed))}{hint}"
        )
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(listed[kind]):
        raise _fault(f"says that this process is {kind} {index!r}: expected a number from 0 to {len(listed[kind]) - 1}")
    return index + (len(listed["chief"]) if kind == "worker" and "chief" in listed else 0)


def _fault(said: str) -> SetupError:
    return SetupError(
        f"{VARIABLE} {said}. Expected something like {_EXAMPLE}, or no {VARIABLE} to train on one machine"
    )


def join(workers: Workers) -> None:
    """Connect this process with the others, and wait until all are there; once in the life of a process.

    A process that has waited for `MINUTES` ends with the status 1, by a timer of Python's that needs no interpreter.

    The connections, and finding out that a worker has gone, are those of ``tf.distribute.MultiWorkerMirroredStrategy``.

    Raises
    ------
    SetupError
        When TensorFlow cannot connect them, such as where something else listens at this worker's port.
    """
    path = Path(os.devnull)
    with Changes() as changes, changes, changes:
        # TensorFlow waits without letting Python run a handler; at SIGTERM it does nothing then, whoever handles it
        changes.undo_by(partial(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT)))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        changes.undo_by(faulthandler.cancel_dump_traceback_later)
        with path.open("w") as nowhere:
            faulthandler.dump_traceback_later(MINUTES * 60, file=nowhere, exit=True)
            _JOINED.append((workers, _connected(workers)))


def _connected(workers: Workers) -> Any:
    import tensorflow as tf

    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        others = ", ".join(address for n, address in enumerate(workers.addresses) if n != workers.index)
        raise SetupError(
            f"{workers}, at {workers.addresses[workers.index]}, cannot join those at {others}: {first_line_of(error)}"
        ) from error


def joined() -> Workers | None:
    """Return the workers that this process has joined."""
    return _JOINED[-1][0] if _JOINED else None
