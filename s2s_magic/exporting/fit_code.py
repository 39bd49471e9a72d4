"""The last fit of a model as plain Keras code: how the model is compiled, and what ``fit`` is called with."""

from __future__ import annotations

import ast
from typing import Any

from s2s_magic import backend
from s2s_magic.errors import FitError
from s2s_magic.handle import Seq2Seq
from s2s_magic.spec import FitPlan, Named
from s2s_magic.training.compiling import OPTIMIZERS

_WITHOUT = ("data", "inputs", "weights", "class_weights", "decoder_input", "lengths", "validate_with")
"""Keys of a fit body that a program leaves to whoever writes one."""

_WARM_UP = '''\
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Grow the learning rate linearly over the first steps, then follow another schedule."""

    def __init__(self, after, warmup):
        super().__init__()
        self.after, self.warmup = after, warmup

    def __call__(self, step):
        done = tf.cast(step, tf.float32)
        later = self.rate(tf.maximum(done - self.warmup, 0.0))
        return tf.where(done < self.warmup, self.rate(tf.zeros(())) * (done + 1) / self.warmup, later)

    def rate(self, step):
        return tf.cast(self.after(step) if callable(self.after) else self.after, tf.float32)

    def get_config(self):
        return {"after": self.after, "warmup": self.warmup}'''

_INVERSE = '''\
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Grow the learning rate linearly to its peak, then let it fall with the square root of the steps."""

    def __init__(self, rate, warmup):
        super().__init__()
        self.rate, self.warmup = rate, warmup

    def __call__(self, step):
        number = tf.cast(step, tf.float32) + 1
        return self.rate * tf.minimum(number / self.warmup, tf.sqrt(self.warmup / number))

    def get_config(self):
        return {"rate": self.rate, "warmup": self.warmup}'''

_KEEP_BEST = '''\
class KeepBest(keras.callbacks.Callback):
    """Stop after {patience} epochs without a better {monitor}, and put the best epoch's weights back in any case."""

    def on_train_begin(self, logs=None):
        self.best, self.without_better = float("inf"), 0

    def on_epoch_end(self, epoch, logs=None):
        self.without_better += 1
        if logs["{monitor}"] < self.best:
            self.best, self.weights, self.without_better = logs["{monitor}"], self.model.get_weights(), 0
        elif self.without_better >= {patience}:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.model.set_weights(self.weights)'''

_MASKED = '''\
def masked_{name}(targets, output):
    """Leave out the padding."""
    targets = targets[:, : tf.shape(output)[1]]
    values = keras.metrics.{function}(targets, output)
    return tf.boolean_mask(values, tf.not_equal(targets, {padding}))'''


def check_plan(seq2seq: Seq2Seq) -> FitPlan:
    """Return the body of a model's last fit, if a program can do the same.

    Raises
    ------
    FitError
        When there was no fit, or its body has a key that a program has no place for.
    """
    plan = seq2seq.fitted.plan if seq2seq.fitted is not None else None
    if plan is None:
        raise FitError(
            f"{seq2seq.name} has not been fitted since it was made or loaded, and a program does what the last fit "
            "did: fit it first"
        )
    held = plan.validation
    named = [key for key in _WITHOUT if getattr(plan, key)]
    named += ["bad_lines"] * (plan.bad_lines == "skip")
    named += ["validation"] * (held is not None and not isinstance(held, float | tuple))
    named += ["target"] * (not isinstance(plan.target, str))
    if named:
        raise FitError(
            f"the last fit of {seq2seq.name} has the key {named[0]!r} in a form that a program is not written for; "
            "it is for source and target, with validation as a fraction or as [source, target]"
        )
    if plan.patience is not None and plan.optimizer is not None and "ema" in plan.optimizer.arguments:
        raise FitError(
            f"the last fit of {seq2seq.name} has both patience and ema, and Keras alone has no way to put the best "
            "epoch's averages back: a program is written for one of them"
        )
    if plan.loss is not None and plan.loss.kind != "sparse_categorical_crossentropy":
        raise FitError(f"a program is written for a loss of ids, and the last fit of {seq2seq.name} has {plan.loss}")
    return plan


def compile_code(seq2seq: Seq2Seq, plan: FitPlan, model: str) -> tuple[str, str]:
    """Return the definitions that a fit's ``compile`` needs, and the statement; empty where the model's own holds.

    Parameters
    ----------
    seq2seq, plan
        The model and its last fit.
    model
        The code's name for the Keras model.
    """
    compiled = _compiles(seq2seq.source)
    padding = seq2seq.ids.padding
    has_accuracy = padding is not None and seq2seq.spec is not None  # the code of a model from a spec
    metrics = () if has_accuracy and plan.metrics == ("accuracy",) else plan.metrics
    if compiled and plan.optimizer is None and plan.loss is None and not metrics:
        return "", ""
    definitions, optimizer, loss = [], f"{model}.optimizer", f"{model}.loss"
    if plan.optimizer is not None:
        more, optimizer = _optimizer(plan.optimizer)
        definitions += more
    elif not compiled:
        optimizer = "keras.optimizers.Adam()"
    if plan.loss is not None or not compiled:
        logits = backend.loss_settings(seq2seq.model.loss).get("from_logits")
        loss = f"keras.losses.SparseCategoricalCrossentropy({'from_logits=True' if logits else ''})"
    given = {"optimizer": optimizer, "loss": loss}
    if metrics and padding is not None:
        for name in metrics:
            function = "sparse_categorical_accuracy" if name == "accuracy" else name
            if name != "accuracy" or not has_accuracy:
                definitions.append(_MASKED.format(name=name, function=function, padding=padding))
        given["metrics"] = f"[{', '.join(f'masked_{name}' for name in metrics)}]"
    elif metrics:  # the weights leave out what fills up short rows
        given["weighted_metrics"] = repr(list(metrics)).replace("'", '"')
    elif has_accuracy:
        given["metrics"] = "[masked_accuracy]"
    lines = "".join(f"    {name}={value},\n" for name, value in given.items())
    return "\n\n\n".join(definitions), f"{model}.compile(\n{lines})"


def _compiles(source: str) -> bool:
    """Return whether a model's own code compiles one."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Attribute) and called.attr == "compile" for called in calls)


def _optimizer(named: Named) -> tuple[list[str], str]:
    settings: dict[str, Any] = dict(named.arguments)
    definitions: list[str] = []
    rate = settings.pop("learning_rate", None)
    shown = {}
    if isinstance(rate, Named):
        definitions, shown["learning_rate"] = _schedule(rate)
    elif rate is not None:
        shown["learning_rate"] = repr(rate)
    if (momentum := settings.pop("ema", None)) is not None:
        settings |= {"use_ema": True, "ema_momentum": momentum}
    shown |= {name: repr(value) for name, value in settings.items()}
    inside = ", ".join(f"{name}={value}" for name, value in shown.items())
    return definitions, f"keras.optimizers.{OPTIMIZERS[named.kind].__name__}({inside})"


def _schedule(named: Named) -> tuple[list[str], str]:
    """Return a schedule as code; see `s2s_magic.training.schedules.schedule_of`."""
    settings = {"factor": 1.0 if named.kind == "noam" else 0.5, "end": 0.0, "warmup": 0, **named.arguments}
    rate, steps, warmup = settings.get("rate", 0.0), settings.get("steps", 0), settings["warmup"]
    if named.kind == "noam":
        return [
            _INVERSE
        ], f"InverseSquareRoot({settings['factor']} * ({settings['units']} * {warmup}) ** -0.5, {warmup})"
    if named.kind == "inverse_sqrt":
        return [_INVERSE], f"InverseSquareRoot({rate}, {warmup})"
    after = {
        "linear": f"keras.optimizers.schedules.PolynomialDecay({rate}, {steps}, end_learning_rate={settings['end']})",
        "cosine": f"keras.optimizers.schedules.CosineDecay({rate}, {steps}, alpha={settings['end'] / (rate or 1)})",
        "exponential": f"keras.optimizers.schedules.ExponentialDecay({rate}, {steps}, {settings['factor']})",
    }.get(named.kind, repr(rate))
    return ([_WARM_UP], f"WarmUp({after}, {warmup})") if warmup and named.kind != "plateau" else ([], after)


def callbacks_code(plan: FitPlan) -> tuple[str, str]:
    """Return the definitions that the callbacks of a fit need, and the list of them as code; empty if it has none."""
    monitor = "val_loss" if plan.validation is not None else "loss"
    made, definition = [], ""
    if plan.patience is not None:  # EarlyStopping of Keras 2 puts nothing back after the last epoch
        definition = _KEEP_BEST.format(patience=plan.patience, monitor=monitor)
        made.append("KeepBest()")
    if plan.lowers_the_rate is not None:
        settings = plan.lowers_the_rate.arguments
        names = {"factor": 0.5, "patience": 2, "least": 0.0}
        factor, patience, least = (settings.get(name, default) for name, default in names.items())
        made.append(
            f'keras.callbacks.ReduceLROnPlateau("{monitor}", factor={factor}, patience={patience}, min_lr={least})'
        )
    if plan.log is not None:
        made.append(f"keras.callbacks.TensorBoard({plan.log!r})")
    return definition, f"[{', '.join(made)}]" if made else ""
