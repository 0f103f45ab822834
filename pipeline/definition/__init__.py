"""Settings to a pipeline definition, and showing one: as a tree, and as a diff of two."""
