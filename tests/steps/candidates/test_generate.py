"""Drawn answers of a real model: the same for a seed, whatever else is asked; within a time, and a memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steps.candidates.options import Options
from steps.candidates.prompts import Prompt
from steps.shared.contract import StepError
from steps.shared.templates.pair import prompt_ids
from steps.train.answers.said import Said
from tests.steps.candidates.made import prompt

CITIES = ("Oslo", "Rome", "Lima")
OPTIONS = Options(Path("out"), "base", answers=3, max_new_tokens=12, temperature=1.2, top_p=0.98)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Iterator[Any]:
    import torch

    from steps.candidates.model import find, load, origin

    options = replace(OPTIONS, base=str(tiny_model))
    loaded = load(find(options, origin(options)))
    loaded.network.float()  # in which an answer does not depend on its batch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would wait for each other longer than they compute
    yield loaded
    torch.set_num_threads(threads)


def asked(model: Any, prompts: Sequence[Prompt], options: Options, end: float = 10**9) -> dict[str, list[Said]]:
    from steps.candidates.generate import answers

    ids = [tuple(prompt_ids(model.template, one.messages, one.tools)) for one in prompts]
    found = answers(model, prompts, ids, options, time.monotonic() + end)
    return {prompts[place].messages[0]["content"]: said for place, said in found.items()}


def weather() -> list[Prompt]:
    return [prompt(f"Will it rain in {city}?") for city in CITIES]


def test_a_seed_gives_the_same_answers_also_to_a_prompt_that_is_asked_alone(model: Any) -> None:
    first = asked(model, weather(), OPTIONS)
    assert len(first) == 3 and all(len(said) == 3 for said in first.values())
    assert len({one.text for said in first.values() for one in said}) > 3
    assert asked(model, weather(), OPTIONS) == first
    alone = asked(model, weather()[1:2], OPTIONS)
    assert list(alone.values()) == [first["Will it rain in Rome?"]]
    assert asked(model, weather(), replace(OPTIONS, seed=1)) != first


def test_more_answers_are_further_ones(model: Any) -> None:
    (few,) = asked(model, weather()[:1], OPTIONS).values()
    (more,) = asked(model, weather()[:1], replace(OPTIONS, answers=5)).values()
    assert more[:3] == few


def test_without_chance_they_are_the_likeliest_tokens(model: Any) -> None:
    from steps.train.answers.generate import Writer

    found = asked(model, weather(), replace(OPTIONS, top_p=1e-6))
    for one in weather():
        ids = tuple(prompt_ids(model.template, one.messages, one.tools))
        (tokens,) = Writer(model.network, model.network, model.device, model.ends, 12, bool).answer([ids])
        assert found[one.messages[0]["content"]] == [model.said(tokens)] * 3


def test_what_is_not_answered_in_time_has_no_answers(model: Any) -> None:
    assert asked(model, weather(), OPTIONS, end=-1) == {}


def test_a_batch_that_does_not_fit_is_tried_in_smaller_ones(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from steps.train.answers.generate import Writer

    whole, answer = asked(model, weather(), OPTIONS), Writer.answer
    sizes: list[int] = []

    def few(writer: Writer, prompts: Sequence[Any], *more: Any) -> list[list[int]]:
        sizes.append(len(prompts))
        if len(prompts) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return answer(writer, prompts, *more)

    monkeypatch.setattr(Writer, "answer", few)
    assert asked(model, weather(), OPTIONS) == whole
    assert sizes[0] == 3 and sizes[-3:] == [1, 1, 1]

    def none(writer: Writer, prompts: Sequence[Any], *more: Any) -> list[list[int]]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Writer, "answer", none)
    with pytest.raises(StepError, match=r"lower candidates\.answers or candidates\.max_new_tokens"):
        asked(model, weather(), OPTIONS)


def test_the_champion_answers_with_its_adapter_on_the_base(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from steps.candidates.model import find, load, origin

    torch.manual_seed(7)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    adapted = get_peft_model(base, LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "up_proj"]))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapter = tmp_path / "adapter"
    adapted.save_pretrained(adapter)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(adapter)

    options = replace(OPTIONS, base=str(tiny_model), champion=adapter, version="4")
    who = origin(options)
    assert (who.kind, who.version) == ("champion", "4")
    network, ids = load(find(options, who)).network, torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        said, expected = network(ids).logits, adapted(ids).logits
        with adapted.disable_adapter():
            plain = adapted(ids).logits
    assert torch.allclose(said, expected) and not torch.allclose(said, plain)
