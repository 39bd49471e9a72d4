"""The handle: the object that a notebook's name is bound to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from s2s_magic.ledger import Evidence, Finding, Ledger
from s2s_magic.ledger.bindings import end_of_statement
from s2s_magic.ledger.drift import drift_of
from s2s_magic.ledger.drift import nothing_to_train as nothing_to_train_in

if TYPE_CHECKING:
    from s2s_magic.data.vocabularies import AnyTokenizer
    from s2s_magic.spec import FitPlan, Spec, Tokenization
    from s2s_magic.tracing import Live
    from s2s_magic.training.steps import Steps


@dataclass(frozen=True)
class Fitted:
    """What fits record for later fits and for decoding.

    Attributes
    ----------
    starts : dict
        By ledger key, the value (a ``tf.Tensor``) from which each watched variable's distance is measured.
    rows : dict
        By ledger key, for each variable that is read by rows, which rows any fit moved (a boolean array).
    longest : int or None
        Length in ids of the longest target seen.
    plan : FitPlan or None
        The body of the last fit; None for a model that was loaded.
    """

    starts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    rows: Mapping[str, Any] = field(default_factory=dict, repr=False)
    longest: int | None = None
    plan: FitPlan | None = None


@dataclass(frozen=True)
class SpecialIds:
    """The special ids, and what the others represent: from the spec, else from a fit's data.

    Attributes
    ----------
    start, end : int or None
        The id that begins the decoder's input, and the one that ends every target row and occurs nowhere else in it.
    padding : int or None
        The id that pads rows, and is masked.
    unknown : int or None
        The id for tokens outside the vocabulary.
    begins : tuple
        For each input of the model, the id or word that begins all of its rows; None where they differ.
    tokens : dict
        What an id represents, by side (``source``, ``target``): characters, words or subwords; no entry if unknown.
    added : bool
        Whether a fit adds start and end to the rows, as for a model from a spec; else the data contain them.
    """

    start: int | None = None
    end: int | None = None
    padding: int | None = None
    unknown: int | None = None
    begins: tuple[int | str | None, ...] = ()
    tokens: Mapping[str, Tokenization] = field(default_factory=dict)
    added: bool = False


@dataclass(eq=False, repr=False)
class Seq2Seq:
    """A model with the ledger of its construction.

    Attributes
    ----------
    name : str
        The notebook name it is bound to.
    ledger : Ledger
        Every construction and call, and who owns which variable.
    live : Live
        The layer objects, variables and tensors behind the ledger's keys.
    source : str
        The code that ran: generated from the spec, or the traced cell's own.
    namespace : dict
        The namespace of that code (the notebook's own for a traced cell).
    spec : Spec or None
        The plan it was built from; None for a traced model.
    spec_text : str
        The text of that plan, as it was written; empty for a traced model.
    ids : SpecialIds
        Which ids start, end and pad rows.
    tokenizers : dict
        ``source`` and ``target`` tokenizers once they are known; empty for integer ids.
    evidence : Evidence or None
        What was measured during the fits.
    fitted : Fitted or None
        What the fits recorded for later ones.
    inference : Seq2Seq or None
        The decoding model, once there is one; its ledger shows that it owns no variables itself.
    steps : Steps or None
        The training step traced by the last fit, for reuse by the next.
    attempt : Ledger or None
        The ledger of a later traced cell that raised, in which case the name kept this model.
    replaced : object
        What the name was bound to before, if that was not a `Seq2Seq`.
    previous : Ledger or None
        The ledger that the name had before its cell was run again, as it was then; without evidence, and not the model.
    """

    name: str
    ledger: Ledger
    live: Live
    source: str
    namespace: dict[str, Any]
    spec: Spec | None = None
    spec_text: str = ""
    ids: SpecialIds = SpecialIds()
    tokenizers: dict[str, AnyTokenizer] = field(default_factory=dict)
    evidence: Evidence | None = None
    fitted: Fitted | None = None
    inference: Seq2Seq | None = None
    attempt: Ledger | None = None
    replaced: Any = None
    previous: Ledger | None = None
    steps: Steps | None = None

    def __repr__(self) -> str:
        if (main := self.ledger.main_model) is None:
            made = "no model"
        else:
            made = f"{main.total:,} parameters, {main.trainable:,} trainable"
        epochs = sum(run.epochs for run in self.evidence.runs) if self.evidence else 0
        fitted = f", fitted {epochs} epoch{'' if epochs == 1 else 's'}" if epochs else ""
        return f"<Seq2Seq {self.name!r}: {made}, {len(self.ledger.events)} events{fitted}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from s2s_magic.view.bundles import report_display

        return report_display(self.ledger)._repr_mimebundle_()

    @property
    def model(self) -> Any:
        """The main Keras Model, or None if the traced code made none; see `Ledger.main_model`."""
        main = self.ledger.main_model
        return self.live.models[main.name] if main else None

    @property
    def models(self) -> dict[str, Any]:
        """All Keras models of the code by name, in order of construction."""
        return {record.name: self.live.models[record.name] for record in self.ledger.models}

    def source_of(self, name: str) -> str:
        """Return the code up to the construction of one of the models.

        Raises
        ------
        LookupFailed
            If there is no such model; the message lists the models and suggests the nearest.
        """
        made = self.ledger.model(name).event
        if made is None:
            return self.source
        event = self.ledger.events[made]
        place = event.outer or event
        cells = self.ledger.cells[: place.cell]
        lines = cells[-1].text.splitlines()
        end = end_of_statement(cells[-1].text, place.end_line - cells[-1].first_line + 1)
        return "\n\n".join([*(cell.text for cell in cells[:-1]), "\n".join(lines[:end])])

    @contextmanager
    def chosen(self, name: str | None) -> Iterator[Any]:
        """Within a ``with`` block, make one of the models `model` and the ledger's `main_model`.

        Parameters
        ----------
        name
            The model's name in the code, its Keras name, or the end of either; None for the default.

        Yields
        ------
        keras.Model or None
            The chosen model.

        Raises
        ------
        LookupFailed
            If there is no such model; the message lists the models and suggests the nearest.
        """
        before = self.ledger.chosen
        self._mean(self.ledger.about(name))
        try:
            yield self.model
        finally:
            self._mean(self.ledger.changed(chosen=before))

    def _mean(self, ledger: Ledger) -> None:
        """Switch to another ledger of the same objects; reread its variables if its main model differs."""
        same = ledger.chosen == self.ledger.chosen
        self.ledger = ledger
        if not same:
            self.refresh()

    def refresh(self) -> Ledger:
        """Update the ledger to the present state of its objects (such as a layer frozen since), and return it."""
        from s2s_magic.tracing import refresh

        self.ledger = refresh(self.ledger, self.live)
        return self.ledger

    @property
    def layers(self) -> dict[str, Any]:
        """Layer objects by the names in the code."""
        return {record.name: self.live.layers[key] for key, record in self.ledger.layers.items() if not record.implicit}

    @property
    def tensors(self) -> dict[str, Any]:
        """Symbolic tensors by the names in the code; the last one where a name was rebound."""
        return {
            tensor.name: self.live.tensors[event.index, number]
            for event in self.ledger.events
            for number, tensor in enumerate(event.outputs)
            if tensor.name and (event.index, number) in self.live.tensors
        }

    @property
    def history(self) -> Mapping[str, tuple[float | None, ...]]:
        """Loss and metrics by epoch, over all fits."""
        return self.evidence.history if self.evidence else {}


def drift(seq2seq: Seq2Seq) -> list[Finding]:
    """Find what the main model's next fit would do that its ``trainable`` switches do not show, with remedies.

    Updates the model's ledger. See `s2s_magic.ledger.drift` for the kinds of findings.
    """
    main = seq2seq.refresh().main_model
    return drift_of(seq2seq.ledger, main) if main is not None else []


def nothing_to_train(seq2seq: Seq2Seq) -> Finding | None:
    """Report that a fit of the main model would train nothing, and who froze it; None if it would train something.

    A model built by its first step may have no variables yet.
    """
    main = seq2seq.refresh().main_model
    return nothing_to_train_in(seq2seq.ledger, main) if main is not None and seq2seq.model.built else None
