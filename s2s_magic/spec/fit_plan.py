"""A fit body as frozen plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from s2s_magic.spec.parts import Frozen, Named
from s2s_magic.spec.plans import Names, Placed


class Held(Frozen):
    """Validation data, by key as in `FitPlan`."""

    target: Names
    source: str | None = None
    inputs: Mapping[str, str] | tuple[str, ...] = {}
    weights: Names | None = None


class Checkpoints(Frozen):
    """Where a fit is saved, and when: after each epoch and every 10 minutes where neither is given.

    Attributes
    ----------
    folder
        Its checkpoints are folders in it.
    minutes, epochs
        Minutes, and epochs, from one checkpoint to the next.
    keep
        How many of the last ones are kept, besides that of the best epoch.
    """

    folder: str
    minutes: float | None = None
    epochs: int | None = None
    keep: int = 3


class FitPlan(Placed):
    """The settings of a fit body.

    Attributes
    ----------
    source, decoder_input, lengths
        Names of notebook variables, or parts of them such as ``df.a``, or files such as ``data/train.en``.
    target
        The variable for the model's output; for several outputs a list of them, or each by the output's name.
    inputs
        For each input of a traced model, by name or in the model's order, the notebook variable that feeds it.
    data
        A dataset of batches, in place of source, inputs and target.
    weights
        Weights of the rows or of their positions; by output if there are several.
    class_weights
        The weight of each class.
    validation
        A fraction of the data, the names of source and target, the keys of data, or the name of a dataset.
    bad_lines
        What is done with lines of files that cannot be read; None, like ``stop``, makes them faults.
    model
        Name of the Keras model to fit, where the code made several.
    epochs, batch, patience, seed
        Whole numbers; patience counts epochs without a better loss.
    average
        Over the ends of how many of the last epochs the weights are averaged; None if they are not.
    accumulate
        How many batches' gradients are averaged for one update.
    max_tokens
        In place of ``batch``: the most ids in a batch, counted as its rows times the ids in its longest row.
    streaming
        Whether files are streamed in each epoch; None decides by their size.
    optimizer, loss
        None keeps what the model was compiled with, else uses Adam and sparse categorical crossentropy.
    metrics
        Names of Keras metrics.
    validate_with
        Metrics of the outputs decoded from the validation's sources after each epoch; patience counts on the first.
    accelerate
        Whether the recurrent parts may run on faster kernels with the same results.
    shuffle
        Whether the data are shuffled before each epoch.
    log
        The folder for TensorBoard logs.
    checkpoint, resume
        Where and when the fit is saved, and the folder of checkpoints that it goes on from.
    verb
        The verb of the cell that has the body, for warnings.
    """

    target: Names | None = None
    source: str | None = None
    inputs: Mapping[str, str] | tuple[str, ...] = {}
    data: str | None = None
    weights: Names | None = None
    class_weights: Mapping[int, float] = {}
    validation: float | str | tuple[str, str] | Held | None = None
    epochs: int = 1
    batch: int = 32
    accumulate: int = 1
    average: int | None = None
    max_tokens: int | None = None
    streaming: bool | None = None
    optimizer: Named | None = None
    loss: Named | None = None
    metrics: tuple[str, ...] = ()
    validate_with: tuple[str, ...] = ()
    patience: int | None = None
    seed: int | None = None
    lengths: str | None = None
    decoder_input: str | None = None
    accelerate: bool = True
    shuffle: bool = True
    model: str | None = None
    log: str | None = None
    checkpoint: Checkpoints | None = None
    resume: str | None = None
    verb: str = "fit"
    bad_lines: Literal["stop", "skip"] | None = None

    @property
    def schedule(self) -> Named | None:
        """The schedule of the learning rate; None if the rate is a number or not named."""
        rate = self.optimizer.arguments.get("learning_rate") if self.optimizer is not None else None
        return rate if isinstance(rate, Named) else None

    @property
    def lowers_the_rate(self) -> Named | None:
        """The schedule, if it lowers the rate when the loss stops getting better."""
        schedule = self.schedule
        return schedule if schedule is not None and schedule.kind == "plateau" else None
