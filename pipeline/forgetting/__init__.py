"""Forgetting a person or an answer: their captures, what was said, and what earlier runs made of it."""
