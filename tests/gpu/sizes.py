"""How large the measurement is: on a card, and `--tiny` for its rehearsal on CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """Made-up preference rows.

    Attributes:
        prompt, answer: tokens of a prompt and of each answer, give or take a fifth.
        pairs_a_prompt: rows that share a prompt.
        steps: optimizer steps that are timed; two more come before.
    """

    prompt: int
    answer: int
    pairs_a_prompt: int
    steps: int


@dataclass(frozen=True)
class Sizes:
    """
    Attributes:
        families: for the comparison of attention: `model_type` and configuration, by a name.
        models: for the training steps: the same.
        rows: by a name.
        compared: pairs in the comparison of attention.
        pairs, passes: of a forward pass where it has a fixed number, and forward passes of an optimizer step.
        budget: tokens of a forward pass that is filled by tokens.
        job_steps: optimizer steps of the training that is started as a job's process.
    """

    families: Mapping[str, tuple[str, Config]]
    models: Mapping[str, tuple[str, Config]]
    rows: Mapping[str, Rows]
    compared: int
    pairs: int
    passes: int
    budget: int
    job_steps: int


LLAMA_3 = {"vocab_size": 128256, "max_position_embeddings": 8192, "num_key_value_heads": 8, "num_attention_heads": 32}
MIDDLE = {
    "vocab_size": 32000, "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 8, "head_dim": 64,
    "num_attention_heads": 16, "num_key_value_heads": 4, "max_position_embeddings": 4096,
}  # fmt: skip
SMALL = MIDDLE | {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 16,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip

CARD = Sizes(
    families={
        "llama, GQA": ("llama", MIDDLE),
        "mistral, GQA, window 256": ("mistral", MIDDLE | {"sliding_window": 256}),
    },
    models={
        "1B": ("llama", LLAMA_3 | {
            "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "head_dim": 64,
            "tie_word_embeddings": True,
        }),
        "8B": ("llama", LLAMA_3 | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}),
    },
    rows={"when2call": Rows(540, 60, 3, 3), "chat": Rows(700, 500, 1, 2)},
    compared=6, pairs=4, passes=3, budget=5120, job_steps=12,
)  # fmt: skip
TINY = Sizes(
    families={"llama, GQA": ("llama", SMALL), "mistral, GQA, window 16": ("mistral", SMALL | {"sliding_window": 16})},
    models={"tiny": ("llama", SMALL)},
    rows={"when2call": Rows(40, 8, 3, 1), "chat": Rows(40, 20, 1, 1)},
    compared=3, pairs=2, passes=3, budget=400, job_steps=6,
)  # fmt: skip
