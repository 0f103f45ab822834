"""What a step of DPO allocates, counted while the real code runs over tensors without memory (torch's meta device).

The model is transformers', the adapter peft's, the 4-bit layers bitsandbytes', the log-probabilities trl's; so a 70B
model can be measured on a laptop. Three things stand in for CUDA kernels: attention (an autograd function that keeps
what a flash kernel keeps), and trl's two Triton kernels, which write in place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from steps.train.footprint.allocations import Allocations, Flash

ATTENTION = "counted"


def _attention(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> Any:
    from transformers.integrations.sdpa_attention import repeat_kv

    groups = module.num_key_value_groups  # masked SDPA repeats keys and values (sdpa_attention_forward)
    output = Flash.apply(query, repeat_kv(key, groups), repeat_kv(value, groups), None)
    return output.transpose(1, 2), None


@contextlib.contextmanager
def stand_ins() -> Iterator[None]:
    """Put the stand-ins for trl's kernels in place, and let autocast be asked about the meta device."""
    import trl.kernels.chunked_logprob as kernel

    enabled = torch.is_autocast_enabled
    names = ("_forward_tile", "_backward_tile", "_addmm_fp32")
    kept = {name: getattr(kernel, name) for name in names}
    for name in names:
        setattr(kernel, name, lambda *_, **__: None)
    torch.is_autocast_enabled = lambda device=None: device != "meta" and enabled(device or "cuda")
    try:
        yield
    finally:
        torch.is_autocast_enabled = enabled
        for name, original in kept.items():
            setattr(kernel, name, original)


def policy(config: Any, *, nf4: bool, rank: int, targets: str | list[str], dropout: float = 0.0) -> Any:
    """A model and its adapter on the meta device: 4-bit weights as `load_base` makes them, the adapter in bfloat16."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    from trl.trainer.utils import add_fused_lm_head

    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attention)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=ATTENTION)
    if nf4:
        _quantise(model)
    model.requires_grad_(False)
    lora = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_dropout=dropout, target_modules=targets)
    model = get_peft_model(model, lora)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    add_fused_lm_head(model.get_base_model(), outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    return model


def _quantise(model: torch.nn.Module) -> None:
    import bitsandbytes as bnb
    from bitsandbytes.functional import QuantState

    for name, linear in [item for item in model.named_modules() if isinstance(item[1], torch.nn.Linear)]:
        if name.endswith("lm_head"):
            continue
        outputs, inputs = linear.weight.shape
        four = bnb.nn.Linear4bit(
            inputs, outputs, bias=linear.bias is not None, compute_dtype=torch.bfloat16, quant_type="nf4",
            quant_storage=torch.bfloat16, device="meta",
        )  # fmt: skip
        blocks = -(-outputs * inputs // 64)
        state = QuantState(
            absmax=torch.empty(blocks, dtype=torch.uint8, device="meta"), shape=torch.Size((outputs, inputs)),
            code=torch.empty(16, device="meta"), blocksize=64, quant_type="nf4", dtype=torch.bfloat16,
            offset=torch.empty((), device="meta"),
            state2=QuantState(absmax=torch.empty(-(-blocks // 256), device="meta"), blocksize=256,
                              code=torch.empty(256, device="meta"), dtype=torch.float32),
        )  # fmt: skip
        data = torch.empty(outputs * inputs // 4, 1, dtype=torch.bfloat16, device="meta")
        four.weight = bnb.nn.Params4bit(
            data, requires_grad=False, quant_state=state, quant_type="nf4", quant_storage=torch.bfloat16,
            blocksize=64, compress_statistics=True, bnb_quantized=True,
        )  # fmt: skip
        four.weight.module, four.quant_state = four, state
        if linear.bias is not None:
            four.bias = torch.nn.Parameter(linear.bias.data.to(torch.bfloat16), requires_grad=False)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, four)


def step(model: Any, pairs: int, length: int, *, checkpointing: bool, device: str = "meta") -> dict[str, int]:
    """Bytes above the parameters at the peak of the reference pass and of the backward pass of one micro-batch, in
    the order of trl's `_compute_loss`."""
    counted = Allocations()
    for tensor in (*model.parameters(), *model.buffers()):
        counted.add(tensor)
    if checkpointing:
        enable_checkpointing(model)
    model.train()
    held = counted.now
    with stand_ins(), counted:
        ids = torch.zeros(2 * pairs, length, dtype=torch.long, device=device)
        peaks = passes(model, ids, counted)
    return {name: peak - held for name, peak in peaks.items()}


def enable_checkpointing(model: Any) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # transformers renames it; trl 1.16 still calls it so
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def passes(model: Any, ids: torch.Tensor, counted: Allocations) -> dict[str, int]:
    """The policy's pass, the reference's and the backward pass, each with the peak that it reached."""
    import warnings

    from trl.models.utils import disable_gradient_checkpointing
    from trl.trainer.utils import use_adapter

    inputs = {"input_ids": ids, "use_cache": False, "labels": ids, "fused_lm_head": True}
    counted.lap()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        chosen = model(**inputs).log_probs.sum(1)
        peaks = {"policy": counted.lap()}
        off = disable_gradient_checkpointing(model, {"use_reentrant": False})
        with torch.no_grad(), off, use_adapter(model, None):
            reference = model(**inputs).log_probs.sum(1)
    peaks["reference"] = counted.lap()
    (chosen - reference).sum().backward()
    peaks["backward"] = counted.lap()
    return peaks


def without(names: Sequence[str], items: Any) -> int:
    """Bytes of an estimate's items whose names begin with none of `names`."""
    return sum(item.bytes for item in items if not item.name.startswith(tuple(names)))
