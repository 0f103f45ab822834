"""How fast Train is, and what it takes, against `trl dpo` with the same settings on the same rows in the same run.

    python -m tests.benchmarks.train [--rows FILE] [--steps 30] [--repeats 3] [--size small|large]
        [--accumulation 1] [--dtype float32|bfloat16]

Both train NF4 + LoRA in one process, in float32 unless told otherwise, since most CPUs only emulate bfloat16; they
evaluate the same held-out rows before the first step, log every step and write one checkpoint in the middle. The model
is a randomly initialised Qwen3 with the quickstart's tokenizer. Rows with tool calls in their messages are left out,
because the CLI reads its rows as Arrow structs, where every call would get the arguments of all others; declared tools
stay. An optimizer step has 4 pairs times `--accumulation`.

Train runs twice: as it is by default, which may group pairs by prompt, and in TRL's order. That the latter does TRL's
work is checked: as many tokens in all steps together, and the same first loss. Later losses differ: TRL keeps the
adapter of a quantised model in bfloat16, where small updates are rounded away, Train in float32.

Prints a line a way: tokens/s (best of the repeats; tokens of both answers' whole sequences, however a way computes
them), how many times TRL's that is, seconds from the start of the process to the first step's metrics,
seconds that the step with the checkpoint takes longer, bytes of the checkpoint, peak memory of all its processes. The
ways take turns, since the speed of a shared machine changes from minute to minute.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from ast import literal_eval
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from steps.quickstart import tiny_model
from steps.shared.records import read_records
from tests.benchmarks.processes import ROOT, watch

DEFAULT_ROWS = ROOT / "steps" / "quickstart" / "preferences.jsonl"
SIZES = {  # hidden_size, num_hidden_layers, num_attention_heads
    "small": (256, 8, 4),
    "large": (512, 12, 8),
}
MAX_LENGTH = 4096  # tokens; Preprocess leaves longer rows out, so that nothing is cut or left out on either side
ROWS = 600  # at most, of those that are taken
HELD_OUT = 0.03  # share of the prompts
FIRST_LOSS_TOLERANCE = 1e-3
SETTINGS = {
    "learning_rate": "1e-4", "lr_scheduler_type": "cosine", "warmup_steps": "0", "seed": "42", "beta": "0.1",
    "loss_type": "sigmoid",
    "per_device_train_batch_size": "4", "per_device_eval_batch_size": "4",
    "gradient_checkpointing": "false", "max_length": str(MAX_LENGTH), "lora_r": "16", "lora_alpha": "32",
    "load_in_4bit": "true", "attn_implementation": "sdpa", "logging_steps": "1",
    "save_total_limit": "5",
}  # fmt: skip
OURS = re.compile(r"\[metrics\] step=(\d+)/\d+ loss=(\S+)")


@dataclass(frozen=True)
class Measured:
    """One training, timed from outside by the lines that it printed.

    Attributes:
        losses: of every optimizer step.
        tokens: of all steps together, without padding.
        first_step: seconds from the start of the process to the first step's line.
        gaps: seconds between two steps' lines.
        checkpoint_bytes: what the one checkpoint takes on disk.
        peak: memory of all processes together, proportional set size in bytes.
    """

    losses: list[float]
    tokens: int
    first_step: float
    gaps: list[float]
    checkpoint_bytes: int
    peak: int

    @property
    def checkpoint_seconds(self) -> float:
        """What the step after the checkpoint was late."""
        return self.gaps[_save_step(len(self.losses)) - 1] - statistics.median(self.gaps)

    @property
    def tokens_per_second(self) -> float:
        """Over all steps but the first, whose gap is the start, and the one that waited for the checkpoint."""
        kept = [gap for number, gap in enumerate(self.gaps, 1) if number != _save_step(len(self.losses))]
        return self.tokens / len(self.losses) * len(kept) / sum(kept)


def _save_step(steps: int) -> int:
    return steps // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=DEFAULT_ROWS)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        build_model(folder / "model", asked.size)
        prepare_rows(asked.rows, folder)
        measured: dict[str, list[Measured]] = {"train": [], "ordered": [], "trl": []}
        for repeat in range(asked.repeats):
            for name, of_way in measured.items():
                output = folder / f"{name}-{repeat}"
                of_way.append(run(name, commands(folder, output, asked)[name], output))
        check_same_work(measured["ordered"][0], measured["trl"][0])
    tokens = f"{measured['train'][0].tokens:,} tokens in {asked.steps} steps"
    print(f"{os.cpu_count()} cores, {asked.dtype}; {asked.rows.name}, {tokens}")
    stock = max(one.tokens_per_second for one in measured["trl"])
    for name, of_way in measured.items():
        rate = max(one.tokens_per_second for one in of_way)
        first = min(one.first_step for one in of_way)
        late = statistics.median(one.checkpoint_seconds for one in of_way)
        size, peak = of_way[0].checkpoint_bytes / 1e6, max(one.peak for one in of_way) / 1e6
        print(
            f"{name:<8} {rate:7.0f} tokens/s, {rate / stock:5.2f} times trl's  {first:6.1f} s to the first step  "
            f"checkpoint {late:5.2f} s, {size:5.2f} MB  {peak:6.0f} MB of memory"
        )


def build_model(folder: Path, size: str) -> None:
    """A randomly initialised model with the quickstart's tokenizer."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    tiny_model.ensure(ROOT / ".local" / "models" / "quickstart")
    tokenizer = AutoTokenizer.from_pretrained(ROOT / ".local" / "models" / "quickstart")
    hidden, layers, heads = SIZES[size]
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden_size=hidden, intermediate_size=3 * hidden,
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads // 2, head_dim=64,
        max_position_embeddings=MAX_LENGTH, tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    print(f"model: {model.num_parameters():,} parameters", flush=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def prepare_rows(rows: Path, folder: Path) -> None:
    """The rows as Preprocess leaves them, and the same for the CLI as JSON Lines in the same order."""
    given = rows.read_bytes()
    lines = [json.dumps(row).encode() for row in json.loads(given)] if given[:1] == b"[" else given.splitlines()
    lines = [line for line in lines if b"TOOLCALL" not in line and b"tool_calls" not in line]
    (folder / "rows.jsonl").write_bytes(b"\n".join(lines[:ROWS]))
    command = ["-m", "steps.preprocess", "--input", str(folder / "rows.jsonl"), "--output", str(folder / "pairs")]
    command += ["--validation-fraction", str(HELD_OUT), "--max-invalid-fraction", "1"]
    command += ["--tokenizer", str(folder / "model"), "--max-tokens", str(MAX_LENGTH)]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (folder / "trl").mkdir()
    for split, name in (("train", "train"), ("validation", "test")):
        records = read_records(folder / "pairs" / split)
        text = "".join(
            json.dumps({key: getattr(record, key) for key in ("prompt", "chosen", "rejected")}
                       | {"tools": json.dumps(record.tools) if record.tools else None}) + "\n"
            for record in records
        )  # fmt: skip
        (folder / "trl" / f"{name}.jsonl").write_text(text, encoding="utf-8")


def commands(folder: Path, output: Path, asked: argparse.Namespace) -> dict[str, list[str]]:
    more = {"max_steps": str(asked.steps), "save_steps": str(_save_step(asked.steps)), "output_dir": str(output),
            "gradient_accumulation_steps": str(asked.accumulation),
            "bf16": "true" if asked.dtype == "bfloat16" else "false"}  # fmt: skip
    settings = [word for key, value in (SETTINGS | more).items() for word in (f"--{key}", value)]
    recipe = str(ROOT / "configs" / "recipes" / "quickstart.yaml")
    pairs = folder / "pairs"
    train = [
        "steps/train/train.py", "--config", recipe, *settings, "--model_id", str(folder / "model"), "--fsdp",
        "false", "--train_data", str(pairs / "train"), "--validation_data", str(pairs / "validation"),
        "--evaluate_served", "false", "--evaluate_answers", "0",
    ]  # fmt: skip
    return {
        "train": train,
        "ordered": [*train, "--group_by_prompt", "false", "--max_tokens_per_batch", "null"],
        "trl": [
            "-c", "import trl.cli; trl.cli.main()", "dpo", *settings,
            "--model_name_or_path", str(folder / "model"), "--use_peft", "true",
            "--dataset_name", str(folder / "trl"), "--lora_target_modules", "all-linear", "--bnb_4bit_quant_type",
            "nf4", "--use_bnb_nested_quant", "true", "--dtype", asked.dtype, "--use_cpu", "true", "--report_to", "none",
            "--eval_strategy", "steps", "--eval_on_start", "true", "--eval_steps", "100000", "--disable_tqdm", "true",
            "--lora_dropout", "0",
        ],
    }  # fmt: skip


def run(name: str, command: list[str], output: Path) -> Measured:
    """Train, and read every step's line with the moment at which it came."""
    started = time.perf_counter()
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = psutil.Popen([sys.executable, *command], cwd=ROOT, env=environment, **pipes)
    peaks = [0]
    watching = threading.Thread(target=watch, args=(process, peaks))
    watching.start()
    said, moments, losses, tokens = [], [], [], 0
    for line in process.stdout:
        said.append(line)
        found = _step(name, line)
        if found:
            moments.append(time.perf_counter() - started)
            losses.append(found[0])
            tokens = found[1] or tokens
    process.wait()
    watching.join()
    if process.returncode:
        raise SystemExit(f"{name}: {''.join(said[-40:])}")
    if name != "trl":
        history = json.loads((output / "history.json").read_text())
        tokens = round(sum(entry.get("tokens_per_step", 0) for entry in history))
        if (output / "left_out.jsonl").exists():
            raise SystemExit(f"train left rows out; see {output / 'left_out.jsonl'}")
    save = _save_step(len(losses))
    (checkpoint,) = output.rglob(f"checkpoint-{save}")
    size = sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file())
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    return Measured(losses, tokens, moments[0], gaps, size, peaks[0])


def _step(name: str, line: str) -> tuple[float, int | None] | None:
    """Loss, and tokens so far where the line has them, of a step's line; None for any other line."""
    if name != "trl":
        found = OURS.search(line)
        return (float(found[2]), None) if found else None
    if not line.startswith("{'loss'"):
        return None
    entry = literal_eval(line.strip())
    return float(entry["loss"]), round(float(entry["num_tokens"]))


def check_same_work(ours: Measured, theirs: Measured) -> None:
    """
    Raises:
        SystemExit: the two did not train on the same tokens from the same loss.
    """
    same_tokens = math.isclose(ours.tokens, theirs.tokens, rel_tol=5e-4)  # the CLI prints four digits
    if not same_tokens or abs(ours.losses[0] - theirs.losses[0]) > FIRST_LOSS_TOLERANCE:
        raise SystemExit(
            f"not the same work: {ours.tokens} and {theirs.tokens} tokens, "
            f"first losses {ours.losses[0]} and {theirs.losses[0]}"
        )
    print(f"the same tokens; last losses {ours.losses[-1]:.4f} (ordered) and {theirs.losses[-1]:.4f} (trl)", flush=True)


if __name__ == "__main__":
    main()
