"""A folder that should hold a model: what is missing, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from steps.shared import contract
from steps.shared.contract import StepError

LFS = b"version https://git-lfs"
CHAT_TEMPLATES = ("chat_template.jinja", "additional_chat_templates")
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json",
)  # fmt: skip
PROCESSOR_FILES = ("*processor_config.json",)  # of images, videos and sound: what a multimodal model is given with text
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja")

NO_TEMPLATE = (
    "the tokenizer has no chat template; use an instruct model, or put chat_template.jinja beside tokenizer_config.json"
    " (a chat_template.json is the processor's alone: its text can be copied there)"
)


def refuse_pointer(path: Path) -> None:
    """
    Raises:
        StepError: the file stands for one that Git LFS keeps elsewhere.
    """
    with open(path, "rb") as file:
        if file.read(len(LFS)) == LFS:
            raise StepError(f"{path}: is a pointer of Git LFS, not the weights; run git lfs pull in that folder")


def refuse_processors_template(folder: Path) -> None:
    """Where a recipe has settings for the template, which it then has as defaults when it is served.

    Raises:
        StepError: a multimodal model's processor has a template of its own, which a server prefers.
    """
    for file in (folder / "processor_config.json", folder / "chat_template.json"):
        if file.is_file() and "chat_template" in contract.read_json(file, "the processor's configuration"):
            raise StepError(
                f"chat_template_kwargs: {file} has a chat template of its own, which a server would take, without "
                "these settings; move its text to chat_template.jinja"
            )


def check_folder(folder: Path) -> None:
    """What can be told of a model folder from its file names, before anything reads it.

    Raises:
        StepError: it is not a model, or has no tokenizer or chat template.
    """
    if not (folder / "config.json").is_file():
        raise StepError(f"{folder}: not a model folder: config.json is missing")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        packed = next(folder.glob("*.tar.gz"), None)
        fix = f"unpack {packed.name} there" if packed else "save the model with save_pretrained"
        raise StepError(f"{folder}: no weights: expected *.safetensors; {fix}")
    for path in weights:
        refuse_pointer(path)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise StepError(f"{folder}: no tokenizer: tokenizer.json is missing; save the tokenizer beside the model")
    config = folder / "tokenizer_config.json"
    inline = config.is_file() and "chat_template" in contract.read_json(config, "the tokenizer's configuration")
    if not inline and not any((folder / name).exists() for name in CHAT_TEMPLATES):
        raise StepError(f"{folder}: {NO_TEMPLATE}")
