"""What pipeline.py's commands import: loaded once, for every child that is forked."""

import importlib
import logging
import os
import pkgutil

import pipeline

# The SDK makes boto3 clients while it is imported, and numpy threads; each child gets an environment of its own.
os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "OMP_NUM_THREADS": "1",
               "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip

for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    importlib.import_module(module.name)

# The SDK's import makes every library's notes visible; a command's own process has not imported it yet when it begins.
logging.getLogger().handlers.clear()
logging.getLogger().setLevel(logging.WARNING)
