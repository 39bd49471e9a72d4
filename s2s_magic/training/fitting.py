"""Fit a model on data from the notebook, with evidence for every variable of the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from s2s_magic import backend
from s2s_magic.data.batches import Feed, Stream, feed
from s2s_magic.data.class_targets import check_class_targets
from s2s_magic.data.fingerprints import fingerprint
from s2s_magic.data.reader import Prepared, prepare
from s2s_magic.data.special_ids import seen_ids, steps_of
from s2s_magic.errors import FitError, Interrupted
from s2s_magic.handle import Fitted, Seq2Seq, drift
from s2s_magic.ledger import Evidence
from s2s_magic.training.accumulating import Accumulation, check_accumulates
from s2s_magic.training.averaging import Averaging, check_averages
from s2s_magic.training.between_steps import BetweenSteps, Save, saving
from s2s_magic.training.building import build_on
from s2s_magic.training.callback import Loop, at_most_once_a_second
from s2s_magic.training.compiling import compile_for_fit, optimizers_told
from s2s_magic.training.course import Course
from s2s_magic.training.driving import BegunAt, train_to_an_end
from s2s_magic.training.exclusive import take
from s2s_magic.training.heeding import heed_between_steps
from s2s_magic.training.logs import logged
from s2s_magic.training.measured import Watched, watched
from s2s_magic.training.meeting import met
from s2s_magic.training.norms import stride
from s2s_magic.training.owning import Owned
from s2s_magic.training.progress import Progress, Show, throttled
from s2s_magic.training.refusals import told_in_a_line
from s2s_magic.training.shares import call_shares, shared_uses
from s2s_magic.training.snapshots import Snapshot, go_on, without_last_run
from s2s_magic.training.steps import Steps
from s2s_magic.training.validating import validating
from s2s_magic.training.workers import joined
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan

LONG = 500
"""Training steps from which unrolling the loops over time pays: tracing then takes up to two seconds longer."""


def fit(
    seq2seq: Seq2Seq,
    plan: FitPlan,
    namespace: Mapping[str, Any],
    *,
    progress: Show,
    watch: Callable[[Seq2Seq], None] | None = None,
    save: Save | None = None,
    begin: Snapshot | None = None,
) -> None:
    """Train a model by ``Model.fit`` and record evidence; a second fit continues from the first.

    A fit that ends before its first step, by whatever exception, leaves everything unchanged. After that, what was
    trained is kept and recorded, even if something raises later.

    Parameters
    ----------
    seq2seq
        A built or traced model; its evidence, its ledger's ``training`` and its tokenizers are updated.
    plan
        The result of `parse_fit`.
    namespace
        Where the plan's names are looked up.
    progress
        Receives each `Progress`, at most two a second.
    watch
        Called with the model, which has the evidence so far, after an epoch, at most once a second.
    save
        Called with the model and where the fit stands, whenever the plan says that the fit is to be saved.
    begin
        Where to go on from, between two steps; the model has the variables and records of then.

    Raises
    ------
    DataError
        If data, plan and model do not match; raised before the first step, with nothing changed.
    FitError
        If the loss became non-finite: the weights after the last finite epoch and the compile settings from before
        the fit are restored. Also if another fit uses the model, or if the model cannot be trained as it is.
    Interrupted
        On a ``KeyboardInterrupt``: weights, optimizer, history and evidence are kept, and the run is marked as
        interrupted.
    """
    before = seq2seq.evidence if begin is None else without_last_run(seq2seq.evidence)
    course = Course(seq2seq, plan, before or Evidence())
    try:
        with Changes() as changes, changes, changes:
            take(changes, seq2seq.name, seq2seq.model, alone=plan.seed is not None)
            backend.skip_gpu_forms(changes)
            seq2seq.refresh()
            show = throttled(progress)
            prepared = prepare(
                seq2seq,
                plan,
                namespace,
                changes,
                lambda pairs: show(Progress(seq2seq.name, 1, plan.epochs, 0, 0, read=pairs)),
            )
            _settle_in_the_end(changes, course)
            told_in_a_line(course, partial(_fit, changes, course, prepared, namespace, show, watch, save, begin))
    except KeyboardInterrupt as error:
        raise Interrupted(course.interrupted()) from error


def _fit(
    whole: Changes,
    course: Course,
    prepared: Prepared,
    namespace: Mapping[str, Any],
    show: Show,
    watch: Callable[[Seq2Seq], None] | None,
    save: Save | None,
    begin: Snapshot | None,
) -> None:
    seq2seq, plan, model = course.seq2seq, course.plan, course.seq2seq.model
    workers = joined()
    resumable = save is not None or begin is not None or workers is not None

    def begun_at(skip: int) -> Feed:
        with Changes() as seeded, seeded, seeded:
            if plan.seed is not None:  # a dataset takes the seeds of its shuffling when it is made
                backend.seed_all(seeded, plan.seed)
            return feed(
                prepared.train,
                prepared.validation,
                size=plan.batch,
                max_tokens=plan.max_tokens,
                epochs=plan.epochs,
                shuffle=plan.shuffle,
                skip=skip if resumable else None,
                part=None if workers is None else (workers.index, workers.count),
            )

    given = begun_at(0)
    backend.expect(whole, model, given.arguments)
    compile_for_fit(seq2seq, plan, prepared.train)
    check_accumulates(model, plan)
    check_averages(model, plan)
    _heed(seq2seq)
    build_on(seq2seq, given, plan.seed)
    check_class_targets(seq2seq, plan, namespace, prepared, given)
    if workers is not None:
        course.together = met(workers, seq2seq, plan, prepared.train, _first_batch(begun_at), begin)
    course.noted = noted = watched(seq2seq)
    _remember(seq2seq, plan, prepared, noted)
    fixed = prepared.fixed_lengths
    write_out = plan.epochs * given.steps >= LONG
    updates = -(-given.steps // plan.accumulate)
    trained = frozenset(map(id, backend.trained_by_fit(model)))
    how = (plan.accelerate, *sorted(fixed.items()), write_out, stride(updates), plan.accumulate, trained)
    if resumable:  # the state of random numbers in traced steps cannot be stored
        seq2seq.steps = None
    kept = seq2seq.steps if seq2seq.steps is not None and seq2seq.steps.serve(model, noted, how) else None
    if kept is None:
        seq2seq.steps = None
        recorder = noted.recorder(updates, compiled=backend.compiles_by_xla(model))
    else:
        recorder = kept.recorder
        recorder.begin_fit(list(noted.starts.values()), list(noted.before.values()))
    course.recorder = recorder
    if plan.accumulate > 1:
        course.accumulation = Accumulation(plan.accumulate) if kept is None else kept.accumulation
    loop = Loop(
        recorder,
        show,
        name=seq2seq.name,
        epochs=plan.epochs,
        steps=given.steps,
        patience=plan.patience,
        scheduled=plan.schedule is not None,
        seen=prepared.train.seen if isinstance(prepared.train, Stream) else None,
        rows=prepared.train.rows,
        owned=Owned(seq2seq, noted),
    )
    if plan.average is not None:
        course.averaging = Averaging(noted.variables, loop, plan.average)
    if plan.validate_with:
        validate = validating(seq2seq, plan, namespace, prepared.validation)
        loop.validate = validate if course.together is None else course.together.validating(validate)
    course.loop, course.optimizer, course.batch = loop, optimizers_told(model, plan), given.size
    if watch is not None:

        def shown() -> None:
            course.keep("going on")
            watch(seq2seq)

        loop.after_epoch.append(at_most_once_a_second(shown))
    with Changes() as changes, changes, changes:
        heed = heed_between_steps(changes, None if course.together is None else course.together.agree)
        if plan.log is not None and (workers is None or workers.is_chief):
            loop.after_epoch.append(logged(changes, course, plan))
        backend.keep_switches(changes, model)
        backend.set_traces_aside(changes, model)  # so that the step is traced with the recorder in it
        # first, while every method is still the user's
        if plan.accelerate:
            course.accelerated = _accelerated(changes, seq2seq, fixed, write_out=write_out)
        for optimizer in backend.optimizers_of(model):
            recorder.watch(changes, optimizer)
        if course.accumulation is not None:
            course.accumulation.watch(changes, model.optimizer, recorder)
        if course.together is not None:
            course.together.watch(changes)
        backend.count_steps(changes, model)
        if kept is not None:
            backend.go_on_with(model, kept.traces)
            if kept.without_xla is not None:
                course.accelerated = {**course.accelerated, "step": kept.without_xla}
        if plan.seed is not None:
            backend.seed_all(changes, plan.seed)
        if resumable:
            course.data = fingerprint(prepared.train)
            course.random_states = backend.draw_from_states(changes, model, plan.seed or 0)
        if begin is not None:
            loop.set_model(model)
            go_on(course, begin, partial(_first_batch, begun_at))
        if course.together is not None:
            course.together.draw_apart(course.random_states)
        between = BetweenSteps(course, heed, saving(course, save))
        train_to_an_end(changes, course, begun_at if resumable else lambda _: given, between)
        seq2seq.steps = (
            None
            if resumable
            else Steps.of(model, noted, how, recorder, course.accumulation, course.accelerated.get("step"))
        )
    if given.first is not None and shared_uses(seq2seq):
        course.by_call = call_shares(seq2seq, given.first())


def _first_batch(begun_at: BegunAt) -> Any:
    first = begun_at(0).first
    return None if first is None else first()


def _settle_in_the_end(changes: Changes, course: Course) -> None:
    """Keep what was trained once all other changes are undone; if nothing was, restore the present state."""
    seq2seq, model = course.seq2seq, course.seq2seq.model
    put_attributes_back = backend.attributes_before(model)
    before = seq2seq.fitted, seq2seq.tokenizers, seq2seq.ids

    def settle() -> None:
        loop = course.loop
        if course.broken or not course.trained:
            if loop is not None:
                loop.put_back()
            put_attributes_back()
        if loop is None or not course.trained:
            seq2seq.fitted, seq2seq.tokenizers, seq2seq.ids = before
        else:
            if not course.broken:
                loop.cut_off()
            if course.state == "interrupted" and course.averaging is not None:
                course.averaged = course.averaging.put()
            course.keep()
        if loop is not None:
            loop.finish(course.state)

    changes.undo_by(settle)


def _heed(seq2seq: Seq2Seq) -> None:
    """Warn of drift before the first step; refuse a fit that would fail at that step."""
    for finding in drift(seq2seq):
        if finding.kind in ("missing input", "not in the optimizer"):
            raise FitError(finding.text)
        warnings.warn_explicit(finding.text, UserWarning, f"fit {seq2seq.name}", 1)


def _remember(seq2seq: Seq2Seq, plan: FitPlan, prepared: Prepared, noted: Watched) -> None:
    """Record what later fits, decoding and exporting need, such as vocabularies and the longest target."""
    before = seq2seq.fitted or Fitted()
    steps = prepared.longest or steps_of(prepared.train.target)
    longest = max((n for n in (before.longest, steps) if n is not None), default=None)
    seq2seq.tokenizers = prepared.tokenizers
    seq2seq.ids = seen_ids(seq2seq.ids, prepared.train, prepared.start)
    seq2seq.fitted = Fitted(starts=noted.starts, rows=before.rows, longest=longest, plan=plan)


def _accelerated(changes: Changes, seq2seq: Seq2Seq, fixed: Mapping[int, int], *, write_out: bool) -> Mapping[str, str]:
    """Run the model on faster kernels until changes are undone; say which layers do so, by the user's names."""
    from s2s_magic.acceleration import put_on_kernels

    names = {layer.keras_name: layer.name for layer in seq2seq.ledger.layers.values() if layer.in_models}
    found = put_on_kernels(changes, seq2seq.model, fixed, write_out=write_out)
    return {names.get(keras_name, keras_name): said for keras_name, said in found.items()}
