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

OF_THE_DEFINITION = "step"  # the pipeline's side
PROGRAM = '__name__ == "__main__"'  # is in what a child runs by its name, which must not be loaded by then
# Imported where they are used, in functions of the steps, of transformers, peft, accelerate and matplotlib.
LATE = (
    "jsonschema", "peft.tuners.lora.bnb", "peft.utils.transformers_weight_conversion", "PIL.JpegImagePlugin",
    "torch.distributed.checkpoint.state_dict", "transformers.models.qwen2.tokenization_qwen2",
)  # fmt: skip


def up() -> None:
    for name in LATE:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(steps.train.__path__, "steps.train."):
        spec = module.module_finder.find_spec(module.name, None)
        source = Path(spec.origin).read_text(encoding="utf-8")
        if module.name.rpartition(".")[2] != OF_THE_DEFINITION and PROGRAM not in source:
            importlib.import_module(module.name)
    importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("qwen2")
    hub_card.template()
    drawn = runs.judged_run()
    page.render(**drawn)  # and the templates that the page takes in
    with tempfile.TemporaryDirectory() as folder:
        curves.write_png(drawn["history"], Path(folder) / "fonts-are-found-and-read.png")
