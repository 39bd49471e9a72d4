"""Pairs of an encoder and a decoder step: finding the user's own, or generating one from a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from s2s_magic import backend
from s2s_magic.decoding.loop import Loop
from s2s_magic.decoding.recipe import Way
from s2s_magic.decoding.spelling import Names
from s2s_magic.decoding.step import Step
from s2s_magic.decoding.stepwise import Writer
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq

_PAIR = """\
{imports}
# The encoder, from its input to what the decoder needs of it: these wires exist already.
{encoder} = keras.models.Model(inputs={source}, outputs={kept})

# One step of the decoder, over the same layers: the id before and the states in, scores and the next states out.
{inputs}
{lines}
{decoder} = keras.models.Model(inputs=[{given}], outputs=[{after}])
"""


def written_pair(seq2seq: Seq2Seq, names: Names) -> Way | None:
    """Return the pair that the user wrote over the trained layers; None if there is none.

    A pair is an encoder with one input, and a decoder step that takes ids and, in their order, the encoder's outputs,
    and returns scores and as many states as it takes.
    """
    trained = {id(backend.bare(variable)) for kind in backend.weights(seq2seq.model) for variable in kind}
    models = [
        model
        for model in seq2seq.models.values()
        if model is not seq2seq.model and backend.is_wired(model) and _is_flat(model.input) and _is_flat(model.output)
        if names.found(model)
    ]
    over = [model for model in models if _owned(model) and _owned(model) <= trained]
    for decoder in reversed(over):
        for encoder in reversed(over):
            if encoder is decoder or len(encoder.inputs) != 1:
                continue
            place = _fed(encoder.outputs, decoder)
            if place is not None:
                return _over_pair(names, encoder, decoder, place)
    return None


def _owned(model: Any) -> set[int]:
    return {id(backend.bare(variable)) for variable in model.weights}


def _is_flat(ends: Any) -> bool:
    return not isinstance(ends, dict) and not any(
        isinstance(part, list | tuple | dict) for part in (ends if isinstance(ends, list | tuple) else [])
    )


def _fed(kept: Sequence[Any], decoder: Any) -> int | None:
    """Return which decoder input takes the id, if the others match the encoder's outputs; None if no input fits."""
    for place, fed in enumerate(decoder.inputs):
        others = [tensor for tensor in decoder.inputs if tensor is not fed]
        states = [tensor for tensor in others if len(tensor.shape) == 2]
        scores, *after = decoder.outputs
        if (
            len(others) == len(kept)
            and states
            and len(after) == len(states)
            and all(backend.fits(one, other) for one, other in zip(kept, others, strict=True))
            and all(backend.fits(one, other) for one, other in zip(after, states, strict=True))
            and _takes_symbols(fed, scores)
        ):
            return place
    return None


def _takes_symbols(fed: Any, scores: Any) -> bool:
    """Return whether a decoder's input is one id for each row, or one vector as long as the scores."""
    if len(fed.shape) == 3:
        return fed.shape[1] in (1, None) and fed.shape[2] is not None and fed.shape[2] == scores.shape[-1]
    return len(fed.shape) == 2 and fed.shape[1] in (1, None)


def _over_pair(names: Names, encoder: Any, decoder: Any, place: int) -> Way:
    scores = decoder.outputs[0]
    fed = decoder.inputs[place]
    others = [tensor for number, tensor in enumerate(decoder.inputs) if number != place]
    numbers = {"state": 0, "memory": 0}
    given = []
    for tensor in others:
        kind = "state" if len(tensor.shape) == 2 else "memory"
        numbers[kind] += 1
        given.append(names.fresh(f"{kind}_{numbers[kind]}"))
    states = [name for name, tensor in zip(given, others, strict=True) if len(tensor.shape) == 2]
    spoken = [names.layer(model) for model in (encoder, decoder)]
    function = names.fresh("decode_ids")
    loop = Loop(
        function,
        spoken[0],
        spoken[1],
        begin=given,
        fed=[*given[:place], "last", *given[place:]],
        after=states,
        classes=int(fed.shape[2]) if len(fed.shape) == 3 else None,
        by_step=len(scores.shape) == 3,
    )
    own = f"{names.imports('tf', 'keras')}\n# {spoken[0]} and {spoken[1]} are the code's own."
    note = f"decoded by the code's own pair of models, {spoken[0]} and {spoken[1]}"
    return Way(
        lambda *ends: (own + loop.code(*ends)).lstrip("\n"),
        encoder.inputs[0],
        steps=lambda made: loop.steps(encoder, decoder),
        note=note,
    )


def stepwise(seq2seq: Seq2Seq, names: Names, output: Any) -> Way:
    """Generate a pair over the wires of the trained model, whose scores are an output of it.

    Raises
    ------
    DecodeError
        When the model cannot be decoded step by step; the message names the layer that prevents it.
    """
    step = Writer(seq2seq.name, names).write(output)
    fed = step.fed
    if fed is None or not (step.memory or any(state.first is not None for state in step.states)):
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: it has no decoder, which would read its own output and what an "
            "encoder gives; its output comes from its input at once, by predict"
        )
    maker = backend.history(fed)[0]
    classes = _classes(seq2seq, maker, fed, output)
    needed = [tensor for tensor, _ in step.memory.values()]
    needed += [state.first for state in step.states if state.first is not None]
    source = names.input_behind(needed, "what the decoder starts from")
    kept, begin = _kept(names, step)
    new = {role: names.fresh(role) for role in ("encoder_model", "decoder_model", "decode_ids")}
    last = step.fed_name
    memory = [name for _, name in step.memory.values()]
    masks = [name for _, name in step.masks.values()]
    states = [state.given for state in step.states]
    inputs = [
        _input(last, [1], "int32") if classes is None else _input(last, [1, classes], "float32"),
        *(_input(name, tensor.shape[1:], backend.dtype_of(tensor)) for tensor, name in step.memory.values()),
        *(_input(name, [None], "bool") for name in masks),
        *(_input(state.given, state.shape, state.dtype) for state in step.states),
    ]
    code = _PAIR.format(
        imports=names.imports("tf", "keras"),
        encoder=new["encoder_model"],
        source=names.tensor(source),
        kept=kept[0] if len(kept) == 1 else f"[{', '.join(kept)}]",
        inputs="\n".join(inputs),
        lines="\n".join(step.lines),
        decoder=new["decoder_model"],
        given=", ".join([last, *memory, *masks, *states]),
        after=", ".join([step.scores, *(state.after for state in step.states)]),
    )
    loop = Loop(
        new["decode_ids"],
        new["encoder_model"],
        new["decoder_model"],
        begin=begin,
        fed=["last", *memory, *masks, *states],
        after=states,
        zeros=[(s.given, s.shape, s.dtype) for s in step.states if s.first is None],
        classes=classes,
    )
    words = maker if backend.makes_ids(maker) else None
    return Way(
        lambda *ends: (code + loop.code(*ends)).lstrip("\n"),
        source,
        steps=lambda made: loop.steps(made[loop.encoder], made[loop.decoder]),
        words=words,
        classes=output.shape[2],
    )


def _input(name: str, shape: Iterable[int | None], dtype: str) -> str:
    """Return the code of an input; the default dtype float32 is omitted."""
    said = "" if dtype == "float32" else f', dtype="{dtype}"'
    return f"{name} = keras.layers.Input(shape=[{', '.join(map(str, shape))}]{said})"


def _classes(seq2seq: Seq2Seq, maker: Any, fed: Any, output: Any) -> int | None:
    """Return the size of the one-hot vectors that a decoder reads; None if it reads ids."""
    if len(output.shape) != 3:
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: its output has shape {tuple(output.shape)}; expected scores for each "
            "position, (rows, steps, symbols)"
        )
    if len(fed.shape) == 2:
        return None
    if len(fed.shape) != 3 or fed.shape[2] is None or fed.shape[2] != output.shape[2]:
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: {maker.name} feeds the decoder with shape {tuple(fed.shape)}, which is "
            f"neither ids nor one-hot vectors of the output's {output.shape[2]} symbols"
        )
    return int(fed.shape[2])


def _kept(names: Names, step: Step) -> tuple[list[str], list[str]]:
    """Return expressions for what the decoder needs from the encoder, and its names in the loop."""
    firsts = [state for state in step.states if state.first is not None]
    kept = [*(names.tensor(tensor) for tensor, _ in step.memory.values()), *(made for made, _ in step.masks.values())]
    begin = [name for _, name in (*step.memory.values(), *step.masks.values())]
    return [*kept, *(names.tensor(state.first) for state in firsts)], [*begin, *(state.given for state in firsts)]
