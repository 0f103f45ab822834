"""Preprocess: raw preference files to a training and a validation set, with every row accounted for."""
