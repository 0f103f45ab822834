"""A rendered definition as steps in running order: what of it is refused, and what its expressions come to."""
