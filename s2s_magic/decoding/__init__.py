"""Decoding: the trained layers, run step by step on what they say themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.decoding.inference import decode, inference_model
    from s2s_magic.handle import Seq2Seq


def __getattr__(name: str) -> Any:
    """Give what runs TensorFlow, which is loaded when it is first asked for."""
    if name not in ("decode", "inference_model"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from s2s_magic.decoding import inference

    return getattr(inference, name)


def reads_text(seq2seq: Seq2Seq) -> bool:
    """Return whether a model's sources are texts: by its tokenizers, or because it vectorizes them itself."""
    model = seq2seq.model
    tensors = [] if seq2seq.tokenizers or model is None else getattr(model, "inputs", None) or []
    return bool(seq2seq.tokenizers) or any(tensor.dtype.name == "string" for tensor in tensors)


__all__ = ["decode", "inference_model", "reads_text"]
