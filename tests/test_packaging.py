"""One set of versions: what pyproject.toml pins is what the images install and what the constraints resolve to."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = PROJECT["optional-dependencies"]


def pins(lines: list[str]) -> dict[str, str]:
    """name -> version of `name[extra]==version` lines."""
    found = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[a-z0-9,]+\])?==([^\s;]+)", line)
        assert match, f"{line!r} is not pinned to one version"
        found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return found


def requirements(path: Path) -> dict[str, str]:
    return pins([line for line in path.read_text().splitlines() if line and not line.startswith("#")])


def step_files(step: str) -> list[Path]:
    return sorted((ROOT / "steps" / step).glob("*.py"))


def top_level_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_every_direct_dependency_is_pinned_and_the_constraints_agree() -> None:
    constraints = requirements(ROOT / "containers" / "constraints.txt")
    direct = [*PROJECT["dependencies"], *(line for name in GROUPS if name != "local" for line in GROUPS[name])]
    for name, version in pins(direct).items():
        if name != "ruff":
            assert constraints[name] == version, name


@pytest.mark.parametrize(("image", "provided"), [("training", {"torch"}), ("processing", set())])
def test_an_image_installs_its_group(image: str, provided: set[str]) -> None:
    """`provided`: what the base image brings."""
    installed = requirements(ROOT / "containers" / image / "requirements.txt")
    group = pins(GROUPS[image])
    light = pins([line for line in PROJECT["dependencies"] if line.startswith(("pydantic", "pyyaml"))])
    expected = {name: version for name, version in group.items() if name not in provided}
    assert installed == expected | (light if image == "training" else {})


def test_the_images_and_the_makefile_take_files_that_exist() -> None:
    for image in ("training", "processing"):
        text = (ROOT / "containers" / image / "Dockerfile").read_text()
        for source in re.findall(r"^COPY (\S+) ", text, re.MULTILINE):
            assert (ROOT / source).exists(), source
        assert "ARG BASE_IMAGE=" in text
    assert f"TORCH := torch=={pins(GROUPS['training'])['torch']}" in (ROOT / "Makefile").read_text()


SHARED = [ROOT / "steps" / name for name in ("contract.py", "records.py")]
CODE = {
    "training": [*SHARED, ROOT / "steps" / "typed_yaml.py", *step_files("train")],
    "processing": [*SHARED, *(path for step in ("preprocess", "gate", "merge") for path in step_files(step))],
}
PACKAGES = {"yaml": "pyyaml", "huggingface_hub": "huggingface-hub"}  # imported under another name


@pytest.mark.parametrize("image", CODE)
def test_an_image_has_what_its_code_imports_and_nothing_else(image: str) -> None:
    installed = set(requirements(ROOT / "containers" / image / "requirements.txt"))
    provided = {"torch"} if image == "training" else set()
    optional = {"mlflow", "wandb", "tokenizers", "orjson", "pyarrow"}  # transformers and records bring them in
    imported = {
        PACKAGES.get(name, name)
        for path in CODE[image]
        if path.name != "step.py"
        for name in top_level_imports(path)
        if name not in sys.stdlib_module_names and name != "steps"
    }
    assert imported <= installed | provided
    assert installed - optional <= imported
