"""Decoding: the trained layers, run step by step on what they say themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s2s_magic.decoding.results import Decoded, shown

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq


def decode(
    seq2seq: Seq2Seq,
    sources: Any,
    *,
    max_length: int | None = None,
    start: int | str | None = None,
    end: int | str | None = None,
) -> list[Any]:
    """Decode greedily; see `s2s_magic.decoding.inference.decode`, which is loaded with TensorFlow when first called."""
    from s2s_magic.decoding import inference

    return inference.decode(seq2seq, sources, max_length=max_length, start=start, end=end)


def inference_model(
    seq2seq: Seq2Seq,
    *,
    max_length: int | None = None,
    start: int | str | None = None,
    end: int | str | None = None,
) -> Seq2Seq:
    """Give the decoding model; see `s2s_magic.decoding.inference.inference_model`."""
    from s2s_magic.decoding import inference

    return inference.inference_model(seq2seq, max_length=max_length, start=start, end=end)


def reads_text(seq2seq: Seq2Seq) -> bool:
    """Say whether a model's sources are texts: by its tokenizers, or because it vectorizes them itself."""
    model = seq2seq.model
    tensors = [] if seq2seq.tokenizers or model is None else getattr(model, "inputs", None) or []
    return bool(seq2seq.tokenizers) or any(tensor.dtype.name == "string" for tensor in tensors)


__all__ = ["Decoded", "decode", "inference_model", "reads_text", "shown"]
