"""Scores of a fit's validation: what the model decodes from it, and its tokens, measured after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from s2s_magic import backend
from s2s_magic.data.assignment import Part, named_inputs, training_part, validation_part
from s2s_magic.data.batches import Stream, Table
from s2s_magic.data.inputs import roles
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.sequences import Numbers, Unreadable
from s2s_magic.decoding.comparing import compared, references_of
from s2s_magic.decoding.inference import decoded, prepared
from s2s_magic.errors import DataError, DecodeError, Fault
from s2s_magic.handle import Seq2Seq
from s2s_magic.scores.measures import FORCED, Compared, check_installed, measure
from s2s_magic.training.forcing import forcing, obstacle_to_forcing
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan

Validate = Callable[[], dict[str, float]]


def validating(
    seq2seq: Seq2Seq, plan: FitPlan, namespace: Mapping[str, Any], validation: Table | Stream | None
) -> Validate:
    """Return a function that scores the validation by the metrics that ``validate_with`` names.

    Sources are decoded greedily. All that runs is traced now, before the fit changes anything of the model for its
    duration, and no random state is touched: a fit computes the same numbers with it and without.

    Parameters
    ----------
    seq2seq, plan, namespace
        The model, with the vocabularies and special ids of this fit; the fit's plan, and where its names are looked up.
    validation
        The validation's data, prepared for Keras.

    Returns
    -------
    callable
        Returns the metrics of the model as it is then, by name: ``val_bleu`` and so on, in the order asked for.

    Raises
    ------
    DataError
        When the validation cannot be decoded or compared; at the place of the key.
    SetupError
        When a metric needs a library that is not installed.
    """
    names = plan.validate_with
    check_installed(names)
    forced = [number for number, name in enumerate(names) if name in FORCED]
    tokens: Callable[[], Numbers] | None = None
    if forced and validation is not None:
        obstacle = obstacle_to_forcing(seq2seq, validation)
        if obstacle is not None:
            raise DataError(Fault(*plan.place_of(f"validate_with.{number}"), obstacle) for number in forced)
        tokens = forcing(seq2seq, plan, validation)
    outputs = _decoding(seq2seq, plan, namespace) if len(forced) < len(names) else None

    def validate() -> dict[str, float]:
        with Changes() as changes, changes, changes:
            backend.keep_as_it_runs(changes, seq2seq.model)
            found = measure(names, outputs and outputs(), tokens and tokens())
        return {f"val_{one.name}": one.total for one in found}

    return validate


def _decoding(seq2seq: Seq2Seq, plan: FitPlan, namespace: Mapping[str, Any]) -> Callable[[], Compared]:
    """Return a function that decodes the validation's sources, beside its targets."""
    sources, targets, asked = _values(seq2seq, plan, namespace)
    with Changes() as changes, changes, changes:
        try:
            backend.keep_as_it_runs(changes, seq2seq.model)
            ready = prepared(seq2seq, sources)
            assert ready is not None
            first = prepared(seq2seq, sources[:1], max_length=ready.longest)
            assert first is not None
            decoded(seq2seq, sources[:1], first)  # so that the graph is made now
            references = references_of(seq2seq, ready, targets)
        except DecodeError as error:
            raise DataError([Fault(*plan.place_of("validate_with"), str(error))]) from error
        except Unreadable as error:
            raise DataError([Fault(*plan.place_of(asked.key), f"{asked.variable} {error}")]) from error
    return lambda: compared(decoded(seq2seq, sources, ready), [references])


def _values(seq2seq: Seq2Seq, plan: FitPlan, namespace: Mapping[str, Any]) -> tuple[Any, Any, Asked]:
    """Return the sources and targets of the validation as the notebook has them, and what names the targets."""
    desk = Desk(seq2seq, plan, namespace)
    part = validation_part(plan) or training_part(plan)
    source = _source(desk, part)
    if source is None or not isinstance(part.target, str):
        what = "an encoder's input, and one target"
        desk.fault("validate_with", f"the data do not show what is decoded: {what}, 'source: X' and 'target: Y'")
        desk.raise_faults()
    assert source is not None
    target = Asked(part.target_key, str(part.target))
    values = [desk.value(*source), desk.value(*target)]
    desk.raise_faults()
    if isinstance(plan.validation, float):  # the last rows, as Keras holds them back
        kept = int(len(values[1]) * (1.0 - plan.validation))
        values = [value[kept:] for value in values]
    return values[0], values[1], target


def _source(desk: Desk, part: Part) -> Asked | None:
    if part.source is not None:
        return part.source
    known = roles(desk.seq2seq)
    return None if known is None else named_inputs(desk, part).get(known["encoder"])
