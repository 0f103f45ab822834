"""Settings of a recipe that do not go together, or not with its model or GPU, each with the fix.

`arguments` refuses a single wrong value; here are the combinations that the libraries accept in silence or refuse only
after the weights are loaded. TRL, peft and transformers are meant in the versions of pyproject.toml.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from steps.shared.serving import VLLM_RANKS
from steps.train.arguments import SORTING, TrainArguments
from steps.train.model.shape import ALL_LINEAR, EMBEDDINGS, ModelShape
from steps.train.preflight.instances import Gpu
from steps.train.preflight.totals import Plan

# trl/trainer/dpo_trainer.py, _compute_loss: the losses that read label_smoothing.
SMOOTHED = ("exo_pair", "robust", "aot", "aot_unpaired")


@dataclass(frozen=True)
class Problem:
    """A setting and what is wrong with it."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}"


def problems(arguments: TrainArguments, shape: ModelShape | None = None, gpu: Gpu | None = None) -> list[Problem]:
    """What keeps a run from doing what its recipe says. `shape` and `gpu`: where they are known."""
    found = [*_loss(arguments), *_reference(arguments), *_schedule(arguments), *_targets(arguments)]
    found += [*_attention(arguments), *_packing(arguments)]
    if shape:
        found += [*_model(arguments, shape), *_modules(arguments, shape)]
    if gpu:
        found += _gpu(arguments, gpu)
    return found


def rate_problems(figures: Plan) -> Iterator[Problem]:
    """A run of which no step has a learning rate: a warm-up's first step has the rate 0."""
    if figures.steps == 1 and figures.warmup_steps:
        yield Problem(
            "warmup_steps",
            "the run has one step, and a warm-up begins at a learning rate of 0: nothing would be learned; set "
            "warmup_steps: 0, or train for more steps",
        )


def serving_problems(arguments: TrainArguments, shape: ModelShape | None = None) -> list[Problem]:
    """What trains and could not be merged or served afterwards, as the pipeline does it. `shape`: where it is known."""
    found = []
    if not arguments.merge_weights and arguments.lora_r > VLLM_RANKS[-1]:
        found.append(
            Problem(
                "lora_r",
                f"{arguments.lora_r}: vLLM serves ranks up to {VLLM_RANKS[-1]}; take at most that, or set "
                "merge_weights: true",
            )
        )
    embedding = any(EMBEDDINGS.endswith(target) for target in arguments.target_modules)
    if arguments.merge_weights and embedding and (shape is None or shape.tied):
        message = "embed_tokens: cannot be merged into a model that ties its LM head to it; leave it out"
        found.append(Problem("target_modules", message))
    return found


def _loss(arguments: TrainArguments) -> Iterator[Problem]:
    losses = ", ".join(arguments.loss_type)
    if arguments.label_smoothing > 0 and not set(SMOOTHED) & set(arguments.loss_type):
        yield Problem(
            "label_smoothing",
            f"{arguments.label_smoothing} would change nothing: TRL uses it in {', '.join(SMOOTHED)}, not in {losses}; "
            "leave it out, or set loss_type: robust",
        )
    if arguments.per_device_train_batch_size == 1 and set(SORTING) & set(arguments.loss_type):
        yield Problem(
            "per_device_train_batch_size",
            f"1 leaves nothing to sort: {losses} compares the sorted rows of a batch; take 2 or more, or another loss",
        )


def _reference(arguments: TrainArguments) -> Iterator[Problem]:
    cache = arguments.ref_log_probs_cache
    if arguments.precompute_ref_log_probs and set(arguments.loss_type) == {"sft"}:
        yield Problem(
            "precompute_ref_log_probs",
            "true: sft alone compares with no reference; leave it out, or add a loss that has one",
        )
    if cache and not arguments.precompute_ref_log_probs:
        yield Problem(
            "ref_log_probs_cache",
            "would change nothing without precompute_ref_log_probs: true; set it, or leave the folder out",
        )
    if cache and "://" in cache:
        yield Problem(
            "ref_log_probs_cache",
            f"{cache} is no folder; name one that the job can write to, or leave it out: values then go with the "
            "checkpoints",
        )


def _schedule(arguments: TrainArguments) -> Iterator[Problem]:
    warmup, given = arguments.warmup_steps, "warmup_steps" in arguments.model_fields_set
    if arguments.lr_scheduler_type == "constant" and given and warmup > 0:
        yield Problem(
            "warmup_steps",
            "would change nothing with lr_scheduler_type: constant; set lr_scheduler_type: constant_with_warmup, or 0",
        )
    if warmup >= 1 and 0 < arguments.max_steps <= warmup:
        yield Problem(
            "warmup_steps",
            f"{warmup:g} of {arguments.max_steps} steps (max_steps): the run would end before its learning rate is "
            "reached; take fewer, or a ratio below 1",
        )


def _targets(arguments: TrainArguments) -> Iterator[Problem]:
    if ALL_LINEAR in arguments.target_modules and len(arguments.target_modules) > 1:
        yield Problem(
            "target_modules",
            f"{ALL_LINEAR} beside other names is taken for a module's name, and passed over; give it alone",
        )


def _attention(arguments: TrainArguments) -> Iterator[Problem]:
    if arguments.attn_implementation == "flash_attention_2" and not arguments.bf16:
        yield Problem("attn_implementation", "flash_attention_2 needs bf16: true; write auto or sdpa")


def _packing(arguments: TrainArguments) -> Iterator[Problem]:
    given = {"group_by_prompt": arguments.grouped, "max_tokens_per_batch": arguments.token_budget}
    asked = [name for name, value in given.items() if value]
    if asked and not arguments.share_prompts:
        yield Problem(
            " and ".join(asked), "needs share_prompts: true, whose rows have no padding; set it, or leave this out"
        )
    if arguments.token_budget and set(SORTING) & set(arguments.loss_type):
        yield Problem(
            "max_tokens_per_batch",
            f"{', '.join(arguments.loss_type)} compares the sorted rows of a batch, and how many those are would "
            "depend on their tokens; leave it out, or take another loss",
        )
    share = "share_prompts" in arguments.model_fields_set and arguments.share_prompts
    if arguments.attn_implementation == "eager" and (asked or share):
        yield Problem(
            "attn_implementation", "eager has no form for the packed rows of share_prompts: true; write auto or sdpa"
        )


def _model(arguments: TrainArguments, shape: ModelShape) -> Iterator[Problem]:
    if arguments.max_length > shape.positions:
        yield Problem(
            "max_length",
            f"{arguments.max_length} is above the {shape.positions} positions of the model; take at most that",
        )
    if shape.quantization and arguments.load_in_4bit:
        yield Problem(
            "load_in_4bit",
            f"the model is quantised already ({shape.quantization}); name the original as model_id",
        )


def _modules(arguments: TrainArguments, shape: ModelShape) -> Iterator[Problem]:
    targets = [target for target in arguments.target_modules if target != ALL_LINEAR]
    short = sorted({name.rpartition(".")[2] for name in shape.modules()})
    for target in shape.unmatched(targets):
        near = difflib.get_close_matches(target, short, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(short)}"
        yield Problem("target_modules", f"{target}: the model has no such module, and peft passes over it; {hint}")


def _gpu(arguments: TrainArguments, gpu: Gpu) -> Iterator[Problem]:
    capability = ".".join(map(str, gpu.capability))
    if arguments.bf16 and not gpu.has_bf16:
        yield Problem(
            "bf16",
            f"true: a {gpu.name} (compute capability {capability}) has no bfloat16 arithmetic; take a GPU of 8.0 or "
            "newer, or set bf16: false",
        )
