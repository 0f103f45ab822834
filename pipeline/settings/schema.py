"""The types of a workflow's file in `configs/`, with the rules for each value; the account's are in `account.py`.

What several files must agree on, and whether what they name exists, is for `workflow.py`; a recipe's arguments are
`steps/train`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from pipeline.settings.candidates import Candidates
from pipeline.settings.collect import Collect
from pipeline.settings.section import Section, Tags
from steps.gate.rules.limits import ThresholdOn

InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$", description="SageMaker instance type.")]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Hours = Annotated[float, Field(gt=0, le=28 * 24, description="Longest run; the job is stopped after it.")]
VolumeGb = Annotated[
    int, Field(ge=1, le=16384, description="Size of the EBS volume; not used on instances with NVMe disks.")
]
Layout = Literal[  # the names in steps/preprocess/layouts/formats.py, which imports what only containers have
    "plain", "chat", "implicit-prompt", "ultrafeedback", "hh-rlhf", "sharegpt", "when2call", "openai", "swift",
    "swift-messages", "axolotl", "converse", "pku-saferlhf", "helpsteer3", "helpsteer2", "chatbot-arena", "arena-texts",
    "arena-flags", "alpaca-farm", "shp", "two-answers", "two-scores", "ultrafeedback-raw", "nectar", "nemo-rl",
    "vertex", "scored-answers", "scored-lists", "json-columns",
]  # fmt: skip
Column = Annotated[str | None, Field(min_length=1, max_length=200)]
FieldName = Annotated[str, Field(pattern=r"^[^-]", max_length=200)]  # a word on a command line, and no option


class Columns(Section):
    """What the data's own names are for the fields that a layout expects."""

    prompt: Column = None
    chosen: Column = None
    rejected: Column = None
    tools: Column = None
    system: Column = None
    messages: Column = None
    conversations: Column = None
    chosen_response: Column = None
    rejected_response: Column = None
    better_response_id: Column = None


def _prefix(named: str | None) -> str | None:
    if named and named.startswith("s3://") and not named.endswith("/"):
        raise ValueError(f'{named}: must end in "/"; without it the prefix also takes in its siblings')
    return named


FolderOrPrefix = Annotated[str | None, AfterValidator(_prefix)]


class Preprocess(Section):
    engine: Literal["python", "spark"] = Field("python", description="python runs on one instance, spark on several.")
    instance_type: InstanceType = "ml.m5.xlarge"
    instance_count: int = Field(1, ge=1, le=100, description="More than one only with spark.")
    volume_gb: VolumeGb = 30
    max_runtime_hours: Hours = 2
    format: Layout | None = Field(None, description="Layout of all files; without it, recognised from the rows.")
    columns: Columns = Columns()
    ignore_fields: tuple[FieldName, ...] = Field(
        (), description="Fields that mean nothing to the pairs, where rows are refused because of them."
    )
    pairs: Literal["best_worst", "best_vs_rest", "all"] = Field(
        "best_worst", description="Which pairs a list of scored answers becomes."
    )
    min_score_difference: float | None = Field(
        None, ge=0, description="Answers of a list whose scores differ by less are a tie, as equal ones are."
    )
    max_pairs: int | None = Field(None, ge=1, description="Most pairs of one list, those that differ most.")
    tool_calls: Literal["quarantine", "keep"] = Field(
        "quarantine", description="What happens to rows whose prompt or chosen answer calls a tool wrongly."
    )
    merge_turns: bool = Field(
        False, description="Join turns that follow one by the same speaker, an empty line between."
    )
    strip_prompt: bool = Field(False, description="Remove a prompt that an answer begins with.")
    near_duplicates: float | None = Field(
        None,
        ge=0.5,
        le=1,
        description="Leave out a prompt that is at least this similar to an earlier one.",
    )
    tokenizer: FolderOrPrefix = Field(
        None, description="Folder or S3 prefix of a tokenizer; lengths are then counted in tokens."
    )
    max_tokens: int | None = Field(None, ge=1, description="Rows longer than this are quarantined.")
    max_characters: int | None = Field(
        None, ge=1, description="Rows longer than this are quarantined; needs no tokenizer."
    )
    validation_fraction: Fraction = Field(0.1, description="Share of prompts that is held out for evaluation.")
    validation_data: str | None = Field(None, description="Your own held-out data, instead of a share.")
    canary: str | None = Field(
        None, description="Pairs that are held out of every run, whatever else is, and judged by themselves."
    )
    max_invalid_fraction: float = Field(
        0.1, ge=0, le=1, description="Stop the run if a larger share of the rows is invalid."
    )
    baseline: FolderOrPrefix = Field(None, description="The report/ folder of an earlier run, to compare with.")

    @field_validator("instance_count")
    @classmethod
    def _several_instances_need_spark(cls, count: int, info: ValidationInfo) -> int:
        if count > 1 and info.data.get("engine") == "python":
            raise ValueError(f"{count} instances need engine: spark; the python engine runs on one")
        return count

    @field_validator("max_tokens")
    @classmethod
    def _tokens_need_a_tokenizer(cls, tokens: int | None, info: ValidationInfo) -> int | None:
        if tokens is not None and "tokenizer" in info.data and info.data["tokenizer"] is None:
            raise ValueError("needs a tokenizer; name its folder as tokenizer, or give max_characters instead")
        return tokens


class Train(Section):
    instance_type: InstanceType
    instance_count: int = Field(1, ge=1, le=64)
    processes_per_node: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = "auto"
    volume_gb: VolumeGb = 100
    max_runtime_hours: Hours = 24
    initial_adapter: FolderOrPrefix = Field(
        None, description="Earlier adapter that training continues from: an S3 prefix, or a folder."
    )
    spot: bool = Field(False, description="Managed spot training; an interrupted job continues from its checkpoint.")
    spot_max_wait_hours: Hours = Field(48, description="Longest wait and run together; used with spot only.")
    keep_alive_minutes: int | None = Field(
        None,
        ge=1,
        le=60,
        description="Keep the instances warm, and paid, for the next run; not with spot. Its quota is 0 until you ask.",
    )

    @field_validator("keep_alive_minutes")
    @classmethod
    def _no_warm_pool_of_spot_instances(cls, minutes: int | None, info: ValidationInfo) -> int | None:
        if minutes is not None and info.data.get("spot"):
            raise ValueError("a warm pool cannot be of spot instances; leave out one of keep_alive_minutes and spot")
        return minutes


class Gate(Section):
    """Of the gate, and of the job that looks up the champion before it."""

    instance_type: InstanceType = "ml.t3.medium"
    max_runtime_hours: Hours = 1
    reward_accuracy_threshold: float = Field(
        0.6, ge=0, le=1, description="Lowest held-out reward accuracy that passes."
    )
    champion_tolerance: float = Field(
        0.02, ge=0, le=1, description="How far below the champion's reward accuracy on the same rows a model may be."
    )
    min_validation_rows: int = Field(
        30, ge=1, description="Fewest held-out rows to judge a model by; Preprocess ends a run that has fewer."
    )
    threshold_on: ThresholdOn = Field(
        "accuracy", description="What must reach the threshold: the accuracy, or the lower end of its 95 % interval."
    )
    max_chosen_drop: float | None = Field(
        None, ge=0, description="Most nats a token that the chosen answers' log-probability may fall; without it, any."
    )
    max_served_drift: float | None = Field(
        0.1,
        ge=0,
        le=1,
        description="Largest share of the held-out rows whose margin may change its sign between the base as it was "
        "trained on and as it is served; null: any.",
    )
    max_degenerate_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Largest share of the answers that may be empty, without an end, repetitive or hold a marker of "
        "the template.",
    )
    max_reversed_share: float | None = Field(
        0.2,
        ge=0,
        le=1,
        description="With `collect`: largest share of feedback's pairs that may prefer the other way round than the "
        "given data; null: any.",
    )
    canary_threshold: float = Field(
        0.6, ge=0, le=1, description="With `preprocess.canary`: lowest reward accuracy on it that passes."
    )
    judge: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]*$",
        max_length=256,  # of a job's argument
        description="Model of Amazon Bedrock, its inference profile or the ARN of one, that compares text answers "
        "with the base's; without it none does.",
    )
    judge_max_pairs: int = Field(64, ge=1, description="Most pairs of answers that the judge compares.")
    judge_max_tokens: int = Field(
        500_000, ge=1, description="Tokens after which the judge compares no further pair; they are what it costs."
    )


class Merge(Section):
    instance_type: InstanceType = "ml.m5.large"
    volume_gb: VolumeGb = 100
    max_runtime_hours: Hours = 6


class Register(Section):
    package_group: str = Field(
        pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$", description="Model package group of all versions."
    )
    approval_status: Literal["PendingManualApproval", "Approved", "Rejected"] = Field(
        "PendingManualApproval",
        description="Of a new version; default of the parameter ModelApprovalStatus. Approved wants allow_approved.",
    )
    allow_approved: bool = Field(
        False,
        validate_default=True,
        description="Whether an execution may register its version as approved, with nobody to look at it.",
    )
    register_with: Literal["step", "job"] = Field(
        "step", description="job: a small job sends the request, where Pipelines refuses a member of the step's."
    )
    instance_type: InstanceType = Field("ml.t3.medium", description="Of that job.")
    inference_instance_types: list[InstanceType] = Field(
        ["ml.g5.2xlarge"], min_length=1, description="What may serve a version; `deploy` takes the first."
    )
    tool_call_parser: str = Field(
        "auto",
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        max_length=64,
        description="vLLM's parser of tool calls; auto: by the name of the recipe's model, none where it is unknown; "
        "none: calls stay in the text.",
    )
    max_model_len: int | None = Field(
        None, ge=1, description="Tokens of a request with its answer when served; without it all that the model has."
    )

    @field_validator("allow_approved")
    @classmethod
    def _approved_is_said_twice(cls, allow: bool, info: ValidationInfo) -> bool:
        if info.data.get("approval_status") == "Approved" and not allow:
            raise ValueError(
                "approval_status: Approved approves every version that passes the gate unseen; write allow_approved: "
                "true if that is meant"
            )
        return allow

    @property
    def approval_statuses(self) -> tuple[str, ...]:
        """What an execution may register a version as."""
        return ("PendingManualApproval", *(("Approved",) if self.allow_approved else ()), "Rejected")


class Cache(Section):
    enabled: bool = True
    expire_after_days: int = Field(30, ge=1, description="Steps older than this run again.")


class WorkflowFile(Section):
    """One file `configs/NAME.yaml`."""

    pipeline_name: str = Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}$")
    description: str = Field("", max_length=3072)
    account: str = Field("account.yaml", description="Account file, beside this one.")
    recipe: str = Field(description="Recipe, relative to this file.")
    data: str = Field(description="Default preference data: an S3 URI, or a file or folder relative to this file.")
    make_model: str | None = Field(
        None, description="Module that makes the recipe's model folder (`python -m MODULE --output FOLDER`)."
    )
    collect: Collect | None = Field(
        None, description="Pairs from feedback on what endpoints answered; without the section there is no such step."
    )
    candidates: Candidates | None = Field(
        None, description="Pairs from several answers of the champion; without the section there is no such step."
    )
    preprocess: Preprocess = Preprocess()
    train: Train
    gate: Gate = Gate()
    merge: Merge = Merge()
    register_model: Register = Field(alias="register")
    cache: Cache = Cache()
    max_parallel_steps: int | None = Field(None, ge=1, description="Steps of one execution that may run at once.")
    tags: Tags = Field(default_factory=dict)

    @field_validator("collect", "candidates", mode="before")
    @classmethod
    def _named_alone_is_with_defaults(cls, section: object) -> object:
        """`collect:` with nothing below it asks for the step too, and so does `candidates:`."""
        return {} if section is None else section
