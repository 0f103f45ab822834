"""Rows in shards, worked on by several processes, and the output folder they fill."""
