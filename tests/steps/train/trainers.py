"""A trainer of the quickstart's model in the test's own process, on the first rows of its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.train.arguments import TrainArguments

RECIPE_HERE = {
    "fsdp": False, "load_in_4bit": False, "bf16": False, "lora_r": 4, "learning_rate": 1e-3, "logging_steps": 1,
    "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "gradient_checkpointing": False,
    "precompute_ref_log_probs": True, "max_steps": 6, "lora_dropout": 0.1,
}  # fmt: skip
ROWS = 48


def trainer_here(model: Path, pairs: Path, checkpoints_at: Path, rows: int = ROWS, **changes: Any) -> Any:
    """A PairTrainer; its rows are `pairs_here`."""
    import torch

    from steps.shared.records import read_records
    from steps.shared.templates.chat_template import ChatTemplate
    from steps.train.loop import checkpoints
    from steps.train.loop.config import trainer_config
    from steps.train.loop.trainer import PairTrainer
    from steps.train.model.load import load_base, load_tokenizer
    from steps.train.model.lora import fit_adapter, lora_config
    from steps.train.rows import tokenise

    arguments = TrainArguments(model_id=str(model), **RECIPE_HERE | changes)
    tokenizer = load_tokenizer(arguments)
    made, _ = tokenise.tokenise(read_records(pairs / "train")[:rows], ChatTemplate(tokenizer), 1024, "drop")
    torch.manual_seed(0)
    marker = checkpoints.Marker("test", checkpoints.World(1, arguments.gradient_accumulation_steps))
    fitted = fit_adapter(arguments)
    base = load_base(arguments, fitted.attention, fitted.unquantised)
    trainer = PairTrainer(
        arguments, base, tokenizer, made, trainer_config(arguments, checkpoints_at), marker,
        peft_config=lora_config(arguments, fitted.places),
    )  # fmt: skip
    trainer.pairs_here = made
    return trainer


def first_loss(trainer: Any, rows: int = 4) -> float:
    """The loss of the first rows as one batch."""
    batch = trainer.data_collator([vars(pair) for pair in trainer.pairs_here[:rows]])
    return float(trainer.compute_loss(trainer.model.train(), batch).detach())


def save_adapter(model: Path, folder: Path, **settings: Any) -> Path:
    """Save an adapter of the model, by peft's settings, whose answers are far from the base's."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted.save_pretrained(folder)
    return folder


def randomise(trainer: Any, std: float = 0.05) -> None:
    """A policy that is not its reference any more."""
    import torch

    torch.manual_seed(1)
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=std)
