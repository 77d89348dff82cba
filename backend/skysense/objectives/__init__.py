"""Losses, one family a file: tensors in, scalars out."""
