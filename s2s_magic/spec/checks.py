"""Checks across the keys of a spec."""

from __future__ import annotations

from s2s_magic.spec.parts import Recurrent
from s2s_magic.spec.plans import Spec, check_ids
from s2s_magic.spec.reading import Faults


def check_spec(spec: Spec, faults: Faults) -> None:
    """Add faults for keys that contradict each other."""
    _check_sharing(spec, faults)
    _check_init(spec, faults)
    _check_states(spec, faults)
    _check_attention(spec, faults)
    _check_feeding(spec, faults)
    _check_layers(spec, faults)
    _check_frozen(spec, faults)
    check_ids(spec, faults)


def _check_sharing(spec: Spec, faults: Faults) -> None:
    if spec.share:
        for key, what in (("vocab", "vocabularies"), ("embed", "embedding sizes")):
            if not getattr(spec, key).one:
                faults.add(
                    spec.place_of("share"),
                    f"with two {what} nothing can be shared: give one '{key}', or leave 'share' out",
                )


def _check_init(spec: Spec, faults: Faults) -> None:
    for side in spec.init:
        place, of_side = spec.place_of(f"init.{side}"), "" if spec.vocab.one else f" of the {side}"
        if spec.tokens_of(side) == "none":
            faults.add(
                place, f"word vectors are found by token, and ids{of_side} stand for none: give 'tokens: word' as well"
            )
        elif side not in spec.names_needed():
            faults.add(
                place,
                f"word vectors need to know which token an id{of_side} stands for: give 'vocab' the name of a variable "
                "with the texts, in which the tokens are counted",
            )
        else:
            continue
        return
    if spec.init and spec.shared and len({spec.init.get(side) for side in ("source", "target")}) > 1:
        faults.add(
            spec.place_of("init"),
            "one embedding serves both sides: give one file, such as 'init: vectors.txt', or 'share: false'",
        )


def _check_states(spec: Spec, faults: Faults) -> None:
    if spec.decoder.bidirectional:
        faults.add(spec.place_of("decoder"), "a decoder reads forward only: leave out 'bidirectional'")
    elif spec.bridge == "zero" and not states_handed_on(spec.encoder, spec.decoder):
        fitting = _like_encoder(spec, layers=spec.decoder.layers)
        faults.add(
            spec.place_of("bridge"),
            f"{_meeting(spec)}: none fits, so 'bridge: zero' would leave the source without influence on the output; "
            f"give 'bridge: dense' (learned), or make the decoder {fitting}",
        )
    elif spec.bridge == "none" and not same_states(spec.encoder, spec.decoder):
        some_fit = states_handed_on(spec.encoder, spec.decoder)
        zero = " or 'bridge: zero' (zeros where none fits)" if some_fit else ""
        faults.add(
            spec.place_of("decoder"),
            f"{_meeting(spec)}: give 'bridge: dense' (learned){zero}, "
            f"or make the decoder {_like_encoder(spec, layers=spec.encoder.layers)}",
        )


def _check_attention(spec: Spec, faults: Faults) -> None:
    for number, one in enumerate(spec.attention):
        if one.kind == "luong" and spec.units_of(one) != spec.decoder.units:
            faults.add(
                spec.place_of(f"attention.{number}"),
                f"luong multiplies the decoder's outputs, of {spec.decoder.units} units, with what it looks at, of "
                f"{one.units}: give luong({spec.decoder.units}), or bahdanau({one.units})",
            )
    for key in ("input_feeding", "monotonic"):
        if getattr(spec, key) and not spec.attention:
            faults.add(spec.place_of(key), f"there is no attention: give 'attention: luong', or leave '{key}' out")
    if spec.attention and not spec.input_feeding:
        _check_without_feeding(spec, faults)


def _check_feeding(spec: Spec, faults: Faults) -> None:
    """Check what goes with a decoder that runs step by step."""
    ways = [key for key in ("input_feeding", "feeding") if getattr(spec, key)]
    if not ways or (spec.input_feeding and not spec.attention):
        return
    if spec.of_keras_alone:
        key = spec.of_keras_alone[0]
        more = ", or give 'input_feeding: true' as well" if key == "attention" else ""
        way = ways[-1] if key in ("dropout", "tie_output") else ways[0]
        faults.add(
            spec.place_of(key),
            f"'{key}' is written with layers over whole sequences, and {way} with a decoder that runs step by "
            f"step: leave one of them out{more}",
        )
    elif spec.code == "keras":
        faults.add(
            spec.place_of("code"), f"{ways[0]} is written with a decoder that runs step by step: leave 'code' out"
        )


def _check_without_feeding(spec: Spec, faults: Faults) -> None:
    needs = {
        "monotonic": "'monotonic'" if spec.monotonic else None,
        "attention": "a list of attention mechanisms" if len(spec.attention) > 1 else None,
        "attention.0": "normalize=true" if spec.attention[0].normalize else None,
    }
    for key, what in needs.items():
        if what is not None:
            faults.add(
                spec.place_of(key),
                f"{what} is written with an AttentionWrapper, which feeds what it attended to into the next step: give "
                "'input_feeding: true' as well",
            )


def _check_layers(spec: Spec, faults: Faults) -> None:
    if spec.residual and max(spec.encoder.layers, spec.decoder.layers) == 1:
        faults.add(
            spec.place_of("residual"),
            "a layer adds what it reads from the second layer on, and encoder and decoder have one each: give several, "
            f"such as 'encoder: 2 * {spec.encoder}', or leave 'residual' out",
        )
    mechanisms = max(len(spec.attention), 1)  # each gives as many numbers as the decoder has units
    if spec.tie_output and spec.embed.target != (read := spec.decoder.units * mechanisms):
        what = "the decoder's outputs" if mechanisms == 1 else f"what {mechanisms} attention mechanisms give"
        faults.add(
            spec.place_of("tie_output"),
            f"the table of the embeddings, of size {spec.embed.target}, is multiplied with {what}, of {read} units: "
            f"give 'embed: {read}', or leave 'tie_output' out",
        )
    if spec.code == "tfa" and spec.of_keras_alone:
        faults.add(
            spec.place_of("code"),
            f"'{spec.of_keras_alone[0]}' is written with Keras's own layers: leave 'code' out, or give 'code: keras'",
        )


_NOT_THERE = {
    "attention": "there is no attention to freeze: give 'attention: luong', or leave it out here",
    "bridge": "there is no bridge with weights to freeze: give 'bridge: dense', or leave it out here",
    "output": "with 'tie_output', the output layer has the weights of the embeddings: freeze those",
}


def _check_frozen(spec: Spec, faults: Faults) -> None:
    absent = [number for number, part in enumerate(spec.freeze) if part not in spec.parts]
    for number in absent:
        faults.add(spec.place_of(f"freeze.{number}"), _NOT_THERE[spec.freeze[number]])
    if spec.parts <= set(spec.freeze):
        faults.add(spec.place_of("freeze"), "every part is frozen, and nothing is left to train: leave one out")


def _meeting(spec: Spec) -> str:
    return (
        f"the encoder {spec.encoder} ends with {_states(spec.encoder)}, but the decoder {spec.decoder} starts from "
        f"{_states(spec.decoder)}"
    )


def _like_encoder(spec: Spec, *, layers: int) -> Recurrent:
    cells = {"kind": spec.encoder.kind, "units": spec.encoder.state_units}
    return spec.decoder.model_copy(update={**cells, "layers": layers})


def same_states(encoder: Recurrent, decoder: Recurrent) -> bool:
    """Return whether the encoder's final states fit the decoder's initial states unchanged."""
    return encoder.layers == decoder.layers == states_handed_on(encoder, decoder)


def states_handed_on(encoder: Recurrent, decoder: Recurrent) -> int:
    """Count the decoder layers that can start from the encoder's final states unchanged."""
    fit = (encoder.kind, encoder.state_units) == (decoder.kind, decoder.state_units)
    return min(encoder.layers, decoder.layers) if fit else 0


def _states(part: Recurrent) -> str:
    layers = "" if part.layers == 1 else f" in each of {part.layers} layers"
    return f"{' and '.join(part.state_names)} of {part.state_units} units{layers}"
