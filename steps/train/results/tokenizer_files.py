"""The base's tokenizer beside the adapter, file by file as it came.

What a library writes of a tokenizer that it has loaded is in its own version's form: transformers 4, in many serving
images, cannot read all that transformers 5 writes, and can read what came with the base. The chat template alone is
written anew where the recipe has chat_template_kwargs: as their defaults, so that whoever serves or loads the folder
gives the model the texts that it was trained on.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from steps.shared.contract import write_text
from steps.shared.model_folder import TEMPLATE_FILES, TOKENIZER_FILES
from steps.shared.templates.defaults import with_defaults
from steps.train.arguments import TrainArguments
from steps.train.model.shape import base_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Of several templates transformers and vLLM take these two; each file wins over what stands in tokenizer_config.json.
WRITTEN = {"default": "chat_template.jinja", "tool_use": "additional_chat_templates/tool_use.jinja"}
CODE = ("tokenization_*.py",)  # of a tokenizer that comes with its own


def copy_tokenizer(arguments: TrainArguments, tokenizer: PreTrainedTokenizerBase, output: Path) -> None:
    """Copy the base's tokenizer and chat templates; a hub model's lie in the cache, where they were loaded from.

    Args:
        tokenizer: the same as it was loaded, with one chat template or several by name.
    """
    folder = base_folder(arguments)
    for pattern in (*TOKENIZER_FILES, *CODE, *(() if arguments.chat_template_kwargs else TEMPLATE_FILES)):
        for path in folder.glob(pattern):
            target = output / path.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)
    if arguments.chat_template_kwargs:
        found = tokenizer.chat_template
        named = found if isinstance(found, dict) else {"default": str(found)}
        for name, file in WRITTEN.items():
            if name in named:
                write_text(output / file, with_defaults(named[name], arguments.chat_template_kwargs))
