"""Build a model from a plan: generate plain Keras source, and run that source under capture."""

from __future__ import annotations

import warnings
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from s2s_magic import addons, backend
from s2s_magic.errors import BuildError, first_line_of
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.data.vocabularies import AnyTokenizer
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.spec import Spec


def build_planned(spec: Spec, spec_text: str, tokenizers: dict[str, AnyTokenizer], *, name: str) -> Seq2Seq:
    """Build a model from a plan.

    Parameters
    ----------
    spec
        The plan, with the sizes of its vocabularies.
    spec_text
        Its text, as it was written.
    tokenizers
        Those counted for it, by side.
    name
        The ledger's name.

    Raises
    ------
    BuildError
        When the model does not fit into memory.
    SetupError
        When no installed Keras can run the generated source.
    """
    from s2s_magic.data.special_ids import spec_ids
    from s2s_magic.data.word_vectors import check_vectors
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.sizing import check_memory, out_of_memory
    from s2s_magic.source import Dialect, generate
    from s2s_magic.tracing import run, started

    check_memory(spec)
    missing = addons.is_needed()
    # TensorFlow Addons' AttentionWrapper cannot be wired in a functional model, and its samplers take no rate by a wire
    own = missing or spec.runs_by_steps
    kind = spec.code or ("keras" if spec.of_keras_alone or (missing and not spec.runs_by_steps) else "tfa")
    spec = spec.model_copy(update={"code": kind})
    dialect = Dialect(kind, backend.OPERATIONS, addons=not own)
    if spec.init and tokenizers:
        check_vectors(spec, tokenizers, name)
    elif spec.init:  # a saved model's weights are put onto it, and the file of vectors may be gone
        spec = spec.model_copy(update={"init": {}})
    source = generate(spec, dialect, {side: tokenizer.tokens for side, tokenizer in tokenizers.items()})
    if dialect.decoder == "tfa":
        _import_addons()
    with Changes() as changes, changes, changes:
        if spec.precision:  # the code itself sets the policy back, if it comes so far
            keras = import_module("tensorflow").keras
            changes.undo_by(partial(keras.mixed_precision.set_global_policy, keras.mixed_precision.global_policy()))
        traced = run(source, {}, name=name, title="generated from the spec")
    if traced.error is not None:
        if out_of_memory(traced.error):
            raise BuildError(f"the model does not fit into memory: {first_line_of(traced.error)}") from traced.error
        raise traced.error
    return Seq2Seq(
        name=name,
        ledger=started(traced.ledger, traced.live) if spec.init else traced.ledger,
        live=traced.live,
        source=source,
        namespace=traced.namespace,
        spec=spec,
        spec_text=spec_text,
        ids=spec_ids(spec),
        tokenizers=tokenizers,
    )


def _import_addons() -> None:
    """Import TensorFlow Addons, if installed, without its end-of-life warning: the user did not import it."""
    if addons.is_needed():
        return  # ours stands in for it
    with Changes() as changes, changes, changes:
        changes.enter(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module="tensorflow_addons")
        import tensorflow_addons  # noqa: F401
