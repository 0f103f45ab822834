"""Two worlds that never import each other's heavy half, and light commands that import neither."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.paths import ROOT

CONTAINER_SIDE = sorted(path for path in (ROOT / "steps").rglob("*.py") if path.name != "step.py")
DEFINITION_SIDE = sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "steps").rglob("step.py")])
ASK_AWS = (ROOT / "steps" / "champion" / "registry.py", ROOT / "steps" / "secrets.py")
SDK_USERS = {"definition.py", "processing.py", "request_step.py", "rendering.py", "step.py"}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("path", CONTAINER_SIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_container_code_knows_nothing_of_the_definition_side(path: Path) -> None:
    clients = set() if path in ASK_AWS else {"boto3"}
    assert imported(path).isdisjoint({"sagemaker", "pipeline"} | clients)


@pytest.mark.parametrize("path", DEFINITION_SIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_definition_side_never_imports_the_training_stack(path: Path) -> None:
    assert imported(path).isdisjoint({"torch", "transformers", "trl", "peft", "datasets", "accelerate"})
    if path.name not in SDK_USERS:
        assert "sagemaker" not in imported(path)


def test_commands_that_need_neither_import_neither_torch_nor_the_sdk(run, tmp_path: Path) -> None:
    program = (
        "import sys; from pipeline.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'sagemaker', 'boto3', 'transformers', 'peft', 'trl'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy or code else 0)"
    )
    recipe = ["check", "--recipe", "configs/recipes/qwen3-8b.yaml", "--instance-type", "ml.g5.12xlarge"]
    listing = ["list", "--local", "--local-root", str(tmp_path)]
    for words in (["--help"], listing, ["models", "--local"], recipe):
        done = run("-c", program, *words)
        assert done.returncode == 0, done.stderr
