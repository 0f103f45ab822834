"""What `share_prompts` gains on models with layers that carry a state: an optimizer step's passes, padded and packed.

    python -m tests.benchmarks.hybrids [--rows FILE] [--pairs 12] [--repeats 3] [--families qwen2 qwen3_5_text …]

Takes the pairs of the file's first rows whose prompts repeat most, as a step of a run that is grouped by prompt does,
and computes loss and gradients of them (policy, reference, backward; float32 + LoRA) in one process and thread, with
randomly initialised models of four layers, three of which carry a state: padded, packed, and packed with each prompt
computed once for each answer in those layers. Qwen2 has no such layer. The three take turns; what counts is the
process's CPU time, which other work on the machine disturbs least.

Prints a line a family: CPU seconds of a padded step, and how many times less the others take, the median of the
repeats; and the tokens that a layer computes, padded, packed and with a state. Losses must be the same.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from steps.quickstart import tiny_model
from steps.train.shared_prompts import model as packed_model
from steps.train.shared_prompts import stateful_layers
from steps.train.shared_prompts.states import stacked
from tests.benchmarks.processes import ROOT
from tests.benchmarks.share_prompts import DEFAULT_ROWS, prepare_rows
from tests.steps.train.trainers import trainer_here

SHAPE = {
    "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 4096, "bos_token_id": None,
}  # fmt: skip
STATEFUL = "linear_attention"
FAMILIES: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "qwen3_5_text": {
        "head_dim": 64, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 64,
        "linear_value_head_dim": 64, "layer_types": [*[STATEFUL] * 3, "full_attention"],
    },
    "bamba": {
        "attn_layer_indices": [3], "mamba_n_heads": 8, "mamba_d_head": 64, "mamba_d_state": 64, "mamba_n_groups": 1,
        "mamba_chunk_size": 64,
    },
    "lfm2": {"layer_types": [*["conv"] * 3, "full_attention"], "block_auto_adjust_ff_dim": False},
    "jamba": {"attn_layer_period": 4, "attn_layer_offset": 3, "num_experts": 1, "num_experts_per_tok": 1},
}  # fmt: skip
LOSS_TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=DEFAULT_ROWS)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare_rows(asked.rows, 4 * asked.pairs, folder)
        for family in asked.families:
            build_model(folder / family, family)
            measure(folder, family, asked.pairs, asked.repeats)


def build_model(folder: Path, family: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tiny = ROOT / ".local" / "models" / "quickstart"
    tiny_model.ensure(tiny)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    torch.manual_seed(0)
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), **SHAPE | FAMILIES[family] | ids)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def measure(folder: Path, family: str, pairs: int, repeats: int) -> None:
    """
    Raises:
        SystemExit: two ways have other losses.
    """
    same = {"precompute_ref_log_probs": False, "lora_dropout": 0, "lora_r": 16, "router_aux_loss_coef": 0}
    padded, packed = (
        trainer_here(folder / family, folder / "pairs", folder / "out", rows=4 * pairs, share_prompts=share, **same)
        for share in (False, True)
    )
    rows = most_shared(packed.pairs_here, pairs)
    row = packed.data_collator([vars(pair) for pair in rows])["packed"]
    ways = {"padded": (padded, False), "packed": (packed, False)}
    tokens = {"padded": 2 * len(rows) * row.longest, "packed": row.tokens}
    if stateful_layers.find(packed.model):
        ways["each prompt per answer"] = (packed, True)
        for name, once in (("in stacks", True), ("in stacks, each prompt per answer", False)):
            tokens[name] = stacked(row.groups, once, torch.device("cpu")).tokens
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, float] = {}
    for repeat in range(repeats + 1):
        for name, (trainer, whole) in ways.items():
            losses[name], spent = step(trainer, rows, whole)
            if repeat:  # the first is for warming up
                seconds[name].append(spent)
    if max(losses.values()) - min(losses.values()) > LOSS_TOLERANCE:
        raise SystemExit(f"{family}: not the same losses: {losses}")
    show(family, seconds, tokens)


def show(family: str, seconds: dict[str, list[float]], tokens: dict[str, int]) -> None:
    said = [f"padded {statistics.median(seconds['padded']):.2f} CPU s"]
    for name in seconds.keys() - {"padded"}:
        times = statistics.median(a / b for a, b in zip(seconds["padded"], seconds[name], strict=True))
        said.append(f"{name} {times:.2f} times")
    print(f"{family}: {', '.join(sorted(said))}; tokens: {tokens}", flush=True)


def most_shared(pairs: list[Any], count: int) -> list[Any]:
    """The first pairs, those of a prompt together, beginning with the prompts that have most of them."""
    often = Counter(tuple(pair.prompt_ids) for pair in pairs)
    return sorted(pairs, key=lambda pair: (-often[tuple(pair.prompt_ids)], pair.prompt_ids))[:count]


def step(trainer: Any, rows: list[Any], whole: bool) -> tuple[float, float]:
    """The loss and its gradients; CPU seconds.

    Args:
        whole: layers with a state compute a prompt for each answer.
    """
    trainer.first_loss_is_due = False
    trainer.model.train()
    trainer.model.zero_grad()
    inputs = trainer._prepare_inputs(trainer.data_collator([vars(pair) for pair in rows]))
    each = (lambda groups, _, device: stacked(groups, False, device)) if whole else stacked
    begun = time.process_time()
    with mock.patch.object(packed_model, "stacked", each):
        loss = trainer.compute_loss(trainer.model, inputs)
        loss.backward()
    return float(loss.detach()), time.process_time() - begun


if __name__ == "__main__":
    main()
