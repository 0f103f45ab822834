"""What a rank allocates under FSDP2: a process, since a process group stays as long as it.

Command: python -m tests.steps.train.fsdp_allocations --tied True|False --folder FOLDER
Prints one JSON line: bytes while the model is sharded and afterwards, and the peaks of one micro-batch, alone and as
rank 0 of four. The four are torch's "fake" group: collectives are accepted and nobody answers, so values mean nothing
and sizes are real.
"""

from __future__ import annotations

import argparse
import gc
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist

from tests.steps.train import allocations

RANKS, LENGTH = 4, 32
CONFIG = {
    "model_type": "qwen3", "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 8192,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tied", type=lambda text: text == "True", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    config = CONFIG | {"tie_word_embeddings": options.tied}
    start_group()
    one = trainable(config, options.folder)
    found: dict[str, Any] = {"config": config, "length": LENGTH, "one": micro_batch(one, allocations.Allocations())}
    del one
    counted = allocations.Allocations()
    four = trainable(config, options.folder)
    for tensor in (*four.parameters(), *four.buffers(), *constants(four)):
        counted.add(tensor)
    with counted:
        four = shard(four)
    del tensor
    gc.collect()
    found |= {"sharding_peak": counted.lap(), "sharded": counted.now}
    follow_resizes(counted)
    print(json.dumps(found | {"four": micro_batch(four, counted)}))


def start_group() -> None:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=RANKS)


def trainable(config: dict[str, Any], folder: Path) -> Any:
    """An NF4 model with a float32 adapter on the CPU, as load_base and PairTrainer make it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
    from trl.trainer.utils import add_fused_lm_head

    from steps.train.model import fsdp_cpu

    fsdp_cpu.apply(sharded=False)
    if not (folder / "config.json").is_file():
        AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), dtype=torch.bfloat16).save_pretrained(folder)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16, bnb_4bit_use_double_quant=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, quantization_config=quantization, device_map={"": "cpu"}
    )
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=16, target_modules="all-linear"))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    add_fused_lm_head(model.get_base_model(), outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    allocations.enable_checkpointing(model)
    return model.train()


def constants(model: Any) -> list[torch.Tensor]:
    """The quantisation constants, which are no parameters."""
    states = [getattr(getattr(module, "weight", None), "quant_state", None) for module in model.modules()]
    return [tensor for state in states if state is not None for tensor in (state.absmax, state.state2.absmax)]


def shard(model: Any) -> Any:
    """What accelerate makes of the model in a run with this project's FSDP settings."""
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model
    from torch.distributed.fsdp import MixedPrecisionPolicy

    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", reshard_after_forward=True,
        cpu_ram_efficient_loading=False,
    )  # fmt: skip
    plugin.mixed_precision_policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    accelerator = SimpleNamespace(
        state=SimpleNamespace(fsdp_plugin=plugin), mixed_precision="bf16", is_main_process=True,
        device=torch.device("cpu"), torch_device_mesh=None,
    )  # fmt: skip
    return fsdp2_prepare_model(accelerator, model)


def follow_resizes(counted: allocations.Allocations) -> None:
    from torch.distributed.fsdp._fully_shard import _fsdp_param

    def followed(original: Any) -> Any:
        def call(tensor: torch.Tensor) -> None:
            original(tensor)
            counted.resized(tensor)

        return call

    for name in ("alloc_storage", "free_storage"):
        setattr(_fsdp_param, name, followed(getattr(_fsdp_param, name)))


def micro_batch(model: Any, counted: allocations.Allocations) -> dict[str, int]:
    """The peaks of the second micro-batch, when the gradients are there already, above what lay there before it."""
    ids = torch.zeros(2, LENGTH, dtype=torch.long)
    with allocations.stand_ins(), counted:
        if not counted.now:
            for tensor in (*model.parameters(), *model.buffers(), *constants(model)):
                counted.add(tensor)
        allocations.passes(model, ids, counted)
        before = counted.now
        return {name: peak - before for name, peak in allocations.passes(model, ids, counted).items()}


if __name__ == "__main__":
    main()
