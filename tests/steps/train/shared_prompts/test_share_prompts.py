"""`share_prompts`: packed batches give TRL's losses, rewards and gradients; where they cannot, the step says so."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from steps.shared.contract import StepError
from steps.train.arguments import LossType
from tests.steps.train.shared_prompts.outcomes import apart, outcome
from tests.steps.train.trainers import randomise, trainer_here

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
SLOW_MULTIMODAL = ("gemma3", "gemma4", "qwen2_5_vl", "qwen3_vl", "glm4v", "internvl", "qwen3_vl_moe")
MULTIMODAL = ["mistral3", *(pytest.param(name, marks=pytest.mark.families) for name in SLOW_MULTIMODAL)]
pytestmark = pytest.mark.usefixtures("one_thread")
Families = Callable[[str], Path]


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
    """Every loss on one family; on the others those that read each of what a loss can read: the answers' sums, their
    means a token, the tokens of the chosen one, and how long both are."""
    whole, packed = both(family(name), pairs, tmp_path, load_in_4bit=load_in_4bit)
    assert packed.model.config.model_type == name
    for loss in get_args(LossType) if name == "llama" else ("sigmoid", "ipo", "sft", "sigmoid_norm"):
        (figures, gradients), (others, other_gradients) = outcome(whole, loss), outcome(packed, loss)
        assert others == pytest.approx(figures, rel=1e-5, abs=1e-6), loss
        assert apart(gradients, other_gradients) < 2e-5, loss


@pytest.mark.parametrize("name", MULTIMODAL)
def test_a_multimodal_model_has_the_figures_and_gradients_of_whole_sequences(
    family_trainer: Callable[..., Any], name: str
) -> None:
    settings = {"label_smoothing": 0.1, "loss_type": ["robust"], "router_aux_loss_coef": 0}
    trainers = [family_trainer(name, share_prompts=share, **settings) for share in (False, True)]
    for trainer in trainers:
        randomise(trainer)
    assert trainers[1].data_collator.packs
    (figures, gradients), (others, other_gradients) = (outcome(trainer, "sigmoid") for trainer in trainers)
    assert others == pytest.approx(figures, rel=1e-5, abs=1e-6)
    assert apart(gradients, other_gradients) < 1e-5


def test_in_bfloat16_a_packed_batch_is_as_far_from_float32_as_a_padded_one(
    family: Families, pairs: Path, tmp_path: Path
) -> None:
    whole, packed = both(family("qwen3"), pairs, tmp_path, bf16=True, load_in_4bit=True)
    exact = both(family("qwen3"), pairs, tmp_path, load_in_4bit=True)[0]
    figures, gradients = outcome(exact, "sigmoid")
    noise = []
    for trainer in (whole, packed):
        others, other_gradients = outcome(trainer, "sigmoid")
        assert others["loss"] == pytest.approx(figures["loss"], abs=0.01)
        noise.append(apart(gradients, other_gradients))
    assert 0.001 < noise[1] < 1.5 * noise[0] < 0.15


def test_a_step_of_several_passes_has_the_gradient_of_one_padded_batch(
    tiny_model: Path, pairs: Path, tmp_path: Path
) -> None:
    settings = {"precompute_ref_log_probs": False, "lora_dropout": 0, "loss_type": ["sigmoid", "ipo"]}
    packed = trainer_here(
        tiny_model, pairs, tmp_path / "packed", group_by_prompt=True, max_tokens_per_batch=440, **settings
    )
    padded = trainer_here(tiny_model, pairs, tmp_path / "padded", share_prompts=False, **settings)
    step = packed.steps[0]
    counts = [len(rows) for _, rows in step]
    assert sum(counts) == packed.pairs_per_step == 8 and len(set(counts)) > 1
    gradients = []
    for trainer in (padded, packed):
        randomise(trainer)
        trainer.first_loss_is_due = False
        trainer.model.train()
        if trainer is packed:
            trainer.current_gradient_accumulation_steps = 1
            (batches,) = [trainer.get_train_dataloader().collate_fn([step])]
            loss = trainer.training_step(trainer.model, batches)
        else:
            rows = [row for _, rows in step for row in rows]
            loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(trainer.data_collator(rows)))
            loss.backward()
        gradients.append(
            (
                float(loss.detach()),
                {name: one.grad for name, one in trainer.model.named_parameters() if one.requires_grad},
            )
        )
    (loss, gradient), (other_loss, other) = gradients
    assert other_loss == pytest.approx(loss, rel=1e-5)
    assert apart(gradient, other) < 1e-5


def test_a_run_in_batches_by_size_continues_bit_by_bit(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    def made(folder: str) -> Any:
        return trainer_here(
            tiny_model, pairs, tmp_path / folder, rows=24, group_by_prompt=True, max_tokens_per_batch=500,
            precompute_ref_log_probs=False, max_steps=5, save_steps=1, save_total_limit=9, gradient_checkpointing=True,
        )  # fmt: skip

    whole = made("whole")
    assert len(whole.steps) == 3
    whole.train()
    for saved_at in (2, 3):  # the middle of the first epoch of three steps, and its end
        continued = made(f"from-{saved_at}")
        continued.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{saved_at}"))
        assert continued.state.global_step == 5
        for (name, weight), other in zip(whole.model.named_parameters(), continued.model.parameters(), strict=True):
            assert weight.equal(other), (saved_at, name)


def plain_kernel(query, key, value, query_ends, key_ends, most_queries, most_keys, scaling, window):
    """A kernel of the same contract as torch's and flash-attn's, causal from the bottom right and within a window, in
    plain torch and as many operations whatever the number of segments."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(repeats, 1) for part in (key, value))
    sizes = [ends.diff() for ends in (query_ends, key_ends)]
    assert int(sizes[0].max()) == most_queries and int(sizes[1].max()) == most_keys
    of_query, of_key = (
        torch.searchsorted(ends, torch.arange(len(one), dtype=torch.int32), right=True) - 1
        for ends, one in ((query_ends, query), (key_ends, key))
    )
    from_end = [
        ends[1:][of] - torch.arange(len(of)) for ends, of in ((query_ends, of_query), (key_ends, of_key))
    ]  # fmt: skip
    distance = from_end[0][:, None] - from_end[1][None]
    seen = (distance <= 0) & ((distance >= -window[0]) | (window[0] < 0)) & (of_query[:, None] == of_key)
    scores = torch.einsum("qhd,khd->hqk", query, key) * scaling
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~seen, -math.inf).softmax(-1), value)


def test_variable_length_attention_gets_what_the_segments_see(
    family: Families, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steps.train.shared_prompts import attention

    windows = set()

    def kernel(*handed):
        windows.add(handed[-1])
        return plain_kernel(*handed)

    monkeypatch.setattr(attention, "_torch_kernel", kernel)
    for name in ("qwen2", "llama"):
        whole, packed = both(family(name), pairs, tmp_path / name)
        packed.model.get_base_model().set_attn_implementation("packed_varlen")
        (figures, gradients), (others, other_gradients) = outcome(whole, "sigmoid"), outcome(packed, "sigmoid")
        assert others == pytest.approx(figures, rel=1e-5, abs=1e-6)
        assert apart(gradients, other_gradients) < 1e-5
    assert windows == {(-1, 0), (WINDOW - 1, 0)}


def layer() -> torch.nn.Module:
    """What the functions ask of the layer that they compute the attention of: its data type."""
    found = torch.nn.Sequential(torch.nn.Linear(1, 1))
    found.config = None
    return found


def operations(implementation: str, answers: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The operations of a layer's attention, forward and backward, over a row of twelve answers to each of `answers`
    prompts, by their names."""
    from torch.profiler import ProfilerActivity, profile

    from steps.train.shared_prompts import attention
    from steps.train.shared_prompts.row import pack

    monkeypatch.setattr(attention, "_torch_kernel", plain_kernel)
    ids = range(answers)
    row = pack([([prompt] * 9, [answer] * 4, [1] * 4) for prompt in ids for answer in range(12)])
    module = layer()
    query, key, value = (
        torch.randn(1, heads, row.tokens, 8, requires_grad=True) for heads in (4, 2, 2)
    )  # fmt: skip
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        found, _ = attention.FUNCTIONS[implementation](module, query, key, value, None, packed=row, scaling=0.3)
        found.sum().backward()
    # On a CPU zeros of a small tensor are set without the call of `fill_` that a large one's take.
    return Counter({event.key: event.count for event in seen.key_averages() if event.key != "aten::fill_"})


def test_launches_of_a_layer_do_not_grow_with_the_number_of_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (operations("packed_varlen", answers, monkeypatch) for answers in (1, 20))
    assert few["aten::index_select"] == 1 and few["aten::_local_scalar_dense"] == 2  # the kernel's own two assertions
    assert few == many
    few, many = (operations("packed_sdpa", answers, monkeypatch) for answers in (1, 20))
    assert many.total() > 10 * few.total()  # where there is no such kernel: segment by segment


def test_the_gradient_of_a_trunk_is_the_sum_over_its_branches_in_the_same_order_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from steps.train.shared_prompts import attention
    from steps.train.shared_prompts.row import pack

    monkeypatch.setattr(attention, "_torch_kernel", plain_kernel)
    draw = torch.Generator().manual_seed(7)
    row = pack(
        [([prompt] * 7, [answer] * (answer + 1), [1] * (answer + 1)) for prompt in (5, 6) for answer in range(4)]
    )
    inputs = [torch.randn(1, heads, row.tokens, 8, generator=draw) for heads in (4, 2, 2)]
    gradients = {}
    for name in ("packed_sdpa", "packed_varlen", "packed_varlen"):
        leaves = [one.clone().requires_grad_() for one in inputs]
        found, _ = attention.FUNCTIONS[name](layer(), *leaves, None, packed=row, scaling=0.3)
        found.square().sum().backward()
        before = gradients.get(name)
        gradients[name] = [leaf.grad for leaf in leaves]
        assert before is None or all(one.equal(two) for one, two in zip(before, gradients[name], strict=True))
    for one, two in zip(*gradients.values(), strict=True):
        torch.testing.assert_close(one, two)


def test_torchs_kernel_takes_what_it_is_handed() -> None:
    """On the meta device: the shapes and names of torch's function, which has no CPU kernel."""
    from steps.train.shared_prompts.attention import _torch_kernel

    query, key = (torch.empty(7, heads, 32, device="meta", dtype=torch.bfloat16) for heads in (4, 2))
    ends = torch.empty(3, device="meta", dtype=torch.int32)
    assert _torch_kernel(query, key, key, ends, ends, 4, 6, 0.1, (15, 0)).shape == (7, 4, 32)


def test_a_model_that_cannot_is_named_and_trains_on_whole_sequences(
    family: Families, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import MistralForCausalLM

    with caplog.at_level(logging.WARNING):
        eager = trainer_here(family("llama"), pairs, tmp_path, rows=2, attn_implementation="eager")
    assert not eager.data_collator.packs
    assert caplog.messages[-1] == (
        "share_prompts: the model cannot compute packed rows: attn_implementation: eager has no form for packed rows; "
        "sdpa has; every sequence is computed whole"
    )
    monkeypatch.setattr(MistralForCausalLM, "_supports_attention_backend", False)
    with pytest.raises(StepError) as caught:
        trainer_here(family("mistral"), pairs, tmp_path, rows=2, group_by_prompt=True)
    assert str(caught.value) == (
        "share_prompts: the model cannot compute packed rows: its attention takes no other implementation; set "
        "share_prompts: false, and leave out group_by_prompt and max_tokens_per_batch"
    )


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"layer_types": ["linear_attention", "full_attention"]},
         "it has layers that carry a state along the row (linear_attention)"),
        ({"attn_logit_softcapping": 30.0}, "its attention caps its scores"),
        ({}, None),
    ],
)  # fmt: skip
def test_what_packed_rows_cannot_give_a_model_is_told_from_its_config(
    family: Families, config: dict[str, Any], reason: str | None
) -> None:
    from transformers import AutoModelForCausalLM

    from steps.train.shared_prompts.model import obstacle

    model = AutoModelForCausalLM.from_pretrained(family("qwen2"))
    for name, value in config.items():
        setattr(model.config, name, value)
    assert obstacle(model) == reason


def test_a_model_that_mixes_tokens_beside_its_attention_is_stopped(
    tiny_model: Path, pairs: Path, tmp_path: Path
) -> None:
    from steps.train.loop.first_step import check_packed
    from steps.train.loop.trainer import rounding

    trainer = trainer_here(tiny_model, pairs, tmp_path, rows=4, precompute_ref_log_probs=False)
    check_packed(trainer, rounding(trainer.arguments))
    # A state along the row: a branch would have that of the branch before it.
    layer = trainer.model.get_base_model().model.layers[0].mlp
    layer.register_forward_hook(lambda _, __, output: output + output.cumsum(dim=1))
    with pytest.raises(StepError, match="nats from those of whole sequences: the model mixes tokens by other ways"):
        check_packed(trainer, rounding(trainer.arguments))
    assert trainer.data_collator.packs


@pytest.mark.slow
def test_two_ranks_that_shard_train_the_adapter_of_one_process_and_of_whole_sequences(
    train: Any, tmp_path: Path
) -> None:
    """In float32, steps of 8 pairs: in the order of TRL's loader on two ranks, packed and padded; and in batches by
    size, whose pairs a step shares out over the ranks by their tokens."""
    from safetensors.torch import load_file

    same = {
        "bf16": "false", "load_in_4bit": "false", "max_steps": 4, "save_steps": 100, "logging_steps": 1,
        "per_device_train_batch_size": 4, "warmup_steps": 0,
    }  # fmt: skip
    by_size = {"group_by_prompt": "true", "max_tokens_per_batch": 500}
    runs = {
        "padded": (2, {"share_prompts": "false"}),
        "packed": (2, {}),
        "by size": (2, by_size),
        "by size, alone": (0, by_size | {"fsdp": "false", "gradient_accumulation_steps": 2}),
    }
    adapters = {}
    for name, (processes, settings) in runs.items():
        done = train(tmp_path / name, processes, **same | settings)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("packed is" in done.stdout) is (name != "padded")
        assert "view tensor" not in done.stderr
        adapters[name] = load_file(tmp_path / name / "adapter_model.safetensors")
    for one, other in (("padded", "packed"), ("by size, alone", "by size")):
        moved = {name: weight for name, weight in adapters[one].items() if "lora_B" in name}  # which begins as 0
        assert apart(moved, {name: adapters[other][name] for name in moved}) < 1e-3, other
    assert apart(adapters["packed"], adapters["by size"]) > 1e-3
