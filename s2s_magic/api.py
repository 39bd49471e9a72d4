"""Everything the magics do, as Python functions that need no notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s2s_magic import backend
from s2s_magic.errors import DataError, Fault, FitError, LookupFailed
from s2s_magic.explaining import explain
from s2s_magic.exports import export
from s2s_magic.resuming import fit_resumably
from s2s_magic.saving import load, save, saved_code
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.decoded import Decodings
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.ledger import Ledger
    from s2s_magic.ledger.compare import Comparison


def build(
    spec_text: str,
    *,
    name: str = "model",
    namespace: Mapping[str, Any] | None = None,
    first_line: int = 1,
) -> Seq2Seq:
    """Build a model from a spec: generate plain Keras source, and run that source under capture.

    Parameters
    ----------
    spec_text
        The spec, in YAML.
    name
        The ledger's name.
    namespace
        Where names in the spec are looked up (texts whose vocabulary is counted).
    first_line
        The line number of the first line, for faults; 2 for the body of a cell magic.

    Returns
    -------
    Seq2Seq
        The model, its layers and tensors by name, its source and its ledger.

    Raises
    ------
    SpecError
        With every fault in the spec, each with its line and column.
    BuildError
        When the model does not fit into memory; checked before anything is created, where the limit is known.
    SetupError
        When no installed Keras can run the generated source.

    Examples
    --------
    >>> spec = "{vocab: 20, embed: 4, encoder: gru(4), decoder: gru(4)}"
    >>> model = s2s_magic.build(spec, name="small")
    >>> model.model.count_params()
    420
    """
    backend.active()
    from s2s_magic.data.vocabularies import count_vocabularies
    from s2s_magic.planned import build_planned
    from s2s_magic.spec import parse_spec

    spec, tokenizers = count_vocabularies(parse_spec(spec_text, first_line=first_line), namespace or {})
    return build_planned(spec, spec_text, tokenizers, name=name)


def trace(
    code: str, namespace: dict[str, Any] | None = None, *, name: str = "model", before: Seq2Seq | None = None
) -> Seq2Seq:
    """Run functional Keras code under capture.

    Parameters
    ----------
    code
        Python source; its variables are stored in ``namespace``.
    namespace
        The namespace to run in; a new one by default.
    name
        The ledger's name.
    before
        A model whose ledger to continue.

    Returns
    -------
    Seq2Seq
        The last model that the code made (``model`` is None if it made none), and the ledger.

    Raises
    ------
    BuildError
        In place of an error from Keras or TensorFlow Addons that does not say what to change: inputs missing from a
        model, attention over symbolic tensors. The original error is its cause.
    BaseException
        Any other exception from the code, unchanged.

    Examples
    --------
    >>> code = "from tensorflow import keras; x = keras.Input([3]); model = keras.Model(x, keras.layers.Dense(2)(x))"
    >>> seen = s2s_magic.trace(code)
    >>> seen.ledger.totals().total
    8
    """
    from s2s_magic.traced_cell import trace_cell

    seen, error = trace_cell(code, {} if namespace is None else namespace, name=name, before=before)
    if error is not None:
        raise error
    return seen


def fit(
    model: Seq2Seq,
    body: str,
    namespace: Mapping[str, Any],
    *,
    first_line: int = 1,
    progress: Callable[[Any], None] | None = None,
    watch: Callable[[Seq2Seq], None] | None = None,
) -> Seq2Seq:
    """Train a model on data, and keep evidence for every variable.

    Parameters
    ----------
    model
        The result of `build` or `trace`; changed in place.
    body
        The keys of a fit, in YAML: ``source``, ``target``, ``epochs`` and so on; ``model`` chooses one of several.
    namespace
        Where the names in the body are looked up.
    first_line
        The line number of the body's first line, for faults.
    progress
        Called with each `s2s_magic.training.progress.Progress`, at most twice a second; None chooses a display for
        the environment.
    watch
        Called with the model and its evidence so far after an epoch, at most once a second.

    Returns
    -------
    Seq2Seq
        The same object.

    Raises
    ------
    SpecError
        When the body cannot be read.
    DataError
        When the data do not fit the model; nothing has been changed.
    SetupError
        When Keras computes with another backend than TensorFlow.
    FitError
        When there is no model, or the loss became non-finite (the last finite epoch's weights are restored).
    KeyboardInterrupt
        When interrupted; weights, optimizer and history are kept.

    Examples
    --------
    >>> model = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2)}")
    >>> data = {"X": [[3, 4], [5, 6]], "Y": [[4, 3], [6, 5]]}
    >>> s2s_magic.fit(model, "{source: X, target: Y, epochs: 2}", data)
    <Seq2Seq 'model': ... trainable, ... events, fitted 2 epochs>
    >>> len(model.history["loss"])
    2
    """
    from s2s_magic.data.losses import needs_target
    from s2s_magic.display import surroundings
    from s2s_magic.spec import parse_fit
    from s2s_magic.training import fit as train
    from s2s_magic.training.workers import joined

    backend.check_runs_on_tensorflow("fitting")
    asks_all = all(map(needs_target, model.live.models.values()))
    plan = parse_fit(body, first_line=first_line, needs_target=asks_all)
    if model.model is None:
        raise FitError(f"{model.name} has no model to fit: its cell ended before a Model was made")
    current_ledger(model)  # another cell may have compiled a different model since
    with Changes() as changes, changes, changes:
        try:
            changes.enter(model.chosen(plan.model))
        except LookupFailed as error:
            raise DataError([Fault(*plan.place_of("model"), str(error))]) from error
        run = train if plan.checkpoint is None and plan.resume is None and joined() is None else fit_resumably
        run(model, plan, namespace, progress=progress or surroundings(), watch=watch)
    return model


def decode(
    model: Seq2Seq,
    sources: Any,
    *,
    max_length: int | None = None,
    start: int | str | None = None,
    end: int | str | None = None,
    which: str | None = None,
    **search: Any,
) -> Decodings:
    """Decode over the same layer objects that were trained: greedily, by beam search, or by drawing samples.

    Parameters
    ----------
    model
        A model with a decoder: TFA's ``BasicDecoder``, or recurrent layers that start from an encoder's states.
    sources
        One text, or a sequence of texts or id sequences, or one-hot vectors of shape (rows, steps, symbols).
    max_length
        Maximum output length; by default the spec's, else the longest target in the fits.
    start, end
        The id or the word that rows start and end with; by default the spec's, else those of the fitted data.
    which
        The name of the Keras model to use, where the code made several.
    **search
        How the outputs are searched for: the attributes of `s2s_magic.decoding.settings.SearchSettings`.

    Returns
    -------
    Decodings
        A list of texts, or of lists of ids, up to the end id; see `s2s_magic.decoded.Decodings` for the rest.

    Raises
    ------
    DecodeError
        When the model cannot be decoded, or a source or an option does not fit it.

    Examples
    --------
    >>> model = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), max_length: 5}")
    >>> (output,) = s2s_magic.decode(model, [[3, 4]])
    >>> len(output) <= 5
    True
    """
    from s2s_magic.decoding import decode as run_decoding

    with Changes() as changes, changes, changes:
        changes.enter(model.chosen(which))
        several = [sources] if issubclass(type(sources), str) else sources  # ``__class__`` may lie
        return run_decoding(model, several, max_length=max_length, start=start, end=end, **search)


def current_ledger(model: Seq2Seq) -> Ledger:
    """Return the ledger, updated to the present state of its objects (a layer frozen since, for example)."""
    return model.refresh()


def compare(one: Seq2Seq, other: Seq2Seq) -> Comparison:
    """Compare who owns what in two models; see `s2s_magic.ledger.compare`.

    Examples
    --------
    >>> one = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2)}", name="one")
    >>> two = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), share: false}", name="two")
    >>> s2s_magic.compare(one, two).sentences[-1]
    'In total two has 18 parameters more than one.'
    """
    from s2s_magic.ledger.compare import compare as compare_ledgers

    return compare_ledgers(current_ledger(one), current_ledger(other))


def models_in(namespace: Mapping[str, Any]) -> dict[str, Seq2Seq]:
    """Return the models in a namespace, by name."""
    from s2s_magic.handle import Seq2Seq

    return {name: value for name, value in namespace.items() if isinstance(value, Seq2Seq) and not name.startswith("_")}


__all__: Sequence[str] = [
    "build",
    "compare",
    "decode",
    "explain",
    "export",
    "fit",
    "load",
    "save",
    "saved_code",
    "trace",
]
