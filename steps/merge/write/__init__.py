"""Computes the merged tensors and writes them, with all other files, to a folder that is complete or absent."""
