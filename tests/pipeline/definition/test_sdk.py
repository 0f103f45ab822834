"""The SDK imported in part renders what the whole SDK does, and leaves the whole to whoever asks for it."""

from __future__ import annotations

import json
import sys

import pytest

from pipeline.definition import sdk
from tests.pipeline.workflows import SPARK, WORKFLOWS

RENDERS = """
import hashlib, json, sys
from pathlib import Path
from pipeline.definition.render import render
from pipeline.settings.workflow import load
texts = [render(load(Path(path))) for path in sys.argv[1:]]
print(json.dumps([[hashlib.sha256(text.encode()).hexdigest() for text in texts], sorted(sys.modules)]))
"""
HEAVY = {
    "pandas",
    "docker",
    "omegaconf",
    "sagemaker.core",
    "sagemaker.core.shapes",
    "sagemaker.serve",
    "sagemaker.train",
}


def test_every_workflow_renders_as_with_the_whole_sdk(run) -> None:
    region = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    light, whole = (
        run("-c", first + RENDERS, *WORKFLOWS, SPARK, **region)
        for first in ("", "import sagemaker.core, sagemaker.mlops.workflow\n")
    )
    assert (light.returncode, whole.returncode) == (0, 0), light.stderr + whole.stderr
    texts, modules = json.loads(light.stdout.splitlines()[-1])
    all_texts, all_modules = json.loads(whole.stdout.splitlines()[-1])
    assert texts == all_texts and len(set(texts)) == len(WORKFLOWS) + 1
    assert not HEAVY & set(modules) and set(all_modules) >= HEAVY


def test_afterwards_the_sdk_is_there_as_a_whole(run) -> None:
    program = (
        "from pipeline.definition import sdk\n"
        "with sdk.lightly():\n"
        "    from sagemaker.mlops.workflow.steps import Processor\n"
        "try:\n    Processor('role')\nexcept RuntimeError as error:\n    print(error)\n"
        "from sagemaker.core.processing import Processor as real\n"
        "from sagemaker.core import Attribution\n"
        "print(real.run.__name__)\n"
    )
    done = run("-c", program, AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true")
    assert done.returncode == 0, done.stderr
    said = "sagemaker.core.processing.Processor is left out of the SDK's import: see pipeline.definition.sdk"
    assert done.stdout.splitlines() == [said, "run"]


def test_what_is_imported_already_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    there = object()
    monkeypatch.setitem(sys.modules, "sagemaker.core", there)
    before = list(sys.meta_path)
    with sdk.lightly():
        assert sys.meta_path == before
    assert sys.modules["sagemaker.core"] is there


def test_an_import_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("sagemaker")]:
        monkeypatch.delitem(sys.modules, name)
    before = list(sys.meta_path)
    with pytest.raises(ImportError), sdk.lightly():
        import sagemaker.core.image_uris
        import sagemaker.core.no_such_module  # noqa: F401
    assert sys.meta_path == before
    assert not [name for name in sys.modules if name in sdk.ENTERED or name.startswith(sdk.LEFT_OUT)]
