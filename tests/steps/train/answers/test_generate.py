"""A batch's answers are what the model's own `generate` says of each prompt by itself, whatever the family."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.families import FAMILIES, save_family

NEW = 24
FAST = ["llama", "qwen3", "gemma2", "gpt_oss", "qwen3_5_text", "minimax"]  # one of each kind of layers
RANDOM = random.Random(5)
TOOLS = [RANDOM.randrange(5, 500) for _ in range(40)]
Prompts = list[tuple[int, ...]]


def prompts() -> Prompts:
    """Seven that begin alike, for some as far as others go on, and a short one."""
    draw = random.Random(0)
    return [
        *(
            tuple(TOOLS[: draw.randrange(30, 40)] + [draw.randrange(5, 500) for _ in range(draw.randrange(3, 20))])
            for _ in range(7)
        ),
        (9, 10, 11),
    ]


@pytest.fixture
def load(tiny_model: Path, tmp_path: Path, one_thread: None) -> Callable[..., Any]:
    """`load(family, key=value, …)`: a tiny model in float32, with changes to its configuration."""
    import torch
    from transformers import AutoConfig

    from steps.shared.model_class import auto_class

    def call(family: str, **changes: Any) -> Any:
        folder = save_family(family, tmp_path / family, tiny_model, **changes)
        return auto_class(AutoConfig.from_pretrained(folder)).from_pretrained(folder, dtype=torch.float32).eval()

    return call


def one_by_one(model: Any, asked: Prompts, **settings: Any) -> list[list[int]]:
    """What transformers generates, without an end."""
    import torch

    settings = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": None, "pad_token_id": 0} | settings
    found = []
    for prompt in asked:
        ids = torch.tensor([prompt])
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings)
        found.append(output[0, len(prompt) :].tolist())
    return found


def in_batches(
    model: Any, asked: Prompts, ends: Sequence[int] = (), most: int = 10**6, goes_on: Callable[[bool], bool] = bool
) -> list[list[int]]:
    import torch

    from steps.train.answers.generate import Writer, shares_beginnings
    from steps.train.answers.prefix import batches

    writer = Writer(model, model, torch.device("cpu"), frozenset(ends), NEW, goes_on)
    found: dict[int, list[int]] = {}
    for batch in batches(asked, ranks=1, new=NEW, most=most, shares=shares_beginnings(model)):
        (numbers,) = batch.of_rank
        answers = writer.answer([asked[number] for number in numbers], batch.shared, batch.own)
        found |= dict(zip(numbers, answers, strict=True))
    return [found[number] for number in range(len(asked))]


def up_to(ends: Sequence[int], tokens: list[int]) -> list[int]:
    return next((tokens[: place + 1] for place, token in enumerate(tokens) if token in ends), tokens)


def check(model: Any) -> None:
    whole = one_by_one(model, prompts())
    assert in_batches(model, prompts()) == whole
    # Ends that stop most rows early: they leave the batch while others go on.
    ends = [whole[0][3], whole[1][6], whole[2][2], whole[3][5], whole[4][12]]
    expected = [up_to(ends, tokens) for tokens in whole]
    assert min(map(len, expected)) < NEW
    assert in_batches(model, prompts(), ends) == expected


@pytest.mark.parametrize("family", FAST)
def test_answers_are_those_of_generate(family: str, load) -> None:
    check(load(family))


@pytest.mark.slow
@pytest.mark.families
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in FAST])
def test_answers_of_every_family_are_those_of_generate(family: str, load) -> None:
    check(load(family))


def test_a_sliding_window_shorter_than_the_prompts_sees_what_it_sees_in_a_row_by_itself(load) -> None:
    layers = ["sliding_attention", "full_attention"]
    model = load("qwen3", sliding_window=7, use_sliding_window=True, layer_types=layers, max_window_layers=0)
    assert in_batches(model, prompts()) == one_by_one(model, prompts())


def test_small_batches_say_the_same(load) -> None:
    model = load("llama")
    assert in_batches(model, prompts(), most=150) == in_batches(model, prompts())


def test_the_repetition_penalty_of_generation_config_is_applied_as_an_endpoint_does(load) -> None:
    model = load("llama")
    plain = one_by_one(model, prompts())
    model.generation_config.repetition_penalty = 1.3
    model.generation_config.temperature, model.generation_config.top_p = 0.6, 0.9  # of sampling: nothing to greedy
    penalised = one_by_one(model, prompts(), temperature=None, top_p=None)
    assert penalised != plain
    assert in_batches(model, prompts()) == penalised
    ends = [penalised[0][3], penalised[1][6], penalised[2][2], penalised[3][5], penalised[4][12]]
    assert in_batches(model, prompts(), ends) == [up_to(ends, tokens) for tokens in penalised]


def check_several(model: Any) -> None:
    """Three answers to each prompt are what the prompt given three times is answered."""
    import torch

    from steps.train.answers.generate import Writer, shares_beginnings

    def nth(logits: torch.Tensor, numbers: torch.Tensor, step: int) -> torch.Tensor:
        """Another answer for each row: where it is first written, the token whose place is the row's number."""
        order = logits.argsort(dim=-1, descending=True)
        return order.gather(1, (numbers % 3)[:, None])[:, 0] if step == 0 else order[:, 0]

    rows, seen = prompts()[:7], []

    def forward(**inputs: Any) -> Any:
        seen.append(inputs["input_ids"].numel())
        return model(**inputs)

    ends = frozenset({one_by_one(model, rows[:1])[0][5]})
    writer = Writer(forward, model, torch.device("cpu"), ends, 10, bool)
    longest = max(map(len, rows))
    shared = (tuple(TOOLS[:30]), longest - 30) if shares_beginnings(model) else ((), 0)
    found = writer.answer(rows, *shared, choose=nth, times=3)
    computed = sum(seen)
    seen.clear()
    assert writer.answer([row for row in rows for _ in range(3)], choose=nth) == found
    assert len({tuple(tokens) for tokens in found}) > 7
    if shares_beginnings(model):
        assert computed < sum(seen) / 2


@pytest.mark.parametrize("family", FAST)
def test_several_answers_to_a_prompt_are_those_of_the_prompt_given_several_times(family: str, load) -> None:
    check_several(load(family))


@pytest.mark.slow
@pytest.mark.families
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in FAST])
def test_several_answers_of_every_family_are_those_of_the_prompt_given_several_times(family: str, load) -> None:
    check_several(load(family))


def test_the_shared_beginning_is_computed_once(load) -> None:
    import torch

    from steps.train.answers.generate import Writer

    model, rows = load("llama"), prompts()[:7]
    seen: list[tuple[int, ...]] = []

    def forward(**inputs: Any) -> Any:
        seen.append(tuple(inputs["input_ids"].shape))
        return model(**inputs)

    longest = max(map(len, rows))
    writer = Writer(forward, model, torch.device("cpu"), frozenset(), 3, bool)
    writer.answer(rows, tuple(TOOLS[:30]), longest - 30)
    assert seen == [(1, 30), (7, longest - 30), (7, 1), (7, 1)]


def test_generation_ends_when_no_row_of_any_rank_is_unfinished(load) -> None:
    model = load("llama")
    whole = one_by_one(model, prompts())
    asked: list[bool] = []

    def others_go_on(unfinished: bool) -> bool:  # another rank has unfinished rows for as long as there may be
        asked.append(unfinished)
        return True

    ends = [tokens[0] for tokens in whole]
    assert in_batches(model, prompts(), ends, goes_on=others_go_on) == [tokens[:1] for tokens in whole]
    assert asked and not any(asked)
