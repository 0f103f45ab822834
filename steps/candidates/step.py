"""Definition of the Candidates step: prompts and the champion in, preference pairs out that Preprocess reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.settings.candidates import Candidates
from pipeline.step_kit.processing_job import Instances, ProcessingJob, module, output_uri
from steps.champion import step as champion_step
from steps.shared.secrets import HUB

if TYPE_CHECKING:
    from pipeline.step_kit.request_step import RequestStep
    from pipeline.step_kit.scope import Scope

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
# Settings that are options of the command under their own names.
SAME = (
    "answers", "temperature", "top_p", "max_new_tokens", "seed", "margin", "max_prompts", "max_minutes",
)  # fmt: skip


def build(scope: Scope, champion: RequestStep, collect: RequestStep | None, settings: Candidates) -> RequestStep:
    """Reads Collect's unpaired answers, the workflow's own prompts, the champion's adapter and the base; outputs
    `pairs` and `report` (also a property file).

    It runs in training's image and as training's role, which may read models, and so writes below Train's results.
    """
    workflow, parameter = scope.workflow, scope.parameter
    adapter = champion_step.fact(champion, "adapter_uri")
    inputs: dict[str, Any] = {
        "unpaired": output_uri(collect, "unpaired") if collect else None,
        "pairs": output_uri(collect, "pairs") if collect else None,
        "prompts": workflow.prompts_uri,
        "champion": adapter,
        "initial_adapter": parameter.get("InitialAdapterUri"),
        "base": parameter.get("ModelUri"),
    }
    inputs = {name: uri for name, uri in inputs.items() if uri is not None}
    job = ProcessingJob(
        role="train",
        command=module("steps.candidates"),
        arguments=[*_model(scope, champion), *_arguments(scope, settings, list(inputs))],
        inputs=inputs,
        outputs={name: f"{OUTPUT}/{name}" for name in ("pairs", "report")},
        property_files={"candidates": ("report", "report.json")},
        instances=Instances(settings.instance_type, settings.volume_gb, settings.max_runtime_hours),
        image=workflow.account.images.training,
        environment={"DATA_STATE": champion_step.fact(champion, "data_state")} if workflow.prompts_uri else {},
        secrets=() if "ModelUri" in parameter else HUB,
        folder="Train/candidates",
    )
    return job.step(scope, "Candidates", "Let the champion answer prompts without a pair, and pair best with worst.")


def _model(scope: Scope, champion: RequestStep) -> list[Any]:
    """The words that say who answers."""
    parameter, recipe = scope.parameter, scope.workflow.recipe
    if "ModelUri" in parameter:
        base: list[Any] = ["--base", f"{INPUT}/base"]
    else:
        base = ["--base", parameter["ModelId"], "--revision", champion_step.base_commit(champion)]
    return [
        *base,
        "--model-name", recipe.base_model_name or parameter["ModelUri" if "ModelUri" in parameter else "ModelId"],
        "--version", champion_step.fact(champion, "version"),
        "--lookup", champion_step.fact(champion, "reason"),
    ]  # fmt: skip


def _arguments(scope: Scope, settings: Candidates, inputs: list[str]) -> list[str]:
    """The rest of the command line of `steps/candidates/options.py`."""
    words = [word for name in inputs if name != "base" for word in (f"--{_option(name)}", f"{INPUT}/{name}")]
    words += ["--output", OUTPUT]
    words += [word for name in SAME for word in (f"--{_option(name)}", _word(getattr(settings, name)))]
    parser, kwargs = scope.workflow.settings.register_model.tool_call_parser, scope.workflow.recipe.chat_template_kwargs
    if parser != "auto":  # answers are judged by the parser that the endpoint will have
        words += ["--tool-call-parser", parser]
    if kwargs:
        words += ["--chat-template-kwargs", json.dumps(kwargs, sort_keys=True)]
    if judge := scope.workflow.settings.gate.judge:
        words += ["--judge", judge, "--judge-max-tokens", str(settings.judge_max_tokens)]
    return words


def _word(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _option(name: str) -> str:
    return name.replace("_", "-")
