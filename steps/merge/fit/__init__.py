"""Where an adapter's tensors belong in a base, and what they change there; from headers alone."""
