"""Following one example over the wires: its values, and the norms of the gradient on the way back."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from tensorflow import keras

from kerases import KERAS3
from s2s_magic import api
from s2s_magic.errors import DataError, FitError, Seq2SeqError, UsageError
from s2s_magic.view.wiring.shapes import HALO

SPEC = "vocab: 9\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\nstart: 1\nend: 2\nmax_length: 5\ncode: keras\n"
SOURCE, TARGET, FED = [3, 4, 5], [6, 7, 2], [1, 6, 7]
LAYERS = ("embeddings", "encoder", "decoder", "output_layer")


def by_hand(model):
    """Return each tensor's value, and the gradient of the loss with respect to it, from the layers alone."""
    embed, encoder, decoder, output = (model.layers[name] for name in LAYERS)
    found = {}
    with tf.GradientTape() as tape:
        read, fed = embed(np.array([SOURCE])), embed(np.array([FED]))
        tape.watch([read, fed])
        _, h, c = encoder(read)
        said = decoder(fed, initial_state=[h, c])
        chances = output(said)
        # of the numbers alone, as Keras otherwise looks for the logits behind them
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(np.array([TARGET]), tf.identity(chances)))
    names = ("encoder_embeddings", "decoder_embeddings", "state_h", "state_c", "decoder_outputs", "Y_proba")
    values = (read, fed, h, c, said, chances)
    for name, value, gradient in zip(names, values, tape.gradient(loss, values), strict=True):
        found[name] = np.asarray(value), np.asarray(gradient)
    return found, float(loss)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return api.build(SPEC)


def test_values_and_gradients_are_those_of_the_layers_run_by_hand(model):
    before = model.model.get_weights()
    followed = api.explain(model, follow=SOURCE, target=TARGET)
    expected, loss = by_hand(model)
    assert followed.loss == pytest.approx(loss, rel=1e-4)
    found = {one.name: one for one in followed.carried}
    for name, (value, gradient) in expected.items():
        one = found[name]
        assert one.shape == value.shape
        assert one.norm == pytest.approx(np.linalg.norm(value), rel=1e-4)
        assert one.gradient == pytest.approx(np.linalg.norm(gradient), rel=1e-3)
        np.testing.assert_allclose(one.first, value.reshape(-1, value.shape[-1])[0, :3], rtol=1e-4)
    for name, ids in (("encoder_inputs", SOURCE), ("decoder_inputs", FED)):
        assert (found[name].first, found[name].norm, found[name].gradient) == (tuple(ids), None, None)
    assert [one.event for one in followed.carried] == sorted(one.event for one in followed.carried)
    for old, new in zip(before, model.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_every_form_says_what_the_wires_carry(model):
    followed = api.explain(model, follow=SOURCE, target=TARGET)
    text, page = (followed._repr_mimebundle_()[kind] for kind in ("text/plain", "text/html"))
    assert "model reads 3 4 5 and should say 6 7 2: loss " in text
    for one in followed.carried:
        assert re.search(rf"^{re.escape(one.name or one.layer)}.*\({', '.join(map(str, one.shape))}\)", text, re.M)
    state = next(one for one in followed.carried if one.name == "state_h")
    other = next(one for one in followed.carried if one.name == "state_c")
    label = f"{state.norm:.2g}, {other.norm:.2g} ← {state.gradient:.2g}, {other.gradient:.2g}"
    assert f">{label}</text>" in page
    assert ">3 4 5</text>" in page
    assert f"state_h (1, 6): {' '.join(f'{one:.3g}' for one in state.first)} …; norm {state.norm:.3g}, gradient" in page
    assert max(map(len, text.splitlines())) <= 100


def test_without_a_target_it_is_what_the_model_says(model):
    said = api.decode(model, [SOURCE])[0]
    followed = api.explain(model, follow=SOURCE)
    assert followed.target == " ".join(map(str, said))
    assert "the target is what the model says" in followed.notes[0]


def test_nothing_flows_back_through_what_is_before_all_that_is_trained():
    code = f"""
from {"keras" if KERAS3 else "tensorflow.keras"} import Input, Model, layers
x = Input([4])
first = layers.Dense(3, activation="tanh")
first.trainable = False
hidden = first(x)
side = layers.Dense(2)(x)
y = layers.Dense(1)(hidden)
model = Model(x, y)
"""
    seen = api.trace(code)
    row = np.arange(4.0)
    with pytest.raises(FitError, match="is not compiled, and so has no loss to follow an example to: compile it"):
        api.explain(seen, follow=row, target=np.ones(1))
    seen.model.compile("adam", "mse")
    carried = {one.name: one for one in api.explain(seen, follow=row, target=np.ones(1)).carried}
    assert list(carried) == ["x", "hidden", "y"]
    assert carried["x"].gradient is None
    hidden = np.tanh(row @ np.asarray(seen.namespace["first"].kernel))
    assert carried["hidden"].norm == pytest.approx(np.linalg.norm(hidden), rel=1e-4)
    kernel = np.asarray(seen.model.layers[-1].kernel)
    error = float((hidden @ kernel)[0] - 1)
    assert carried["y"].gradient == pytest.approx(abs(2 * error), rel=1e-3)


def test_a_model_without_wires_is_refused_in_one_line():
    seen = api.trace(
        f"from {'keras' if KERAS3 else 'tensorflow.keras'} import Model, layers\n"
        "class Own(Model):\n    def __init__(self):\n        super().__init__()\n        self.d = layers.Dense(1)\n"
        "    def call(self, x):\n        return self.d(x)\n"
        "model = Own()\nmodel.compile('adam', 'mse')"
    )
    with pytest.raises(FitError, match="has no wires from inputs to outputs on which an example could be followed"):
        api.explain(seen, follow=np.arange(4.0), target=np.ones(1))


def test_a_model_of_two_inputs_of_one_kind_is_refused_in_words_about_the_example():
    seen = api.trace(
        f"from {'keras' if KERAS3 else 'tensorflow.keras'} import Input, Model, layers\n"
        "left, right = Input([3]), Input([3])\n"
        "model = Model([left, right], layers.Dense(1)(layers.Concatenate()([left, right])))\n"
        "model.compile('adam', 'mse')"
    )
    words = "model takes left and right, and an example to follow is one source and one target: expected a model with "
    with pytest.raises(FitError, match=words):
        api.explain(seen, follow=np.ones(3), target=np.ones(1))


def test_an_example_that_does_not_fit_is_refused(model):
    with pytest.raises(DataError, match="99"):
        api.explain(model, follow=[3, 99], target=TARGET)


def test_the_magic_follows_texts_ids_and_variables(model):
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    shell.user_ns.update(model=model, X=[SOURCE, [3]], Y=[TARGET, [2]])
    with capture_output() as shown:
        shell.run_line_magic("seq2seq", 'explain model --follow "3 4 5" --target "6 7 2"')
        shell.run_line_magic("seq2seq", "explain model --follow X --target Y")
    first, second = (output.data["text/plain"] for output in shown.outputs)
    assert first == second
    assert "encoder_embeddings" in first
    returned = shell.run_line_magic("seq2seq", "explain model --follow X --return")
    assert json.dumps(returned.target)
    for line in ("explain model --follow X --decode X", "explain model state_h --follow X"):
        assert isinstance(shell.run_cell(f"%seq2seq {line}").error_in_exec, UsageError)
    with capture_output():
        assert "give WHAT or --follow SOURCE, not both" in str(
            shell.run_cell("%seq2seq explain model state_h --follow X").error_in_exec
        )


def test_an_example_of_texts_is_followed():
    made = api.build("vocab: {source: A, target: B}\nembed: 4\nencoder: gru(6)\ndecoder: gru(6)\ntokens: char\n",
                     namespace={"A": ["abc", "ca"], "B": ["xy", "z"]})  # fmt: skip
    api.fit(made, "source: A\ntarget: B\n", {"A": ["abc", "ca"], "B": ["xy", "z"]}, progress=lambda _: None)
    followed = api.explain(made, follow="cab", target="zy")
    assert (followed.source, followed.target) == ("cab", "zy")
    ids = next(one.first for one in followed.carried if one.dtype == "int32")
    assert len(ids) == 3


def test_a_mask_says_how_much_of_it_is_true():
    model = api.build(SPEC + "padding: 0\n")
    followed = api.explain(model, follow=SOURCE, target=TARGET)
    (mask,) = [one for one in followed.carried if one.name == "encoder_mask"]
    assert (mask.true, mask.dtype, mask.norm) == (3, "bool", None)
    bundle = followed._repr_mimebundle_()
    assert "3 of 3 true" in bundle["text/plain"]
    assert "3 of 3 true</text>" in bundle["text/html"]
    assert "True" not in bundle["text/html"].replace("True.", "")


def test_each_number_on_a_wire_stands_on_a_ground_of_the_pages_colour(model):
    page = api.explain(model, follow=SOURCE, target=TARGET)._repr_mimebundle_()["text/html"]
    labels = re.findall(r"(<rect [^>]*/>)?<text [^>]*>([^<]* ← [^<]*)</text>", page)
    assert len(labels) > 3
    assert [label for ground, label in labels if f'fill="{HALO}"' not in ground] == []


@pytest.fixture
def shell(model):
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    shell.user_ns.update(model=model)
    yield shell
    shell.run_line_magic("unload_ext", "s2s_magic")
    InteractiveShell.clear_instance()


def test_a_page_has_the_examples_folded_and_needs_no_script_for_them(shell, tmp_path):
    path = tmp_path / "page.html"
    shell.run_line_magic("seq2seq", f'inspect model --html {path} --decode "3 4 5" --follow "3 4 5" --target "6 7"')
    page = path.read_text("utf-8")
    assert "<details><summary>How an output is said</summary>" in page
    assert "What model said, step by step" in page
    assert "<details><summary>One example on the wires</summary>" in page
    assert "model reads 3 4 5 and should say 6 7: loss" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count("<details") == page.count("</details>")
    shell.run_line_magic("seq2seq", f"inspect model --html {path}")
    assert "<summary>How an output is said" not in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            '--decode "3"',
            "--decode adds to a page: give --html FILE as well, or %seq2seq explain model --decode SOURCE",
        ),
        (
            '--target "3"',
            "--target adds to a page: give --html FILE as well, or %seq2seq explain model --follow SOURCE",
        ),
        ('--html FILE --decode "3" --target "3"', "--target is of an example that is followed: give --follow SOURCE"),
        ('--html FILE --decode "three"', "model works on ids: expected whole numbers"),
        ('--html FILE --follow "99"', "99"),
        ('--html FILE --decode "99"', "99"),
    ],
)
def test_what_a_page_cannot_show_is_told_in_a_line_and_no_file_is_written(shell, tmp_path, line, words):
    path = tmp_path / "page.html"
    with pytest.raises(Seq2SeqError) as caught:
        shell.run_line_magic("seq2seq", f"inspect model {line.replace('FILE', str(path))}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not path.exists()
