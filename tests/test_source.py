"""A plan becomes plain Keras code, as a good teacher would write it, for exactly the specified model."""

import ast
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from addons import run_plainly
from addons_golden import HAS_TFA
from program_text import SOFTMAX
from s2s_magic import backend
from s2s_magic.source import Dialect, generate
from s2s_magic.spec import Spec, parse_spec

pytestmark = pytest.mark.once

FIVE_LINES = "vocab: 100\nembed: 10\nencoder: lstm(512)\ndecoder: lstm(512)\n"

# The model as written by hand: equivalent to the book's code, but our own text.
BY_HAND = """
import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
from tensorflow import keras

source_ids = keras.Input([None], dtype=np.int32)
shifted_ids = keras.Input([None], dtype=np.int32)
lengths = keras.Input([], dtype=np.int32)
table = keras.layers.Embedding(100, 10)
source_vectors, shifted_vectors = table(source_ids), table(shifted_ids)
_, h, c = keras.layers.LSTM(512, return_state=True)(source_vectors)
decode = tfa.seq2seq.BasicDecoder(
    keras.layers.LSTMCell(512), tfa.seq2seq.TrainingSampler(), output_layer=keras.layers.Dense(100)
)
scores, _, _ = decode(shifted_vectors, initial_state=[h, c], sequence_length=lengths)
model = keras.Model([source_ids, shifted_ids, lengths], tf.nn.softmax(scores.rnn_output))
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
"""

MATRIX = {
    "five_lines": FIVE_LINES.replace("512", "16"),
    "two_vocabularies": "vocab: {source: 20, target: 30}\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)",
    "two_sizes": "vocab: 20\nembed: {source: 4, target: 6}\nencoder: lstm(8)\ndecoder: lstm(8)",
    "not_shared": "vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\nshare: false",
    "gru": "vocab: 20\nembed: 4\nencoder: gru(8)\ndecoder: gru(8)\nend: 2",
    "stacked_lstm": "vocab: 20\nembed: 4\nencoder: 2 * lstm(8)\ndecoder: 2 * lstm(8)\nstart: 1\npadding: 0",
    "stacked_gru": "vocab: 20\nembed: 4\nencoder: 3 * gru(8)\ndecoder: 3 * gru(8)",
    "bidirectional": "vocab: 20\nembed: 4\nencoder: bidirectional(lstm(4))\ndecoder: lstm(8)\nstart: 1\npadding: 0",
    "bidirectional_gru_stack": "vocab: 20\nembed: 4\nencoder: 2 * bidirectional(gru(4))\ndecoder: 2 * gru(8)",
    "dense_bridge": "vocab: 20\nembed: 4\nencoder: 2 * lstm(4)\ndecoder: 2 * lstm(8)\nbridge: dense",
    "dense_bridge_of_kinds": "vocab: 20\nembed: 4\nencoder: 2 * bidirectional(lstm(4))\ndecoder: gru(8)\nbridge: dense",
    "dense_bridge_from_one_state": "vocab: 20\nembed: 4\nencoder: gru(4)\ndecoder: 2 * lstm(8)\nbridge: dense",
    "zero_bridge_to_more_layers": "vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: 3 * lstm(8)\nbridge: zero",
    "zero_bridge_to_fewer_layers": "vocab: 20\nembed: 4\nencoder: 2 * gru(8)\ndecoder: gru(8)\nbridge: zero",
    "everything": (
        "vocab: {source: 20, target: 30}\nembed: {source: 4, target: 6}\n"
        "encoder: 2 * bidirectional(lstm(4, dropout=0.25, recurrent_dropout=0.125))\n"
        "decoder: 2 * lstm(8, dropout=0.25, recurrent_dropout=0.125)\ntokens: char\nbridge: dense\nmax_length: 12"
    ),
}
GOLDEN = ("five_lines", "stacked_lstm", "bidirectional_gru_stack", "zero_bridge_to_more_layers", "everything")


def at_hand(spec: Spec) -> str:
    """Generate code with TFA's API for the Keras at hand."""
    return generate(spec, Dialect("tfa", backend.OPERATIONS, addons=HAS_TFA))


def run(code: str, seed: int = 42) -> dict:
    """Run code in a new namespace, and return it."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    namespace: dict = {"__name__": "generated"}
    run_plainly(code, namespace)
    return namespace


def padded_batch(spec: Spec, rows: int = 6, width: int = 7) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return model inputs, targets (wider than the longest row if there is padding) and the lengths."""
    random = np.random.default_rng(3)
    source = random.integers(3, spec.vocab.source, (rows, 5))
    target = random.integers(3, spec.vocab.target, (rows, width))
    lengths = np.full(rows, width)
    if spec.padding is not None:
        lengths = np.arange(rows) % (width - 2) + 1
        target[np.arange(width) >= lengths[:, None]] = spec.padding
        source[1:, 3:] = spec.padding
    shifted = np.c_[np.full(rows, spec.start), target[:, :-1]]
    return [source, shifted, lengths], target, lengths


def weights_of(part, width: int) -> int:
    """Return the number of a recurrent part's weights: gates times input, recurrent and bias weights."""
    total = 0
    for _ in range(part.layers):
        gates, biases = (4, 1) if part.kind == "lstm" else (3, 2)  # Keras's GRU has two biases
        one_way = gates * part.units * (width + part.units + biases)
        total += one_way * (2 if part.bidirectional else 1)
        width = part.state_units
    return total


def bridge_weights(spec: Spec) -> int:
    if spec.bridge != "dense":
        return 0
    encoder, decoder = spec.encoder, spec.decoder
    width = encoder.state_units
    if (encoder.kind, encoder.layers) != (decoder.kind, decoder.layers):
        width *= encoder.layers * len(encoder.state_names)
    return decoder.layers * len(decoder.state_names) * (width + 1) * decoder.units


def expected_parameters(spec: Spec) -> int:
    embeddings = [spec.vocab.target * spec.embed.target] + [spec.vocab.source * spec.embed.source] * (not spec.shared)
    recurrent = weights_of(spec.decoder, spec.embed.target) + weights_of(spec.encoder, spec.embed.source)
    return sum(embeddings) + recurrent + bridge_weights(spec) + (spec.decoder.units + 1) * spec.vocab.target


@pytest.mark.parametrize("name", MATRIX)
def test_the_source_runs_by_itself_and_builds_and_trains_the_model_that_was_asked_for(name):
    spec = parse_spec(MATRIX[name])
    assert "s2s_magic" not in generate(spec)
    model = run(at_hand(spec))["model"]
    assert [tuple(tensor.shape) for tensor in model.inputs] == [(None, None), (None, None), (None,)]
    assert tuple(model.outputs[0].shape) == (None, None, spec.vocab.target)
    assert model.count_params() == expected_parameters(spec)
    inputs, targets, _ = padded_batch(spec)
    model.run_eagerly = True  # a single step is faster than tracing a graph
    loss = model.train_on_batch(inputs, targets, return_dict=True)["loss"]
    assert np.isfinite(loss)
    assert loss == pytest.approx(np.log(spec.vocab.target), rel=0.05)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_source_is_the_golden_file(name, golden):
    golden(f"source/{name}.txt", generate(parse_spec(MATRIX[name])))


def test_the_source_is_formatted_and_clean(tmp_path):
    long = (
        "vocab: {source: 9999999, target: 9999999}\nembed: {source: 16384, target: 16384}\nencoder: 16 * bidirectional("
    )
    long += "gru(16384, dropout=0.123456789, recurrent_dropout=0.123456789))\ndecoder: 16 * lstm(9)\nbridge: dense"
    for name, text in {**MATRIX, "long": long}.items():
        (tmp_path / f"{name}.py").write_text(generate(parse_spec(text)))
    for command in (["format", "--diff"], ["check", "--select", "E,F,W,I"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "100", str(tmp_path)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_line_of_the_source_does_something():
    """Each bound name is used, except for the unneeded results of a call that returns several."""
    by_the_way = {"encoder_outputs", "final_state", "final_sequence_lengths", "model"}
    for text in MATRIX.values():
        tree = ast.parse(generate(parse_spec(text)))
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        unread = bound - read - by_the_way
        assert not unread or ("bridge: zero" in text and all(name.startswith("state_") for name in unread)), unread


def test_a_source_needs_its_vocabulary_counted():
    with pytest.raises(ValueError, match="still to be counted"):
        generate(parse_spec("vocab: texts\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)"))


def test_the_five_line_spec_builds_the_books_model():
    namespace = run(at_hand(parse_spec(FIVE_LINES)))
    model = namespace["model"]
    assert len(model.inputs) == 3
    assert len(model.trainable_variables) == 9
    assert model.count_params() == 2_194_508
    assert [layer for layer in model.layers if isinstance(layer, keras.layers.Embedding)] == [namespace["embeddings"]]
    code = generate(parse_spec(FIVE_LINES))
    for part in ("TrainingSampler()", "BasicDecoder(", "LSTMCell(512)", "Dense(vocab_size)", "tf.nn.softmax("):
        assert part in code


def ten_losses(code: str) -> list[float]:
    model = run(code)["model"]
    random = np.random.default_rng(0)
    losses = []
    for _ in range(10):
        X, Y = random.integers(100, size=(32, 10)), random.integers(100, size=(32, 15))
        losses.append(model.train_on_batch([X, np.c_[np.zeros((32, 1)), Y[:, :-1]], np.full([32], 15)], Y))
    return losses


@pytest.fixture(scope="module")
def generated_losses() -> list[float]:
    return ten_losses(at_hand(parse_spec(FIVE_LINES)))


def test_the_first_ten_losses_are_those_of_code_written_by_hand_to_the_last_bit(generated_losses):
    assert ten_losses(BY_HAND.replace("tf.nn.softmax", SOFTMAX)) == generated_losses
    assert len(set(generated_losses)) == 10


@pytest.mark.parametrize("name", ["stacked_lstm", "bidirectional"])
def test_loss_and_accuracy_count_the_real_tokens_alone(name):
    spec = parse_spec(MATRIX[name])
    model = run(at_hand(spec))["model"]
    inputs, targets, lengths = padded_batch(spec)
    assert targets.shape[1] > lengths.max()
    shown = model.evaluate(inputs, targets, batch_size=6, verbose=0, return_dict=True)
    chances = model.predict(inputs, batch_size=6, verbose=0)
    real = [(row, step) for row, length in enumerate(lengths) for step in range(length)]
    losses = [-np.log(chances[row, step, targets[row, step]]) for row, step in real]
    right = [chances[row, step].argmax() == targets[row, step] for row, step in real]
    assert shown["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert shown["masked_accuracy"] == pytest.approx(np.mean(right), rel=1e-6)


def test_accuracy_over_several_batches_is_that_of_all_real_tokens_together():
    spec = parse_spec(MATRIX["stacked_lstm"])
    model = run(at_hand(spec))["model"]
    inputs, targets, _ = padded_batch(spec)
    whole = model.evaluate(inputs, targets, batch_size=6, verbose=0, return_dict=True)
    split = model.evaluate(inputs, targets, batch_size=4, verbose=0, return_dict=True)
    assert split["masked_accuracy"] == pytest.approx(whole["masked_accuracy"], rel=1e-6)


def test_a_batch_of_nothing_but_padding_has_loss_zero():
    namespace = run(at_hand(parse_spec(MATRIX["stacked_lstm"])))
    loss = namespace["masked_loss"](tf.zeros([2, 3], tf.int32), tf.fill([2, 3, 20], 0.05))
    assert float(loss) == 0.0


@pytest.mark.parametrize("name", ["stacked_lstm", "bidirectional", "everything"])
def test_padding_of_the_source_changes_nothing(name):
    spec = parse_spec(MATRIX[name])
    model = run(at_hand(spec))["model"]
    (source, shifted, lengths), _, _ = padded_batch(spec)
    source[:, 3:] = spec.padding
    wide = model([source, shifted, lengths])
    narrow = model([source[:, :3], shifted, lengths])
    np.testing.assert_allclose(wide, narrow, rtol=1e-5, atol=1e-7)


def test_plain_fit_takes_padded_targets_of_differing_lengths_in_uneven_batches():
    spec = parse_spec(MATRIX["stacked_lstm"])
    model = run(at_hand(spec))["model"]
    inputs, targets, _ = padded_batch(spec)
    history = model.fit(inputs, targets, batch_size=4, epochs=30, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize("name", [name for name in MATRIX if "bridge" in name])
def test_the_source_has_influence_on_the_output_across_a_bridge(name):
    spec = parse_spec(MATRIX[name])
    model = run(at_hand(spec))["model"]
    (source, shifted, lengths), _, _ = padded_batch(spec)
    other = (source - 3 + 1) % (spec.vocab.source - 3) + 3
    assert np.abs(model([source, shifted, lengths]) - model([other, shifted, lengths])).max() > 1e-6


@pytest.mark.parametrize("name", [name for name in MATRIX if "bridge" in name])
def test_the_first_states_of_a_bridged_decoder_follow_from_the_source_alone(name):
    namespace = run(at_hand(parse_spec(MATRIX[name])))
    first = keras.Model(namespace["encoder_inputs"], namespace["decoder_state"])
    states = tf.nest.flatten(first(np.ones([6, 5])))
    assert {tuple(state.shape) for state in states} == {(6, 8)}


@pytest.mark.parametrize(
    "name", ["stacked_lstm", "stacked_gru", "bidirectional_gru_stack", "zero_bridge_to_more_layers"]
)
def test_the_states_of_each_encoder_layer_start_the_decoder_layer_of_the_same_number(name):
    """The model's output equals that of a plain loop over the cells that passes the states on by hand."""
    spec = parse_spec(MATRIX[name])
    namespace = run(at_hand(spec))
    inputs, _, lengths = padded_batch(spec)
    got = namespace["model"](inputs).numpy()
    numbers = range(1, spec.decoder.layers + 1)
    cells = [namespace[f"decoder_cell_{number}"] for number in numbers]
    names = [[f"state_{state}_{number}" for state in spec.encoder.state_names] for number in numbers]
    if spec.encoder.layers == 1:
        names = [["state_h", "state_c"]]
    wanted = [[namespace[name] for name in layer] for layer in names]
    reader = keras.Model(namespace["encoder_inputs"], wanted)
    states = tf.nest.pack_sequence_as(wanted, tf.nest.flatten(reader(inputs[0])))
    states += [[tf.zeros([6, 8])] * len(spec.decoder.state_names) for _ in range(len(cells) - len(states))]
    for step in range(int(lengths.max())):
        signal = namespace["embeddings"](inputs[1][:, step])
        for number, cell in enumerate(cells):
            signal, states[number] = cell(signal, states[number])
        chances = tf.nn.softmax(namespace["output_layer"](signal)).numpy()
        alive = lengths > step
        np.testing.assert_allclose(got[alive, step], chances[alive], rtol=1e-4, atol=1e-6)


def test_dropout_draws_new_masks_for_each_batch_and_none_outside_training():
    text = "vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8, dropout=0.5, recurrent_dropout=0.5)"
    spec = parse_spec(text)
    model = run(at_hand(spec))["model"]
    model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.SGD(0.0))
    inputs, targets, _ = padded_batch(spec)
    assert len({model.train_on_batch(inputs, targets) for _ in range(4)}) == 4
    assert len({model.test_on_batch(inputs, targets) for _ in range(4)}) == 1
    model.fit(inputs, targets, batch_size=4, verbose=0)  # batches of different sizes draw masks of their own size
