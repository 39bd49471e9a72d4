"""The class of generated code that looks ids up in a table, and scores them by it."""

from __future__ import annotations

from s2s_magic.source.dialect import Dialect
from s2s_magic.spec import Spec

_CLASS = """\
# Tied: one table looks ids up, and scores them for the output. An output is multiplied with each
# id's vector, so the layer is called for both and there is one owner of the weights.
@keras.saving.register_keras_serializable()
class TiedEmbedding(keras.layers.Embedding):
    by_position = True  # treats each position on its own, so it can be run for one id at a time

    def call(self, inputs, scores=False):
        if not scores:
            return super().call(inputs)
{scored}"""

_SPEC = """

    def compute_output_spec(self, inputs, scores=False):
        if not scores:
            return super().compute_output_spec(inputs)
        return keras.KerasTensor((*inputs.shape[:-1], self.input_dim), dtype={dtype})"""

_PRODUCTS = {
    "tf": "tf.matmul(inputs, self.embeddings, transpose_b=True)",
    "keras.ops": "keras.ops.matmul(inputs, keras.ops.transpose(self.embeddings))",
}


def tied_embedding(spec: Spec, dialect: Dialect) -> str:
    """Write the class ``TiedEmbedding``; Keras 3 is also told the shape of the scores, which are float32 if mixed."""
    product, softmax, wide = _PRODUCTS[dialect.operations], dialect["softmax"], spec.mixes_precision
    scored = f"        return {softmax}({product})"
    if wide:
        scored = "\n".join(
            [
                f"        table = {dialect.operations}.cast(self.embeddings, self.compute_dtype)",
                f"        products = {product.replace('self.embeddings', 'table')}",
                f'        return {softmax}({dialect.operations}.cast(products, "float32"))',
            ]
        )
    written = _CLASS.format(scored=scored)
    return written + (
        _SPEC.format(dtype='"float32"' if wide else "self.compute_dtype") if dialect.operations == "keras.ops" else ""
    )
