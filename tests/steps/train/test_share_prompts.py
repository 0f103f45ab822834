"""`share_prompts`: packed batches give TRL's losses, rewards and gradients; where they cannot, the step says so."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from steps.contract import StepError
from steps.train.arguments import LossType
from steps.train.data import Pair
from tests.steps.train.trainers import randomise, trainer_here

REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/accuracies", "logps/chosen", "logits/chosen", "entropy")
WINDOW = 16  # shorter than every sequence here
COMMON = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 512,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "qwen2": {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    "qwen3": {"tie_word_embeddings": True},
    "mistral": {"sliding_window": WINDOW},
}
Families = Callable[[str], Path]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def family(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Families:
    """`family(name)`: the folder of a random model of the family, with the quickstart's tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("families")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def make(name: str) -> Path:
        if not (folder / name).exists():
            torch.manual_seed(3)
            config = AutoConfig.for_model(name, vocab_size=len(tokenizer), **COMMON | FAMILIES[name])
            model = AutoModelForCausalLM.from_config(config)
            for parameter_name, parameter in model.named_parameters():
                if parameter_name.endswith("bias"):  # which are made as zeros
                    torch.nn.init.normal_(parameter, std=0.1)
            model.save_pretrained(folder / name)
            tokenizer.save_pretrained(folder / name)
        return folder / name

    return make


def rows() -> list[Pair]:
    """Three pairs of one prompt with the same chosen answer, two of another, and a prompt of one token."""
    draw = random.Random(5)

    def ids(count: int) -> list[int]:
        return [draw.randrange(4, 200) for _ in range(count)]

    first, second, third, chosen = ids(40), ids(23), ids(1), ids(9)
    sides = [
        (first, chosen, ids(6)), (second, ids(4), ids(11)), (first, chosen, ids(12)), (third, ids(8), ids(9)),
        (first, chosen, ids(3)), (second, ids(7), ids(5)),
    ]  # fmt: skip
    return [
        Pair(f"row-{number}", prompt, good, [1] * len(good), bad, [0, *[1] * (len(bad) - 1)], "chat", False)
        for number, (prompt, good, bad) in enumerate(sides)
    ]


def outcome(trainer: Any, loss_type: str) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Loss and metrics of one batch, and the adapter's gradients."""
    trainer.loss_types, trainer.loss_weights, trainer.first_loss_is_due = [loss_type], [1.0], False
    trainer.model.train()
    trainer._metrics["train"].clear()
    inputs = trainer._prepare_inputs(trainer.data_collator([vars(pair) for pair in rows()]))
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    trainer.model.zero_grad()
    figures = {name: trainer._metrics["train"][name][-1] for name in REWARDS}
    return figures | {"loss": float(loss.detach())}, gradients


def apart(gradients: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """How far two gradients are apart, of the length of the first."""
    squares = [
        (float((one - others[name]).square().sum()), float(one.square().sum())) for name, one in gradients.items()
    ]
    return math.sqrt(sum(apart for apart, _ in squares) / sum(length for _, length in squares))


def both(folder: Path, pairs: Path, tmp_path: Path, **changes: Any) -> list[Any]:
    """Two trainers with the same adapter, whole sequences first; 0.1 smoothes where a loss asks for it."""
    trainers = []
    for share in (False, True):
        trainer = trainer_here(
            folder, pairs, tmp_path / str(share), rows=2, share_prompts=share, precompute_ref_log_probs=False,
            lora_dropout=0, label_smoothing=0.1, loss_type=["robust"], **changes,
        )  # fmt: skip
        assert trainer.data_collator.packs is share
        randomise(trainer)
        trainers.append(trainer)
    return trainers


@pytest.mark.parametrize("load_in_4bit", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_loss_has_the_figures_and_gradients_of_whole_sequences(
    family: Families, pairs: Path, tmp_path: Path, name: str, load_in_4bit: bool
) -> None:
    whole, packed = both(family(name), pairs, tmp_path, load_in_4bit=load_in_4bit)
    assert packed.model.config.model_type == name
    for loss in get_args(LossType):
        (figures, gradients), (others, other_gradients) = outcome(whole, loss), outcome(packed, loss)
        assert others == pytest.approx(figures, rel=1e-5, abs=1e-6), loss
        assert apart(gradients, other_gradients) < 1e-5, loss


def test_in_bfloat16_the_difference_is_that_of_other_padding(family: Families, pairs: Path, tmp_path: Path) -> None:
    whole, packed = both(family("qwen3"), pairs, tmp_path, bf16=True, load_in_4bit=True)
    exact = both(family("qwen3"), pairs, tmp_path, load_in_4bit=True)[0]
    figures, gradients = outcome(exact, "sigmoid")
    for trainer in (whole, packed):
        others, other_gradients = outcome(trainer, "sigmoid")
        assert others["loss"] == pytest.approx(figures["loss"], abs=0.02)
        assert apart(gradients, other_gradients) < 0.05
