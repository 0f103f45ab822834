"""How fast Merge is, and how much memory it takes, against peft's way and a plain copy of the base, in the same run.

    python -m tests.benchmarks.merge [--sizes 1.1B 3.6B] [--repeats 3] [--against DIR] [--short]
        [--folder DIR]

The base is a Llama of random weights in bf16, in shards of 500 MB; the adapter has rank 16 on all linear layers, and
beside it lies what training writes of the base. Ways:

- `merge`: this step, `--check-logits never` (the check takes the whole model into memory).
- `before`: the same with the code of another checkout (`--against DIR`).
- `start`: the same on a base of 1 MB: the imports, which every size begins with.
- `merge, logits`: with the check, where the model fits.
- `peft`: transformers loads the base, peft the adapter, `merge_and_unload`, `save_pretrained`; on the smallest size
  only. Its weights are compared with the step's, bit by bit.
- `copy`: the base's files copied with `shutil.copyfile` in a process of its own.
- `copy, sha256`: the same, and a hash of every copied file, which the step's manifest has too: without the processor's
  SHA instructions (`sha_ni`) the hash takes longer than the copy.

The step and the copy put their files on the disk before they end (fsync); peft's way does not. Prints a line a size and
way: seconds (best of the repeats), CPU seconds of the process (least), MB/s of the base's bytes, peak memory of the
process (largest), and the time as a multiple of the copy's in the same round (median of the rounds). The ways take
turns, since the speed of a shared machine changes from minute to minute. tests/benchmarks/merge_parts.py has what the
CPU seconds are spent on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from steps.shared import contract
from steps.shared.weights.identity import identity
from tests.benchmarks.processes import children_cpu, measure

TINY = {
    "vocab_size": 1024, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip
SIZES = {
    "1.1B": {
        "vocab_size": 32_000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
        "num_attention_heads": 32, "num_key_value_heads": 4,
    },
    "3.6B": {
        "vocab_size": 128_256, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
        "num_attention_heads": 24, "num_key_value_heads": 8,
    },
}  # fmt: skip
COPY = """
import hashlib, os, shutil, sys
from pathlib import Path
target = Path(sys.argv[2])
target.mkdir()
for path in Path(sys.argv[1]).iterdir():
    shutil.copyfile(path, target / path.name)
    with open(target / path.name, "rb") as file:
        os.fsync(file.fileno())
        if sys.argv[3:]:
            hashlib.file_digest(file, "sha256")
"""
PEFT = """
import sys
from peft import PeftModel
from transformers import AutoModelForCausalLM
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto"), sys.argv[2])
model.merge_and_unload().save_pretrained(sys.argv[3], max_shard_size="500MB")
"""


@dataclass(frozen=True)
class Run:
    """What one run of a way took: seconds, CPU seconds, and bytes of memory."""

    seconds: float
    cpu: float
    peak: int


def run_once(command: list[str]) -> Run:
    before = children_cpu()
    seconds, peak = measure(command)
    return Run(seconds, children_cpu() - before, peak)


def make_base(folder: Path, sizes: dict[str, int]) -> None:
    """Write a base; its weights repeat one million random numbers, which is faster to make than as many as it has."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(LlamaConfig(**sizes), dtype=torch.bfloat16)
    model = model.to_empty(device="cpu")
    noise = torch.randn(1 << 20).mul_(0.02).bfloat16()
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.data.fill_(1)
        else:
            flat = parameter.data.view(-1)
            for part in flat.split(len(noise)):
                part.copy_(noise[: len(part)])
    model.save_pretrained(folder, max_shard_size="500MB")
    words = Tokenizer(WordLevel({"?": 0, "a": 1}, unk_token="?"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?").save_pretrained(folder)


def make_adapter(folder: Path, base: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
    with torch.device("meta"):
        model = get_peft_model(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base)), config)
    config.save_pretrained(folder)
    shapes = {name: tensor.shape for name, tensor in get_peft_model_state_dict(model).items()}
    save_file({name: torch.randn(shape) * 0.01 for name, shape in shapes.items()}, folder / "adapter_model.safetensors")
    contract.write_json(folder / "manifest.json", {"files": {}, "base": identity(base)})  # as training leaves it


def commands(base: Path, adapter: Path, output: Path, tiny: Path, before: Path | None) -> dict[str, list[str]]:
    """The ways to be measured; each makes `output`. `tiny` holds a small base and its adapter."""
    python = sys.executable

    def step(base: Path, adapter: Path) -> list[str]:
        return [python, "-m", "steps.merge", "--base", str(base), "--adapter", str(adapter), "--output", str(output)]

    merge = [*step(base, adapter), "--check-logits", "never"]
    return {
        "merge": merge,
        "before": ["sh", "-c", 'cd "$0" && exec "$@"', str(before), *merge],
        "start": [*step(tiny / "base", tiny / "adapter"), "--check-logits", "never"],
        "merge, logits": step(base, adapter),
        "peft": [python, "-c", PEFT, str(base), str(adapter), str(output)],
        "copy": [python, "-c", COPY, str(base), str(output)],
        "copy, sha256": [python, "-c", COPY, str(base), str(output), "sha256"],
    }


def check_same(ours: Path, theirs: Path) -> int:
    """Compare two folders' weights bit by bit, one tensor at a time; returns how many tensors there are."""
    from safetensors import safe_open

    def places(folder: Path) -> dict[str, Path]:
        found = {}
        for path in folder.glob("*.safetensors"):
            with safe_open(path, framework="pt") as file:
                found |= dict.fromkeys(file.keys(), path)
        return found

    mine, others = places(ours), places(theirs)
    for name in mine | others:
        with safe_open(mine[name], framework="pt") as a, safe_open(others[name], framework="pt") as b:
            if not a.get_tensor(name).equal(b.get_tensor(name)):
                raise SystemExit(f"{name}: peft merges it to other bits")
    return len(mine)


def run(size: str, names: list[str], repeats: int, scratch: Path, before: Path | None) -> None:
    base, adapter, output, tiny = (scratch / name for name in ("base", "adapter", "output", "tiny"))
    for folder, sizes in ((base, SIZES[size]), (tiny / "base", TINY)):
        make_base(folder, sizes)
        make_adapter(folder.parent / "adapter", folder)
    total = sum(path.stat().st_size for path in base.iterdir())
    ways = commands(base, adapter, output, tiny, before)
    if "peft" in names:
        kept = scratch / "peft"
        measure(ways["merge"])
        measure([*ways["peft"][:-1], str(kept)])
        print(f"{check_same(output, kept):,} tensors have the same bits in merge and peft", flush=True)
        shutil.rmtree(kept)
    measured: dict[str, list[Run]] = {name: [] for name in names}
    for _ in range(repeats):
        for name, runs in measured.items():
            shutil.rmtree(output, ignore_errors=True)
            os.sync()  # one way's writing back is not another's
            runs.append(run_once(ways[name]))
    for name, runs in measured.items():
        best, cpu, peak = min(r.seconds for r in runs), min(r.cpu for r in runs), max(r.peak for r in runs)
        ratio = statistics.median(r.seconds / c.seconds for r, c in zip(runs, measured["copy"], strict=True))
        figures = f"{best:7.2f} s  {cpu:6.2f} CPU s  {total / best / 1e6:6.0f} MB/s  {peak / 1e6:7.0f} MB"
        print(f"{size}  {total / 1e9:.1f} GB  {name:<14} {figures}  {ratio:5.2f} copies", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout of this repository, whose step runs too")
    parser.add_argument("--short", action="store_true", help="without peft and the comparison of logits")
    parser.add_argument("--folder", type=Path, help="where to put base and outputs, three times the base's size")
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before", flush=True)
    for size in asked.sizes:
        names = ["merge", "copy", "copy, sha256", "start"]
        names += ["before"] if asked.against else []
        if size == "1.1B" and not asked.short:
            names += ["merge, logits", "peft"]
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            run(size, names, asked.repeats, Path(folder), asked.against)


if __name__ == "__main__":
    main()
