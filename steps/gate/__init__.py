"""The Gate step: is the trained model good enough to be registered."""
