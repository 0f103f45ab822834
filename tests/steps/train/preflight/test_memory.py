"""The memory estimate: by hand on a model of 288 weights, against the allocations of real code, never the wrong way.

The real code runs on the meta device (`allocations`) and, for FSDP2, over a process group that only pretends to have
four ranks (`fsdp_allocations`). Nothing here has seen a GPU.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.train.arguments import TrainArguments
from steps.train.model import shape as model_shape
from steps.train.preflight import memory
from steps.train.preflight.activations import Activations
from steps.train.preflight.memory import CUDA_CONTEXT, FRAGMENTATION, NCCL, estimate
from tests.steps.train import models
from tests.steps.train.conftest import ONE_THREAD

# A block: q 4x4, k and v 4x2, o 4x4, three of 4x8: 144 weights, and 2 norms of 4. Embeddings and LM head: 10x4.
SMALL = model_shape.shape(
    {"model_type": "llama", "hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
     "num_key_value_heads": 1, "vocab_size": 10}
)  # fmt: skip
BESIDE = ("base", "adapter", "FSDP", "fragmentation", "CUDA", "NCCL")


def recipe(**values: Any) -> TrainArguments:
    return TrainArguments(model_id="m", **values)


def items(phase: str, **setup: Any) -> dict[str, int]:
    arguments = recipe(lora_r=2, max_length=16, per_device_train_batch_size=1, **setup.pop("arguments", {}))
    found = {one.name: one for one in estimate(arguments, SMALL, **setup).phases}
    return {item.name: item.bytes for item in found[phase].items}


def test_the_backward_pass_of_a_small_model_is_what_the_hand_computes() -> None:
    found = items("backward, blocks")
    # T = 2 * 1 * 16 = 32 tokens, c = 2 bytes. LoRA, rank 2: 2 * (8+6+6+8+12+12+12) = 128 weights a block.
    tensors = {
        "base: blocks in NF4": 2 * 144 // 2,
        "base: quantisation constants": 5,  # 288 / 64 blocks of 1 + 4/256 bytes: 4.57
        "base: embeddings, LM head, norms": 2 * (2 * 40 + 4 + 2 * 8),
        "adapter: float32 weights": 4 * 256,
        "adapter: gradients": 4 * 256,
        "adapter: AdamW's two averages": 8 * 256,
        "adapter: bfloat16 copies": 2 * 128,
        "attention mask": 2 * 16 * 16,
        "activations: a checkpoint a block": 2 * 2 * 4 * 32,
        # A token: norms 2*4*4, adapters' inputs 2*2*4, q k v o 4*2*4, statistic 2*4, MLP 4*2*8, between A and B 7*2*2;
        # and SDPA's mask as numbers.
        "activations: one block, computed again": 32 * (32 + 16 + 32 + 8 + 64 + 28) + 2 * 32 * 16,
        "backward: a block at work": 32 * 2 * 4 + 2 * (32 * 2 * 8),
    }
    fragments = sum(size for name, size in tensors.items() if not name.startswith("base"))
    assert found == tensors | {
        "fragmentation, 10% of all but the base": -(-fragments // 10),
        "CUDA context": CUDA_CONTEXT,
    }


def test_without_double_quantisation_a_constant_takes_four_bytes() -> None:
    found = items("optimizer step", arguments={"bnb_4bit_use_double_quant": False})
    assert found["base: quantisation constants"] == 18  # 288 / 64 * 4


def test_an_initial_adapter_lies_there_a_second_time_as_the_reference() -> None:
    found = items("optimizer step", arguments={"initial_adapter": "earlier"})
    assert found["reference: the initial adapter's float32 weights"] == 4 * 256
    assert items("loading", arguments={"initial_adapter": "earlier"})["adapter: float32 weights"] == 2 * 4 * 256


def test_a_precomputed_reference_has_no_part_in_the_steps() -> None:
    wide = model_shape.shape(models.QWEN3_8B)
    with_pass, without = (estimate(recipe(precompute_ref_log_probs=on), wide, ranks=4) for on in (False, True))
    names = [phase.name for phase in without.phases]
    assert names == [phase.name for phase in with_pass.phases if not phase.name.startswith("reference")]
    assert len(names) == len(with_pass.phases) - 2
    sizes = {phase.name: phase.bytes for phase in without.phases}
    # Embeddings that are not tied are gathered at the beginning of the policy's pass alone, when nothing is kept yet.
    before = {phase.name: phase.bytes for phase in with_pass.phases if phase.name in names}
    assert sizes.pop("forward, embeddings") < before.pop("forward, embeddings")
    assert sizes == before


def test_qloras_figures_come_out() -> None:
    """Dettmers et al. 2023, section 3: the constants take 0.5 bits a weight, doubly quantised 0.127."""
    shape = model_shape.shape(models.LLAMA_70B)
    weights = shape.layers * shape.block_linear
    bits = []
    for double in (False, True):
        phase = estimate(recipe(bnb_4bit_use_double_quant=double), shape).phases[0]
        size = next(item.bytes for item in phase.items if item.name == "base: quantisation constants")
        bits.append(8 * size / weights)
    assert bits == [pytest.approx(0.5), pytest.approx(0.127, abs=1e-4)]


def test_four_ranks_share_what_fsdp_shards_and_hold_the_constants_whole() -> None:
    one, four = items("backward, blocks"), items("backward, blocks", ranks=4)
    for name in ("base: blocks in NF4", "base: embeddings, LM head, norms", "adapter: gradients"):
        assert four[name] == one[name] / 4
    assert four["base: quantisation constants"] == one["base: quantisation constants"]
    assert four["FSDP: blocks gathered"] == 2 * (144 // 2 + 2 * (8 + 128))
    assert four["FSDP: gradients on their way"] == 128 * (2 + 4 + 4)
    assert four["NCCL"] == NCCL
    assert "adapter: bfloat16 copies" not in four


def test_ddp_shares_nothing_and_has_buckets() -> None:
    found = items("backward, blocks", ranks=4, arguments={"fsdp": False})
    assert found["base: blocks in NF4"] == 144
    assert found["adapter: DDP's gradient buckets"] == found["adapter: gradients"] == 4 * 256


def test_loading_in_4_bits_holds_the_whole_base_beside_the_shards() -> None:
    found = items("loading", ranks=4)
    assert found["base: blocks in NF4"] == 144
    assert found["FSDP: this rank's shards, beside the whole"] == (144 + 200 + 4 * 256) / 4
    assert items("loading", ranks=4, arguments={"load_in_4bit": False})["base: blocks in bfloat16"] == 144


def test_in_float32_everything_is_four_bytes() -> None:
    found = items("reference, log-probabilities", arguments={"bf16": False, "load_in_4bit": False})
    assert found["base: blocks in float32"] == 4 * 2 * 144
    assert found["log-probabilities: a tile of logits"] == 32 * memory.TILE_VOCABULARY * 4
    assert found["activations: a checkpoint a block"] == 2 * 4 * 4 * 32


def test_flash_attention_keeps_nothing_that_grows_with_length_squared() -> None:
    found = {
        kind: Activations(recipe(max_length=64), SMALL, kind, 64)
        for kind in ("flash_attention_2", "sdpa", "eager")
    }  # fmt: skip
    twice = {kind: Activations(one.arguments, SMALL, kind, 128) for kind, one in found.items()}
    assert twice["flash_attention_2"].block() == 2 * found["flash_attention_2"].block()
    assert twice["sdpa"].block() > 2 * found["sdpa"].block()
    assert found["eager"].block() > found["sdpa"].block()
    assert found["flash_attention_2"].mask(2) == 0


def test_a_token_budget_bounds_a_pass_and_counts_as_padded_pairs_of_as_many_tokens() -> None:
    padded = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}
    budget = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 64, "max_tokens_per_batch": 8 * 2 * 64}

    def peak(**settings: Any) -> int:
        return estimate(recipe(max_length=64, per_device_eval_batch_size=1, **settings), SMALL).peak.bytes

    assert peak(**budget) == peak(**padded)
    assert peak(**budget | {"max_tokens_per_batch": 2**20}) == peak(**padded | {"per_device_train_batch_size": 64})


def test_the_tiles_are_trls() -> None:
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    assert memory.TILE_TOKENS == chunked_logprob.TOKEN_CHUNK_SIZE
    assert memory.TILE_VOCABULARY == utils._CHUNKED_LOGPROB_CHUNK_SIZE


SIZES = st.integers(1, 64)


@given(
    pairs=SIZES, more_pairs=SIZES, length=st.integers(16, 8192), longer=st.integers(0, 8192), ranks=st.integers(2, 64),
    more_ranks=st.integers(0, 64), layers=SIZES, more_layers=SIZES, options=st.fixed_dictionaries({
        "gradient_checkpointing": st.booleans(), "load_in_4bit": st.booleans(), "bf16": st.booleans(),
        "fsdp": st.booleans(), "lora_dropout": st.sampled_from([0.0, 0.1]),
        "target_modules": st.sampled_from([["all-linear"], ["q_proj", "v_proj"]]),
    }), attention=st.sampled_from(["sdpa", "flash_attention_2", "eager"]),
)  # fmt: skip
def test_more_work_never_needs_less_and_more_ranks_never_more(
    pairs: int, more_pairs: int, length: int, longer: int, ranks: int, more_ranks: int, layers: int, more_layers: int,
    options: dict[str, Any], attention: Any,
) -> None:  # fmt: skip
    """From two ranks on: one rank alone has no NCCL and gathers nothing."""

    def peak(pairs: int, length: int, ranks: int, layers: int) -> int:
        arguments = recipe(
            per_device_train_batch_size=pairs, per_device_eval_batch_size=pairs, max_length=length, **options
        )
        shape = model_shape.shape(models.QWEN3_0_6B | {"num_hidden_layers": layers})
        return estimate(arguments, shape, ranks=ranks, attention=attention).peak.bytes

    base = peak(pairs, length, ranks, layers)
    assert peak(pairs + more_pairs, length, ranks, layers) >= base
    assert peak(pairs, length + longer, ranks, layers) >= base
    assert peak(pairs, length, ranks, layers + more_layers) >= base
    # A rank's part is rounded up to whole bytes, item by item.
    assert peak(pairs, length, ranks + more_ranks, layers) <= base + 16


SHORT_8B = models.QWEN3_8B | {"num_hidden_layers": 8}  # of 36


class _Unmasked(Activations):
    """SDPA without the mask of a padded batch: the counted steps have none."""

    def _scores(self, *_: Any, **__: Any) -> int:
        return 0

    def mask(self, pairs: int) -> int:
        return 0


@pytest.mark.parametrize(
    ("config", "pairs", "length", "settings", "tolerance"),
    [
        (models.QWEN3_0_6B, 4, 2048, {}, 0.005),
        (SHORT_8B, 1, 2048, {}, 0.005),
        (SHORT_8B, 1, 2048, {"gradient_checkpointing": False}, 0.015),
        (SHORT_8B, 2, 512, {"load_in_4bit": False}, 0.005),
        pytest.param(  # with all 36 blocks, of which each keeps a mask
            models.QWEN3_8B, 1, 1024, {"lora_dropout": 0.1, "lora_r": 64}, 0.03, marks=pytest.mark.families
        ),
        (SHORT_8B, 1, 1024, {"target_modules": ["q_proj", "v_proj"]}, 0.005),
        (models.QWEN2_0_5B, 2, 1024, {}, 0.005),
        # 8 of 80 blocks. Without checkpointing the first block keeps less than the others, one in eight here.
        (models.LLAMA_70B | {"num_hidden_layers": 8}, 1, 2048, {}, 0.005),
        (models.LLAMA_70B | {"num_hidden_layers": 8}, 1, 2048, {"gradient_checkpointing": False}, 0.015),
    ],
    ids=["0.6B", "8B", "8B-no-checkpoints", "8B-bfloat16", "8B-dropout", "8B-two-modules", "qwen2", "70B",
         "70B-no-checkpoints"],
)  # fmt: skip
def test_activations_are_those_that_the_real_code_allocates(
    config: dict[str, Any], pairs: int, length: int, settings: dict[str, Any], tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from transformers import AutoConfig

    from tests.steps.train import allocations

    arguments = recipe(max_length=length, per_device_train_batch_size=pairs, **settings)
    targets = arguments.target_modules
    model = allocations.policy(
        AutoConfig.for_model(**config), nf4=arguments.load_in_4bit, rank=arguments.lora_r,
        targets="all-linear" if targets == ["all-linear"] else targets, dropout=arguments.lora_dropout,
    )  # fmt: skip
    counted = allocations.step(model, pairs, length, checkpointing=arguments.gradient_checkpointing)
    monkeypatch.setattr(memory, "Activations", _Unmasked)
    phases = estimate(arguments, model_shape.shape(config), ranks=2).phases

    def estimated(begins: str) -> int:
        return max(allocations.without(BESIDE, phase.items) for phase in phases if phase.name.startswith(begins))

    assert estimated("reference") == pytest.approx(counted["reference"], rel=tolerance)
    assert estimated("backward") == pytest.approx(counted["backward"], rel=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_fsdp_holds_gathers_and_loads_what_is_estimated(forked, tmp_path: Path, tied: bool) -> None:
    """Real FSDP2, accelerate's wrapping, NF4 and trl's fused head; rank 0 of four that only pretend."""
    done = forked("-m", "tests.steps.train.fsdp_allocations", "--tied", str(tied), "--folder", tmp_path, **ONE_THREAD)
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout.splitlines()[-1])
    shape = model_shape.shape(counted["config"])
    arguments = recipe(max_length=counted["length"], per_device_train_batch_size=1)
    run_of = {one.name: one for one in estimate(arguments, shape, ranks=4).phases}

    def part(phase: str, *begins: str) -> int:
        return sum(item.bytes for item in run_of[phase].items if item.name.startswith(begins))

    # accelerate holds the unsharded base and adapter until the last shard is made; then a rank has its share and the
    # quantisation constants.
    assert counted["sharding_peak"] == pytest.approx(part("loading", "base", "adapter", "FSDP"), rel=0.01)
    held = part("optimizer step", "base", "adapter: float32")
    assert counted["sharded"] == pytest.approx(held, rel=0.03)
    # Sequences are short, so that what FSDP gathers is most of a peak: in the pass that begins with the embeddings,
    first = "policy" if tied else "reference"
    assert counted["four"][first] == pytest.approx(part("forward, embeddings", "FSDP", "act", "attention"), rel=0.15)
    # and in the backward pass, at the LM head or, where embeddings are gathered once more at its end, there.
    head = counted["one"]["backward"] + part("backward, log-probabilities", "FSDP")
    embeddings = 0 if tied else 2 * 2 * shape.embedding
    assert counted["four"]["backward"] == pytest.approx(max(head, embeddings), rel=0.05)


def test_fragmentation_leaves_the_base_out() -> None:
    phase = estimate(recipe(), model_shape.shape(models.QWEN3_8B)).peak
    waste = next(item.bytes for item in phase.items if item.name.startswith("fragmentation"))
    moving = [
        item for item in phase.items if item.name.startswith(("adapter", "act", "att", "back", "log", "ref", "FSDP"))
    ]
    assert waste == pytest.approx(FRAGMENTATION * sum(item.bytes for item in moving), rel=1e-6)
