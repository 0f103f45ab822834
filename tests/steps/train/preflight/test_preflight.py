"""The preflight: fits or not, with changes that are estimated themselves; inside a job it warns and does not stop."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from steps.shared.contract import StepError
from steps.train import arguments
from steps.train.arguments import TrainArguments
from steps.train.footprint.ask import Measured
from steps.train.footprint.sizes import Footprint, Growth
from steps.train.model import shape as model_shape
from steps.train.model.coverage import Coverage
from steps.train.preflight import memory, this_job
from steps.train.preflight.base_alone import BaseAlone
from steps.train.preflight.preflight import Machine, on_instances, preflight, smallest_instance
from tests.paths import ROOT
from tests.steps.train import models

HUGE = models.LLAMA_70B | {"hidden_size": 65536, "intermediate_size": 262144}  # wide: many layers take long to list
SHAPES = {name: model_shape.shape(config) for name, config in models.ALL.items()}
REAL = [
    ("qwen3-0.6b", "Qwen3-0.6B", "ml.g5.2xlarge", 1, True),
    ("qwen3-8b", "Qwen3-8B", "ml.g5.12xlarge", 1, True),
    ("llama3.1-70b", "Llama-3.1-70B", "ml.p4d.24xlarge", 2, False),
]


def judged(recipe: str, model: str, instance: str, count: int) -> Any:
    loaded = arguments.load(ROOT / "configs" / "recipes" / f"{recipe}.yaml")
    return preflight(loaded, on_instances(instance, count), SHAPES[model])


@pytest.mark.parametrize(("recipe", "model", "instance", "count", "fits"), REAL, ids=[row[0] for row in REAL])
def test_the_workflows_of_this_project(recipe: str, model: str, instance: str, count: int, fits: bool) -> None:
    result = judged(recipe, model, instance, count)
    assert result.fits is fits
    assert [problem.key for problem in result.problems] == ([] if fits else ["memory"])


def test_70b_does_not_load_on_40_gb_gpus_and_says_what_would() -> None:
    result = judged("llama3.1-70b", "Llama-3.1-70B", "ml.p4d.24xlarge", 2)
    assert result.memory.peak.name == "loading"
    assert str(result.problems[0]) == (
        "memory: 41.2 GiB a GPU are estimated (loading), A100 40 GB has 39.4 GiB; each of these would fit: "
        "1 x ml.p5.4xlarge"
    )
    assert judged("llama3.1-70b", "Llama-3.1-70B", "ml.p4de.24xlarge", 2).fits


def test_every_change_that_is_proposed_fits() -> None:
    recipe = TrainArguments(
        model_id="m", per_device_train_batch_size=4, max_length=2048, fsdp=False, load_in_4bit=False
    )
    machine, shape = on_instances("ml.g5.12xlarge"), SHAPES["Qwen3-8B"]
    result = preflight(recipe, machine, shape)
    assert result.fits is False
    assert result.changes == [
        "per_device_train_batch_size: 1 with gradient_accumulation_steps: 32 (19.6 GiB)",
        "load_in_4bit: true (17.0 GiB)",
        "fsdp: true (15.3 GiB)",
        "max_length: 768 (20.7 GiB)",
    ]
    for update in ({"per_device_train_batch_size": 1}, {"load_in_4bit": True}, {"fsdp": True}, {"max_length": 768}):
        assert preflight(recipe.model_copy(update=update), machine, shape).fits
    # A length of 64 more would leave less than 5 % of the GPU.
    longer = recipe.model_copy(update={"max_length": 768 + 64})
    assert memory.estimate(longer, shape, ranks=4).peak.bytes > 0.95 * machine.gpu.usable


def test_where_no_setting_is_enough_alone_several_are_proposed_together() -> None:
    recipe = TrainArguments(
        model_id="m", per_device_train_batch_size=8, max_length=4096, gradient_checkpointing=False, load_in_4bit=False
    )
    result = preflight(recipe, on_instances("ml.g6e.12xlarge"), SHAPES["Qwen3-8B"])
    assert result.changes == [
        "gradient_checkpointing: true and per_device_train_batch_size: 1 with gradient_accumulation_steps: 64 "
        "(11.6 GiB)",
        "max_length: 256 (39.4 GiB)",
    ]


def test_more_gpus_and_smaller_evaluation_batches_can_be_the_change() -> None:
    sharded = TrainArguments(
        model_id="m", load_in_4bit=False, per_device_train_batch_size=1, per_device_eval_batch_size=1
    )
    result = preflight(sharded, on_instances("ml.g5.12xlarge"), SHAPES["Llama-3.1-70B"])
    assert result.changes == ["16 GPUs instead of 4 (18.8 GiB)"]
    evaluated = TrainArguments(
        model_id="m", per_device_train_batch_size=1, per_device_eval_batch_size=64, max_length=2048
    )
    result = preflight(evaluated, on_instances("ml.g5.xlarge"), SHAPES["Qwen3-8B"])
    assert result.memory.peak.name == "evaluation"
    assert result.changes[0] == "per_device_eval_batch_size: 25 (20.9 GiB)"


def test_a_smaller_token_budget_can_be_the_change() -> None:
    recipe = TrainArguments(model_id="m", max_length=1024, max_tokens_per_batch=65536, gradient_accumulation_steps=64)
    result = preflight(recipe, on_instances("ml.g5.xlarge"), SHAPES["Qwen3-8B"])
    assert result.changes[0].startswith("max_tokens_per_batch: ")
    tokens = int(result.changes[0].split()[1])
    machine = on_instances("ml.g5.xlarge")
    assert preflight(recipe.model_copy(update={"max_tokens_per_batch": tokens}), machine, SHAPES["Qwen3-8B"]).fits


def test_what_nothing_mends_says_so() -> None:
    huge = model_shape.shape(HUGE)
    result = preflight(TrainArguments(model_id="m"), on_instances("ml.g5.xlarge"), huge)
    assert str(result.problems[0]).endswith(
        "; no change of settings is enough: take more GPUs, or GPUs with more memory"
    )


def test_the_smallest_instance_is_the_first_that_fits_and_has_bfloat16() -> None:
    recipe = TrainArguments(model_id="m", per_device_train_batch_size=1)
    assert smallest_instance(recipe, SHAPES["Qwen3-0.6B"], "sdpa") == "ml.g5.xlarge"  # g4dn is smaller, its T4 has none
    assert smallest_instance(recipe, SHAPES["Llama-3.1-70B"], "sdpa") == "ml.p5.4xlarge"
    huge = model_shape.shape(HUGE)
    assert smallest_instance(recipe, huge, "sdpa") is None


def test_a_narrow_fit_is_a_note() -> None:
    recipe = TrainArguments(model_id="m", per_device_train_batch_size=1, max_length=512)
    peak = memory.estimate(recipe, SHAPES["Qwen3-8B"]).peak.bytes
    gpu = on_instances("ml.g5.xlarge").gpu
    narrow = type(gpu)("narrow", 0, 1.02 * peak / memory.GIB, (8, 0))
    result = preflight(recipe, Machine("this", 1, narrow), SHAPES["Qwen3-8B"])
    assert result.fits
    assert "only 2% of the GPU's memory is left: the estimate is not that exact" in result.notes


UNKNOWN_INSTANCE = "ml.x9.large: not in the table of GPU instances (steps/train/preflight/instances.py)"


@pytest.mark.parametrize(
    ("instance", "count", "each", "ranks", "gpu", "note"),
    [
        ("ml.g5.12xlarge", 2, None, 8, "A10G", None),
        ("ml.g5.12xlarge", 1, 2, 2, "A10G", None),
        ("ml.m5.xlarge", 1, 2, 2, None, "ml.m5.xlarge has no GPU: there is no GPU memory to compare with"),
        ("ml.x9.large", 2, None, 2, None, UNKNOWN_INSTANCE),
        (None, 1, None, 1, None, "no instance type given: nothing to compare with"),
    ],
)
def test_a_machine_is_a_process_a_gpu(
    instance: str | None, count: int, each: int | None, ranks: int, gpu: str | None, note: str | None
) -> None:
    machine = on_instances(instance, count, each)
    assert (machine.ranks, machine.gpu and machine.gpu.name, machine.note) == (ranks, gpu, note)


def test_a_model_of_unknown_shape_is_said_to_be_unknown() -> None:
    result = preflight(TrainArguments(model_id="m"), on_instances("ml.g5.xlarge"), None, unknown="a hub name")
    assert (result.memory, result.fits, result.unknown) == (None, None, "a hub name")
    assert result.as_dict()["memory_unknown"] == "a hub name"


def test_rows_that_are_shorter_than_max_length_need_less() -> None:
    recipe = TrainArguments(model_id="m", max_length=4096)
    long = preflight(recipe, Machine("m"), SHAPES["Qwen3-8B"])
    short = preflight(recipe, Machine("m"), SHAPES["Qwen3-8B"], length=512)
    assert short.memory.peak.bytes < long.memory.peak.bytes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(models.QWEN3_0_6B))
    return tmp_path


def test_a_job_logs_its_estimate(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = TrainArguments(model_id=str(model), attn_implementation="sdpa")
    with caplog.at_level(logging.INFO, logger="steps.train.preflight.this_job"):
        this_job.run_preflight(recipe, ranks=2, rank=1, rows=100, longest=64)
        assert caplog.messages == []  # rank 0 speaks for all
        this_job.run_preflight(recipe, ranks=2, rank=0, rows=100, longest=64)
    assert caplog.messages[0] == "preflight: 4 steps of 32 pairs on 2 processes, 100 rows"
    assert caplog.messages[1].endswith("; there is no GPU memory to compare with")


def test_a_job_stops_at_settings_that_do_not_go_together(model: Path) -> None:
    recipe = TrainArguments(model_id=str(model), attn_implementation="sdpa", label_smoothing=0.1, max_length=50000)
    with pytest.raises(StepError) as caught:
        this_job.run_preflight(recipe, ranks=1, rank=0, rows=100, longest=64)
    lines = str(caught.value).splitlines()
    assert lines[0] == "the recipe cannot be trained as it is:"
    assert [line.split(":")[0] for line in lines[1:]] == ["  label_smoothing", "  max_length"]


def test_a_job_that_may_be_too_large_is_warned_and_goes_on(
    model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = type(on_instances("ml.g5.xlarge").gpu)("small", 1024, 1.0, (8, 0))
    monkeypatch.setattr(this_job, "_machine", lambda ranks: Machine("this machine", ranks, gpu))
    with caplog.at_level(logging.INFO, logger="steps.train.preflight.this_job"):
        this_job.run_preflight(
            TrainArguments(model_id=str(model), attn_implementation="sdpa"), ranks=1, rank=0, rows=100, longest=64
        )
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("preflight: memory: ") and "small has 1.0 GiB" in warning


def test_a_model_of_another_family_is_logged_as_not_estimated(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    (model / "config.json").write_text('{"model_type": "gpt_oss"}')
    recipe = TrainArguments(model_id=str(model), attn_implementation="sdpa", evaluate_served="false")
    with caplog.at_level(logging.INFO, logger="steps.train.preflight.this_job"):
        assert this_job.run_preflight(recipe, ranks=1, rank=0, rows=100, longest=64) == "evaluate_served: false"
    assert any("memory not estimated: " in line and "model_type gpt_oss" in line for line in caplog.messages)


def test_a_job_measures_another_family_where_it_decides_what_is_evaluated(
    model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what a mixture's code or a config.json that cannot be read says, the estimate's lack is the reason."""
    (model / "config.json").write_text('{"model_type": "gpt_oss"}')
    recipe = TrainArguments(model_id=str(model), attn_implementation="sdpa")
    growth = Growth(0, 64, 0)
    found = Footprint(2, 32, 3200, True, 9000, 4000, 4500, 400, 1000, 900, 450, growth, growth, growth, growth)
    for measured, said in (
        (Measured(footprint=found), None),
        (Measured(unknown="its code asks for values"), "its code asks for values"),
        (Measured(refused="target_modules: none"), "target_modules: none"),
    ):
        monkeypatch.setattr(this_job, "measure", lambda *_, measured=measured: measured)
        unserved = this_job.run_preflight(recipe, ranks=1, rank=0, rows=100, longest=64)
        assert unserved is None if said is None else said in str(unserved)
        assert this_job.run_preflight(
            recipe.model_copy(update={"evaluate_served": "true"}), ranks=1, rank=0, rows=100, longest=64
        ) is None  # fmt: skip


def test_a_run_whose_only_step_has_the_rate_0_is_refused() -> None:
    def problems(**settings: object) -> list[str]:
        recipe = TrainArguments(model_id="m", **settings)
        return [str(problem) for problem in preflight(recipe, on_instances(None), SHAPES["Qwen3-0.6B"]).problems]

    assert problems(max_steps=1) == [
        "warmup_steps: the run has one step, and a warm-up begins at a learning rate of 0: nothing would be learned; "
        "set warmup_steps: 0, or train for more steps"
    ]
    assert problems(max_steps=1, warmup_steps=0) == problems(max_steps=2) == []


def test_a_base_that_is_larger_than_the_gpu_is_told_where_its_shape_is_not_known() -> None:
    mixture = BaseAlone(weights=30 * 10**9, quantised=10**9, experts=28 * 10**9)

    def said(instance: str, base: BaseAlone, **recipe: Any) -> list[str]:
        recipe = {"model_id": "m", "max_steps": 9} | recipe
        found = preflight(TrainArguments(**recipe), on_instances(instance), None, unknown="another family", base=base)
        return [str(problem) for problem in found.problems]

    # 29 billion in 2 bytes, a billion in half a byte and a byte for 64 of them.
    assert said("ml.g5.xlarge", mixture) == [
        "memory: the base alone takes 54.5 GiB a GPU, A10G has 22.0 GiB; take GPUs with more memory"
    ]
    assert said("ml.p4de.24xlarge", mixture) == []
    assert said("ml.g5.xlarge", mixture, trust_remote_code=True) == []  # its own code may hold experts as layers
    dense = BaseAlone(weights=30 * 10**9, quantised=29 * 10**9, experts=0)
    assert said("ml.g5.xlarge", dense) == []
    assert said("ml.g5.12xlarge", dense, load_in_4bit=False) == []  # 14 GiB each on four GPUs
    assert said("ml.g5.xlarge", dense, load_in_4bit=False) == [
        "memory: the base alone takes 55.9 GiB a GPU, A10G has 22.0 GiB; set load_in_4bit: true, or take GPUs with "
        "more memory"
    ]


def test_a_job_logs_what_base_and_adapter_take_where_the_shape_is_not_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mixtral"}')
    coverage = Coverage(weights=2 * 2**30, embeddings=0, quantised=0, adapted=0, experts=0, adapted_experts=0,
                        adapter=2**28)  # fmt: skip
    with caplog.at_level(logging.INFO, logger="steps.train.preflight.this_job"):
        this_job.report_base(TrainArguments(model_id=str(tmp_path)), coverage, ranks=2)
    assert caplog.messages == [
        "preflight: the base takes 4.0 GiB a process while it loads, adapter and optimizer 2.0 GiB; there is no GPU to "
        "compare with; activations come on top"
    ]
