"""The Merge step: an adapter and its base become one complete model, shard by shard."""
