"""The arguments of a call of a recurrent layer."""

from __future__ import annotations

from typing import Any, NamedTuple


class RecurrentCall(NamedTuple):
    """The arguments of a recurrent layer's ``call``, in any Keras.

    Attributes
    ----------
    sequence : tensor [batch, time, features]
    mask : tensor [batch, time], or None
    states
        The initial states, in the layer's own structure; its zeros if none were passed. None for a sequence
        that is not dense.
    given
        Whether initial states were passed.
    training
        Keras's flag.
    """

    sequence: Any
    mask: Any
    states: Any
    given: bool
    training: Any
