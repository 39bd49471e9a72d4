"""A replacement for TensorFlow Addons' ``tfa.seq2seq`` that works with the installed Keras.

It has the documented names wherever programs import them from: both ``seq2seq.BasicDecoder`` and
``seq2seq.basic_decoder.BasicDecoder``.
"""

from __future__ import annotations

from types import ModuleType

from s2s_magic.addons.attention_functions import hardmax, monotonic_attention, safe_cumprod
from s2s_magic.addons.attention_mechanisms import BahdanauAttention, LuongAttention
from s2s_magic.addons.attention_memory import AttentionMechanism
from s2s_magic.addons.attention_state import AttentionWrapperState
from s2s_magic.addons.attention_wrapper import AttentionWrapper
from s2s_magic.addons.base_decoder import BaseDecoder, Decoder
from s2s_magic.addons.basic_decoder import BasicDecoder, BasicDecoderOutput
from s2s_magic.addons.beam_search_decoder import (
    BeamSearchDecoder,
    BeamSearchDecoderOutput,
    BeamSearchDecoderState,
    FinalBeamSearchDecoderOutput,
)
from s2s_magic.addons.beam_trees import gather_tree, gather_tree_from_array, tile_batch
from s2s_magic.addons.decoding_loop import dynamic_decode
from s2s_magic.addons.monotonic_attentions import BahdanauMonotonicAttention, LuongMonotonicAttention
from s2s_magic.addons.random_samplers import (
    SampleEmbeddingSampler,
    ScheduledEmbeddingTrainingSampler,
    ScheduledOutputTrainingSampler,
)
from s2s_magic.addons.samplers import GreedyEmbeddingSampler, Sampler, TrainingSampler
from s2s_magic.addons.sequence_loss import SequenceLoss, sequence_loss
from s2s_magic.addons.written_samplers import CustomSampler, InferenceSampler


def _place(name: str, *contents: object) -> ModuleType:
    """Return a module that contains objects defined elsewhere, under their names."""
    module = ModuleType(f"{__name__}.{name}", f"What programs look for in ``seq2seq.{name}``.")
    vars(module).update({getattr(thing, "__name__", ""): thing for thing in contents})
    return module


sampler = _place(
    "sampler",
    *(Sampler, TrainingSampler, GreedyEmbeddingSampler, SampleEmbeddingSampler, CustomSampler, InferenceSampler),
    *(ScheduledEmbeddingTrainingSampler, ScheduledOutputTrainingSampler),
)
decoder = _place("decoder", Decoder, BaseDecoder, dynamic_decode)
basic_decoder = _place("basic_decoder", BasicDecoder, BasicDecoderOutput)
attention_wrapper = _place(
    "attention_wrapper",
    *(AttentionMechanism, LuongAttention, BahdanauAttention, LuongMonotonicAttention, BahdanauMonotonicAttention),
    *(AttentionWrapper, AttentionWrapperState, hardmax, safe_cumprod, monotonic_attention),
)
beam_search_decoder = _place(
    "beam_search_decoder",
    *(BeamSearchDecoder, BeamSearchDecoderOutput, BeamSearchDecoderState, FinalBeamSearchDecoderOutput),
    *(gather_tree, gather_tree_from_array, tile_batch),
)
loss = _place("loss", SequenceLoss, sequence_loss)

__all__ = [
    "AttentionMechanism",
    "AttentionWrapper",
    "AttentionWrapperState",
    "BahdanauAttention",
    "BahdanauMonotonicAttention",
    "BaseDecoder",
    "BasicDecoder",
    "BasicDecoderOutput",
    "BeamSearchDecoder",
    "BeamSearchDecoderOutput",
    "BeamSearchDecoderState",
    "CustomSampler",
    "Decoder",
    "FinalBeamSearchDecoderOutput",
    "GreedyEmbeddingSampler",
    "InferenceSampler",
    "LuongAttention",
    "LuongMonotonicAttention",
    "SampleEmbeddingSampler",
    "Sampler",
    "ScheduledEmbeddingTrainingSampler",
    "ScheduledOutputTrainingSampler",
    "SequenceLoss",
    "TrainingSampler",
    "attention_wrapper",
    "basic_decoder",
    "beam_search_decoder",
    "decoder",
    "dynamic_decode",
    "gather_tree",
    "gather_tree_from_array",
    "hardmax",
    "loss",
    "monotonic_attention",
    "safe_cumprod",
    "sampler",
    "sequence_loss",
    "tile_batch",
]
