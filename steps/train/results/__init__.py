"""What a finished run leaves to read: files, manifest, report page, curves, model cards."""
