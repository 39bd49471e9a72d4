"""Fitting a model on notebook variables, with evidence for every variable."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from s2s_magic.errors import FitError
from s2s_magic.ledger import Evidence, Run
from s2s_magic.seq2seq import Fitted, Seq2Seq
from s2s_magic.tracing import refresh
from s2s_magic.training.compiling import compile_for_fit, compiled_with
from s2s_magic.training.data import Prepared, prepare
from s2s_magic.training.evidence import Watched, keep_evidence, watched
from s2s_magic.training.loop import Loop, NotFinite, at_most_once_a_second
from s2s_magic.training.pipeline import feed
from s2s_magic.training.progress import Show, surroundings, throttled
from s2s_magic.training.recorder import Recorder
from s2s_magic.training.shares import call_shares, shared_layers
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan

LONG = 500
"""Training steps from which on it pays to write the loops over time out: tracing then takes up to two seconds more."""


def fit(
    seq2seq: Seq2Seq,
    plan: FitPlan,
    namespace: Mapping[str, Any],
    *,
    progress: Show | None = None,
    watch: Callable[[Seq2Seq], None] | None = None,
) -> None:
    """Train a model by ``Model.fit`` and keep evidence; a second fit goes on where the first one ended.

    Parameters
    ----------
    seq2seq
        A built or a traced model; its evidence, its ledger's ``training`` and its tokenizers are updated.
    plan
        What `parse_fit` gave.
    namespace
        Where the plan's names are looked up.
    progress
        Takes every `Progress`, at most four a second; chosen by the surroundings when None.
    watch
        Is handed the model after an epoch, at most once a second, with the evidence so far.

    Raises
    ------
    DataError
        When something does not fit: before the first step, with nothing changed.
    FitError
        When the loss became non-finite: weights are those after the last sound epoch, and the model is compiled with
        what it was before the fit.
    KeyboardInterrupt
        When interrupted: weights, optimizer, history and evidence are kept, and the run is marked.
    """
    seq2seq.ledger = refresh(seq2seq.ledger, seq2seq.live)
    prepared = prepare(seq2seq, plan, namespace)
    put_compile_back = compiled_with(seq2seq.model)
    with seeded(plan.seed):
        compile_for_fit(seq2seq, plan, prepared.train)
        try:
            _fit(seq2seq, plan, prepared, throttled(progress or surroundings()), watch)
        except FitError:
            put_compile_back()
            raise


def _fit(
    seq2seq: Seq2Seq, plan: FitPlan, prepared: Prepared, show: Show, watch: Callable[[Seq2Seq], None] | None
) -> None:
    model = seq2seq.model
    given = feed(prepared.train, prepared.validation, size=plan.batch, epochs=plan.epochs, shuffle=plan.shuffle)
    steps = given.steps
    noted = watched(seq2seq)
    _remember(seq2seq, prepared, noted)
    recorder = noted.recorder(steps, compiled=bool(model.jit_compile))
    loop = Loop(recorder, show, name=seq2seq.name, epochs=plan.epochs, steps=steps, patience=plan.patience)
    build_optimizer(model)
    state, before = "done", seq2seq.evidence or Evidence()
    accelerated: dict[str, str] = {}

    def keep(state: str) -> None:
        run = Run(
            epochs=len(loop.epochs),
            seconds=loop.seconds,
            steps=loop.steps_done,
            batch=plan.batch,
            optimizer=_optimizer_text(model.optimizer),
            interrupted=state == "interrupted",
            stopped=None if state in ("done", "interrupted") else state,
            accelerated=accelerated,
        )
        keep_evidence(seq2seq, before, loop.epochs, recorder, noted, run)

    if watch is not None:

        def shown() -> None:
            keep("going on")
            watch(seq2seq)

        loop.after_epoch = at_most_once_a_second(shown)
    model.train_function = None  # so that the step is traced with the recorder in it
    try:
        with Changes() as changes, changes, changes:
            recorder.watch(changes, model.optimizer)
            accelerated = _accelerated(changes, seq2seq, plan, prepared)
            model.fit(
                **given.arguments,
                **given.validation,
                epochs=plan.epochs,
                callbacks=[loop],
                verbose=0,
            )
            state = loop.stopped or state
    except KeyboardInterrupt:
        state = "interrupted"
        loop.cut_off()
        raise
    except NotFinite as error:
        state = _broken(seq2seq, loop, recorder, list(noted.variables))
        raise FitError(state) from error
    except BaseException:
        state = "failed"
        raise
    finally:
        model.train_function = None
        keep(state)
        loop.finish(state)
    if shared_layers(seq2seq):
        _keep_shares(seq2seq, given.first())


def _remember(seq2seq: Seq2Seq, prepared: Prepared, noted: Watched) -> None:
    """Note what later fits and decoding need: vocabularies, where each variable started, the longest target."""
    before = seq2seq.fitted or Fitted()
    longest = max((n for n in (before.longest, prepared.longest) if n is not None), default=None)
    seq2seq.tokenizers = prepared.tokenizers
    seq2seq.fitted = Fitted(starts=noted.starts, rows=before.rows, start=prepared.start, longest=longest)


def build_optimizer(model: Any) -> None:
    """Make the optimizer's variables now, so that their first values can be kept as well."""
    if hasattr(model.optimizer, "build"):
        model.optimizer.build(model.trainable_variables)


def _accelerated(changes: Changes, seq2seq: Seq2Seq, plan: FitPlan, prepared: Prepared) -> dict[str, str]:
    """Let the model run on faster kernels until changes are undone; say which layers do, by the user's names."""
    if not plan.accelerate:
        return {}
    from s2s_magic.acceleration import put_on_kernels

    names = {layer.keras_name: layer.name for layer in seq2seq.ledger.layers.values() if layer.in_models}
    fixed = prepared.train.fixed_lengths
    if prepared.validation and prepared.validation.fixed_lengths != fixed:
        fixed = {}
    long = plan.epochs * math.ceil(prepared.train.rows / plan.batch) >= LONG
    found = put_on_kernels(changes, seq2seq.model, fixed, write_out=long)
    return {names.get(keras_name, keras_name): said for keras_name, said in found.items()}


def _broken(seq2seq: Seq2Seq, loop: Loop, recorder: Recorder, keys: list[str]) -> str:
    """Put the last sound state back and say what happened."""
    found = recorder.first_broken()
    cause = f"no gradient broke before it, and {_greatest(seq2seq, recorder, keys)}" if found is None else ""
    epoch = loop.put_back() + 1
    where = f"in epoch {epoch}"
    if found is not None:
        step, numbers = found
        names = [_variable_name(seq2seq, keys[number]) for number in numbers]
        others = f" (and of {len(names) - 1} more)" if len(names) > 1 else ""
        cause = f"the first gradient to break is that of {names[-1]}{others}, in step {step + 1} of epoch {epoch}"
    kept = f"the state after epoch {epoch - 1}" if epoch > 1 else "the state before the fit"
    return (
        f"the loss became non-finite {where}: {cause}; {kept} was put back, and what the model was "
        "compiled with before the fit. Try a smaller learning rate, or clipnorm=1"
    )


def _greatest(seq2seq: Seq2Seq, recorder: Recorder, keys: list[str]) -> str:
    """Name the variable of the greatest norm, as it is when the loss broke."""
    norms = {
        number: float(np.linalg.norm(variable.numpy().astype(np.float64)))
        for number, variable in enumerate(recorder.variables)
        if recorder.steps().given[number]
    }
    if not norms:
        return "the model has nothing to train"
    # which is the first that is no number, where there is one
    number = list(norms)[int(np.argmax(list(norms.values())))]
    return f"the greatest weights are those of {_variable_name(seq2seq, keys[number])} (norm {norms[number]:.3g})"


def _variable_name(seq2seq: Seq2Seq, key: str) -> str:
    variable = seq2seq.ledger.variables[key]
    return variable.paths[0] if variable.paths else variable.name


def _optimizer_text(optimizer: Any) -> str:
    rate = optimizer.learning_rate
    shown = type(rate).__name__ if callable(rate) and not hasattr(rate, "numpy") else f"{float(rate):g}"
    return f"{type(optimizer).__name__}({shown})"


def _keep_shares(seq2seq: Seq2Seq, batch: Any) -> None:
    assert seq2seq.evidence is not None
    by_call = call_shares(seq2seq, batch)
    seq2seq.evidence = seq2seq.evidence.model_copy(update={"by_call": by_call})
    seq2seq.ledger = seq2seq.ledger.with_training(seq2seq.evidence)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed Python, NumPy and TensorFlow for a while.

    Python and NumPy then go on as if nothing had been; TensorFlow starts again from the seed that it had.
    """
    if seed is None:
        yield
        return
    kept, kept_numpy, kept_tensorflow = random.getstate(), np.random.get_state(), context.global_seed()
    random.seed(seed)
    np.random.seed(seed)
    tf.random.set_seed(seed)
    try:
        yield
    finally:
        random.setstate(kept)
        np.random.set_state(kept_numpy)
        tf.random.set_seed(kept_tensorflow)
