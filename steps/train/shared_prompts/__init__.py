"""Batches as one row in which each prompt stands once: packing, attention, order of rows."""
