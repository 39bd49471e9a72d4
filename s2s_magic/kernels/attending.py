"""A recurrent cell with attention and input feeding, with hand-written forward and backward passes.

At each step the cell reads its input and what the step before attended to (Luong et al., 2015,
https://arxiv.org/abs/1508.04025), its output h(t) queries the memory, and the context is joined with it::

    net(t) = W_x x(t) + W_a a(t-1) + b             h(t), … = cell(net(t), states(t-1))
    s_j(t) = k_j · h(t)   or   Σ_d v_d tanh(k_jd + (W_q h(t))_d)
    α(t)   = softmax(s(t))         c(t) = Σ_j α_j(t) m_j         a(t) = f(W_c [h(t); c(t)]),   f = tanh or the identity

Backward, with ε(t) = ∂E/∂a(t) summed over the output and the next step's input::

    δ(t)      = ε(t) f'(t)         [∂E/∂h; ∂E/∂c] += W_cᵀ δ(t)
    ∂E/∂α_j   = m_j · ∂E/∂c        ∂E/∂s = α ⊙ (∂E/∂α - α · ∂E/∂α)
    ε(t-1)    = W_aᵀ ∂E/∂net(t) + what comes from the loss

As in `s2s_magic.kernels.driver`, products that do not depend on the step before are one product for all steps, and each
weight gradient is one product after the loop. Here each sample is a row, as it is in the memory. Of additive scores,
only the softmax is kept; tanh is computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.kernels.driver import ROWS, Cell
from s2s_magic.kernels.scan import (
    UNROLLED,
    back_through,
    scan,
    sequence,
    stacked,
    step_count,
    twice_differentiable,
)


class Drawing(NamedTuple):
    """How the inputs of steps are chosen from the outputs of those before, where they are not all given.

    Attributes
    ----------
    first
        The inputs of the first step, of shape (batch, features).
    next
        From the number of a step, a scalar, and its output of shape (batch, attention), to the ids that were drawn
        after it, int32 of shape (batch,), and the inputs of the next step, of shape (batch, features).
    read
        From the drawn ids of all steps, of shape (batch, steps), to the inputs of all steps, with gradients.
    """

    first: Any
    next: Callable[[Any, Any], tuple[Any, Any]]
    read: Callable[[Any], Any]


class Attended(NamedTuple):
    """The weights and the memory of attention; all of one type.

    Attributes
    ----------
    keys
        Shape (batch, memory, depth): what queries are compared with.
    values
        Shape (batch, memory, size): what contexts are averages of.
    join
        Shape (units + size, attention): W_c.
    query
        Shape (units, depth): W_q of additive scores; None for products.
    weights
        Shape (depth,): v of additive scores; None for products.
    """

    keys: Any
    values: Any
    join: Any
    query: Any = None
    weights: Any = None

    @property
    def turned(self) -> Any:
        """The keys as products read them, of shape (batch, depth, memory); None for additive scores."""
        return tf.transpose(self.keys, [0, 2, 1]) if self.query is None else None

    def scores(self, h: Any, turned: Any) -> Any:
        """Return the scores (batch, memory) of a cell's outputs (batch, units)."""
        if self.query is None:
            return tf.matmul(h[:, None], turned)[:, 0]
        squashed = tf.tanh(self.keys + tf.matmul(h, self.query)[:, None])
        pairs = tf.matmul(tf.reshape(squashed, [-1, self.weights.shape[0]]), self.weights[:, None])
        return tf.reshape(pairs, tf.shape(squashed)[:2])

    def alignments(self, h: Any, mask: Any, turned: Any) -> Any:
        """Return the alignments (batch, memory) of a cell's outputs, with the keys `turned`; 0 where masked."""
        scores = self.scores(h, turned)
        return tf.nn.softmax(scores if mask is None else tf.where(mask, scores, scores.dtype.min))


def attend(
    cell: Cell,
    x: Any,
    kernel: Any,
    recurrent: Any,
    bias: Any,
    states: Sequence[Any],
    attention: Any,
    attended: Attended,
    *,
    mask: Any = None,
    squashed: bool = False,
    unrolled: int = UNROLLED,
    drawing: Drawing | None = None,
) -> tuple[Any, list[Any], Any, Any]:
    """Run a cell with attention over all steps.

    Parameters
    ----------
    cell
        The cell's step.
    x
        Inputs of shape (batch, steps, features).
    kernel, recurrent, bias
        The cell's weights; the last rows of the kernel, which has shape (features + attention, gates * units), belong
        to what the step before attended to. ``bias`` may be None.
    states
        Initial states of shape (batch, units).
    attention
        What the step before the first attended to, of shape (batch, attention).
    attended
        The weights and the memory of attention.
    mask
        Booleans of shape (batch, memory), or None.
    squashed
        Whether f is tanh.
    unrolled
        A loop of at most this many steps, if known when the graph is built, is unrolled; with ``drawing``, none is:
        each unrolled step would draw by an operation of its own, and operations of one seed draw the same.
    drawing
        How inputs are chosen from outputs, if they are not all given.

    Returns
    -------
    output : tensor
        What each step attended to, of shape (batch, steps, attention).
    states : list of tensors
        The states after the last step.
    attention : tensor
        What the last step attended to.
    ids : tensor or None
        The drawn ids, of shape (batch, steps).
    """
    given = _Given(x, kernel, recurrent, bias, tuple(states), attention, attended)
    steps, drawn, ids = step_count(x, 1, 0 if drawing else unrolled), None, None
    if drawing is not None:
        # A drawn id has no gradient. So the loop runs outside of what has one, over inputs that are known then.
        drawn = _forward(cell, given, mask, squashed, steps, drawing)
        ids = tf.transpose(stacked(drawn.ids))
        given = _Given(drawing.read(ids), *given[1:])
    count = len(given.values)

    def plain(*values: Any) -> Any:
        return _plain(cell, given.of(values), mask, squashed)

    @backend.custom_gradient
    def fast(*values: Any) -> Any:
        values, found = values[:count], values[count:]
        now = given.of(values)
        run = _forward(cell, now, mask, squashed, steps) if drawn is None else drawn

        def gradient(*upstream: Any) -> list[Any]:
            return _gradient(cell, now, mask, squashed, steps, run, *upstream)

        derived = twice_differentiable(gradient, plain, values)
        return found or run.outputs, lambda *upstream: [*derived(*upstream), *[None] * len(found)]

    # what was computed outside is an argument, so that TensorFlow does not look for variables behind it
    output, *after = fast(*given.values, *([] if drawn is None else drawn.outputs))
    output.set_shape([*x.shape[:2], attended.join.shape[1]])
    return output, after[:-1], after[-1], ids


class _Given(NamedTuple):
    """The tensors of `attend`, which its gradient is taken with respect to."""

    x: Any
    kernel: Any
    recurrent: Any
    bias: Any
    states: tuple[Any, ...]
    attention: Any
    attended: Attended

    @property
    def values(self) -> list[Any]:
        """All that are there, flat."""
        bias = [] if self.bias is None else [self.bias]
        memory = [part for part in self.attended if part is not None]
        return [self.x, self.kernel, self.recurrent, *bias, *self.states, self.attention, *memory]

    def of(self, values: Sequence[Any]) -> _Given:
        """Return the same structure with other values."""
        (x, kernel, recurrent), rest = values[:3], list(values[3:])
        bias = None if self.bias is None else rest.pop(0)
        count = len(self.states)
        return _Given(x, kernel, recurrent, bias, tuple(rest[:count]), rest[count], Attended(*rest[count + 1 :]))


class _Run(NamedTuple):
    """What a loop over all steps leaves: the states and the attention of the last, and sequences of what each kept."""

    last: list[Any]
    kept: list[Any]
    before: list[Any]
    attention: Any
    both: Any
    found: Any
    new: Any
    ids: Any = None

    @property
    def outputs(self) -> tuple[Any, ...]:
        """What each step attended to, of shape (batch, steps, attention), and the last states and attention."""
        return (tf.transpose(stacked(self.new), [1, 0, 2]), *self.last)


def _forward(cell: Cell, given: _Given, mask: Any, squashed: bool, steps: Any, drawing: Drawing | None = None) -> _Run:
    """Run the loop."""
    x, kernel, recurrent, bias, states, attention, attended = given
    join, count = attended.join, cell.states
    features = kernel.shape[0] - join.shape[1]
    of_inputs, of_attention = kernel[:features], kernel[features:]
    bias_x, bias_h = cell.biases(bias)
    cell_step = cell.forward(recurrent, bias_h, ROWS)
    turned = attended.turned

    def net_of(inputs: Any) -> Any:
        net = tf.matmul(inputs, of_inputs)
        return net if bias_x is None else net + bias_x

    def step(*now: Any) -> Any:
        before, a, last = now[:count], now[count], now[-1]
        net = last if drawing is None else net_of(now[count + 1])
        after, kept = cell_step(net + tf.matmul(a, of_attention), *before)
        found = attended.alignments(after[0], mask, turned)
        both = tf.concat([after[0], tf.matmul(found[:, None], attended.values)[:, 0]], 1)
        new = tf.tanh(tf.matmul(both, join)) if squashed else tf.matmul(both, join)
        ids, inputs = ([], []) if drawing is None else ([each] for each in drawing.next(last, new))
        return (*after, new, *inputs), (*kept, *before, a, both, found, new, *ids)

    sizes = [recurrent.shape[0] * height for height in (*cell.kept, *[1] * count)]
    widths: list[Any] = [*sizes, join.shape[1], join.shape[0], attended.values.shape[1], join.shape[1]]
    carry = [*states, attention]
    if drawing is None:
        inputs = tf.transpose(x, [1, 0, 2])
        net = net_of(tf.reshape(inputs, [-1, features]))
        read = sequence(tf.reshape(net, [-1, tf.shape(x)[0], of_inputs.shape[1]]), steps)
    else:
        carry.append(tf.ensure_shape(drawing.first, [x.shape[0], features]))
        widths.append(tf.TensorSpec([x.shape[0]], tf.int32))
        read = sequence(tf.range(steps), steps)
    last, every = scan(steps, step, carry, [read], widths, columns=False)
    cut = len(cell.kept)
    return _Run(last[: count + 1], every[:cut], every[cut : cut + count], *every[cut + count :])


def _gradient(
    cell: Cell, given: _Given, mask: Any, squashed: bool, steps: Any, run: _Run, d_output: Any, *d_after: Any
) -> list[Any]:
    """Map the gradients of the outputs to those of the arguments."""
    x, kernel, recurrent, bias, _, _, attended = given
    keys, values, join, query, weights = attended
    units, features, count = recurrent.shape[0], kernel.shape[0] - join.shape[1], cell.states
    of_inputs, of_attention = kernel[:features], kernel[features:]
    inputs = tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, features])
    totals = [] if query is None else [tf.zeros_like(keys), tf.zeros_like(weights)]
    cell_back, cut = cell.backward(recurrent, ROWS), len(cell.kept)
    to_attention, to_both = back_through(of_attention, ROWS), back_through(join, ROWS)
    turned_values = tf.transpose(values, [0, 2, 1])

    def back(*now: Any) -> Any:
        carried, now = now[: count + 1], now[count + 1 :]
        sums, now = list(now[: len(totals)]), now[len(totals) :]
        kept_now, before_now, (both_now, alpha, new_now, d_out) = now[:cut], now[cut : cut + count], now[-4:]
        d_states, d_a = list(carried[:count]), carried[count] + d_out
        d_joined = tf.raw_ops.TanhGrad(y=new_now, dy=d_a) if squashed else d_a
        d_h, d_context = tf.split(to_both(d_joined), [units, values.shape[2]], 1)
        d_alpha = tf.matmul(d_context[:, None], turned_values)[:, 0]
        d_scores = alpha * (d_alpha - tf.reduce_sum(alpha * d_alpha, 1, keepdims=True))
        if mask is not None:  # where all is masked, nothing is 0
            d_scores = tf.where(mask, d_scores, tf.zeros_like(d_scores))
        of_scores, noted, added = _through_scores(attended, both_now[:, :units], d_scores)
        d_states[0] = d_states[0] + d_h + of_scores
        d_before, of_cell = cell_back(d_states, kept_now, before_now)
        sums = [one + more for one, more in zip(sums, added, strict=True)]
        return (*d_before, to_attention(cell.net(of_cell, ROWS)), *sums), (
            *(*of_cell, d_joined, d_context, d_scores),
            *noted,
        )

    read = [*run.kept, *run.before, run.both, run.found, run.new]
    read.append(sequence(tf.transpose(d_output, [1, 0, 2]), steps))
    widths = [units * height for height in cell.found]
    widths += [join.shape[1], values.shape[2], values.shape[1], *([] if query is None else [query.shape[1]])]
    carried, parts = scan(steps, back, [*d_after, *totals], read, widths, backwards=True, columns=False)
    of_cell, (d_joined, d_contexts, d_scores, *d_queries) = parts[: len(cell.found)], parts[len(cell.found) :]
    d_net, d_recurrent, d_bias = cell.gradients(
        [_columns(one) for one in of_cell], [partial(_columns, one) for one in run.kept], _columns(run.before[0])
    )
    d_x = tf.matmul(d_net, of_inputs, transpose_a=True, transpose_b=True)
    d_x = tf.transpose(tf.reshape(d_x, [-1, tf.shape(x)[0], features]), [1, 0, 2])
    d_kernel = tf.concat(
        [
            tf.matmul(inputs, d_net, transpose_a=True, transpose_b=True),
            tf.matmul(_below(run.attention), d_net, transpose_a=True, transpose_b=True),
        ],
        0,
    )
    d_join = tf.matmul(_below(run.both), _below(d_joined), transpose_a=True)
    d_values = tf.matmul(_by_row(run.found), _by_row(d_contexts), transpose_a=True)
    if query is None:
        d_keys = tf.matmul(_by_row(d_scores), _by_row(run.both)[:, :, :units], transpose_a=True)
        of_scores = [d_keys, d_values, d_join]
    else:
        d_query = tf.matmul(_below(run.both)[:, :units], _below(d_queries[0]), transpose_a=True)
        d_keys, d_weights = carried[count + 1 :]
        of_scores = [d_keys, d_values, d_join, d_query, d_weights]
    d_bias = [] if bias is None else [d_bias]
    return [d_x, d_kernel, d_recurrent, *d_bias, *carried[: count + 1], *of_scores]


def _through_scores(attended: Attended, h: Any, d_scores: Any) -> tuple[Any, list[Any], list[Any]]:
    """Return a step's gradient of h (batch, units), of its query, and the parts of those of keys and weights."""
    keys, _, _, query, weights = attended
    if query is None:
        return tf.matmul(d_scores[:, None], keys)[:, 0], [], []
    squashed = tf.tanh(keys + tf.matmul(h, query)[:, None])
    d_sums = tf.raw_ops.TanhGrad(y=squashed, dy=d_scores[:, :, None] * weights)
    d_query = tf.reduce_sum(d_sums, 1)
    pairs = tf.reshape(squashed, [-1, keys.shape[2]])
    d_weights = tf.matmul(pairs, tf.reshape(d_scores, [-1, 1]), transpose_a=True)[:, 0]
    return tf.matmul(d_query, query, transpose_b=True), [d_query], [d_sums, d_weights]


def _below(values: Any) -> Any:
    """Join a sequence of matrices (batch, size) to one of shape (steps * batch, size)."""
    joined = stacked(values)
    return tf.reshape(joined, [-1, joined.shape[2]])


def _columns(values: Any) -> Any:
    """Join a sequence of matrices (batch, size) to one of shape (size, steps * batch), as the cells take them."""
    return tf.transpose(_below(values))


def _by_row(values: Any) -> Any:
    """Return a sequence of matrices (batch, size) as a tensor (batch, steps, size)."""
    return tf.transpose(stacked(values), [1, 0, 2])


def _plain(cell: Cell, given: _Given, mask: Any, squashed: bool) -> tuple[Any, ...]:
    """Compute the same outputs by operations that TensorFlow itself differentiates, to any order."""
    x, kernel, recurrent, bias, states, attention, attended = given
    bias_x, bias_h = cell.biases(bias)
    cell_step = cell.forward(recurrent, bias_h, ROWS)
    turned = attended.turned

    def step(before: Any, now: Any) -> Any:
        *held, a = before
        net = tf.matmul(tf.concat([now, a], 1), kernel)
        after, _ = cell_step(net if bias_x is None else net + bias_x, *held)
        context = tf.matmul(attended.alignments(after[0], mask, turned)[:, None], attended.values)[:, 0]
        new = tf.matmul(tf.concat([after[0], context], 1), attended.join)
        return (*after, tf.tanh(new) if squashed else new)

    first = (*states, attention)
    every = tf.scan(step, tf.transpose(x, [1, 0, 2]), first)
    last = [tf.concat([start[None], values], 0)[-1] for start, values in zip(first, every, strict=True)]
    return (tf.transpose(every[-1], [1, 0, 2]), *last)
