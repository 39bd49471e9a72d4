"""Compile a search over a decoding model into a function of a batch of sources and start ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.constraints import constraints
from s2s_magic.decoding.fast_decoder import put_on_greedy_kernels
from s2s_magic.decoding.hypotheses import Hypotheses, best_extensions, drawn, penalized, search
from s2s_magic.decoding.log_probabilities import log_probabilities, log_probability_of
from s2s_magic.decoding.recipe import DecodingModel
from s2s_magic.decoding.search import Steps, greedy, most_probable
from s2s_magic.decoding.settings import SearchSettings
from s2s_magic.undoing import Changes

_STARTS = [tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32)]
"""Start ids, and a seed."""
Runner = Callable[[Any, Any], Hypotheses]


def runner(inference: DecodingModel, longest: int, settings: SearchSettings) -> Runner:
    """Return the function that decodes a batch of sources and start ids; it is compiled once for each search."""
    key = (replace(settings, seed=None), inference.ids.end)
    if key not in inference.runs:
        inference.runs[key] = _compiled(inference, longest, key[0])
    return partial(inference.runs[key], settings.seed or 0)


def _compiled(inference: DecodingModel, longest: int, settings: SearchSettings) -> Callable[..., Hypotheses]:
    way, made = inference.way, inference.namespace
    assert way is not None
    steps = None if way.steps is None else way.steps(made)
    if settings.is_greedy and (steps is None or not steps.preferred):
        run_model = _model_runner(made[way.entry], with_starts=way.takes == "sources and starts")
        return lambda seed, sources, start: _alone(*run_model(sources, start))
    assert steps is not None
    dtype = backend.dtype_of(way.source)
    signature = [tf.TensorSpec([None, *way.source.shape[1:]], dtype), *_STARTS]
    graph = tf.function(searching(inference, steps, longest, settings), input_signature=signature, autograph=False)

    def run_batch(seed: int, sources: Any, start: Any) -> Hypotheses:
        given = tf.convert_to_tensor(sources)
        found: Hypotheses = graph(given if dtype == "string" else tf.cast(given, dtype), start, tf.constant(seed))
        return found

    return run_batch


def searching(
    inference: DecodingModel, steps: Steps, longest: int, settings: SearchSettings
) -> Callable[[Any, Any, Any], Hypotheses]:
    """Return a search over a model's steps, as a function of sources, start ids (rows,) and a seed."""
    end = -1 if inference.ids.end is None else inference.ids.end

    def searched(sources: Any, start: Any, seed: Any) -> Hypotheses:
        state, score = steps.begin(sources)
        if settings.is_greedy:
            rated = partial(log_probability_of, logits=steps.logits)
            return _alone(*greedy(score, most_probable, start, state, end=end, longest=longest, rated=rated))

        def step(ids: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
            scores, after = score(ids, state)
            return log_probabilities(scores, logits=steps.logits), after

        return search(
            step,
            drawn(settings, seed, end) if settings.sample else best_extensions(settings, end),
            constraints(settings, end),
            start,
            state,
            width=settings.width,
            end=end,
            longest=longest,
            rank=penalized(settings),
            wanted=settings.n_best,
            alike=settings.sample,
            constant=steps.constant,
            all_met=settings.coverage_penalty > 0,
        )

    return searched


def _alone(ids: Any, lengths: Any, log_probs: Any = None) -> Hypotheses:
    """Return the only hypotheses of rows, which are not ranked."""
    rated = None if log_probs is None else log_probs[:, None]
    return Hypotheses(ids[:, None], lengths[:, None], rated, rated)


def _model_runner(model: Any, *, with_starts: bool) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return a function that runs a model whose outputs are ids, as one graph for batches of any size."""

    def decoded(sources: Any, start: Any) -> tuple[Any, Any]:
        ids, *lengths = tf.nest.flatten(model([sources, start] if with_starts else sources, training=False))
        return ids, lengths[0] if lengths else tf.fill(tf.shape(ids)[:1], tf.shape(ids)[1])

    first = model.inputs[0]
    signature = [tf.TensorSpec([None, *first.shape[1:]], first.dtype), tf.TensorSpec([None], tf.int32)]
    compiled: list[Any] = []

    def decode_batch(sources: Any, start: Any) -> tuple[Any, Any]:
        if not compiled:
            graph = tf.function(decoded, input_signature=signature, autograph=False)
            with Changes() as changes, changes, changes:
                put_on_greedy_kernels(changes, model)
                graph.get_concrete_function()
            compiled.append(graph)
        ids, lengths = compiled[0](sources, start)
        return ids, lengths

    return decode_batch
