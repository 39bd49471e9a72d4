"""A grid of specs over all the settings of a model, and what each of their models must do."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow import keras

from s2s_magic import api
from s2s_magic.spec import Spec, parse_spec
from s2s_magic.spec.sizes import params_by_owner

SOURCES = [[3, 4, 5, 6], [7, 8], [9, 3, 5], [4, 4, 6, 8]]
TARGETS = [[5, 4, 3], [8, 7, 6, 9], [3, 3], [6]]
TEXTS = ["a cab", "B", "cb", "ab Ba"]
CHOICES: dict[str, tuple[Any, ...]] = {
    "cell": ("lstm", "gru"),
    "layers": (1, 1, 2, 3),
    "rates": ("", ", dropout=0.2", ", dropout=0.1, recurrent_dropout=0.1"),
    "both ways": (False, True),
    "decoder": ("same", "same", "bridged", "zeros"),
    "attention": ("none", "luong", "luong(8, scale=true)", "bahdanau", "bahdanau(5)"),
    "feeding": ("", "", "", "", "", "luong(8, scale=true)", "bahdanau(5, normalize=true)", "[luong, bahdanau(5)]"),
    "scheduled": (*[""] * 12, "0.5", "0.25, inverse_sigmoid, steps=2", "0.9, exponential", "0.1, constant"),
    "monotonic": (False, True),
    "residual": (False, True),
    "layer_norm": (False, True),
    "dropout": ("", "0.2", "{embeddings: 0.1}", "{outputs: 0.3, embeddings: 0.1}"),
    "tie_output": (False, True),
    "label_smoothing": (0, 0, 0.1),
    "precision": ("", "", "", "mixed_bfloat16", "float32"),
    "freeze": ("", "", "embeddings", "[encoder]", "[decoder, output]", "attention", "[bridge, encoder]"),
    "padding": (False, True, True),
    "apart": (False, True),
    "tfa": (False, False, False, True),
    "tokens": (
        "",
        "",
        "",
        "char",
        "word(lowercase=true)",
        "subword(10)",
        "{source: subword(11, kind=bpe), target: char}",
    ),
    "init": (False, False, False, True),
}


def grid(number: int, seed: int = 0) -> list[str]:
    """Return different specs, drawn at random so that any two settings meet."""
    draw, found = random.Random(seed), dict.fromkeys(())
    while len(found) < number:
        text = _written(_going_together({name: draw.choice(values) for name, values in CHOICES.items()}))
        if text:
            found[text] = None
    return list(found)


def _going_together(given: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a decoder that runs step by step has no place for."""
    left_out: dict[str, Any] = {}
    if given["feeding"] or given["scheduled"] or given["tfa"]:
        left_out |= {
            "residual": False,
            "layer_norm": False,
            "precision": given["precision"].replace("mixed_bfloat16", ""),
        }
    if given["scheduled"] or (given["tfa"] and not given["feeding"]):
        left_out |= {"tie_output": False, "dropout": ""}
    if given["scheduled"] or given["tfa"]:
        left_out |= {"attention": "none"}  # without input feeding, which has mechanisms of its own
    return given | left_out


def _written(given: dict[str, Any]) -> str:
    """Write a spec; empty if the settings contradict each other."""
    cell, layers, rates = given["cell"], given["layers"], given["rates"]
    other = {"lstm": "gru", "gru": "lstm"}[cell]
    encoder = f"bidirectional({cell}(4{rates}))" if given["both ways"] else f"{cell}(8{rates})"
    decoder, number = f"{cell}(8{rates})", layers
    if given["decoder"] == "bridged":
        decoder, number = f"{other}(8{rates})", 3 - min(layers, 2)
    elif given["decoder"] == "zeros":
        number = layers + 1
    bridge = {"same": "", "bridged": "bridge: dense", "zeros": "bridge: zero"}[given["decoder"]]
    mechanisms = 2 if given["feeding"].startswith("[") else 1
    size = 8 * mechanisms if given["tie_output"] else 5
    attention = given["feeding"] or given["attention"]
    vocab = "{source: 11, target: 12}" if given["apart"] or given["tokens"].startswith("{") else "12"
    tokens = f"tokens: {given['tokens']}" if given["tokens"] else ""
    if given["init"]:
        vocab, tokens = "{source: S, target: T}" if given["apart"] else "B", "tokens: word\ninit: vectors.txt"
    ids = "padding: 0\nstart: 1\nend: 2" if given["padding"] else "start: 1\nend: 2"
    lines = [
        f"vocab: {vocab}",
        tokens,
        f"embed: {size}",
        f"encoder: {layers} * {encoder}" if layers > 1 else f"encoder: {encoder}",
        f"decoder: {number} * {decoder}" if number > 1 else f"decoder: {decoder}",
        bridge,
        f"attention: {attention}" if attention != "none" else "",
        "input_feeding: true" if given["feeding"] else "",
        f"feeding: scheduled({given['scheduled']})" if given["scheduled"] else "",
        "monotonic: true" if given["feeding"] and given["monotonic"] else "",
        *(f"{key}: true" for key in ("residual", "layer_norm", "tie_output") if given[key]),
        f"dropout: {given['dropout']}" if given["dropout"] else "",
        f"label_smoothing: {given['label_smoothing']}" if given["label_smoothing"] else "",
        f"precision: {given['precision']}" if given["precision"] else "",
        f"freeze: {given['freeze']}" if given["freeze"] else "",
        "" if given["init"] else ids,
        "" if given["feeding"] or given["scheduled"] else "code: tfa" if given["tfa"] else "code: keras",
        "max_length: 4",
    ]
    text = "\n".join(filter(None, lines)) + "\n"
    contradicts = (
        (given["residual"] and max(layers, number) == 1)
        or ("output" in given["freeze"] and given["tie_output"])
        or ("attention" in given["freeze"] and attention == "none")
        or ("bridge" in given["freeze"] and given["decoder"] != "bridged")
    )
    return "" if contradicts else text


def owned(model: Any) -> dict[str, int]:
    """Return how many parameters each of a built model's layers owns, by the names of the foretold sizes."""
    found: dict[str, int] = {}
    for variable in model.ledger.variables.values():
        owner = "bridge" if variable.owner.startswith("bridge") else variable.owner.partition(".")[0]
        if owner.partition("_")[0] == "decoder" and not owner.startswith(("decoder_cell", "decoder_norm")):
            owner = owner.replace("decoder", "decoder_cell")
        found[owner] = found.get(owner, 0) + variable.params
    return found


def check(text: str, folder: Path) -> Any:
    """Build, fit for two steps, decode and save the model of a spec; return it.

    Raises
    ------
    AssertionError
        When its sizes are not those foretold, a frozen part moved or another did not, what is decoded differs from
        what the training model says, or the loaded model differs from the saved one.
    """
    names: dict[str, Any] = {"S": SOURCES, "T": TARGETS}
    sources: list[Any] = [[3, 4, 5], [7, 8]]
    if "init:" in text:
        names, sources = {name: [*map(_said, rows)] for name, rows in names.items()}, [*map(_said, sources)]
        names["B"] = names["S"] + names["T"]
        text = text.replace("vectors.txt", str(folder / "vectors.txt"))
        _write_vectors(folder / "vectors.txt", parse_spec(text).embed.source)
    elif parse_spec(text).reads_text:
        names, sources = {"S": TEXTS, "T": TEXTS[::-1]}, ["a cab", "ba"]
    elif parse_spec(text).padding is None:
        names = {"S": [[3, 4, 5]] * 4, "T": [[4, 5, 6]] * 4}
    model = api.build(text, namespace=names)
    spec = model.spec
    assert owned(model) == params_by_owner(spec)
    for side in spec.init:
        _begins_with_vectors(model, "embeddings" if spec.shared else f"{side}_embeddings", side)
    before = {key: np.array(variable) for key, variable in model.live.variables.items()}
    body = "source: S\ntarget: T\nbatch: 2\nseed: 1\n" + ("" if spec.padding is not None else "shuffle: false\n")
    api.fit(model, body, names, progress=lambda _: None)
    assert np.isfinite(model.history["loss"]).all()
    trained = {id(variable) for variable in model.model.trainable_variables}
    for key, variable in model.live.variables.items():
        owner = model.ledger.variables[key].owner
        frozen = _part(owner) in spec.freeze
        assert (id(variable) in trained) == (not frozen and owner != "feeding_rate"), owner
        assert not (frozen and np.any(before[key] != np.array(variable))), owner
    said = api.decode(model, sources, beam=2)
    assert len(said) == 2
    for source, row in zip(sources, said.n_best, strict=True):
        ids = model.tokenizers["source"].encode(source) if spec.reads_text else source
        _as_the_training_model_says(model, spec, ids, row[0])
    _saved(model, spec, folder)
    return model


def _said(ids: list[int]) -> str:
    return " ".join(f"w{number}" for number in ids)


def _write_vectors(path: Path, size: int) -> None:
    """Write vectors of the words of even ids, each with that id in all places."""
    lines = [" ".join([f"w{number}", *[str(number)] * size]) for number in range(2, 12, 2)]
    path.write_text("\n".join(lines))


def _begins_with_vectors(model: Any, owner: str, side: str) -> None:
    (table,) = model.layers[owner].get_weights()
    for number, token in enumerate(model.tokenizers[side].tokens, 4):
        even = int(token[1:]) % 2 == 0
        assert (np.ptp(table[number]) == 0 and table[number, 0] == int(token[1:])) == even, token


def _part(owner: str) -> str:
    """Return the part of a model that a variable's owner belongs to."""
    name = owner.partition(".")[0]
    if "embeddings" in name:
        return "embeddings"
    if name in ("memory_layer", "query_layer"):
        return "attention"
    return name.partition("_")[0]


def _inputs(model: Any, source: list[int], fed: list[int]) -> list[Any]:
    return [np.array([source]), np.array([fed]), np.array([len(fed)])][: len(model.model.inputs)]


def _as_the_training_model_says(model: Any, spec: Spec, source: list[int], found: Any) -> None:
    ids = [*found.ids, *([spec.end] if len(found.ids) < (spec.max_length or 0) else [])]
    chances = np.asarray(model.model(_inputs(model, source, [spec.start, *ids[:-1]])), float)[0]
    expected = sum(np.log(chances[step, number]) for step, number in enumerate(ids))
    close = 0.1 if spec.mixes_precision else 1e-3  # bfloat16 has 8 bits of a number
    assert abs(found.log_probability - expected) < close, (found.log_probability, expected)


def _saved(model: Any, spec: Spec, folder: Path) -> None:
    """Save the whole model and load it; a decoder of TFA's API has no configuration, so its weights alone."""
    inputs = _inputs(model, [3, 4, 5], [1, 4])
    expected = np.asarray(model.model(inputs))
    if spec.code == "tfa":
        path = folder / "model.weights.h5"
        model.model.save_weights(path)
        for variable in model.live.variables.values():
            variable.assign(np.zeros(variable.shape))
        model.model.load_weights(path)
        loaded = model.model
    else:
        model.model.save(folder / "model.keras")
        loaded = keras.models.load_model(folder / "model.keras", compile=False)
    np.testing.assert_allclose(np.asarray(loaded(inputs)), expected, atol=1e-6)
