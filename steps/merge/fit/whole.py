"""Whether the base's files are the whole model, and its tokenizer one of this model; from headers and configurations.

An adapter's weights that are not in the base would else be blamed on the adapter: "trained on another base".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.merge.fit.base import AGAIN, Base
from steps.merge.fit.find_changes import EMBEDDINGS
from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.weights.whole_names import (
    FEWER_LAYERS,
    UNWRAP,
    deepest,
    incomplete_experts,
    layers,
    several_stacks,
    too_many_layers,
    too_many_tokens,
    wrapper,
)

MULTIMODAL = frozenset({"text_config", "vision_config", "audio_config"})
ENDS = ("eos_token", "pad_token", "bos_token")


def require_whole(base: Base) -> None:
    """
    Raises:
        StepError: the tensors' names, or the embeddings' rows, are not those of the configuration. Layers and rows are
            not counted in multimodal models, which have several kinds of them.
    """
    if by := wrapper(base.tensors):
        raise StepError(f"{base.folder}: its weights have names like {min(base.tensors)}, written by {by}; {UNWRAP}")
    if missing := incomplete_experts(base.tensors):
        raise StepError(f"{base.folder}: {len(missing)} tensors of experts are missing, first {missing[0]}; {AGAIN}")
    if not base.config.keys().isdisjoint(MULTIMODAL):
        return
    _require_layers(base)
    rows, vocabulary = _embeddings(base), base.config.get("vocab_size")
    if rows is not None and isinstance(vocabulary, int) and rows != vocabulary:
        raise StepError(
            f"{base.folder}: config.json says vocab_size {vocabulary}, the embeddings have {rows} rows; correct "
            f"vocab_size, as after a resize of the embeddings, or {AGAIN}"
        )


def _require_layers(base: Base) -> None:
    wanted, found = base.config.get("num_hidden_layers"), layers(base.tensors)
    if not isinstance(wanted, int) or not found or several_stacks(base.tensors):  # each stack with a number of its own
        return
    if lacking := sorted(set(range(wanted)) - found):
        raise StepError(
            f"{base.folder}: {len(lacking)} of {wanted} layers are missing, first layer {lacking[0]}; {AGAIN}"
        )
    predicting = base.config.get("num_nextn_predict_layers") or 1  # layers behind the last one
    if deepest(base.tensors) > wanted + predicting:
        raise StepError(f"{base.folder}: {too_many_layers(wanted, deepest(base.tensors))}; {FEWER_LAYERS}")


def require_embedded(base: Base, files: dict[str, Path]) -> None:
    """A tokenizer may know a few added tokens more than the model, as Gemma 3's does; not where its own vocabulary is
    larger, or a token that ends or fills a text is one of them.

    Args:
        files: those of the tokenizer, by name.

    Raises:
        StepError: the model has no embedding for such a token.
    """
    rows, file = _embeddings(base), files.get("tokenizer.json")
    if rows is None or file is None:  # other forms of tokenizers tell nothing without their library
        return
    own, added = _vocabulary(file)
    known = added | own
    named = _ends(files.get("tokenizer_config.json"))
    beyond = {word: token for word, token in known.items() if token >= rows and (word in own or word in named)}
    if beyond:
        word, token = min(beyond.items(), key=lambda pair: pair[1])
        raise StepError(f"{file.parent}: {too_many_tokens(len(known), rows, f'none for token {token} ({word!r})')}")


def _embeddings(base: Base) -> int | None:
    """Rows of the input embeddings; None where their name is not known here, or several have it."""
    found = [stored.shape[0] for name, stored in base.tensors.items() if name.endswith(EMBEDDINGS)]
    return found[0] if len(found) == 1 else None


def _vocabulary(file: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Tokens and their ids in a tokenizer.json: the model's own, and those added to it.

    Raises:
        StepError: it is damaged.
    """
    content = contract.read_json(file, "the tokenizer")
    try:
        entries = content["model"].get("vocab") or {}
        own = entries if isinstance(entries, dict) else {pair[0]: number for number, pair in enumerate(entries)}
        added = {one["content"]: one["id"] for one in content.get("added_tokens") or []}
    except (TypeError, KeyError, AttributeError, IndexError):
        own, added = {"": None}, {}
    if not all(isinstance(token, int) for token in (*own.values(), *added.values())):
        raise StepError(f"{file}: is no tokenizer: model.vocab and added_tokens must give numbers to tokens; {AGAIN}")
    return {word: token for word, token in own.items() if word not in added}, added


def _ends(file: Path | None) -> set[str | None]:
    config = contract.read_json(file, "the tokenizer's configuration") if file else {}
    return {_word(config.get(key)) for key in ENDS} if isinstance(config, dict) else set()


def _word(value: Any) -> str | None:
    return value.get("content") if isinstance(value, dict) else value
