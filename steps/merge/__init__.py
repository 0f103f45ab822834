"""The Merge step: an adapter and its base to a model of its own, shard by shard."""
