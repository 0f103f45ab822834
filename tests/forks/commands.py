"""What pipeline.py's commands import: loaded once, for every child that is forked."""

import functools
import importlib
import logging
import os
import pkgutil

import boto3
from botocore.loaders import JSONFileLoader

import pipeline
from pipeline.definition import sdk

# The SDK makes boto3 clients while it is imported, and numpy threads; each child gets an environment of its own.
os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "OMP_NUM_THREADS": "1",
               "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip

read = functools.cache(JSONFileLoader().load_file)
JSONFileLoader.load_file = lambda self, path: read(path)
for service in ("sagemaker", "s3", "sts", "events", "scheduler", "cloudformation", "iam", "ecr"):
    boto3.client(service, "us-east-1")  # so that no child reads botocore's description of the service

with sdk.lightly():
    importlib.import_module("pipeline.definition.build")
for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    importlib.import_module(module.name)

# The SDK's import makes every library's notes visible; a command's own process has not imported it yet when it begins.
logging.getLogger().handlers.clear()
logging.getLogger().setLevel(logging.WARNING)
