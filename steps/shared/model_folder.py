"""A folder that should hold a model: what is missing, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.shared import contract
from steps.shared.contract import StepError

LFS = b"version https://git-lfs"
CHAT_TEMPLATES = ("chat_template.jinja", "additional_chat_templates")
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json",
)  # fmt: skip
PROCESSOR_FILES = ("*processor_config.json",)  # of images, videos and sound: what a multimodal model is given with text
# Those that may have a template of the processor alone, the one that transformers prefers first.
PROCESSOR_TEMPLATES = ("processor_config.json", "chat_template.json")
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja")

# Of a model's JSON files those that are objects, and small: the tokenizer's own is read where it is needed.
OBJECTS = (
    "config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
AGAIN = "correct that file, or copy or download the model again"

NO_TEMPLATE = (
    "the tokenizer has no chat template; use an instruct model, or put chat_template.jinja beside tokenizer_config.json"
    " (a chat_template.json is the processor's alone: its text can be copied there)"
)


@contextmanager
def read_by_library(what: str) -> Iterator[None]:
    """Around what transformers, tokenizers or safetensors read of a model: a damaged file makes them raise anything.

    Raises:
        StepError: `what`, and what the library says, in one line. A lack of memory stays what it is.
    """
    try:
        yield
    except (StepError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's; it is explained where the recipe is known
            raise
        known = isinstance(error, OSError | ValueError)
        told = contract.first_line(error) if known else f"{contract.in_one_line(error)}; {AGAIN}"
        raise StepError(f"{what}: {told}") from error


def refuse_pointer(path: Path) -> None:
    """
    Raises:
        StepError: the file stands for one that Git LFS keeps elsewhere.
    """
    with open(path, "rb") as file:
        if file.read(len(LFS)) == LFS:
            raise StepError(f"{path}: is a pointer of Git LFS, not the weights; run git lfs pull in that folder")


@dataclass(frozen=True)
class ProcessorsTemplate:
    """A chat template that a multimodal model's processor has of its own: vLLM prefers it to the tokenizer's for
    requests without tools."""

    file: Path
    text: Any  # several templates are no text


def own_template(files: Iterable[Path]) -> ProcessorsTemplate | None:
    """The processor's own template, of those of `PROCESSOR_TEMPLATES` that are there, in their order.

    Raises:
        StepError: a file is not JSON.
    """
    for file in files:
        config = contract.read_json(file, "the processor's configuration")
        if isinstance(config, dict) and config.get("chat_template") is not None:
            return ProcessorsTemplate(file, config["chat_template"])
    return None


def not_with_settings(own: ProcessorsTemplate) -> str:
    """Why a recipe cannot have settings for the template, which are its defaults where it is served."""
    return (
        f"chat_template_kwargs: {own.file} has a chat template of its own, which a server would take, without these "
        "settings; move its text to chat_template.jinja, of a hub model in a folder of your own"
    )


def not_the_tokenizers(own: ProcessorsTemplate) -> str:
    """What differs where the two templates do."""
    return (
        f"{own.file} has a chat template of its own, other than the tokenizer's, which is trained with: vLLM takes the "
        "processor's for requests without tools; put the one that you want into chat_template.jinja and take the other "
        "away"
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
    require_objects(folder)
    config = folder / "tokenizer_config.json"
    inline = config.is_file() and "chat_template" in contract.read_json(config, "the tokenizer's configuration")
    if not inline and not any((folder / name).exists() for name in CHAT_TEMPLATES):
        raise StepError(f"{folder}: {NO_TEMPLATE}")


def require_objects(folder: Path) -> None:
    """
    Raises:
        StepError: one of the model's small JSON files is none, or holds no object.
    """
    for file in (folder / name for name in OBJECTS):
        if file.is_file() and not isinstance(contract.read_json(file, "this file of the model"), dict):
            raise StepError(f"{file}: must be a JSON object; {AGAIN}")
