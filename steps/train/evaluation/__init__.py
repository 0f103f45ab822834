"""Held-out figures of a model and its champion, from log-probabilities of every row."""
