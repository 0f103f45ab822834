"""The commands of `pipeline.py`. They parse, call and print; the rules live elsewhere."""
