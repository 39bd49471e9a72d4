"""What ``Model.fit`` does with targets and weights, where Kerases differ."""

from __future__ import annotations

from typing import NamedTuple


class Rules(NamedTuple):
    """The rules of a Keras.

    Attributes
    ----------
    shares_a_target
        Whether ``fit`` compares a single target with each of several outputs.
    spreads_row_weights
        Whether ``fit`` applies the weight of a row to each position of its target.
    broadcasts_targets
        Whether losses broadcast a target of fewer dimensions, and binary cross-entropy broadcasts at all.
    weighs_rows_and_classes
        Whether ``fit`` accepts row weights and class weights together.
    trains_each_call
        Whether a functional model that is trained calls each layer with ``training=True``, whatever the code gave.
    """

    shares_a_target: bool
    spreads_row_weights: bool
    broadcasts_targets: bool
    weighs_rows_and_classes: bool
    trains_each_call: bool
