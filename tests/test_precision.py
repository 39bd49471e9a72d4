"""Models built in mixed precision: near float32 in what they learn, and nothing is left of the policy."""

import random

import numpy as np
import pytest
from tensorflow import keras

from interrupting import interrupted, places
from plainly import quiet
from s2s_magic import api
from s2s_magic.errors import SpecError
from s2s_magic.spec import parse_fit, parse_spec
from spec_grid import check

pytestmark = pytest.mark.once

BASE = "vocab: 12\nembed: 8\nencoder: {0}\ndecoder: {0}\npadding: 0\nstart: 1\nend: 2\nmax_length: 4\n"
MIXED = "precision: mixed_bfloat16\n"
numbers = np.random.default_rng(0)
ROWS = [numbers.integers(3, 12, size=size).tolist() for size in numbers.integers(1, 6, 64)]


@pytest.fixture(autouse=True)
def policy():
    before = keras.mixed_precision.global_policy().name
    yield
    assert keras.mixed_precision.global_policy().name == before


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(BASE.format("lstm(8)"), id="plain"),
        pytest.param(
            BASE.format("2 * gru(8, dropout=0.2)") + "residual: true\nlayer_norm: true\nattention: luong\n",
            id="stacked",
        ),
        pytest.param(
            BASE.format("lstm(8)") + "tie_output: true\nattention: bahdanau(5)\nlabel_smoothing: 0.1\n", id="tied"
        ),
        pytest.param(BASE.format("gru(8)") + "bridge: dense\ndropout: 0.2\n", id="bridged"),
    ],
)
def test_a_model_is_built_fitted_decoded_saved_and_loaded(more, tmp_path):
    model = check(more + MIXED, tmp_path)
    dtypes = {variable.dtype for variable in model.ledger.variables.values()}
    assert dtypes == {"float32"}
    assert np.asarray(model.model([np.array([[3, 4]]), np.array([[1, 5]])])).dtype == np.float32
    assert model.layers["encoder" if "encoder" in model.layers else "encoder_1"].compute_dtype == "bfloat16"


@pytest.mark.parametrize("accelerate", ["on", "off"])
def test_its_losses_are_near_those_of_float32(accelerate):
    losses = {}
    for precision in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(1)
        model = api.build(f"{BASE.format('lstm(16)')}precision: {precision}\n")
        body = f"source: R\ntarget: R\nepochs: 3\nshuffle: false\naccelerate: {accelerate}\n"
        api.fit(model, body, {"R": ROWS}, progress=quiet)
        losses[precision] = model.history["loss"]
    assert losses["mixed_bfloat16"] == pytest.approx(losses["float32"], rel=5e-3)
    assert losses["mixed_bfloat16"] != losses["float32"]


def test_a_policy_of_the_notebook_is_put_back_and_float32_overrides_it():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = api.build(BASE.format("lstm(8)") + "precision: float32\n")
        assert keras.mixed_precision.global_policy().name == "mixed_bfloat16"
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert model.layers["encoder"].compute_dtype == "float32"


def test_a_build_interrupted_at_any_of_some_lines_leaves_no_policy():
    def call():
        return api.build(BASE.format("lstm(8)") + MIXED)

    found = places(call, under="tracing/recorder.py", hits=2)
    for place in random.Random(1).sample(found, 6):
        assert interrupted(call, place).reached
        assert keras.mixed_precision.global_policy().name == "float32"


def test_the_code_shows_it_and_the_output_layer_stays_in_float32():
    code = api.build(BASE.format("lstm(8)") + MIXED).source
    assert 'keras.mixed_precision.set_global_policy("mixed_bfloat16")' in code
    assert 'output_layer = keras.layers.Dense(vocab_size, activation="softmax", dtype="float32")' in code
    assert "precision" not in api.build(BASE.format("lstm(8)")).source


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("precision: bfloat16\n", "expected float32 or mixed_bfloat16, got 'bfloat16'"),
        (MIXED + "code: tfa\n", "'precision' is written with Keras's own layers: leave 'code' out"),
        (MIXED + "feeding: scheduled(0.5)\n", "'precision' is written with layers over whole sequences, and feeding"),
    ],
)
def test_what_cannot_be_mixed_is_refused(more, said):
    with pytest.raises(SpecError) as raised:
        parse_spec(BASE.format("lstm(8)") + more)
    assert said in str(raised.value)


def test_a_fit_says_where_precision_belongs():
    with pytest.raises(SpecError) as raised:
        parse_fit(f"source: X\ntarget: Y\n{MIXED}")
    assert (
        str(raised.value) == "line 3, column 1: 'precision' is a key of a build: layers are made with it, and keep it"
    )
