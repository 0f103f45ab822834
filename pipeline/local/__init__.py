"""Runs a rendered definition on this machine, without AWS, Docker or the SageMaker SDK."""
