"""The table of GPU instances against what AWS's own packages in this environment say."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from steps.train.preflight import instances


def aws_figures() -> dict[str, tuple[int, int]]:
    """Type -> GPUs and MiB of all of them, the least that the SageMaker SDK's file has for any region."""
    import sagemaker.core

    path = Path(sagemaker.core.__path__[0]) / "image_uri_config" / "instance_gpu_info.json"
    found: dict[str, tuple[int, int]] = {}
    for types in json.loads(path.read_text()).values():
        for name, info in types.items():
            here = (info["Count"], info["TotalGpuMemoryInMiB"])
            found[name] = min(here, found.get(name, here))
    return found


def test_counts_and_memory_are_those_of_the_sagemaker_sdk() -> None:
    shared = instances.INSTANCES.keys() & aws_figures().keys()
    assert {"ml.g4dn.12xlarge", "ml.g5.48xlarge", "ml.p3.8xlarge", "ml.p4d.24xlarge", "ml.p5.48xlarge"} <= shared
    for name in shared:
        mine, (gpus, total) = instances.INSTANCES[name], aws_figures()[name]
        assert mine.gpus == gpus, name
        # The SDK still has A10G's nominal 24,576 MiB for most g5 sizes; EC2 states 22,888.
        stated = {24576, 22888} if mine.gpu is instances.A10G else {mine.gpu.stated_mib}
        assert total // gpus in stated, name


def test_every_type_of_the_families_that_training_offers_is_listed() -> None:
    import botocore

    path = Path(botocore.__path__[0]) / "data" / "sagemaker" / "2017-07-24" / "service-2.json.gz"
    model = json.loads(gzip.decompress(path.read_bytes()))
    offered = set(model["shapes"]["TrainingInstanceType"]["enum"])
    families = {name.split(".")[1] for name in instances.INSTANCES}
    assert {"g4dn", "g5", "g6", "g6e", "p3", "p4d", "p4de", "p5", "p5e", "p5en"} <= families
    assert {name for name in offered if name.split(".")[1] in families} == set(instances.INSTANCES)


def test_usable_memory_is_less_than_stated_and_not_by_much() -> None:
    assert len(instances.INSTANCES) >= 20
    for instance in instances.INSTANCES.values():
        assert 0.9 <= instance.gpu.usable / (instance.gpu.stated_mib * instances.MIB) < 1, instance.name


@pytest.mark.parametrize("name", ["ml.m5.xlarge", "ml.c7i-flex.large", "ml.t3.medium"])
def test_a_type_without_a_gpu_is_known_as_such(name: str) -> None:
    assert instances.find(name) == instances.Instance(name, 0, None)


def test_an_unknown_type_is_said_to_be_unknown() -> None:
    assert instances.find("ml.g5.13xlarge") is None
    assert instances.find("g5.xlarge") is None
    assert instances.unknown("g5.12xlarge").endswith("; did you mean ml.g5.12xlarge?")
    assert instances.unknown("ml.trn1.2xlarge") == (
        "ml.trn1.2xlarge: not in the table of GPU instances (steps/train/preflight/instances.py)"
    )


def test_bfloat16_comes_with_ampere() -> None:
    without = {one.gpu.name for one in instances.INSTANCES.values() if not one.gpu.has_bf16}
    assert without == {"T4", "V100", "V100 32 GB"}


def test_the_order_is_by_memory() -> None:
    order = [one.name for one, _ in instances.by_size()]
    assert order[0] == "ml.g4dn.xlarge"
    assert order.index("ml.g5.xlarge") < order.index("ml.g6e.xlarge") < order.index("ml.p4d.24xlarge")
    assert order[-2:] == ["ml.p5e.48xlarge", "ml.p5en.48xlarge"]
