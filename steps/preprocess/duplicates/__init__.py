"""Finds rows that repeat or contradict each other, exact and near duplicates."""
