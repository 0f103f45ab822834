"""What generation in batches gains: held-out prompts answered as Train does it, and one by one with `generate`.

    python -m tests.benchmarks.answers [--questions 32] [--shared 500] [--new 48] [--repeats 2]

Both answer the same prompts greedily, on one model in one process, in turn and several times; the fastest run of each
counts. The prompts begin with the same `shared` tokens, as those with a fleet's tool schemas do, and go on with 20 to
60 of their own; the model is a randomly initialised Qwen3 of 7M parameters in float32, whose answers are as long as
they may be. That both say the same is checked. Prints a line a way: tokens/s of answers, and tokens a CPU second, which
other work on the machine disturbs less; then how many times as many. It fails where it is fewer than 2 times.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from steps.train.answers.generate import Writer
from steps.train.answers.prefix import Prompt, batches

VOCABULARY = 8192
LEAST = 2.0  # times the tokens/s of answering one by one
MOST = 16 * 1024  # tokens of a batch: a training pass of 8 pairs of 1024 tokens

Answers = list[list[int]]


@dataclass(frozen=True)
class Measured:
    """The fastest of a way's runs; `rate` in tokens/s, `cpu_rate` in tokens a CPU second."""

    answers: Answers
    rate: float
    cpu_rate: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--shared", type=int, default=500)
    parser.add_argument("--new", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    model, prompts = build_model(), build_prompts(asked.questions, asked.shared)
    ways: dict[str, Callable[[], Answers]] = {
        "one by one": lambda: one_by_one(model, prompts, asked.new),
        "in batches": lambda: in_batches(model, prompts, asked.new),
    }
    for answer in (one_by_one, in_batches):
        answer(model, prompts[:2], 2)  # what is made in a first pass is not what is measured
    found: dict[str, list[Measured]] = {name: [] for name in ways}
    for _ in range(asked.repeats):
        for name, way in ways.items():
            found[name].append(measure(way))
    show(found, asked.questions, asked.shared, asked.new, model.num_parameters())


def build_model() -> Any:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=6, num_attention_heads=8,
        num_key_value_heads=4, head_dim=32, max_position_embeddings=4096, tie_word_embeddings=True,
        eos_token_id=None, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    return Qwen3ForCausalLM(config).eval()


def build_prompts(questions: int, shared: int) -> list[Prompt]:
    draw = random.Random(0)
    tools = [draw.randrange(1, VOCABULARY) for _ in range(shared)]
    return [(*tools, *(draw.randrange(1, VOCABULARY) for _ in range(draw.randrange(20, 60)))) for _ in range(questions)]


@torch.no_grad()
def one_by_one(model: Any, prompts: list[Prompt], new: int) -> Answers:
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False)
        found.append(output[0, len(prompt) :].tolist())
    return found


def in_batches(model: Any, prompts: list[Prompt], new: int) -> Answers:
    writer = Writer(model, model, torch.device("cpu"), frozenset(), new, bool)
    found: dict[int, list[int]] = {}
    for batch in batches(prompts, ranks=1, new=new, most=MOST):
        (numbers,) = batch.of_rank
        answers = writer.answer([prompts[number] for number in numbers], batch.shared, batch.own)
        found |= dict(zip(numbers, answers, strict=True))
    return [found[number] for number in range(len(prompts))]


def measure(way: Callable[[], Answers]) -> Measured:
    begin, cpu = time.perf_counter(), time.process_time()
    answers = way()
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
    tokens = sum(map(len, answers))
    return Measured(answers, tokens / seconds, tokens / cpu_seconds)


def show(found: dict[str, list[Measured]], questions: int, shared: int, new: int, parameters: int) -> None:
    """
    Raises:
        SystemExit: the ways say different things, or batches gain too little.
    """
    plain, batched = found.values()
    if batched[0].answers != plain[0].answers:
        raise SystemExit("not the same work: the answers differ")
    print(
        f"{torch.get_num_threads()} threads; {parameters / 1e6:.1f}M parameters; {questions} prompts, "
        f"{shared} tokens of them shared; {new} tokens an answer"
    )
    for name, runs in found.items():
        rate, cpu_rate = max(run.rate for run in runs), max(run.cpu_rate for run in runs)
        times = rate / max(run.rate for run in plain), cpu_rate / max(run.cpu_rate for run in plain)
        print(
            f"{name:<12} {rate:8.0f} tokens/s {times[0]:6.2f} times {cpu_rate:8.0f} tokens/CPU s {times[1]:6.2f} times"
        )
    if times[1] < LEAST:
        raise SystemExit(f"batches gain less than {LEAST:g} times")


if __name__ == "__main__":
    main()
