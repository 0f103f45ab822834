"""Answers of one model on this machine: what a person asks before approving a version."""
