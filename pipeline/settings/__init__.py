"""`configs/*.yaml` as typed settings, and the local files that they name."""
