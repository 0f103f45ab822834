"""Answers of one model on this machine: what a person asks before approving a version."""

MAX_NEW_TOKENS = 256
