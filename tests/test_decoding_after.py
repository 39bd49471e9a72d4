"""Decoding models whose scores come of more than a softmax over the outputs of a decoder of TFA's API."""

from functools import partial

import numpy as np
import pytest

from own_output import own_output
from s2s_magic import api
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq

pytestmark = pytest.mark.once

IDS, UNITS, END, LONGEST = 12, 8, 2, 6
X = np.random.default_rng(0).integers(3, IDS, size=(6, 5))
HEAD = f"""
import tensorflow as tf
import tensorflow_addons as tfa
from tensorflow import keras

L, large = keras.layers, keras.initializers.RandomNormal(stddev=1.0, seed=3)
keras.utils.set_random_seed(5)
source, given = keras.Input([None], dtype="int32"), keras.Input([None], dtype="int32")
words = L.Embedding({IDS}, {UNITS}, embeddings_initializer=large)
read, h, c = L.LSTM({UNITS}, return_sequences=True, return_state=True)(words(source))
"""
MADE = """
writer = tfa.seq2seq.BasicDecoder(L.LSTMCell({units}), tfa.seq2seq.TrainingSampler(), {own})
lengths = keras.Input([], dtype="int32")
said, _, _ = writer(words(given), initial_state=[h, c], sequence_length=lengths)
"""
ATTENDING = """
from s2s_magic.addons import seq2seq

cell = seq2seq.AttentionWrapper(L.LSTMCell({units}), seq2seq.LuongAttention({units}, read), attention_layer_size=7)
writer = seq2seq.BasicDecoder(cell, seq2seq.TrainingSampler(), {own})
lengths = keras.Input([], dtype="int32")
start = cell.get_initial_state(read).clone(cell_state=[h, c])
said, _, _ = writer(words(given), initial_state=start, sequence_length=lengths)
"""
DENSE = f"L.Dense({IDS}, kernel_initializer=large)"
AFTER = {
    "an output layer outside": ("", f"tf.nn.softmax({DENSE}(L.Dropout(0.5)(said.rnn_output)))"),
    "two layers and a norm": (
        "",
        f"{DENSE}(L.LayerNormalization()(L.Dense(9, 'tanh', kernel_initializer=large)(said.rnn_output)))",
    ),
    "a layer with a softmax": ("", f"L.Softmax()({DENSE}(said.rnn_output))"),
    "one inside and one outside": ("L.Dense(10, 'relu', kernel_initializer=large)", f"{DENSE}(said.rnn_output)"),
    "the user's own function": ("", f"L.Lambda(lambda x: tf.nn.softmax(2 * x))({DENSE}(said.rnn_output))"),
    "a temperature": (DENSE, "tf.nn.softmax(said.rnn_output / 0.25)"),
    "the decoder's own": (DENSE, "tf.nn.softmax(L.Dropout(0.5)(said.rnn_output))"),
}


def traced(own: str, scores: str, made: str = MADE, outputs: str = "scores") -> Seq2Seq:
    code = HEAD + made.format(units=UNITS, own=f"output_layer={own}" if own else "")
    return api.trace(f"{code}scores = {scores}\nmodel = keras.Model([source, given, lengths], {outputs})\n", {})


def probabilities(scores: np.ndarray) -> np.ndarray:
    if (scores >= 0).all() and abs(scores.sum() - 1) < 1e-3:
        return scores
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()


def scores_of(seq2seq: Seq2Seq, output: int, sources: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Call the training model as it was written."""
    inputs = [sources, ids, np.full(len(ids), ids.shape[1])]
    found = seq2seq.model([one.astype("int32") for one in inputs], training=False)
    return np.asarray(found[output] if isinstance(found, list | tuple) else found)


def fed(seq2seq: Seq2Seq, output: int = 0) -> list[list[int]]:
    """Return what the training model says when fed its own most probable ids."""
    return own_output(partial(scores_of, seq2seq, output), X, LONGEST, start=1, end=END)


@pytest.mark.parametrize("made", [MADE, ATTENDING], ids=["plain", "attending"])
@pytest.mark.parametrize("title", AFTER)
def test_what_follows_the_decoder_is_part_of_each_step(title: str, made: str) -> None:
    own, scores = AFTER[title]
    seq2seq = traced(own, scores, made)
    found = api.decode(seq2seq, X, start=1, end=END, max_length=LONGEST)
    assert list(found) == fed(seq2seq)
    wide = api.decode(seq2seq, X[:2], start=1, end=END, max_length=LONGEST, beam=4)
    for row, said, total in zip(X, wide, wide.scores, strict=False):
        ids = [*said, END] if len(said) < LONGEST else said
        scores = scores_of(seq2seq, 0, row[None], np.array([[1, *ids[:-1]]]))[0].astype(float)
        each = [np.log(probabilities(one)[id_]) for one, id_ in zip(scores, ids, strict=True)]
        assert total == pytest.approx(sum(each), rel=1e-4)


def test_of_several_outputs_the_scores_are_the_one_with_a_loss() -> None:
    seq2seq = traced("", f"{DENSE}(said.rnn_output)", outputs="[L.Dense(5)(said.rnn_output), scores]")
    seq2seq.model.compile(loss=[None, "sparse_categorical_crossentropy"])
    found = api.decode(seq2seq, X, start=1, end=END, max_length=LONGEST)
    assert list(found) == fed(seq2seq, 1)
    assert "its scores are its output" in "".join(seq2seq.inference.notes)
    assert len(api.decode(seq2seq, X, start=1, end=END, max_length=LONGEST, beam=IDS)) == len(X)  # of 12, not of 5
    with pytest.raises(DecodeError, match="beam is 13; expected at most the 12 symbols"):
        api.decode(seq2seq, X, start=1, end=END, beam=IDS + 1)


LOOKING = f"{DENSE}(L.Concatenate()([said.rnn_output, L.Attention()([said.rnn_output, read])]))"


def test_what_reads_more_than_the_decoders_outputs_is_named() -> None:
    with pytest.raises(DecodeError, match=r"\(Attention\) stands between the decoder and the scores, and"):
        api.decode(traced("", LOOKING), X, start=1, end=END, max_length=LONGEST)


def test_what_looks_at_other_positions_is_found_by_trying_it_out() -> None:
    for function in ("tf.cumsum(x, 1)", "x - tf.reduce_mean(x, 0)", "tf.reverse(x, [1])"):
        with pytest.raises(DecodeError, match=r"\(Lambda\) stands .* and looks at more than one position"):
            api.decode(traced(DENSE, f"L.Lambda(lambda x: {function})(said.rnn_output)"), X, start=1, end=END)


@pytest.mark.parametrize("scores", [LOOKING, f"{DENSE}(L.Conv1D(8, 2, padding='causal')(said.rnn_output))"])
def test_without_lengths_such_a_model_is_run_whole_at_each_step(scores: str) -> None:
    made = MADE.replace('lengths = keras.Input([], dtype="int32")\n', "").replace(", sequence_length=lengths", "")
    code = f"{HEAD}{made.format(units=UNITS, own='')}model = keras.Model([source, given], {scores})\n"
    seq2seq = api.trace(code, {})
    found = api.decode(seq2seq, X, start=1, end=END, max_length=LONGEST)
    for row, ids in zip(X, found, strict=True):
        said = [1, *ids, *([END] if len(ids) < LONGEST else [])]
        given = np.array([said[:-1]], "int32")
        scored = np.asarray(seq2seq.model([np.array([row], "int32"), given], training=False))
        assert scored[0].argmax(-1).tolist() == said[1:]
    assert "running the whole model again" in "".join(seq2seq.inference.notes)


def test_the_model_of_the_written_code_says_the_same() -> None:
    seq2seq = traced(*AFTER["two layers and a norm"])
    expected = [list(ids) for ids in api.decode(seq2seq, X, start=1, end=END, max_length=LONGEST)]
    made = seq2seq.inference.namespace["inference_model"]
    ids = np.asarray(made([X.astype("int32"), np.ones(len(X), "int32")])[0])
    for row, said in zip(ids.tolist(), expected, strict=True):
        assert row[: len(said)] == said
