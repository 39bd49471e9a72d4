"""Saved models: a folder with the tensors and one document, written, read, checked and put onto a model."""
