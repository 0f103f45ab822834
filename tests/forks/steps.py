"""What the steps and their libraries import: loaded once, for every child that is forked."""

import os

# What steps.train sets before its imports; one thread, because no thread lives on in a forked child.
os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1",
               "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip

import accelerate  # noqa: F401
import bitsandbytes  # noqa: F401
import datasets  # noqa: F401
import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import mlflow  # noqa: F401
import transformers.integrations.bitsandbytes
import transformers.models.qwen2.modeling_qwen2  # noqa: F401
import trl  # noqa: F401

import steps.train.loop.trainer
import steps.train.results.save  # noqa: F401
from tests.forks import warm

warm.up()
