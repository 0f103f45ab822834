"""How many tokens a batch of answers may hold, so that generation takes no more memory than a training step took.

Keys and values of a token are 2 * layers * key-value heads * head_dim numbers. A training step kept of each token at
least a block's input, layers * hidden numbers, with gradient_checkpointing; without it, eight times that: the inputs of
both norms, which are in float32, and queries, keys, values and output of attention (preflight.activations has all of
it, the MLP too). A step's tokens are those of both answers' sequences of every pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steps.train.arguments import TrainArguments

if TYPE_CHECKING:
    import torch

UNCHECKPOINTED = 8


def step_tokens(arguments: TrainArguments, longest: int) -> int:
    """Tokens that a forward pass of training held.

    Args:
        longest: tokens of the longest sequence that is known to have been used.
    """
    if arguments.token_budget:
        return arguments.token_budget
    return 2 * arguments.per_device_train_batch_size * min(longest, arguments.max_length)


def batch_tokens(arguments: TrainArguments, config: Any, longest: int) -> int:
    """Tokens, answers included, whose keys and values take no more than the activations of training's pass did.

    Args:
        config: the model's, in transformers' names.
    """
    text = config.get_text_config()
    kept = text.hidden_size * (1 if arguments.gradient_checkpointing else UNCHECKPOINTED)
    return int(step_tokens(arguments, longest) * kept / (2 * _keys(text)))


def cache_bytes(config: Any, tokens: int, element: int) -> int:
    """Bytes of the keys and values of so many tokens; `element`: of a number."""
    text = config.get_text_config()
    return 2 * int(text.num_hidden_layers) * _keys(text) * tokens * element


def _keys(text: Any) -> int:
    """Numbers of a token's keys in one layer; a model without attention has about as many of its state's."""
    heads = getattr(text, "num_attention_heads", None)
    if not heads:
        return int(text.hidden_size)
    return int(getattr(text, "num_key_value_heads", None) or heads) * int(
        getattr(text, "head_dim", None) or text.hidden_size // heads
    )


def room_on_gpu(device: torch.device) -> int:
    """Bytes between what is allocated now and the most that training had allocated."""
    import torch

    return torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
