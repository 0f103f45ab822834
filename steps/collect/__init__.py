"""The Collect step: what an endpoint answered, and what people said about it, become preference pairs."""
