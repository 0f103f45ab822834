"""Base, candidate and champion answer the same held-out prompts: in one process, on ranks, and within a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steps.shared.records import Record, read_records
from steps.shared.templates.chat_template import ChatTemplate
from steps.train.answers import ask, memory
from steps.train.answers.said import Answers
from steps.train.arguments import TrainArguments
from steps.train.evaluation import champion
from tests.steps.train.conftest import ONE_THREAD, training
from tests.steps.train.trainers import randomise, save_adapter, trainer_here

NEW = 40
PLAIN = {"load_in_4bit": "false", "answers_max_new_tokens": NEW, "max_steps": 1, "logging_steps": 1, "warmup_steps": 0}


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("champion") / "adapter"
    return save_adapter(tiny_model, folder, r=8, lora_alpha=12, target_modules=["q_proj", "down_proj"])


@pytest.fixture
def records(pairs: Path) -> list[Record]:
    return read_records(pairs / "validation")


def asked(trainer: Any, records: list[Record], rival: Any = None, **changes: Any) -> Answers | str:
    from steps.train.rows import tokenise

    template = ChatTemplate(trainer.processing_class, ends=[trainer.processing_class.eos_token_id])
    trainer.arguments = trainer.arguments.model_copy(update={"answers_max_new_tokens": NEW} | changes)
    pairs, _ = tokenise.tokenise(records, template, 1024, "drop")
    return ask.ask(trainer, rival, records, pairs, template, trainer.arguments)


@pytest.fixture
def trainer(tiny_model: Path, pairs: Path, tmp_path: Path, one_thread: None) -> Any:
    made = trainer_here(tiny_model, pairs, tmp_path / "checkpoints", 8)
    randomise(made)
    return made


def generated(model: Any, answers: Answers) -> list[str]:
    """What transformers writes, prompt by prompt."""
    import torch

    found = []
    for question in answers.questions:
        ids = torch.tensor([question.prompt_ids])
        settings = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": 1, "pad_token_id": 0}
        with torch.no_grad():
            output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings)
        found.append(output[0, ids.shape[1] :].tolist())
    return found


def test_every_side_says_what_its_model_generates(
    trainer: Any, records: list[Record], adapter: Path, tiny_model: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    arguments = TrainArguments(model_id=str(tiny_model), champion=str(adapter))
    implementation = trainer.model.get_base_model().config._attn_implementation
    answers = asked(trainer, records, champion.find(arguments), evaluate_answers=6)
    assert isinstance(answers, Answers)
    assert (answers.asked, len(answers.questions), answers.out_of_time, answers.form) == (6, 6, False, "served")
    assert answers.no_champion is None and answers.not_asked == {}
    assert implementation == "packed_sdpa" == trainer.model.get_base_model().config._attn_implementation

    def plain() -> Any:
        return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()

    candidate = trainer.model.eval()
    candidate.get_base_model().set_attn_implementation("sdpa")
    models = {"base": plain(), "candidate": candidate, "champion": PeftModel.from_pretrained(plain(), adapter).eval()}
    tokens = 0
    for side, model in models.items():
        for said, ids in zip(answers.said[side], generated(model, answers), strict=True):
            ended = ids[-1] == 1
            tokens += len(ids)
            text = trainer.processing_class.decode(ids[:-1] if ended else ids)
            assert (said.text, said.tokens, said.ended) == (text, len(ids), ended)
    assert answers.tokens == tokens
    assert len({answers.said[side] for side in models}) == 3


def test_none_are_asked_where_none_are_asked_for(trainer: Any, records: list[Record]) -> None:
    assert asked(trainer, records, evaluate_answers=0) == "evaluate_answers: 0"


def test_why_no_prompt_can_be_asked_is_said(trainer: Any, records: list[Record]) -> None:
    longest = asked(trainer, records, answers_max_new_tokens=4096)
    assert longest == f"no held-out prompt can be asked (too_long: {len(records)})"


def test_the_champion_is_left_out_with_its_reason(
    trainer: Any, records: list[Record], adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    other = champion.Champion(adapter, "3", 1.0, "its base is elsewhere, this model's is here")
    answers = asked(trainer, records, other, evaluate_answers=2)
    assert isinstance(answers, Answers)
    assert set(answers.said) == {"base", "candidate"}
    assert answers.no_champion == "its base is elsewhere, this model's is here"


def test_a_champion_on_parameters_takes_the_trained_adapter_s_place_and_gives_it_back(
    trainer: Any, records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steps.train.model import adapter

    trainer.save_model(str(tmp_path / "saved"))
    rival = champion.find(trainer.arguments.model_copy(update={"champion": str(tmp_path / "saved")}))
    randomise(trainer, std=0.2)
    before = {name: tensor.clone() for name, tensor in adapter.gather(trainer.model).items()}
    monkeypatch.setattr(champion, "has_parameters", lambda _: True)
    answers = asked(trainer, records, rival, evaluate_answers=3)
    assert isinstance(answers, Answers)
    assert answers.said["champion"] != answers.said["candidate"]
    after = adapter.gather(trainer.model)
    assert all((after[name] == tensor).all() for name, tensor in before.items())


def test_when_the_time_is_over_what_all_sides_answered_counts(
    trainer: Any, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(ask.time, "monotonic", lambda: clock.append(clock[-1] + 1) or clock[-1])
    monkeypatch.setattr(memory, "batch_tokens", lambda *_: 200)  # a question or two a batch
    answers = asked(trainer, records, evaluate_answers=15, answers_max_minutes=0.5)
    assert isinstance(answers, Answers)
    assert answers.out_of_time and 0 < len(answers.questions) < 15 and answers.asked == 15
    assert all(len(said) == len(answers.questions) for said in answers.said.values())
    assert asked(trainer, records, answers_max_minutes=1e-9) == (
        "no prompt was answered by all sides within answers_max_minutes, 1e-09; raise it, or lower "
        "answers_max_new_tokens"
    )


def test_a_model_that_never_stops_is_cut_and_says_so(trainer: Any, records: list[Record]) -> None:
    trainer.processing_class.eos_token_id = None
    template = ChatTemplate(trainer.processing_class)
    assert template.ends == {}
    trainer.arguments = trainer.arguments.model_copy(update={"answers_max_new_tokens": 5, "evaluate_answers": 2})
    from steps.train.rows import tokenise

    pairs, _ = tokenise.tokenise(records, template, 1024, "drop")
    answers = ask.ask(trainer, None, records, pairs, template, trainer.arguments)
    assert isinstance(answers, Answers)
    assert all((said.tokens, said.ended) == (5, False) for side in answers.said.values() for said in side)


def test_sigterm_ends_it(trainer: Any, records: list[Record]) -> None:
    from steps.train.runtime.interruption import Interrupted

    trainer.interruption._note()
    with pytest.raises(Interrupted, match="while held-out prompts were answered"):
        asked(trainer, records)


def test_a_batch_holds_no_more_than_training_did() -> None:
    class Config:
        hidden_size, num_attention_heads, num_key_value_heads, head_dim, num_hidden_layers = 4096, 32, 8, 128, 36

        def get_text_config(self) -> Config:
            return self

    arguments = TrainArguments(model_id="m", per_device_train_batch_size=2, max_length=1024)
    # Kept by checkpointing: 4,096 numbers a token and layer; keys and values are 2 * 8 * 128.
    assert memory.batch_tokens(arguments, Config(), 2000) == 2 * 2 * 1024 * 2
    assert memory.batch_tokens(arguments, Config(), 300) == 2 * 2 * 300 * 2
    unchecked = arguments.model_copy(update={"gradient_checkpointing": False})
    assert memory.batch_tokens(unchecked, Config(), 300) == 8 * 2 * 2 * 300 * 2
    packed = arguments.model_copy(update={"max_tokens_per_batch": 5000})
    assert memory.batch_tokens(packed, Config(), 300) == 10_000
    assert memory.cache_bytes(Config(), 100, 2) == 100 * 36 * 2 * 8 * 128 * 2


@pytest.fixture
def in_ranks(fork: Any, tiny_model: Path, pairs: Path, tmp_path: Path) -> Any:
    """`in_ranks(name, ranks, key=value, …)`: what each rank of a training has of its answers."""

    def call(name: str, ranks: int, **given: Any) -> list[Any]:
        folder = tmp_path / name
        folder.mkdir()
        words = training(tiny_model, pairs, folder / "out", **PLAIN | given)[1:]
        done = fork("tests/steps/train/answers/in_ranks.py", folder, *words, ranks=ranks, **ONE_THREAD).completed()
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(max(ranks, 1))]

    return call


@pytest.mark.slow
def test_ranks_share_the_questions_unevenly_and_all_have_what_one_process_has(in_ranks: Any, adapter: Path) -> None:
    given = {"evaluate_answers": 5, "champion": adapter}
    first, second = in_ranks("two", 2, **given)
    first.pop("seconds"), second.pop("seconds")
    assert first == second
    assert len(first["questions"]) == 5 and set(first["said"]) == {"base", "candidate", "champion"}
    (alone,) = in_ranks("one", 0, **given, fsdp="false", gradient_accumulation_steps=2)
    for side in ("base", "champion"):  # two ranks train on the same pairs in another order of sums
        assert first["said"][side] == alone["said"][side]


@pytest.mark.slow
def test_a_rank_without_a_question_and_one_whose_time_is_over_hang_nobody(in_ranks: Any, tmp_path: Path) -> None:
    first, second = in_ranks("single", 2, evaluate_answers=1, load_in_4bit="true")
    assert first == {**second, "seconds": first["seconds"]}
    assert len(first["questions"]) == 1 and first["form"] == "trained"
    late = [json.loads((tmp_path / "single" / f"late-{rank}.json").read_text()) for rank in range(2)]
    assert late[0] == late[1] and late[0].startswith("no prompt was answered by all sides")
