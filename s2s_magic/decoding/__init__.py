"""Decoding with the trained layers, which run step by step on their own outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.decoding.inference import decode, inference_model
    from s2s_magic.handle import Seq2Seq


def __getattr__(name: str) -> Any:
    """Return a function that needs TensorFlow, which is loaded at first use."""
    if name not in ("decode", "inference_model"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from s2s_magic import backend

    backend.check_runs_on_tensorflow("decoding")
    from s2s_magic.decoding import inference

    return getattr(inference, name)


def reads_text(seq2seq: Seq2Seq) -> bool:
    """Return whether a model reads texts: it has tokenizers, or vectorizes texts itself."""
    from s2s_magic import backend

    model = seq2seq.model
    tensors = [] if seq2seq.tokenizers or model is None else getattr(model, "inputs", None) or []
    return bool(seq2seq.tokenizers) or any(backend.dtype_of(tensor) == "string" for tensor in tensors)


__all__ = ["decode", "inference_model", "reads_text"]
