"""Batches as one row in which each prompt occurs once: packing, attention, order of rows."""
