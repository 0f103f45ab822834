"""What pipeline.py's commands import: loaded once, for every child that is forked."""

import importlib
import pkgutil

import pipeline

for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    importlib.import_module(module.name)
