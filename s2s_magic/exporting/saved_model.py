"""A model's greedy decoding as a TensorFlow SavedModel."""

from __future__ import annotations

import logging
import tempfile
from functools import partial
from pathlib import Path

import tensorflow as tf

from s2s_magic.exporting.greedy_graphs import Searched
from s2s_magic.undoing import Changes

FILES = (
    "saved_model.pb",
    "fingerprint.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
)


def saved_model_files(model: Searched) -> dict[str, bytes]:
    """Return the files of a SavedModel that decodes greedily, by their paths in its folder.

    Its signature ``serving_default`` goes from ``source``, int32 of shape (rows, steps), to ``ids``, int32 of shape
    (rows, steps), and ``lengths``, int32 of shape (rows,): the number of ids in each row, its end id included.

    Parameters
    ----------
    model
        How the model is decoded.
    """

    def serve(source: tf.Tensor) -> dict[str, tf.Tensor]:
        ids, lengths = model.whole(source)
        return {"ids": ids, "lengths": lengths}

    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[model.source], autograph=False)
    concrete = module.serve.get_concrete_function()
    module.parameters = list(concrete.variables)  # those that a layer hides from TensorFlow too
    logger = logging.getLogger("tensorflow")
    with Changes() as changes, changes, changes:
        changes.undo_by(partial(logger.setLevel, logger.level))
        logger.setLevel(logging.ERROR)
        folder = Path(changes.enter(tempfile.TemporaryDirectory()))
        # the kernels' gradients are code of Python, and nothing is trained here
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(folder), signatures={"serving_default": concrete}, options=options)
        return {name: (folder / name).read_bytes() for name in FILES}
