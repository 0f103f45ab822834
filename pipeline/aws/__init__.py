"""Pipelines and executions on AWS, S3 downloads, clients, and AWS's errors as messages."""
