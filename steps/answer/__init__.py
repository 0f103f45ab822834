"""Answers prompts with one model on this machine, for `try`: what a person asks before approving a version."""
