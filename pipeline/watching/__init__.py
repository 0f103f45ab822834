"""Watching an execution to its end: states, metrics and logs, and how they are drawn."""
