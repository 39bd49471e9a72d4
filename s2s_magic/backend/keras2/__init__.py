"""Keras 2 in TensorFlow 2.13 to 2.15, and `tf_keras`."""
