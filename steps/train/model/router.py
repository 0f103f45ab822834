"""The loss that balances the experts of a mixture: whether TRL adds it to DPO's, and with which weight.

TRL adds it wherever a model's configuration knows `output_router_logits` and a coefficient that is not 0
(trl/trainer/dpo_trainer.py, 1.16), and computes it from `num_experts` and `num_experts_per_tok`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

SIZES = ("num_experts", "num_experts_per_tok")


def router_loss_weight(arguments: TrainArguments, config: PreTrainedConfig) -> float:
    """What the router's loss is multiplied by before it is added; 0 where nothing is added.

    Raises:
        StepError: the recipe asks for the loss of a model that has none, or TRL cannot compute this model's.
    """
    text, asked = config.get_text_config(), arguments.router_aux_loss_coef
    if not hasattr(text, "output_router_logits"):
        if asked:
            raise StepError(
                f"router_aux_loss_coef: {asked:g}: a {text.model_type} model gives no router's loss; leave it out"
            )
        return 0.0
    weight = float(getattr(text, "router_aux_loss_coef", 0.0) if asked is None else asked)
    lacking = [name for name in SIZES if not hasattr(text, name)]
    if weight and lacking:
        raise StepError(
            f"router_aux_loss_coef: {weight:g}: TRL cannot compute the router's loss of a {text.model_type} model, "
            f"whose configuration has no {' and no '.join(lacking)}; set router_aux_loss_coef: 0"
        )
    return weight


def silence_router(config: PreTrainedConfig) -> None:
    """Let a model whose router's loss has the weight 0 not compute it."""
    text = config.get_text_config()
    if getattr(text, "output_router_logits", False):
        text.output_router_logits = False
