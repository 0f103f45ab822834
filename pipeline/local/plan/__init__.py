"""A rendered definition as steps in running order: references, conditions, and what is supported."""
