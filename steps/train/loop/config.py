"""TRL's configuration from the training arguments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from steps.shared.contract import StepError
from steps.shared.libraries.lean import lean
from steps.train.arguments import TrainArguments

if TYPE_CHECKING:
    from trl import DPOConfig

# Arguments that have TRL's names and are not handed on as they are.
OWN = {"output_dir", "fsdp_config", "fsdp", "trust_remote_code", "save_total_limit", "precompute_ref_log_probs"}


def trainer_config(arguments: TrainArguments, checkpoints_at: Path) -> DPOConfig:
    """TRL's configuration; making it starts the process group, so it comes before anything collective.

    Raises:
        StepError: this machine or TRL refuses the arguments, such as bf16 on a GPU without it.
    """
    import torch

    with lean():
        from trl import DPOConfig

    taken = set(DPOConfig.__dataclass_fields__) & set(TrainArguments.model_fields)
    try:
        return DPOConfig(
            output_dir=str(checkpoints_at),
            **{name: getattr(arguments, name) for name in sorted(taken - OWN)},
            fsdp=arguments.fsdp or None,  # type: ignore[arg-type]  # said to be text, documented as a boolean too
            fsdp_config=arguments.fsdp_config.model_dump() if arguments.fsdp else None,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",  # the callback Tracking does it: those of transformers stop a run whose tracker is down
            disable_dropout=False,  # load_base has taken the base's dropout away; TRL would also take the adapter's
            disable_tqdm=True,
            save_strategy="steps",
            save_total_limit=None,  # PairTrainer removes old checkpoints, once the new one is whole
            logging_nan_inf_filter=False,  # StopOnBadFigures is to see them
            eval_strategy="no",  # HeldOutEvaluation does it, each row once
            dataloader_pin_memory=torch.cuda.is_available(),
            log_level="warning",
        )
    except ValueError as error:
        raise StepError(f"the training arguments are refused: {error}") from None
