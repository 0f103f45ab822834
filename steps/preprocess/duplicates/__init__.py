"""Rows that come again or contradict each other, exactly and nearly."""
