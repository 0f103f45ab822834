"""The Spark engine of Preprocess: the shards of the Python engine, worked on by a cluster."""
