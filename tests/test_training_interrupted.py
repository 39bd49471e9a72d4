"""Wherever a fit or a decoding is interrupted, nothing of ours is left behind, and the record has what was trained."""

import random
import secrets
import threading
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from interrupting import Place, interrupted, places
from leaving import left_behind, recorded_steps, standing, trained_steps
from plainly import COMPILED, NAMES, TAGGER, quiet, traced, trained_state
from s2s_magic import api, backend
from s2s_magic.errors import FitError, Interrupted

pytestmark = pytest.mark.once

TWICE = TAGGER.replace("head(lstm(emb(x)))", "head(lstm(emb(x)) + lstm(emb(x)))") + COMPILED
BODY = "source: X\ntarget: Y\nbatch: 32\nepochs: 2\n"
WHERE = ("undoing.py", "data/", "training/", "acceleration/")
"""The modules whose changes must be undone."""


def fitted(model, body=BODY, names=NAMES, **arguments):
    return api.fit(model, body, names, **{"progress": quiet} | arguments)


@pytest.fixture(scope="module")
def tagger():
    model = traced(TWICE)
    fitted(model)
    LOOP[:] = places(lambda: fitted(model), under="training/callback.py", warm=False)
    return model


LOOP: list[Place] = []
"""The places in the functions of the training loop; the fixture `tagger` fills it."""


def sampled(call, count, seeds):
    found = [place for place in places(call, hits=2) if place.file.startswith(WHERE)]
    assert len(found) > 200
    drawn = [place for seed in seeds for place in random.Random(seed).sample(found, count)]
    print(f"seeds {seeds}")  # shown if the test fails
    return drawn


@pytest.mark.parametrize("exception", [KeyboardInterrupt, MemoryError])
def test_a_fit_interrupted_at_any_line_leaves_nothing(tagger, exception):
    def call():
        return fitted(tagger, BODY + "seed: 5\n")

    assert left_behind(tagger, call, sampled(call, 12, (1, secrets.randbits(32))), exception) == []
    steps = trained_steps(tagger)
    call()
    assert trained_steps(tagger) == steps + 4, "the next fit works"


def test_a_fit_interrupted_while_its_step_is_traced_leaves_nothing(tagger):
    """A different length of the epoch retraces the step, including all method overrides."""
    count = 0

    def call():
        nonlocal count
        count += 1
        tagger.steps = None
        return fitted(tagger)

    found = [place for place in places(call, hits=1) if place.file.startswith("acceleration/")]
    drawn = random.Random(secrets.randbits(32)).sample(found, 5)
    assert left_behind(tagger, call, drawn, KeyboardInterrupt) == []


def test_a_decoding_interrupted_at_any_line_leaves_nothing():
    model = api.build("vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\nmax_length: 3\n")

    def call():
        model.inference = None
        return api.decode(model, [[3, 4, 5]])

    found = [place for place in places(call, hits=1) if place.file.startswith((*WHERE, "decoding/", "tracing/patch"))]
    assert len(found) > 100
    drawn = random.Random(1).sample(found, 3) + random.Random(secrets.randbits(32)).sample(found, 3)
    assert left_behind(model, call, drawn, KeyboardInterrupt, steps=False) == []
    assert call() == api.decode(model, [[3, 4, 5]])


def stopped(model, body, function, hit):
    """Interrupt a fit at the start of one of the loop's functions, and return the exception."""
    found = [place for place in LOOP if place.function == function]
    place = replace(min(found, key=lambda place: place.line), hit=hit)
    outcome = interrupted(lambda: fitted(model, body), place)
    assert outcome.reached
    assert type(outcome.raised) is Interrupted
    return outcome.raised


def test_an_interrupted_fit_says_in_one_sentence_where_it_stopped_and_goes_on_from_there(tagger):
    body = BODY + "shuffle: false\n"
    model, whole = traced(TAGGER + COMPILED), traced(TAGGER + COMPILED)
    error = stopped(model, body.replace("epochs: 2", "epochs: 3"), "on_train_batch_end", 3)
    assert type(error).__name__ == "KeyboardInterrupt"
    (line,) = error._render_traceback_()
    assert line == (
        "KeyboardInterrupt: the fit of model was interrupted in epoch 2 of 3, after step 1 of 2: weights, optimizer "
        "and evidence are kept as they are now; to go on, fit again with epochs: 2"
    )
    (run,) = model.evidence.runs
    assert (run.interrupted, run.epochs, run.steps) == (True, 2, 3)
    assert trained_steps(model) == 3
    assert len(model.history["loss"]) == 2
    other = traced(TAGGER + COMPILED)
    stopped(other, body, "on_train_batch_end", 2)
    fitted(other, body.replace("epochs: 2", "epochs: 1"))
    fitted(whole, body)
    for one, two in zip(trained_state(whole.model), trained_state(other.model), strict=True):
        np.testing.assert_array_equal(one, two)
    assert whole.history == other.history


def test_an_interrupt_before_the_first_step_changes_nothing_at_all(tagger):
    model = traced(TAGGER + "model.compile(keras.optimizers.SGD(), 'mse', metrics=['mae'], loss_weights=[0.5])\n")
    optimizer, container, before = (
        model.model.optimizer,
        backend.loss_container(model.model),
        trained_state(model.model),
    )
    stand = standing(model)
    asked = BODY + "optimizer: adam(0.1)\nloss: sparse_categorical_crossentropy\n"
    error = stopped(model, asked, "on_epoch_begin", 1)
    assert "interrupted before its first step: nothing was changed" in str(error)
    assert model.model.optimizer is optimizer
    assert backend.loss_container(model.model) is container
    assert standing(model) == stand
    assert [a.tolist() for a in trained_state(model.model)] == [a.tolist() for a in before]
    assert (model.evidence, model.fitted) == (None, None)


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_fit_that_fails_before_its_first_step_leaves_the_compile_and_the_optimizer_as_they_were():
    model = traced(TAGGER + COMPILED)
    fitted(model)
    kept, stand = trained_state(model.model), standing(model)
    optimizer, container, evidence = model.model.optimizer, backend.loss_container(model.model), model.evidence
    # targets of (rows, 6) do not match outputs of (rows, 6, 20): Keras raises when the step is traced
    with pytest.raises(FitError, match="shape") as raised:
        fitted(model, BODY + "optimizer: sgd(0.1)\nmetrics: [mean_squared_error]\n")
    assert isinstance(raised.value.__cause__, ValueError)
    assert model.model.optimizer is optimizer
    assert backend.loss_container(model.model) is container
    assert model.evidence is evidence
    assert [a.tolist() for a in trained_state(model.model)] == [a.tolist() for a in kept]
    assert standing(model) == stand
    model.model.fit(NAMES["X"], NAMES["Y"], verbose=0)
    fitted(model)


def test_an_optimizer_that_a_failed_step_built_is_unbuilt_again_and_can_be_saved(tmp_path):
    model = traced(TAGGER + COMPILED)
    optimizer = model.model.optimizer
    names, attributes = [v.name for v in optimizer.variables], sorted(vars(optimizer))
    apply = optimizer.apply_gradients

    def apply_and_fail(*args, **kwargs):
        apply(*args, **kwargs)
        raise ValueError("too late")

    vars(optimizer)["apply_gradients"] = apply_and_fail
    with pytest.raises(ValueError, match="too late"):
        fitted(model)
    del vars(optimizer)["apply_gradients"]
    assert [v.name for v in optimizer.variables] == names
    assert sorted(vars(optimizer)) == attributes
    fitted(model)
    path = tf.train.Checkpoint(optimizer=optimizer).save(str(tmp_path / "kept"))
    kept = tf.train.load_checkpoint(path)
    saved = [kept.get_tensor(name) for name in kept.get_variable_to_shape_map() if name.startswith("optimizer/")]
    assert any(np.array_equal(value, optimizer.variables[3].numpy()) for value in saved)


def test_a_failure_in_mid_training_keeps_what_was_trained_as_keras_does():
    model = traced(TAGGER + COMPILED)

    def stop(model):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        fitted(model, BODY, watch=stop)
    (run,) = model.evidence.runs
    assert (run.stopped, run.interrupted, run.epochs) == ("failed", False, 1)
    assert run.steps == trained_steps(model) == 2
    assert len(model.history["loss"]) == 1


def test_what_raises_after_training_keeps_the_record_of_training(tagger, monkeypatch):
    from s2s_magic.training import course, fitting

    def fail(*args, **kwargs):
        raise ZeroDivisionError

    for module, name in ((fitting, "call_shares"), (course, "keep_evidence")):
        epochs = len(tagger.history["loss"])
        with monkeypatch.context() as patched:
            patched.setattr(module, name, fail)
            with pytest.raises(ZeroDivisionError):
                fitted(tagger)
        assert len(tagger.history["loss"]) == epochs + 2
        assert recorded_steps(tagger) == trained_steps(tagger)
    fitted(tagger)


# -- two at once -------------------------------------------------------------------------------------------------------


def test_of_two_fits_at_once_the_second_is_refused_in_one_line(tagger):
    stand = standing(tagger)
    running, go_on = threading.Event(), threading.Event()

    def wait(progress):
        running.set()
        go_on.wait(60)

    first = threading.Thread(target=lambda: fitted(tagger, progress=wait))
    first.start()
    assert running.wait(60)
    other = traced(TAGGER + COMPILED)
    try:
        with pytest.raises(FitError, match=r"^another fit has a layer of model at the moment: wait for it to end"):
            fitted(tagger)
        fitted(other)
        assert other.history, "another model can be fitted meanwhile"
    finally:
        go_on.set()
        first.join()
    assert standing(tagger)["attributes"] == stand["attributes"]
    fitted(tagger)


def test_methods_that_the_user_replaced_are_there_after_a_fit():
    model = traced(TAGGER + COMPILED)
    layer, optimizer = model.layers["lstm"], model.model.optimizer
    call, apply = layer.call, optimizer.apply_gradients
    vars(layer)["call"] = own_call = lambda *args, **kwargs: call(*args, **kwargs)
    vars(optimizer)["apply_gradients"] = own_apply = lambda *args, **kwargs: apply(*args, **kwargs)
    fitted(model)
    fitted(model)
    assert vars(layer)["call"] is own_call
    assert vars(optimizer)["apply_gradients"] is own_apply
