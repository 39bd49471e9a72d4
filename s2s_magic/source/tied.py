"""The class of generated code that looks ids up in a table, and scores them by it."""

from __future__ import annotations

from s2s_magic.source.dialect import Dialect

_CLASS = """\
# Tied: one table looks ids up, and scores them for the output. An output is multiplied with each
# id's vector, so the layer is called for both and there is one owner of the weights.
@keras.saving.register_keras_serializable()
class TiedEmbedding(keras.layers.Embedding):
    by_position = True  # treats each position on its own, so it can be run for one id at a time

    def call(self, inputs, scores=False):
        if not scores:
            return super().call(inputs)
        return {softmax}({product})"""

_SPEC = """

    def compute_output_spec(self, inputs, scores=False):
        if not scores:
            return super().compute_output_spec(inputs)
        return keras.KerasTensor((*inputs.shape[:-1], self.input_dim), dtype=self.compute_dtype)"""

_PRODUCTS = {
    "tf": "tf.matmul(inputs, self.embeddings, transpose_b=True)",
    "keras.ops": "keras.ops.matmul(inputs, keras.ops.transpose(self.embeddings))",
}


def tied_embedding(dialect: Dialect) -> str:
    """Write the class ``TiedEmbedding``; Keras 3 is also told the shape of the scores."""
    written = _CLASS.format(softmax=dialect["softmax"], product=_PRODUCTS[dialect.operations])
    return written + (_SPEC if dialect.operations == "keras.ops" else "")
