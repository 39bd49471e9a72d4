"""The answer to "who owns this, and is it trained?", in sentences, for a tensor, a layer or a variable."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from s2s_magic.errors import LookupFailed, nearest
from s2s_magic.ledger.bindings import bound_to, parts_of
from s2s_magic.ledger.explain_object import explain_layer, explain_variable
from s2s_magic.ledger.explain_tensor import explain_tensor
from s2s_magic.ledger.explanation import Explanation
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.verdicts import explain_verdicts
from s2s_magic.ledger.words import full_name, line_text, listing, one_line, shape_text

__all__ = ["Explanation", "explain", "names", "shape_text"]

Subject = tuple[str, str]
"""What a name refers to: "layer" or "variable" with its key, "tensor" with the name itself."""


def names(ledger: Ledger) -> list[str]:
    """List every name that `explain` knows: tensors, layers with their aliases and paths, variables."""
    found: dict[str, None] = {}
    for event in ledger.events:
        found.update((tensor.name, None) for tensor in event.outputs if tensor.name)
    for layer in ledger.layers.values():
        if layer.is_written:
            found.update((name, None) for name in (layer.name, *layer.aliases))
    for variable in ledger.variables.values():
        found[full_name(variable)] = None
    return list(found)


def explain(ledger: Ledger, what: str, *, norms: Mapping[str, float] | None = None) -> Explanation:
    """Explain one name of a traced cell.

    Parameters
    ----------
    ledger
        The records.
    what
        A tensor's name (``encoder_embeddings``), a layer's name, alias or path (``decoder.cell``), or a variable: its
        key (``v0``), path (``decoder_cell.kernel``) or Keras name; for a layer or a variable also an unambiguous end
        of a path (``attention`` for ``model.attention``). ``verdicts`` explains the rules by which it is decided
        whether a variable was trained.
    norms
        Present Euclidean norms by variable key, where the live variables are available.

    Returns
    -------
    Explanation
        Sentences and a table of facts.

    Raises
    ------
    LookupFailed
        When there is no such name (suggesting the nearest), or it is the end of several.
    """
    subject = _exactly(ledger, what)
    if subject is None and (other := other_name(ledger, what, in_functions=False)) is not None:
        return other
    if subject is None and what == "verdicts":
        return explain_verdicts(ledger)
    subject = subject or _by_its_end(ledger, what)
    if subject is None:
        if (other := other_name(ledger, what)) is not None:
            return other
        known = names(ledger)
        hint = nearest(what, known) or (f"; known are {listing(known, most=12)}" if known else "")
        raise LookupFailed(f"{ledger.name} has no tensor, layer or variable named {what!r}{hint}")
    kind, key = subject
    if kind == "layer":
        return explain_layer(ledger, key, what)
    if kind == "variable":
        return explain_variable(ledger, key, (norms or {}).get(key))
    event = next(e for e in reversed(ledger.events) if any(tensor.name == key for tensor in e.outputs))
    return explain_tensor(ledger, event, key)


def _exactly(ledger: Ledger, what: str) -> Subject | None:
    by_name = _layer_names(ledger)
    layers = [key for key, known in by_name.items() if what in known]
    if layers:  # a name that was rebound refers to its present object
        return "layer", next((key for key in layers if ledger.layers[key].name == what), layers[0])
    if any(tensor.name == what for event in ledger.events for tensor in event.outputs):
        return "tensor", what
    variables = [key for key, v in ledger.variables.items() if what in {key, full_name(v), v.name, *v.paths}]
    if variables:  # a layer that was given other weights has those
        return "variable", next((key for key in variables if not ledger.variables[key].dropped), variables[0])
    return next(
        (("layer", key) for key, layer in ledger.layers.items() if what in (layer.name, layer.keras_name)), None
    )


def _layer_names(ledger: Ledger) -> dict[str, set[str]]:
    return {
        key: {layer.name, *layer.aliases, *ledger.paths_of(layer)}
        for key, layer in ledger.layers.items()
        if layer.is_written
    }


def _by_its_end(ledger: Ledger, what: str) -> Subject | None:
    """Find the one thing whose name ends in ``what``; None if nothing does, `LookupFailed` if several things do.

    ``inner`` also matches ``inner (1st)`` and ``inner (2nd)``, objects that have lost that name.
    """
    fits = re.compile(rf"(?:.*\.)?{re.escape(what)}(?: \(\d+\w\w\))?")
    ends: Callable[[str], bool] = lambda name: fits.fullmatch(name) is not None  # noqa: E731
    found: dict[Subject, str] = {}
    for key, known in _layer_names(ledger).items():
        if fitting := sorted(filter(ends, known), key=len):
            found["layer", key] = ledger.layers[key].name if ends(ledger.layers[key].name) else fitting[0]
    if not found:
        for key, variable in ledger.variables.items():
            if fitting := sorted(filter(ends, {full_name(variable), *variable.paths}), key=len):
                found["variable", key] = fitting[0]
        for event in ledger.events:
            for tensor in event.outputs:
                if tensor.name and ends(tensor.name):
                    found["tensor", tensor.name] = tensor.name
    if len(found) == 1:
        return next(iter(found))
    if found:
        may_be = listing(list(found.values()), most=12)
        raise LookupFailed(f"{what!r} is the end of several names: {may_be}; write one of them in full")
    return None


def other_name(ledger: Ledger, what: str, *, in_functions: bool = True) -> Explanation | None:
    """Explain a name that the cell binds to something else: a list of tensors, a sampler, an array."""
    if parts := parts_of(ledger, what):
        said = f"{what} is not one tensor: it holds {listing(parts)}. None of them holds weights."
        return Explanation(subject=what, kind="name", sentences=(said, f"Ask for one of them: {parts[0]}."))
    if (bound := bound_to(ledger, what, in_functions=in_functions)) is None:
        return None
    cell, line, _, text = bound
    said = "It is neither a tensor nor a layer nor a variable of this ledger: it owns nothing that is trained."
    if bound_to(ledger, what, in_functions=False) is None:
        said = (
            "That is within a function, and none of the recorded layers, variables and wires: data that flow within a "
            "call are not recorded."
        )
    sentences = (f"{what} is bound in {line_text(cell, line)} to {one_line(text)}.", said)
    return Explanation(subject=what, kind="name", sentences=sentences)
