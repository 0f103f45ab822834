"""The GPU of Candidates is compared with the unquantised base before anything is paid for."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.preflight.candidates import problems
from pipeline.settings import workflow as settings
from pipeline.settings.candidates import Candidates
from steps.train.model.shape import shape
from tests.paths import ROOT
from tests.steps.train import models


def found(model: dict | None, **section: str) -> list[str]:
    workflow = settings.load(ROOT / "configs" / "qwen3-8b.yaml")
    update = {"candidates": Candidates(**section) if section else None}
    asked = dataclasses.replace(workflow, settings=workflow.settings.model_copy(update=update))
    return [str(problem) for problem in problems(asked, None if model is None else shape(model))]


@pytest.mark.parametrize(
    ("model", "section"),
    [
        (models.QWEN3_8B, {"instance_type": "ml.g5.2xlarge"}),
        (models.LLAMA_70B, {}),
        (models.LLAMA_70B, {"instance_type": "ml.m5.xlarge"}),  # on a CPU the job asks the machine
        (models.LLAMA_70B, {"instance_type": "ml.p9.xlarge"}),
        (None, {"instance_type": "ml.g5.2xlarge"}),
    ],
)
def test_nothing_is_said_where_it_fits_or_is_not_known(model: dict | None, section: dict[str, str]) -> None:
    assert found(model, **section) == []


def test_a_base_that_no_gpu_of_the_instance_holds_is_a_problem_with_an_instance_that_would() -> None:
    (said,) = found(models.QWEN3_8B, instance_type="ml.g4dn.12xlarge")
    assert said.startswith("candidates.instance_type: unquantised the base takes 15.3 GiB, a GPU of ml.g4dn.12xlarge")
    assert said.endswith("has 14.6 GiB; take ml.g5.xlarge")
    (said,) = found(models.LLAMA_70B | {"num_hidden_layers": 160}, instance_type="ml.p5.48xlarge")
    assert said.endswith("no GPU is large enough: leave out candidates:")
