"""Small tokenizers for templates: byte-level, trained on nothing, that know the special tokens of a template."""

from __future__ import annotations

import re

BAR = "\uff5c"  # what DeepSeek writes for a vertical bar
SPECIAL = re.compile(
    rf"<[|{BAR}][^|{BAR}<>'\" ]+[|{BAR}]?>|<[^|<>'\" /=]*[|{BAR}]>"
    r"|</?s>|<(?:start|end)_of_turn>|<bos>|<eos>|\[/?[A-Z_]+\]"
)
# Tokens that end a turn, the likelier first; the first that stands in a template is its tokenizer's eos.
ENDS = (
    "<|return|>", "<|END_OF_TURN_TOKEN|>", "<|im_end|>", "<|eot_id|>", "<turn|>", "<end_of_turn>", "<end_of_utterance>",
    "<|end|>", "<|eot|>", f"<{BAR}end▁of▁sentence{BAR}>", "</s>", "<|user|>", "<|endoftext|>", "<SPECIAL_12>",
)  # fmt: skip


def byte_level(template: str):
    """A tokenizer with this template. Its words are bytes, and "\\n\\n", which many vocabularies have as one token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "ĊĊ"])}
    made = Tokenizer(models.BPE(vocabulary, [("Ċ", "Ċ")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    eos = next((end for end in ENDS if end in template), "</s>")
    found = sorted({*SPECIAL.findall(template), eos, "<s>"})
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in found])
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template, bos_token="<s>", eos_token=eos)
