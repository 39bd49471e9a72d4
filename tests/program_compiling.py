"""Drawing how random programs compile their models, and what they do to their objects before the fit."""

from __future__ import annotations

from hypothesis import strategies as st

from kerases import KERAS3
from program_text import Writing

# -- compiling

WITHOUT_EPSILON = ("SGD", "legacy.SGD", "Lion", "Ftrl")


def optimizer(w: Writing) -> str:
    """Draw an optimizer; return its code."""
    kind = w.one_of(
        "Adam",
        "Adam",
        "Adam",
        "Adam",
        "AdamW",
        "SGD",
        "RMSprop",
        "Nadam",
        "Adagrad",
        "Adamax",
        *(("Adadelta", "Lion", "Ftrl") if KERAS3 else ("legacy.Adam", "legacy.SGD", "legacy.RMSprop")),
    )
    w.note(f"optimizer {kind}")
    rate = "0.01"
    if w.chance(12):
        w.note("schedule of rates")
        rate = "keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)"
    how = [rate]
    how += ["epsilon=1e-2"] if kind not in WITHOUT_EPSILON and w.chance(85) else []
    if "SGD" in kind:
        how.append(w.one_of("momentum=0.0", "momentum=0.9", "momentum=0.9, nesterov=True"))
    if "Adam" in kind and kind != "Adamax" and w.chance(10):
        w.note("amsgrad")
        how.append("amsgrad=True")
    if w.chance(25):
        clipping = w.one_of("clipnorm=0.05", "clipvalue=0.01", "global_clipnorm=0.1")
        w.note(clipping.partition("=")[0])
        how.append(clipping)
    if not kind.startswith("legacy"):
        if w.chance(10):
            w.note("EMA")
            how += ["use_ema=True", "ema_momentum=0.5", *w.one_of([], ["ema_overwrite_frequency=2"])]
        if w.chance(10) and kind != "AdamW":
            w.note("weight decay")
            how.append("weight_decay=0.02")
        if not KERAS3 and w.chance(4):
            w.note("jit_compile on the optimizer")
            how.append("jit_compile=True")
    base = f"keras.optimizers.{kind}"
    if w.chance(6) and not kind.startswith("legacy"):
        w.note("a subclass of the optimizer")
        body = w.one_of(*(OWN_UPDATES_OF_KERAS_3 if KERAS3 else OWN_UPDATES))
        w.add(f"class Half({base}):\n{body}")
        base = "Half"
    return f"{base}({', '.join(how)})"


OWN_UPDATES = (
    """\
    def update_step(self, gradient, variable):
        super().update_step(0.5 * tf.convert_to_tensor(gradient), variable)""",
    """\
    def apply_gradients(self, pairs, *args, **kwargs):
        pairs = [(0.5 * tf.convert_to_tensor(g), v) for g, v in pairs]
        return super().apply_gradients(pairs, *args, **kwargs)""",
)

OWN_UPDATES_OF_KERAS_3 = (
    """\
    def update_step(self, gradient, variable, learning_rate):
        super().update_step(0.5 * tf.convert_to_tensor(gradient), variable, learning_rate)""",
    """\
    def apply(self, grads, trainable_variables=None):
        return super().apply([0.5 * tf.convert_to_tensor(g) for g in grads], trainable_variables)""",
)


def _train_step(loss: str, *after: str) -> str:
    """Return a class whose training step computes a loss and goes on as it says."""
    lines = (
        "class Own(keras.Model):",
        "    def train_step(self, data):",
        "        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)",
        "        with tf.GradientTape() as tape:",
        "            out = self(x, training=True)",
        f"            loss = {loss}",
        *(f"        {line}" for line in after),
    )
    return "\n".join(lines)


_TWICE = "2.0 * self.compute_loss(x, y, out, weights)"
_GRADIENTS = "gradients = tape.gradient(loss, self.trainable_variables)"
_APPLIED = "self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))"
_MEASURED = "return self.compute_metrics(x, y, out, weights)"
_RESULTS = "return {m.name: m.result() for m in self.metrics}"
TRAIN_STEPS = (
    _train_step(_TWICE, "self.optimizer.minimize(loss, self.trainable_variables, tape=tape)", _MEASURED),
    _train_step(
        "self.compiled_loss(y, out, weights, regularization_losses=self.losses)",
        _GRADIENTS,
        _APPLIED,
        "self.compiled_metrics.update_state(y, out, weights)",
        _RESULTS,
    ),
    """\
class Own(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return 0.5 * super().compute_loss(x, y, y_pred, sample_weight)""",
)
TRAIN_STEPS_OF_KERAS_3 = (
    _train_step(_TWICE, _GRADIENTS, "self.optimizer.apply(gradients, self.trainable_variables)", _MEASURED),
    _train_step(
        "self.compute_loss(x, y, out, weights)",
        _GRADIENTS,
        _APPLIED,
        "for metric in self.metrics:",
        "    metric.update_state(*((loss,) if metric.name == 'loss' else (y, out, weights)))",
        _RESULTS,
    ),
    """\
class Own(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return 0.5 * super().compute_loss(x, y, y_pred, sample_weight, training)""",
)


def afterwards(w: Writing) -> None:
    """Write what users do to their objects between compiling and fitting."""
    layers = [name for name, kind in w.layers if kind not in ("embedding",)]
    if w.chance(5) and layers:
        w.note("frozen after compile")
        w.add(f"{w.one_of(*layers)}.trainable = False")
    replaced = w.draw(st.integers(0, 99))
    recurrent_layers = [name for name, kind in w.layers if kind == "rnn"]
    cells = [name for name, kind in w.layers if kind == "cell"]
    dense = [name for name, kind in w.layers if kind in ("dense", "head", "embedding")]
    if replaced < 5 and recurrent_layers:
        w.note("layer.call replaced")
        name = w.one_of(*recurrent_layers)
        w.add(f"own_call = {name}.call\n{name}.call = lambda *a, **k: 2.0 * own_call(*a, **k)")
    elif replaced < 8 and cells:
        w.note("cell.call replaced")
        name = w.one_of(*cells)
        w.add(f"own_cell = {name}.call\n{name}.call = lambda inputs, *a, **k: own_cell(0.5 * inputs, *a, **k)")
    elif replaced < 11 and dense:
        w.note("layer.call replaced")
        name = w.one_of(*dense)
        w.add(f"own_call = {name}.call\n{name}.call = lambda *a, **k: 1.0 * own_call(*a, **k)")
    elif replaced < 15 and KERAS3:
        w.note("optimizer.apply replaced")
        w.add(
            "own_apply = model.optimizer.apply\n"
            "model.optimizer.apply = lambda gradients, variables=None: own_apply(\n"
            "    [None if g is None else 0.1 * tf.convert_to_tensor(g) for g in gradients], variables)"
        )
    elif replaced < 15:
        w.note("optimizer.apply_gradients replaced")
        w.add(
            "own_apply = model.optimizer.apply_gradients\n"
            "model.optimizer.apply_gradients = lambda pairs, *a, **k: own_apply(\n"
            "    [(None if g is None else 0.1 * tf.convert_to_tensor(g), v) for g, v in pairs], *a, **k)"
        )
    elif replaced < 18 and "legacy" not in " ".join(w.features):
        w.note("optimizer.update_step replaced")
        w.add(
            "own_update = model.optimizer.update_step\n"
            "model.optimizer.update_step = lambda g, *v: own_update(0.1 * tf.convert_to_tensor(g), *v)"
        )
    elif replaced < 20 and not KERAS3 and "legacy" not in " ".join(w.features):
        w.note("optimizer.compute_gradients replaced")
        w.add(
            "own_compute = model.optimizer.compute_gradients\n"
            "model.optimizer.compute_gradients = lambda *a, **k: [(0.1 * tf.convert_to_tensor(g), v)\n"
            "    for g, v in own_compute(*a, **k) if g is not None]"
        )
    elif replaced < 23:
        w.note("model.train_step replaced")
        w.add(
            "own_step = model.train_step\nmodel.train_step = lambda data: {**own_step(data), 'one': tf.constant(1.0)}"
        )
    elif replaced < 26:
        w.note("model.compute_loss replaced")
        w.add("own_loss = model.compute_loss\nmodel.compute_loss = lambda *a, **k: 3.0 * own_loss(*a, **k)")
