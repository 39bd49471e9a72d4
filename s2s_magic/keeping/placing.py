"""Compare a saved model with a live one, and put it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.data.subwords import Subwords
from s2s_magic.data.tokens import Tokenizer
from s2s_magic.data.vocabularies import AnyTokenizer
from s2s_magic.errors import LoadError
from s2s_magic.handle import Fitted, Seq2Seq, SpecialIds
from s2s_magic.keeping.carrying import carried
from s2s_magic.keeping.gathering import computes_of, vocabularies_of
from s2s_magic.keeping.identities import (
    Roots,
    matched,
    names_of,
    optimizer_states,
    renamed,
    states_of,
    weights_of,
)
from s2s_magic.keeping.kept import OptimizerRecord, Pieces
from s2s_magic.keeping.opening import Kept
from s2s_magic.keeping.recompiling import compile_as, optimizer_of, optimizer_record, same_as_compiled
from s2s_magic.spec import Tokenization
from s2s_magic.training.exclusive import take
from s2s_magic.undoing import Changes, attributes_of


def check(seq2seq: Seq2Seq, kept: Kept) -> None:
    """Compare the variables and the vocabularies of a model with the saved ones.

    Raises
    ------
    LoadError
        With every difference on a line of its own; nothing was changed.
    """
    seq2seq.refresh()
    found = list(_differences(seq2seq, kept))
    if found:
        said = f"{kept.folder} does not fit {seq2seq.name}, which stays as it is"
        raise LoadError("\n  ".join([f"{said}; {len(found)} difference{'s' if len(found) > 1 else ''}:", *found]))


def _differences(seq2seq: Seq2Seq, kept: Kept) -> Iterator[str]:
    roots = matched(kept.ledger, seq2seq.ledger)
    names = weights_of(seq2seq, roots)
    saved = {name.partition("/")[2]: each for name, each in kept.shapes.items() if name.startswith("weights/")}
    if saved and not names:
        yield f"{seq2seq.name} has no variables yet: call its model once, or fit it for an epoch, and load again"
        return
    for key, name in names.items():
        variable = seq2seq.live.variables[key]
        shape, dtype = tuple(backend.shape_of(variable) or ()), backend.dtype_of(variable)
        if name not in saved:
            yield f"{name} {shape} is in the model, and was not saved"
        elif saved[name][0] != shape:
            yield f"{name} is {saved[name][0]} as saved, and {shape} in the model"
        elif saved[name][1] != dtype:
            yield f"{name} is {saved[name][1]} as saved, and {dtype} in the model"
    known = set(names.values())
    yield from (
        f"{name} {shape} was saved, and is not in the model" for name, (shape, _) in saved.items() if name not in known
    )
    for layer, dtype in computes_of(seq2seq).items():
        saved_as = kept.document.computes.get(renamed(layer, roots), dtype)
        if saved_as != dtype:
            yield f"{layer} computed in {saved_as} as saved, and computes in {dtype}: set its policy as then"
    present = {renamed(name, roots): words for name, words in vocabularies_of(seq2seq).items()}
    for layer, words in kept.document.vocabularies.items():
        if layer in present and present[layer] != words:
            yield f"the vocabulary of {layer} is another: {len(present[layer])} tokens, and {len(words)} were saved"


def put(seq2seq: Seq2Seq, kept: Kept) -> list[str]:
    """Put a saved model onto a live one that `check` has compared with it; an interrupt leaves the model as it was.

    Returns
    -------
    list of str
        What could not be carried over: one sentence each.
    """
    tensor = kept.tensors()
    done: list[bool] = []
    notes: list[str] = []
    with Changes() as changes, changes, changes:
        for model in seq2seq.models.values():
            take(changes, seq2seq.name, model, alone=False)
        for put_back in as_before(seq2seq):
            changes.undo_by(lambda put_back=put_back: None if done else put_back())  # type: ignore[misc]
        roots = matched(kept.ledger, seq2seq.ledger)
        names = weights_of(seq2seq, roots)
        for key, name in names.items():
            seq2seq.live.variables[key].assign(tensor(f"weights/{name}"))
        notes += _put_states(seq2seq, roots, kept, tensor)
        switched = _put_switches(seq2seq, roots, kept)
        ranks = {model.name: model.compiled or 0 for model in kept.ledger.models}
        # in the order in which they were compiled: the last one is the main one
        for name in sorted(seq2seq.models, key=lambda name: ranks.get(renamed(name, roots), 0)):
            if renamed(name, roots) in kept.document.compiled:
                notes += _put_compiled(seq2seq, name, roots, kept, tensor, switched=switched)
        _put_records(seq2seq, kept, names, tensor)
        done.append(True)
    return notes


def as_before(seq2seq: Seq2Seq) -> list[Callable[[], None]]:
    """Return what restores the present values, settings and records of a model; the first is to be called last."""
    found = [attributes_of(seq2seq), attributes_of(seq2seq.live)]
    for model in seq2seq.models.values():
        found += [backend.attributes_before(model)]
        if backend.is_compiled(model) and model.optimizer is not None:
            found.append(backend.values_of(backend.optimizer_variables(model)))
    variables = [seq2seq.live.variables[key] for key in weights_of(seq2seq)]
    found.append(backend.values_of([*variables, *states_of(seq2seq).values()]))
    found += [_switch_back(layer, layer.trainable) for layer in seq2seq.live.layers.values() if _switches(layer)]
    return found


def _switches(layer: Any) -> bool:
    return backend.is_layer(layer) and hasattr(layer, "trainable") and not backend.is_model(layer)


def _switch_back(layer: Any, trainable: bool) -> Callable[[], None]:
    def put_back() -> None:
        if layer.trainable != trainable:
            layer.trainable = trainable

    return put_back


def _put_states(seq2seq: Seq2Seq, roots: Roots, kept: Kept, tensor: Callable[[str], Any]) -> list[str]:
    """Restore the states of random generators; those of another Keras count otherwise."""
    saved = {name.partition("/")[2]: each for name, each in kept.shapes.items() if name.startswith("states/")}
    present = states_of(seq2seq, roots)
    alike = {
        name: variable
        for name, variable in present.items()
        if saved.get(name, ((), ""))[0] == tuple(backend.shape_of(variable) or ())
        and saved.get(name, ((), ""))[1] == backend.dtype_of(variable)
    }
    if saved and (len(alike) != len(saved) or len(alike) != len(present)):
        return ["its layers' random generators begin anew: those of this Keras have other states"]
    for name, variable in alike.items():
        variable.assign(tensor(f"states/{name}"))
    return []


def _put_switches(seq2seq: Seq2Seq, roots: Roots, kept: Kept) -> bool:
    """Freeze and unfreeze the layers of a model as they were saved; return whether any was switched."""
    saved = {record.name: record.trainable for record in kept.ledger.layers.values()}
    switched = False
    for key, record in seq2seq.ledger.layers.items():
        layer = seq2seq.live.layers[key]
        if _switches(layer) and saved.get(renamed(record.name, roots), layer.trainable) != layer.trainable:
            layer.trainable = saved[renamed(record.name, roots)]
            switched = True
    return switched


def _put_compiled(
    seq2seq: Seq2Seq, name: str, roots: Roots, kept: Kept, tensor: Callable[[str], Any], *, switched: bool
) -> list[str]:
    """Compile a model as it was saved, if it is compiled otherwise, and restore the state of its optimizer."""
    model, record = seq2seq.models[name], kept.document.compiled[renamed(name, roots)]
    own = model.optimizer if backend.is_compiled(model) else None
    said = f"the optimizer {record.optimizer.kind.rpartition('.')[2]} of {name} was not carried over"
    alike = own is not None and _same(optimizer_record(own), record.optimizer)
    if backend.has_own_compile(model) and not alike:
        return [f"{said}: {type(model).__name__} compiles in a way of its own"]
    optimizer = own if alike else optimizer_of(record.optimizer)
    if optimizer is None:
        return [f"{said}: only the code that made it can make it again; the weights are loaded"]
    notes: list[str] = []
    if not backend.has_own_compile(model) and not (alike and same_as_compiled(model, record) and not switched):
        notes = compile_as(model, record, optimizer)
    return [*notes, *_put_optimizer(seq2seq, name, roots, kept, tensor)]


def _same(one: OptimizerRecord, other: OptimizerRecord) -> bool:
    return (one.kind, one.settings) == (other.kind, other.settings)


def _put_optimizer(seq2seq: Seq2Seq, name: str, roots: Roots, kept: Kept, tensor: Callable[[str], Any]) -> list[str]:
    """Restore the variables of a model's optimizer, which makes its slots first if it has none yet."""
    model, as_saved = seq2seq.models[name], renamed(name, roots)
    record = kept.document.compiled[as_saved].optimizer
    kind = type(model.optimizer).__name__
    if not record.state:
        begun = backend.has_slots(model.optimizer)
        return [f"the optimizer {kind} of {name} keeps its own state: it had none when it was saved"] if begun else []
    if not backend.has_slots(model.optimizer):
        backend.make_slots(model.optimizer, backend.trained_by_fit(model))
    present = optimizer_states(seq2seq, names_of(seq2seq.ledger, roots), name)
    saved = {each: kept.shapes[f"optimizer/{as_saved}/{each}"][0] for each in record.state}
    shapes = {each: tuple(backend.shape_of(variable) or ()) for each, variable in present.items()}
    if _needed(saved, record) != _needed(shapes, record):
        return [f"the state of the optimizer {kind} of {name} was not carried over: it has slots for other variables"]
    for each, variable in present.items():
        if each in saved:
            variable.assign(tensor(f"optimizer/{as_saved}/{each}").astype(tf.as_dtype(variable.dtype).as_numpy_dtype))
    return []


def _needed(shapes: Mapping[str, Any], record: OptimizerRecord) -> dict[str, Any]:
    """Leave out what only one Keras has: the rate as a variable, and the momentums of an SGD without momentum."""
    idle = (record.settings or {}).get("momentum") == 0
    return {
        name: shape
        for name, shape in shapes.items()
        if name != "learning_rate" and not (idle and name.startswith("momentums."))
    }


def _put_records(seq2seq: Seq2Seq, kept: Kept, names: Mapping[str, str], tensor: Callable[[str], Any]) -> None:
    """Restore the ids, the tokenizers, and what the fits recorded."""
    document = kept.document
    made: dict[str, AnyTokenizer] = {
        side: (Subwords if isinstance(each, Pieces) else Tokenizer).from_dict(each.model_dump())
        for side, each in document.tokenizers.items()
    }
    if len(made) == 2 and made["source"] == made["target"]:
        made["target"] = made["source"]  # one object, as a vocabulary that both sides share is
    starts: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    for key, name in names.items():
        if name in document.unmoved:
            starts[key] = backend.value(seq2seq.live.variables[key])
        elif f"starts/{name}" in kept.shapes:
            starts[key] = tf.constant(tensor(f"starts/{name}"))
        if f"rows/{name}" in kept.shapes:
            rows[key] = tensor(f"rows/{name}")
    ids = document.ids
    seq2seq.ids = SpecialIds(
        start=ids.start,
        end=ids.end,
        padding=ids.padding,
        unknown=ids.unknown,
        begins=tuple(ids.begins),
        tokens=dict[str, Tokenization](ids.tokens.items()),
        added=ids.added,
    )
    seq2seq.tokenizers = made
    creations = set(document.creations)
    seq2seq.live.starts = {key: start for key, start in starts.items() if names[key] in creations}
    recorded = kept.ledger.training is not None or document.longest is not None
    seq2seq.fitted = Fitted(starts=starts, rows=rows, longest=document.longest) if recorded else None
    seq2seq.refresh()
    seq2seq.ledger, seq2seq.evidence = carried(kept.ledger, seq2seq.ledger)
    seq2seq.inference = None
