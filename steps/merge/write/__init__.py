"""Merged tensors and the files beside them, written to an output folder that is whole or absent."""
