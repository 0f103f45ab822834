"""Writes the results of a finished run: files, manifest, report page, curves, model cards."""
