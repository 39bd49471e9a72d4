"""Write the source of a decoder's cell with attention, whose input includes what the step before attended to."""

from __future__ import annotations

from s2s_magic.source.layers import initial_state
from s2s_magic.source.layout import call, listed, statement
from s2s_magic.spec import Spec


def attention_names(spec: Spec) -> list[tuple[str, str]]:
    """Return the names of each mechanism and of its layer."""
    endings = [""] if len(spec.attention) == 1 else [f"_{number}" for number, _ in enumerate(spec.attention, 1)]
    return [(f"attention_mechanism{ending}", f"attention_layer{ending}") for ending in endings]


def attention_cell(spec: Spec) -> list[str]:
    """Write the mechanisms, which attend to the encoder's outputs, and the cell that queries them."""
    lines = [
        "# Attention: a mechanism weighs the encoder's outputs by how well they fit the cell's output. Input",
        "# feeding: what a step attended to is part of what the cell reads at the next.",
    ]
    masked = {} if spec.padding is None else {"memory_mask": "encoder_mask"}
    names = attention_names(spec)
    for one, (mechanism, layer) in zip(spec.attention, names, strict=True):
        kind = f"{one.kind.title()}{'Monotonic' if spec.monotonic else ''}Attention"
        settings = {name: True for name in ("scale", "normalize") if getattr(one, name)}
        made = call(f"seq2seq.{kind}", str(spec.units_of(one)), **settings)
        joined = call("keras.layers.Dense", str(spec.decoder.units), activation='"tanh"', use_bias=False)
        lines += [
            statement(made, to=mechanism),
            statement(call(f"{mechanism}.setup_memory", "encoder_outputs", **masked)),
            statement(joined, to=layer),
        ]
    mechanisms, layers = (list(each) for each in zip(*names, strict=True))
    given = [each[0] if len(each) == 1 else listed(each) for each in (mechanisms, layers)]
    wrapper = call("seq2seq.AttentionWrapper", "decoder_cell", given[0], attention_layer=given[1])
    return [*lines, statement(wrapper, to="attention_cell")]


def attention_state(spec: Spec) -> str:
    """Write the initial state of the cell with attention."""
    begun = f"attention_cell.get_initial_state(encoder_outputs).clone(cell_state={initial_state(spec)})"
    return f"attention_state = {begun}"
