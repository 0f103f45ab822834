"""Tokens, step time, model FLOPs and MFU: the formula against torch's own count, the sums over ranks by hand."""

from __future__ import annotations

import pytest
import torch

from steps.train.metrics import throughput
from steps.train.metrics.throughput import Counter, Counts, RankFigures, all_gpus, peak_flops, per_gpu, whole
from steps.train.model import shape

SMALL = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
}  # fmt: skip


def figures(**changes: object) -> RankFigures:
    given = {
        "node": 0, "device": 0, "steps": 4, "seconds": 2.0, "counts": Counts(tokens=100, computed=160),
        "flops": 4e12, "peak": 10e12, "gpu": {},
    }  # fmt: skip
    return RankFigures(**(given | changes))  # type: ignore[arg-type]


def test_the_formula_is_what_torch_counts_for_a_policy_and_a_reference_pass() -> None:
    from peft import LoraConfig, get_peft_model
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(**SMALL)
    base = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    model.enable_input_require_grads()  # otherwise the first block has no gradient of its input, which is left out
    ids = torch.randint(0, 100, (3, 10))
    with FlopCounterMode(display=False) as counted:
        model(ids).logits.sum().backward()
        policy = counted.get_total_flops()
        with torch.no_grad(), model.disable_adapter():
            model(ids)
    # Eager attention computes both halves of the causal square, and this model's head scores every token.
    counts = Counts(tokens=30, computed=30, needed=30, scored=30, squares=2 * 3 * 10**2)
    expected = throughput.flops(shape.shape(SMALL), 4, ["all-linear"], counts)
    assert counted.get_total_flops() == expected
    assert policy == throughput.flops(shape.shape(SMALL), 4, ["all-linear"], counts, reference_pass=False)


def test_a_counter_adds_up_masks_and_starts_anew_when_taken() -> None:
    counter = Counter()
    batch = {
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
        "completion_mask": torch.tensor([[0, 0, 1], [0, 1, 0]]),
    }
    counter.add(batch)
    counter.add(batch)
    assert counter.take() == Counts(tokens=10, computed=12, needed=10, scored=4, squares=2 * (9 + 4))
    assert counter.take() == Counts()


def test_all_ranks_count_and_the_slowest_sets_the_time() -> None:
    slow = figures(device=1, seconds=4.0, counts=Counts(tokens=300, computed=400))
    assert whole([figures(), slow]) == {
        "tokens_per_step": 100.0,
        "tokens_per_second": 100.0,
        "computed_tokens_per_second": 140.0,
        "step_seconds": 1.0,
        "mfu": 8e12 / 4 / 20e12,
    }


@pytest.mark.parametrize("unknown", [{"peak": None}, {"flops": None}])
def test_one_unknown_device_or_model_means_no_mfu(unknown: dict[str, None]) -> None:
    assert "mfu" not in whole([figures(), figures(**unknown)])


def test_every_gpu_keeps_its_own_figures() -> None:
    ranks = [
        figures(gpu={"utilization": 90.0, "memory_gib": 10.0}),
        figures(node=1, device=3, seconds=4.0, gpu={"utilization": 50.0, "memory_gib": 30.0}, peak=None),
        figures(device=None),
    ]
    assert per_gpu(ranks) == {
        "system/node0/gpu0/utilization": 90.0,
        "system/node0/gpu0/memory_gib": 10.0,
        "system/node0/gpu0/tokens_per_second": 50.0,
        "system/node0/gpu0/step_seconds": 0.5,
        "system/node0/gpu0/mfu": 0.2,
        "system/node1/gpu3/utilization": 50.0,
        "system/node1/gpu3/memory_gib": 30.0,
        "system/node1/gpu3/tokens_per_second": 25.0,
        "system/node1/gpu3/step_seconds": 1.0,
    }
    assert all_gpus(ranks) == {"gpu_utilization": 70.0, "gpu_memory_gib": 30.0}


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA A100-SXM4-40GB", 312), ("NVIDIA H100 80GB HBM3", 989.5), ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA H200", 989.5), ("NVIDIA A10G", 70), ("NVIDIA L4", 121), ("NVIDIA L40S", 362.05),
        ("Tesla V100-SXM2-16GB", 125), ("Tesla T4", 65),
    ],
)  # fmt: skip
def test_the_peak_of_a_known_device(name: str, teraflops: float) -> None:
    assert peak_flops(name) == teraflops * 1e12


@pytest.mark.parametrize("name", ["NVIDIA A10", "NVIDIA L40", "NVIDIA GeForce RTX 4090", "NVIDIA B200", "cpu"])
def test_an_unknown_device_has_no_peak(name: str) -> None:
    assert peak_flops(name) is None
