"""What every training does once in its process, and alike each time: done once for every child that is forked.

Limits: nothing here decides on a result, and nothing is kept of a model, a row or a variable. What begins with a
process group (the shardings of torch's operators) cannot be done here.
"""

from __future__ import annotations

import importlib
import pkgutil
import tempfile
from pathlib import Path

import steps.train
from steps.train.results import curves, hub_card, page
from tests.steps.train import runs

OF_THE_DEFINITION = ("step", "launch")  # the pipeline's side
# Imported where they are used, in functions of the steps, of transformers, peft, accelerate and matplotlib.
LATE = (
    "jsonschema", "peft.tuners.lora.bnb", "peft.utils.transformers_weight_conversion", "PIL.JpegImagePlugin",
    "torch.distributed.checkpoint.state_dict", "transformers.models.qwen2.tokenization_qwen2",
)  # fmt: skip


def up() -> None:
    for name in LATE:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(steps.train.__path__, "steps.train."):
        if module.name.rpartition(".")[2] not in OF_THE_DEFINITION:
            importlib.import_module(module.name)
    importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("qwen2")
    hub_card.template()
    drawn = runs.judged_run()
    page.render(**drawn)  # and the templates that the page takes in
    with tempfile.TemporaryDirectory() as folder:
        curves.write_png(drawn["history"], Path(folder) / "fonts-are-found-and-read.png")
