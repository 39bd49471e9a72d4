"""Beam search over a recurrent cell."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from s2s_magic.addons.attention_state import AttentionWrapperState
from s2s_magic.addons.beam_trees import gather_tree, gather_tree_from_array
from s2s_magic.addons.cell_decoder import CellDecoder
from s2s_magic.addons.keras_at_hand import cast_floats, compute_dtype, is_symbolic, registered, serialize
from s2s_magic.addons.samplers import scalar_id, table_lookup


class BeamSearchDecoderState(NamedTuple):
    """The state of a beam search; the tensors in ``cell_state`` are ``[batch, beam, ...]``."""

    cell_state: Any
    log_probs: Any
    finished: Any
    lengths: Any
    accumulated_attention_probs: Any


class BeamSearchDecoderOutput(NamedTuple):
    """The steps of a beam search: tensors ``[batch, time, beam]`` of scores, ids, and indices of the parent beams."""

    scores: Any
    predicted_ids: Any
    parent_ids: Any


class FinalBeamSearchDecoderOutput(NamedTuple):
    """The outputs of a beam search.

    Attributes
    ----------
    predicted_ids : int tensor [batch, time, beam]
        Whole sequences, best first.
    beam_search_decoder_output : BeamSearchDecoderOutput
        The steps from which they were assembled.
    """

    predicted_ids: Any
    beam_search_decoder_output: BeamSearchDecoderOutput


@registered
class BeamSearchDecoder(CellDecoder):
    """Beam search: continues the ``beam_width`` sequences with the highest scores at each step.

    Called as ``decoder(embedding, start_tokens, end_token, initial_state)``. States and memories must have
    ``batch * beam_width`` sequences: repeat them with `tile_batch`. A finished beam repeats its end id, so
    ``impute_finished`` changes nothing.

    Parameters
    ----------
    cell : layer
    beam_width : int
    embedding_fn : callable, optional
        Maps ids ``[batch, beam]`` to inputs; without it, the call needs a table ``[ids, depth]``.
    output_layer : layer, optional
    length_penalty_weight : float
        Scores are log-probabilities divided by ``((5 + length) / 6) ** weight``; Wu et al., 2016,
        https://arxiv.org/abs/1609.08144.
    coverage_penalty_weight : float
        Weight of the penalty for memory positions that got little attention; needs a cell with attention.
    reorder_tensor_arrays : bool
        Return an `AttentionWrapper`'s history as a tensor ``[time, batch * beam_width, memory]``, reordered so that
        each beam has the history of its own sequence.
    **kwargs
        Passed to `BaseDecoder`.
    """

    tracks_own_finished = True

    def __init__(
        self,
        cell: Any,
        beam_width: int,
        embedding_fn: Callable[..., Any] | None = None,
        output_layer: Any = None,
        length_penalty_weight: Any = 0.0,
        coverage_penalty_weight: Any = 0.0,
        reorder_tensor_arrays: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(cell, output_layer, **kwargs)
        self.beam_width = beam_width
        self.embedding_fn = embedding_fn
        self.length_penalty_weight = length_penalty_weight
        self.coverage_penalty_weight = coverage_penalty_weight
        self.reorder_tensor_arrays = reorder_tensor_arrays
        self.embed: Callable[..., Any] | None = embedding_fn
        self.asked: dict[str, Any] = {}

    @property
    def batch_size(self) -> Any:  # noqa: D102
        return self.asked["batch_size"]

    @property
    def output_size(self) -> BeamSearchDecoderOutput:  # noqa: D102
        return BeamSearchDecoderOutput(*[tf.TensorShape([self.beam_width])] * 3)

    @property
    def output_dtype(self) -> BeamSearchDecoderOutput:  # noqa: D102
        return BeamSearchDecoderOutput(tf.float32, tf.int32, tf.int32)

    def __call__(  # type: ignore[override]
        self, embedding: Any, start_tokens: Any = None, end_token: Any = None, initial_state: Any = None, **kwargs: Any
    ) -> Any:
        """Search, or record the search in the functional graph if the inputs are symbolic."""
        given = {"start_tokens": start_tokens, "end_token": end_token}
        symbolic = is_symbolic(embedding, given, initial_state, kwargs)
        return super().__call__(embedding, **{**given, **self.passed_arguments(symbolic, initial_state), **kwargs})

    def call(  # type: ignore[override]
        self,
        embedding: Any,
        start_tokens: Any = None,
        end_token: Any = None,
        initial_state: Any = None,
        training: bool | None = None,
        given_memories: Any = None,
    ) -> tuple[FinalBeamSearchDecoderOutput, BeamSearchDecoderState, Any]:
        """Search.

        Parameters
        ----------
        embedding : tensor [ids, depth] or None
            None if there is an ``embedding_fn``.
        start_tokens : int tensor [batch]
        end_token : int or scalar tensor
        initial_state : structure of tensors [batch * beam_width, ...], optional
        training : bool, optional
        given_memories : optional
            The memories of a functional model, passed by `__call__`.

        Returns
        -------
        tuple
            ``(FinalBeamSearchDecoderOutput, BeamSearchDecoderState, lengths [batch, beam])``.
        """
        given = {"start_tokens": start_tokens, "end_token": end_token, "initial_state": initial_state}
        return self.decoded(given_memories, partial(self._decode, embedding, given, training))  # type: ignore[no-any-return]

    def initialize(  # type: ignore[override]
        self, embedding: Any, start_tokens: Any = None, end_token: Any = None, initial_state: Any = None
    ) -> tuple[Any, Any, BeamSearchDecoderState]:
        """Start with one active beam; the others are finished, with log-probability minus infinity.

        Raises
        ------
        ValueError
            If there is no embedding, ``start_tokens`` is not a vector, ``end_token`` is not a scalar, or there is a
            coverage penalty without attention.
        """
        if self.embedding_fn is None and embedding is None:
            raise ValueError("an embedding table or the decoder's embedding_fn is needed")
        if self.embedding_fn is None:
            self.embed = table_lookup(embedding)
        start_tokens = tf.cast(start_tokens, tf.int32)
        if start_tokens.shape.rank not in (None, 1):
            raise ValueError(f"start_tokens must be a vector, and has the shape {tuple(start_tokens.shape)}")
        batch = tf.shape(start_tokens)[0] if start_tokens.shape[0] is None else start_tokens.shape[0]
        self.asked = {"end": scalar_id(end_token), "batch_size": tf.shape(start_tokens)[0], "batch": batch}
        state = self.first_state(initial_state, batch * self.beam_width)
        finished = tf.one_hot(tf.zeros([batch], tf.int32), self.beam_width, on_value=False, off_value=True)
        likely = tf.one_hot(tf.zeros([batch], tf.int32), self.beam_width, on_value=0.0, off_value=-float("inf"))
        accumulated: Any = ()
        if self.coverage_penalty_weight != 0.0:
            if not attentions_in(state):
                raise ValueError("a coverage penalty needs a cell with attention")
            accumulated = tf.zeros_like(self._split(mean_attention(state)))
        inputs = self._embedded(tf.repeat(start_tokens[:, None], self.beam_width, axis=1))
        return (
            finished,
            inputs,
            BeamSearchDecoderState(
                cell_state=tf.nest.map_structure(self._split, state),
                log_probs=likely,
                finished=finished,
                lengths=tf.zeros([batch, self.beam_width], tf.int64),
                accumulated_attention_probs=accumulated,
            ),
        )

    def _embedded(self, ids: Any) -> Any:
        assert self.embed is not None
        return cast_floats(self.embed(ids), compute_dtype(self.cell))

    def _split(self, value: Any) -> Any:
        """Reshape ``[batch * beam, ...]`` to ``[batch, beam, ...]``; return a TensorArray or scalar unchanged."""
        if isinstance(value, tf.TensorArray) or value.shape.rank == 0:
            return value
        return tf.reshape(value, _shape([self.asked["batch"], self.beam_width], value, 1))

    def step(
        self, time: Any, inputs: Any, state: BeamSearchDecoderState, training: bool | None = None
    ) -> tuple[BeamSearchDecoderOutput, BeamSearchDecoderState, Any, Any]:
        """Extend every beam by every id, and keep the best beams of each sequence."""
        logits, cell_state = self.run_cell(_merged(inputs), tf.nest.map_structure(_merged, state.cell_state), training)
        cell_state = tf.nest.map_structure(self._split, cell_state)
        log_probs = tf.nn.log_softmax(tf.cast(self._split(logits), tf.float32))
        ids, end = log_probs.shape[-1] or tf.shape(log_probs)[-1], self.asked["end"]
        is_end = tf.one_hot(end, ids, on_value=True, off_value=False)
        finished = state.finished[..., None]
        # a finished beam can only be extended by the end id, at no cost
        log_probs = tf.where(finished, tf.where(is_end, 0.0, log_probs.dtype.min), log_probs)
        totals = state.log_probs[..., None] + log_probs
        lengths = state.lengths[..., None] + tf.cast(~finished & ~is_end, tf.int64)
        penalty = ((5.0 + tf.cast(lengths, tf.float32)) / 6.0) ** tf.cast(self.length_penalty_weight, tf.float32)
        scores = totals / penalty
        accumulated = state.accumulated_attention_probs
        if self.coverage_penalty_weight != 0.0:
            attention = mean_attention(cell_state)
            accumulated += tf.where(finished, tf.zeros_like(attention), attention)
            # positions without any attention count as masked, and the penalty applies to finished beams only
            covered = tf.where(tf.equal(accumulated, 0), tf.ones_like(accumulated), tf.minimum(accumulated, 1))
            uncovered = tf.reduce_sum(tf.math.log(covered), axis=2, keepdims=True)
            scores += tf.where(finished, tf.cast(self.coverage_penalty_weight * uncovered, tf.float32), 0.0)
        batch = self.asked["batch"]
        best, places = tf.math.top_k(tf.reshape(scores, [batch, ids * self.beam_width]), self.beam_width)
        best.set_shape([None, self.beam_width])
        word_ids, parents = places % ids, places // ids

        def of_parents(value: Any) -> Any:
            if isinstance(value, tf.TensorArray) or value.shape.rank < 2:
                return value
            return tf.gather(value, parents, batch_dims=1)

        ended_before = of_parents(state.finished)
        next_finished = ended_before | tf.equal(word_ids, end)
        next_state = BeamSearchDecoderState(
            cell_state=tf.nest.map_structure(of_parents, cell_state),
            log_probs=tf.gather(tf.reshape(totals, [batch, ids * self.beam_width]), places, batch_dims=1),
            finished=next_finished,
            lengths=of_parents(state.lengths) + tf.cast(~ended_before, tf.int64),
            accumulated_attention_probs=tf.nest.map_structure(of_parents, accumulated),
        )
        output = BeamSearchDecoderOutput(best, word_ids, parents)
        return output, next_state, self._embedded(word_ids), next_finished

    def finalize(
        self, outputs: BeamSearchDecoderOutput, final_state: BeamSearchDecoderState, sequence_lengths: Any
    ) -> tuple[FinalBeamSearchDecoderOutput, BeamSearchDecoderState]:
        """Assemble whole sequences by following the parents back from the last step."""
        longest = tf.reduce_max(final_state.lengths, axis=1)
        ids = gather_tree(outputs.predicted_ids, outputs.parent_ids, longest, self.asked["end"])
        ids.set_shape(outputs.predicted_ids.shape)
        if self.reorder_tensor_arrays:

            def along_beams(value: Any) -> Any:
                if not isinstance(value, tf.TensorArray):
                    return value
                return gather_tree_from_array(value, outputs.parent_ids, final_state.lengths)

            cell_state = tf.nest.map_structure(along_beams, final_state.cell_state)
            final_state = BeamSearchDecoderState(cell_state, *final_state[1:])
        return FinalBeamSearchDecoderOutput(ids, outputs), final_state

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        config = {
            **super().get_config(),
            "beam_width": self.beam_width,
            "length_penalty_weight": float(self.length_penalty_weight),
            "coverage_penalty_weight": float(self.coverage_penalty_weight),
            "reorder_tensor_arrays": self.reorder_tensor_arrays,
        }
        return config if self.embedding_fn is None else {**config, "embedding_fn": serialize(self.embedding_fn)}


def _shape(begin: list[Any], value: Any, axis: int) -> list[Any]:
    """Return ``begin`` followed by a tensor's sizes from an axis on, as ints where statically known."""
    rest = [tf.shape(value)[i] if n is None else n for i, n in enumerate(value.shape)]
    return [*begin, *rest[axis:]]


def _merged(value: Any) -> Any:
    """Reshape ``[batch, beam, ...]`` to ``[batch * beam, ...]``; return anything else unchanged."""
    if isinstance(value, tf.TensorArray) or value.shape.rank < 2:
        return value
    return tf.reshape(value, _shape([-1], value, 2))


def attentions_in(state: Any) -> list[AttentionWrapperState]:
    """Return the attention states in a cell's state."""
    if isinstance(state, AttentionWrapperState):
        return [state]
    return [inner for one in state for inner in attentions_in(one)] if isinstance(state, (list, tuple)) else []


def mean_attention(state: Any) -> Any:
    """Return the alignments in a cell's state, averaged over its attention mechanisms."""
    alignments = [one for attention in attentions_in(state) for one in tf.nest.flatten(attention.alignments)]
    return tf.add_n(alignments) / len(alignments)
