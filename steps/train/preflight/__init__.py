"""Checks before any weight is loaded: conflicting settings, number of steps, memory of one GPU."""
