"""Tool calls in what a model writes: how each family writes them, and whether they are the right ones."""
