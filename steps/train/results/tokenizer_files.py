"""The base's tokenizer beside the adapter, file by file as it came.

What a library writes of a tokenizer that it has loaded is in its own version's form: transformers 4, in many serving
images, cannot read all that transformers 5 writes, and can read what came with the base.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from steps.shared.hub import is_hub_name
from steps.shared.model_folder import TEMPLATE_FILES, TOKENIZER_FILES
from steps.train.arguments import TrainArguments
from steps.train.model.shape import hub_config

CODE = ("tokenization_*.py",)  # of a tokenizer that comes with its own


def copy_tokenizer(arguments: TrainArguments, output: Path) -> None:
    """Copy the base's tokenizer and chat templates; a hub model's lie in the cache, where they were loaded from."""
    folder = hub_config(arguments).parent if is_hub_name(arguments.model_id) else Path(arguments.model_id)
    for pattern in (*TOKENIZER_FILES, *TEMPLATE_FILES, *CODE):
        for path in folder.glob(pattern):
            target = output / path.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)
