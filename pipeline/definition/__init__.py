"""Settings to a pipeline definition, and reading one: as a tree, and as a diff of two."""
