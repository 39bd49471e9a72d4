"""Gather what a model is into a document and tensors."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.data.vocabularies import AnyTokenizer
from s2s_magic.handle import Fitted, Seq2Seq
from s2s_magic.keeping.identities import names_of, optimizer_states, states_of, weights_of
from s2s_magic.keeping.kept import Checked, Compiled, Document, Ids, Pieces, Plan, Versions, Vocabulary
from s2s_magic.keeping.recompiling import compiled_record
from s2s_magic.training.snapshots import Snapshot

UNWRITTEN = Checked(bytes=0, sha256="0" * 64)


def gathered(seq2seq: Seq2Seq, snapshot: Snapshot | None = None) -> tuple[Document, dict[str, Any]]:
    """Return the document of a model, without the checksum of its tensors, and the tensors as arrays by name.

    Tensors are ``weights/NAME``; ``starts/NAME``, the value from which fits measure the distance, where it is another;
    ``rows/NAME``, which rows any fit moved; ``states/NAME``; ``optimizer/MODEL/NAME``;
    and for a checkpoint ``fit/NAME``, the arrays of the snapshot.
    """
    seq2seq.refresh()
    names = weights_of(seq2seq)
    fitted = seq2seq.fitted or Fitted()
    tensors: dict[str, Any] = {}
    unmoved = []
    for key, name in names.items():
        value = _array(seq2seq.live.variables[key])
        start = seq2seq.live.starts.get(key, fitted.starts.get(key))
        tensors[f"weights/{name}"] = value
        if start is not None and (start := np.asarray(start)).shape == value.shape and start.dtype == value.dtype:
            if np.array_equal(start, value):
                unmoved.append(name)
            else:
                tensors[f"starts/{name}"] = np.asarray(start, order="C")
        if key in fitted.rows:
            tensors[f"rows/{name}"] = np.asarray(fitted.rows[key], order="C")
    tensors |= {f"states/{name}": _array(variable) for name, variable in states_of(seq2seq).items()}
    compiled: dict[str, Compiled] = {}
    for name, model in seq2seq.models.items():
        if backend.is_compiled(model) and model.optimizer is not None:
            state = (
                optimizer_states(seq2seq, names_of(seq2seq.ledger), name) if backend.has_slots(model.optimizer) else {}
            )
            tensors |= {f"optimizer/{name}/{each}": _array(variable) for each, variable in state.items()}
            if (record := compiled_record(model, state)) is not None:
                compiled[name] = record
    if snapshot is not None:
        tensors |= {f"fit/{name}": each for name, each in snapshot[1].items()}
    ids = seq2seq.ids
    document = Document(
        name=seq2seq.name,
        plan=_plan(seq2seq),
        source=seq2seq.source,
        ids=Ids(
            start=ids.start,
            end=ids.end,
            padding=ids.padding,
            unknown=ids.unknown,
            begins=list(ids.begins),
            tokens=_by_side(ids.tokens),
            added=ids.added,
        ),
        tokenizers=_by_side({side: _vocabulary(each) for side, each in seq2seq.tokenizers.items()}),
        vocabularies=vocabularies_of(seq2seq),
        computes=computes_of(seq2seq),
        ledger=seq2seq.ledger.to_dict(),
        longest=fitted.longest,
        creations=[name for key, name in names.items() if key in seq2seq.live.starts],
        unmoved=unmoved,
        compiled=compiled,
        fit=None if snapshot is None else snapshot[0],
        versions=Versions(
            python=platform.python_version(),
            tensorflow=tf.__version__,
            keras=backend.keras_version(),
            s2s_magic=import_module("s2s_magic").__version__,
        ),
        tensors=UNWRITTEN,
    )
    return document, tensors


def _plan(seq2seq: Seq2Seq) -> Plan | None:
    spec = seq2seq.spec
    if spec is None or not seq2seq.spec_text or spec.code is None:
        return None
    sizes: Any = spec.vocab  # numbers, since the model was built
    vocab: dict[Any, int] = {"source": int(sizes.source), "target": int(sizes.target)}
    return Plan(text=seq2seq.spec_text, code=spec.code, vocab=vocab)


def _vocabulary(tokenizer: AnyTokenizer) -> Vocabulary | Pieces:
    return (Pieces if tokenizer.unit == "subword" else Vocabulary)(**tokenizer.to_dict())


def _by_side(values: Mapping[Any, Any]) -> dict[Any, Any]:
    return {side: values[side] for side in ("source", "target") if side in values}


def vocabularies_of(seq2seq: Seq2Seq) -> dict[str, list[str]]:
    """Return the vocabulary of each layer that turns text into ids, by the layer's name."""
    return {
        seq2seq.ledger.layers[key].name: list(map(str, layer.get_vocabulary()))
        for key, layer in seq2seq.live.layers.items()
        if backend.makes_ids(layer)
    }


def computes_of(seq2seq: Seq2Seq) -> dict[str, str]:
    """Return the dtype that each layer with variables computes in, which a policy of mixed precision sets."""
    owners = {key: seq2seq.live.layers[key] for key in seq2seq.ledger.owned}
    return {
        seq2seq.ledger.layers[key].name: str(layer.compute_dtype)
        for key, layer in owners.items()
        if hasattr(layer, "compute_dtype")
    }


def _array(variable: Any) -> Any:
    return np.asarray(backend.value(variable).numpy(), order="C")
