"""The Register step: a version in the model package group, with its evidence."""
