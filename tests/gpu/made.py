"""Models of random weights, made on the device, and rows of random tokens: nothing is downloaded."""

from __future__ import annotations

import gc
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from steps.quickstart import tiny_model
from steps.train.rows.tokenise import Pair
from tests.gpu.sizes import Rows
from tests.paths import ROOT

IN_MEMORY = Path("/dev/shm")
SPECIAL = 8  # the first ids of a tokenizer are markers


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def scratch(gigabytes: float) -> Iterator[Path]:
    """A folder for that much, in memory where the machine has a file system there that is large enough."""
    roomy = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > gigabytes * 1e9
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if roomy else None) as folder:
        yield Path(folder)


def model(model_type: str, config: Mapping[str, Any], folder: Path) -> Path:
    """Write a model of random weights in bfloat16 to `folder`, with the quickstart's tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tiny = ROOT / ".local" / "models" / "quickstart"
    tiny_model.ensure(tiny)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    settings = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    sizes = {**config, "vocab_size": max(config["vocab_size"], -(-len(tokenizer) // 64) * 64)}
    torch.manual_seed(0)
    with device():
        made = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(model_type, **sizes | settings), dtype=torch.bfloat16
        )
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    del made
    forget()
    return folder


def forget() -> None:
    """Give back what the last model took."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def pairs(rows: Rows, count: int, vocabulary: int, seed: int = 5) -> list[Pair]:
    """`count` pairs; those of a prompt share the chosen answer, as rows of one question with several wrong answers do,
    and stand apart, since files are not ordered by prompts."""
    draw = random.Random(seed)

    def ids(about: int) -> list[int]:
        size = max(1, round(about * draw.uniform(0.8, 1.2)))
        return [draw.randrange(SPECIAL, vocabulary) for _ in range(size)]

    made = []
    while len(made) < count:
        prompt, chosen = ids(rows.prompt), ids(rows.answer)
        for _ in range(min(rows.pairs_a_prompt, count - len(made))):
            rejected = ids(rows.answer)
            marks = [1] * len(chosen), [1] * len(rejected)
            made.append(
                Pair(f"row-{len(made)}", prompt, chosen, marks[0], rejected, marks[1], "chat", False),
            )
    draw.shuffle(made)
    return made
