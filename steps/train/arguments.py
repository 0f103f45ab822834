"""The training arguments: one flat set with TRL's own names plus this module's, typed, read from YAML and overridden.

`python steps/train/train.py --config FILE --key value` and a SageMaker job's hyperparameters both end here. Imports
neither torch nor trl, so that `python pipeline.py check` reads a recipe in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from steps.shared import typed_yaml
from steps.shared.contract import StepError
from steps.shared.templates import arguments as template_arguments
from steps.train.other_names import OTHER_NAMES

LossType = Literal[
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
]  # fmt: skip

Attention = Literal["flash_attention_2", "sdpa", "eager"]  # what `attn_implementation` comes down to

# trl/trainer/dpo_trainer.py, _compute_loss: the losses that sort a batch's rows.
SORTING = ("aot", "aot_unpaired")

# Arguments of earlier releases of TRL and transformers, with what to write today (TRL 1.16, transformers 5.23).
SUCCESSORS = {
    "warmup_ratio": "write warmup_steps: a value below 1 is a ratio of all steps",
    "max_prompt_length": "write max_length (prompt and answer together) and truncation",
    "max_completion_length": "write max_length (prompt and answer together)",
    "rpo_alpha": "write loss_type: [sigmoid, sft] with loss_weights",
    "reference_free": "leave it out: the reference is the base model with the adapter off, or initial_adapter",
    "force_use_ref_model": "leave it out: the reference is the base model with the adapter off, or initial_adapter",
    "ref_adapter_name": "write initial_adapter: a folder",
    "generate_during_eval": "leave it out: at the end evaluate_answers asks held-out prompts",
    "tools": "put the tools into the data, a row at a time",
    "logging_dir": "write mlflow_uri or wandb_project",
    "overwrite_output_dir": "leave it out: a run resumes when its fingerprint fits, and starts anew otherwise",
    "group_by_length": "leave it out; a row of share_prompts has no padding",
    "padding_free": "leave it out; share_prompts: true has no padding",
    "no_cuda": "leave it out: a GPU is used where there is one",
    "save_safetensors": "leave it out: adapters are always safetensors",
    "torch_dtype": "write bf16: true or false",
    "dtype": "write bf16: true or false",
    "model_name_or_path": "write model_id",
    "lora_target_modules": "write target_modules",
    "dataset_name": "write train_data and validation_data, folders that the Preprocess step wrote",
    "evaluation_strategy": "write eval_steps",
    "eval_strategy": "write eval_steps",
    "report_to": "write mlflow_uri or wandb_project",
}


def _split(value: object) -> object:
    """`a,b` from a hyperparameter is the list [a, b]."""
    return value.split(",") if isinstance(value, str) else value


def _word(value: object) -> object:
    """YAML reads `true` as a bool, and a hyperparameter may have Python's `True`; beside `auto` it is a word."""
    return str(value).lower() if isinstance(value, bool | str) else value


Strings = Annotated[list[str], BeforeValidator(_split)]
Served = Annotated[Literal["auto", "true", "false"], BeforeValidator(_word)]
LossTypes = Annotated[list[LossType], BeforeValidator(_split)]


class FsdpConfig(BaseModel):
    """How FSDP2 shards; the names are transformers' own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[2] = Field(2, description="FSDP2, the only version here: transformers is removing FSDP1.")
    auto_wrap_policy: Literal["TRANSFORMER_BASED_WRAP", "SIZE_BASED_WRAP"] = Field(
        "TRANSFORMER_BASED_WRAP", description="What is sharded as one unit: a transformer block, or modules by size."
    )
    transformer_layer_cls_to_wrap: Strings | None = Field(
        None, description="Classes of the blocks, such as LlamaDecoderLayer; default: those that transformers names."
    )
    reshard_after_forward: bool = Field(
        True, description="Free a block's gathered weights after its forward pass: less memory, one more all-gather."
    )
    state_dict_type: Literal["FULL_STATE_DICT"] = Field(
        "FULL_STATE_DICT",
        description="Form of a checkpoint. SHARDED_STATE_DICT is not offered: with LoRA it can write empty ones.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> FsdpConfig:
        named = self.transformer_layer_cls_to_wrap
        if named is not None:
            if not named or not all(named):
                raise ValueError("transformer_layer_cls_to_wrap: name classes, or leave it out")
            if self.auto_wrap_policy != "TRANSFORMER_BASED_WRAP":
                raise ValueError("transformer_layer_cls_to_wrap: needs auto_wrap_policy: TRANSFORMER_BASED_WRAP")
        return self


class TrainArguments(BaseModel):
    """Every setting of a training run."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    # Model
    model_id: str = Field(min_length=1, description="Hub name or local folder of the base model.")
    model_revision: str | None = Field(None, description="Hub revision: a commit, tag or branch; ignored for a folder.")
    base_model_name: str | None = Field(
        None, description="Name of the base that is written into the adapter; default: model_id."
    )
    trust_remote_code: bool = Field(False, description="Run Python code that comes with the model.")
    attn_implementation: Literal["auto", "flash_attention_2", "sdpa", "eager"] = Field(
        "auto",
        description="auto: Flash Attention 2 where the GPU has it (torch's own for share_prompts, or the package's), "
        "otherwise SDPA.",
    )
    load_in_4bit: bool = Field(True, description="QLoRA: the frozen base in NF4.")
    bnb_4bit_use_double_quant: bool = Field(
        True, description="Quantise the constants of the quantisation too: a little less memory."
    )
    bf16: bool = Field(True, description="Compute, and store the 4-bit blocks, in bfloat16; false: float32.")

    # LoRA
    lora_r: int = Field(16, ge=1, le=1024, description="Rank of the adapter.")
    lora_alpha: float = Field(32, gt=0, description="Scale: the update is multiplied by lora_alpha / lora_r.")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")
    target_modules: Strings = Field(["all-linear"], description="Modules that get an adapter, or all-linear.")
    use_rslora: bool = Field(False, description="Scale by lora_alpha / sqrt(lora_r).")
    initial_adapter: str | None = Field(
        None, description="Folder of an earlier adapter to continue from; a frozen copy of it is the DPO reference."
    )
    continue_from_champion: bool = Field(
        False, description="Start from the champion's adapter; from a fresh one if there is no champion."
    )

    champion: str | None = Field(
        None,
        description="Folder of an adapter to compare with at the end; default: the channel `champion`, if it has one.",
    )
    champion_version: str | None = Field(None, description="Version number of the champion, shown in reports.")

    # Data
    train_data: str | None = Field(None, description="Folder of training Parquet; default: the channel `train`.")
    validation_data: str | None = Field(None, description="Held-out Parquet; default: the channel `validation`.")
    output_dir: str | None = Field(None, description="Folder of the results; default: the job's model folder.")
    max_length: int = Field(1024, ge=16, description="Most tokens of prompt and answer together.")
    truncation: Literal["drop", "cut_prompt"] = Field(
        "drop", description="What happens to longer rows: drop them (counted), or cut their prompt from the left."
    )
    chat_template_kwargs: dict[str, JsonValue] = Field(
        {},
        description="What the chat template may ask for, such as enable_thinking: false; what is served has it too.",
    )

    max_left_out_fraction: float = Field(
        0.1, ge=0, le=1, description="Highest share of a split's rows that may be left out; above it the run stops."
    )

    feedback_weight: int = Field(
        1, ge=1, le=1000, description="How often a pass over the rows sees a pair made of feedback; the others, once."
    )

    # Preference loss
    beta: float = Field(0.1, gt=0, description="DPO's beta: the higher, the closer the model stays to its reference.")
    loss_type: LossTypes = Field(["sigmoid"], min_length=1, description="One or several of TRL's losses.")
    loss_weights: list[float] | None = Field(None, description="A weight per loss_type.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="Assumed probability that chosen and rejected are swapped."
    )
    router_aux_loss_coef: float | None = Field(
        None,
        ge=0,
        description="Weight of the loss that balances the experts of a mixture; default: the model's own. 0: none.",
    )
    precompute_ref_log_probs: bool = Field(
        False, description="Compute the reference once before the first step; steps then run without its forward pass."
    )
    ref_log_probs_cache: str | None = Field(
        None, description="Folder that keeps these values for later runs; default: in the checkpoints folder."
    )

    # Optimisation
    learning_rate: float = Field(5e-6, gt=0, le=1, description="Peak learning rate.")
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = Field(
        "cosine", description="How the learning rate changes over the run."
    )
    warmup_steps: float = Field(0.1, ge=0, description="Warm-up in steps; a value below 1 is a share of all steps.")
    optim: Literal["adamw_torch", "adamw_torch_fused"] = Field(
        "adamw_torch", description="Optimizer. 8-bit and paged ones are not offered: FSDP2 cannot shard them."
    )
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="The gradient is clipped to this norm.")
    num_train_epochs: float = Field(1.0, gt=0, description="Passes over the training rows.")
    max_steps: int = Field(-1, ge=-1, description="Optimizer steps; above 0 it overrides num_train_epochs.")
    per_device_train_batch_size: int = Field(2, ge=1, description="Pairs per process and forward pass.")
    per_device_eval_batch_size: int = Field(4, ge=1, description="Pairs per process in evaluation.")
    gradient_accumulation_steps: int = Field(8, ge=1, description="Forward passes per optimizer step.")
    share_prompts: bool = Field(
        True, description="Compute a batch as one row in which each prompt occurs once; false: padded, as TRL does."
    )
    group_by_prompt: Literal["auto"] | bool = Field(
        "auto",
        description="Put all pairs of a prompt into one batch, so that they share it; auto: where the rows have "
        "several pairs a prompt.",
    )
    max_tokens_per_batch: Literal["auto"] | Annotated[int, Field(ge=16)] | None = Field(
        "auto",
        description="Fill a forward pass with pairs up to this many tokens; pairs per optimizer step do not change. "
        "auto: with pairs that are grouped by prompt, as many as per_device_train_batch_size of the longest pair have.",
    )
    gradient_checkpointing: bool = Field(True, description="Recompute activations: less memory, more time.")
    seed: int = Field(42, ge=0, lt=2**32, description="Seed of adapter, data order and dropout.")

    # Sharding
    fsdp: bool = Field(True, description="Shard over all processes with FSDP2; needs torchrun.")
    fsdp_config: FsdpConfig = Field(FsdpConfig(), description="How to shard.")
    ddp_timeout: int = Field(
        1800, ge=60, description="Seconds that a process waits for the others before the run fails."
    )

    # Judgement at the end
    evaluate_served: Served = Field(
        "auto",
        description="Evaluate the held-out rows once more on the unquantised base, as it is served; auto: where the "
        "estimate says that it takes no more memory than training.",
    )
    evaluate_answers: int = Field(
        64, ge=0, description="Held-out prompts that base, model and champion answer at the end. 0: none."
    )
    answers_max_new_tokens: int = Field(256, ge=1, description="Most tokens of such an answer.")
    answers_max_minutes: float = Field(
        10, gt=0, description="Time for all of them; what was answered by then is judged."
    )
    tool_call_parser: str = Field(
        "auto",
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="vLLM's name for the form of the model's calls; auto: by the model's name or chat template; none: "
        "calls are not read.",
    )

    # Checkpoints, logging, tracking
    logging_steps: int = Field(10, ge=1, description="Optimizer steps between two lines of metrics in the log.")
    eval_steps: int = Field(
        0, ge=0, description="Optimizer steps between held-out evaluations; 0: only before and after training."
    )
    save_steps: int = Field(100, ge=1, description="Optimizer steps between checkpoints.")
    save_total_limit: int = Field(2, ge=1, description="How many checkpoints are kept.")
    early_stopping_patience: int = Field(
        0,
        ge=0,
        description="End training after this many evaluations without a gain and keep the best checkpoint. 0: off.",
    )
    early_stopping_metric: Literal["eval_loss", "eval_reward_accuracy", "eval_reward_margin"] = Field(
        "eval_loss", description="Held-out figure that early stopping follows."
    )
    early_stopping_min_delta: float = Field(
        0.0, ge=0, description="A change must be larger than this to count as a gain."
    )
    stop_grad_norm_factor: float = Field(
        1000.0, gt=1, description="Stop if the gradient norm exceeds this many times the median of the last 5."
    )
    stop_reward_accuracy: float = Field(
        0.1, ge=0, lt=1, description="Stop if training reward accuracy stays below this over 5 log entries."
    )
    dataloader_num_workers: int = Field(
        0, ge=0, description="Processes that prepare batches; 0: the training process itself."
    )
    mlflow_uri: str | None = Field(
        None,
        description="MLflow: a tracking server's ARN or URL, sqlite:///FILE, or none; default: MLFLOW_TRACKING_URI.",
    )
    mlflow_experiment_name: str | None = Field(
        None, min_length=1, description="MLflow experiment; default: the pipeline's name, or dpo outside of one."
    )
    wandb_project: str | None = Field(None, description="Weights & Biases project.")
    run_name: str | None = Field(None, description="Name of the run in the trackers; default: pipeline and execution.")

    # Pipeline
    merge_weights: bool = Field(False, description="Merge the adapter into the base before registration.")

    @property
    def grouped(self) -> bool:
        """Whether pairs of a prompt stand together; not as long as that is undecided (`shared_prompts.grouping`)."""
        return self.group_by_prompt is True

    @property
    def token_budget(self) -> int | None:
        """Tokens that fill a forward pass; None where it has a number of pairs, or as long as that is undecided."""
        return None if self.max_tokens_per_batch == "auto" else self.max_tokens_per_batch

    @property
    def compute_kind(self) -> str:
        """What weights that are not in 4 bits are stored in, in words."""
        return "bfloat16" if self.bf16 else "float32"

    @model_validator(mode="after")
    def _consistent(self) -> TrainArguments:
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            raise ValueError(f"loss_weights: {len(self.loss_weights)} weights for {len(self.loss_type)} loss types")
        if self.early_stopping_patience and not self.eval_steps:
            raise ValueError("early_stopping_patience: needs eval_steps above 0, the steps between two evaluations")
        if "exo_pair" in self.loss_type and self.label_smoothing == 0:
            raise ValueError("label_smoothing: exo_pair needs a value above 0; its paper recommends 1e-3")
        if self.continue_from_champion and self.initial_adapter:
            raise ValueError("continue_from_champion: initial_adapter names another adapter to start from; take one")
        if why := template_arguments.fault(self.chat_template_kwargs):
            raise ValueError(f"chat_template_kwargs: {why}")
        if "lm_head" in self.target_modules:
            raise ValueError("target_modules: an adapter on lm_head would never be trained; leave it out")
        return self


def load(path: Path, overrides: Mapping[str, str] | None = None) -> TrainArguments:
    """Read a recipe; `overrides` win, as `weights_beside` says of the loss_weights.

    Raises:
        InvalidFile: with every problem, its line and the fix.
    """
    given = dict(overrides or {})
    if "loss_type" in given and path.is_file():
        written, _ = typed_yaml.read_mapping(path)
        changes = {key: typed_yaml.decode(value) for key, value in given.items()}
        given |= dict.fromkeys(weights_beside(written, changes), "null")
    return typed_yaml.load(path, TrainArguments, overrides=given, successors=SUCCESSORS, other_names=OTHER_NAMES)


def weights_beside(recipe: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, None]:
    """What to change besides: a recipe's loss_weights are those of its own losses, and another loss_type comes without
    them.

    Args:
        recipe, changes: arguments by their names, as a file or a hyperparameter writes them.
    """
    if "loss_type" not in changes or "loss_weights" in changes or recipe.get("loss_weights") is None:
        return {}
    same = _split(changes["loss_type"]) == _split(recipe.get("loss_type", "sigmoid"))
    return {} if same else {"loss_weights": None}


def parse(argv: Sequence[str]) -> tuple[Path, dict[str, str]]:
    """`--config FILE --key value --key=value …` as the file and the overrides; a bare `--key` means true.

    Raises:
        StepError: there is no --config, or an argument does not start with `--`.
    """
    overrides: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise StepError(f"{word}: expected --key value; usage: train.py --config FILE [--key value …]")
        key, equals, value = word[2:].partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        overrides[key.replace("-", "_")] = value
    if "config" not in overrides:
        raise StepError("--config FILE is missing; usage: train.py --config FILE [--key value …]")
    return Path(overrides.pop("config")), overrides
