"""What `share_prompts` gains: the Train step with and without it, on the same rows, in one run.

    python -m tests.benchmarks.share_prompts [--rows FILE] [--count 240] [--max-length 4096] [--budget 4096]

Trains one epoch over the first `count` rows in float32 + LoRA in one process, optimizer steps of 12 pairs: as TRL does
(padded, 4 pairs a forward pass), the same with the reference precomputed, packed in the same order (4 pairs), packed
and grouped by prompt (as many pairs as fit into the budget), and that with the reference precomputed. The model is a
randomly initialised Qwen2 with the quickstart's tokenizer, 16M parameters. One more step follows, behind which comes
the last evaluation, and which is not counted. Where the order is the same, all losses must be, too.

Prints a line a way: pairs/s, and pairs a CPU second, which other work on the machine disturbs less (and least with
OMP_NUM_THREADS=1); how many times the padded way's that is; what the token counts alone predict; peak memory; and the
seconds that a precomputed reference took before the first step. Then where the tokens go: padding, sharing within the
batches of a shuffled order, grouping. On a CPU, TRL's LM head also scores prompts and padding, packed batches only the
answers: a part of what is beyond the prediction.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from steps.quickstart import tiny_model
from tests.benchmarks.processes import ROOT, Said, follow

DEFAULT_ROWS = ROOT.parent / "shared" / "data" / "when2call_preference.jsonl"
HELD_OUT = 0.05  # share of the prompts
PAIRS, PASSES = 4, 3  # of an optimizer step: pairs in a forward pass, and passes
SETTINGS = {
    "fsdp": "false", "load_in_4bit": "false", "bf16": "false", "lora_r": "16", "learning_rate": "1e-4", "seed": "42",
    "loss_type": "sigmoid", "per_device_train_batch_size": str(PAIRS), "per_device_eval_batch_size": "4",
    "gradient_accumulation_steps": str(PASSES), "gradient_checkpointing": "false",
    "truncation": "cut_prompt", "attn_implementation": "sdpa", "logging_steps": "1", "save_steps": "100000",
    "merge_weights": "false",
}  # fmt: skip
GROUPED = {"share_prompts": "true", "group_by_prompt": "true"}
WAYS = {
    "padded": {"share_prompts": "false"},
    "padded, reference once": {"share_prompts": "false", "precompute_ref_log_probs": "true"},
    "packed": {"share_prompts": "true"},
    "grouped": GROUPED,
    "grouped, reference once": GROUPED | {"precompute_ref_log_probs": "true"},
}
SAME_ORDER = ("padded", "padded, reference once", "packed")
LOSS_TOLERANCE = 1e-4
STEP = re.compile(r"\[metrics\] step=(\d+)/(\d+) loss=(\S+)")
COMPUTED = re.compile(r"reference log-probs: (\d+) of \d+ rows computed, (\S+) rows/s")


@dataclass(frozen=True)
class Measured:
    """One way's epoch.

    Attributes:
        pairs: that its steps saw.
        seconds, cpu_seconds: of these steps; `before` of a reference that was computed before them.
        tokens, held: of both answers' whole sequences, and of what the batches held.
        losses: of the steps.
        peak: memory of all processes together, proportional set size in bytes.
    """

    pairs: int
    seconds: float
    cpu_seconds: float
    before: float
    tokens: float
    held: float
    losses: list[float]
    peak: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=DEFAULT_ROWS)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--max-length", type=int, default=4096)
    parser.add_argument("--budget", type=int, default=4096)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        build_model(folder / "model", asked.max_length)
        prepare_rows(asked.rows, asked.count, folder)
        measured = {}
        for name, settings in WAYS.items():
            more = {"max_length": str(asked.max_length)}
            if "group_by_prompt" in settings:
                more["max_tokens_per_batch"] = str(asked.budget)
            measured[name] = train(folder, name, SETTINGS | settings | more)
            print(f"{name}: {measured[name]}", flush=True)
    check_same_work(measured)
    show(measured, asked.rows.name)


def build_model(folder: Path, positions: int) -> None:
    """A randomly initialised model with the quickstart's tokenizer."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    tiny = ROOT / ".local" / "models" / "quickstart"
    tiny_model.ensure(tiny)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden_size=384, intermediate_size=1024, num_hidden_layers=10,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=positions, tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    print(f"model: {model.num_parameters():,} parameters", flush=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def prepare_rows(rows: Path, count: int, folder: Path) -> None:
    """The first rows of a file, JSON Lines or an array, as Preprocess leaves them."""
    text = rows.read_text(encoding="utf-8")
    found = json.loads(text) if rows.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    first = folder / "rows.jsonl"
    first.write_text("".join(json.dumps(row) + "\n" for row in found[:count]), encoding="utf-8")
    command = ["-m", "steps.preprocess", "--input", str(first), "--output", str(folder / "pairs")]
    command += ["--validation-fraction", str(HELD_OUT)]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def train(folder: Path, name: str, settings: dict[str, str]) -> Measured:
    """Run the Train step."""
    output = folder / name.replace(", ", "-").replace(" ", "-")
    pairs = pq.read_metadata(next((folder / "pairs" / "train").glob("*.parquet"))).num_rows
    steps = math.ceil(pairs / (PAIRS * PASSES))
    places = {
        "model_id": folder / "model", "output_dir": output, "train_data": folder / "pairs" / "train",
        "validation_data": folder / "pairs" / "validation", "max_steps": steps + 1,
    }  # fmt: skip
    words = [str(word) for key, value in (settings | places).items() for word in (f"--{key}", value)]
    recipe = str(ROOT / "configs" / "recipes" / "quickstart.yaml")
    said = list(follow([sys.executable, "steps/train/train.py", "--config", recipe, *words]))
    begin = next(one for one in said if "[metrics] step=0/" in one.line)
    lines: dict[int, Said] = {int(found[1]): one for one in said if (found := STEP.search(one.line))}
    used = json.loads((output / "evaluation.json").read_text())["tokenised"]["train"]["used"]
    if used != pairs:
        raise SystemExit(f"{name}: {used} of {pairs} rows were used; raise --max-length")
    history = [entry for entry in json.loads((output / "history.json").read_text()) if "step_seconds" in entry][:steps]
    computed = [found for one in said if (found := COMPUTED.search(one.line))]
    return Measured(
        pairs=pairs,
        seconds=sum(entry["step_seconds"] for entry in history),
        cpu_seconds=lines[steps].cpu_seconds - begin.cpu_seconds,
        before=int(computed[-1][1]) / float(computed[-1][2]) if computed else 0.0,
        tokens=sum(entry["tokens_per_step"] for entry in history),
        held=sum(entry["computed_tokens_per_second"] * entry["step_seconds"] for entry in history),
        losses=[entry["loss"] for entry in history],
        peak=said[-1].peak,
    )


def check_same_work(measured: dict[str, Measured]) -> None:
    """
    Raises:
        SystemExit: a way trained on other tokens, or the same order had other losses.
    """
    padded = measured["padded"]
    for name, one in measured.items():
        apart = max(abs(loss - other) for loss, other in zip(padded.losses, one.losses, strict=True))
        if not math.isclose(one.tokens, padded.tokens) or (name in SAME_ORDER and apart > LOSS_TOLERANCE):
            raise SystemExit(f"not the same work: {name} {one}, padded {padded}")


def show(measured: dict[str, Measured], rows: str) -> None:
    padded, packed, grouped = (measured[name] for name in ("padded", "packed", "grouped"))
    length = padded.tokens / padded.pairs / 2
    print(f"{os.cpu_count()} cores; {rows}, {padded.pairs} pairs, {length:.0f} tokens a sequence")
    for name, one in measured.items():
        # Forward, backward of a frozen base, the reference's forward: each about as long, as `throughput` counts.
        predicted = padded.held / one.held * (3 / 2 if one.before else 1)
        before = f", {one.before:.1f} s before" if one.before else ""
        print(
            f"{name:<24} {one.pairs / one.seconds:6.2f} pairs/s {padded.seconds / one.seconds:5.2f} times  "
            f"{one.pairs / one.cpu_seconds:6.3f} pairs/CPU s {padded.cpu_seconds / one.cpu_seconds:5.2f} times  "
            f"(tokens: {predicted:5.2f})  {one.peak / 1e6:6.0f} MB{before}"
        )
    print(
        f"tokens: without padding {padded.held / padded.tokens:.2f} times fewer, by sharing "
        f"{padded.tokens / packed.held:.2f} times, by grouping {packed.held / grouped.held:.2f}"
    )


if __name__ == "__main__":
    main()
