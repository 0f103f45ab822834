"""The Spark engine of Collect: the captures' files in shares, read by a cluster and joined in their order."""
