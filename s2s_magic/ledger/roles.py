"""Which model is meant, where a ledger holds several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s2s_magic.errors import LookupFailed, nearest
from s2s_magic.ledger.records import Layer, ModelRecord


def meant(models: Sequence[ModelRecord]) -> ModelRecord | None:
    """Choose the model that is meant where none is named.

    Parameters
    ----------
    models
        In the order in which they were made.

    Returns
    -------
    ModelRecord or None
        The one compiled last; else the one fitted last made; else the last made that is neither for inference nor a
        part of another; else the last made. None where there is none.
    """
    compiled = [model for model in models if model.compiled is not None]
    if compiled:
        return max(compiled, key=lambda model: model.compiled or 0)
    fitted = [model for model in models if "fitted" in model.roles]
    alone = [model for model in models if not {"inference", "part"} & set(model.roles)]
    choice = fitted or alone or models
    return choice[-1] if choice else None


def named(models: Sequence[ModelRecord], layers: Mapping[str, Layer], name: str) -> ModelRecord:
    """Find a model by a name of the code, its Keras name, or the unambiguous end of either.

    Raises
    ------
    LookupFailed
        When there is no such model, or several; with those there are and the nearest.
    """
    known = {model.name: {model.name, *_names(layers.get(model.object))} for model in models}
    exact = [model for model in models if name == model.name] or [m for m in models if name in known[m.name]]
    found = exact or [m for m in models if any(other.endswith(f".{name}") for other in known[m.name])]
    if len(found) == 1:
        return found[0]
    if not models:
        raise LookupFailed(f"no model {name!r}: there is no Keras model yet")
    if found:
        raise LookupFailed(f"{name!r} may be any of the models {_listed([model.name for model in found])}: name one")
    ends = {word for names in known.values() for other in names for word in (other, other.rpartition(".")[2])}
    hint = nearest(name, sorted(ends))
    raise LookupFailed(f"no model {name!r}; known are {_listed([described(model) for model in models])}{hint}")


def described(model: ModelRecord) -> str:
    """Give a model's name with its roles: ``decoder_model (inference)``."""
    return f"{model.name} ({', '.join(model.roles)})" if model.roles else model.name


def _names(layer: Layer | None) -> tuple[str, ...]:
    return (*layer.aliases, layer.keras_name) if layer is not None else ()


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
