"""The order of floors: no circle of imports, nothing imports what stands above it, two worlds stay apart."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.structure import circle, imports, room, rooms, sources

CONTAINER_SIDE = sorted(path for path in (ROOT / "steps").rglob("*.py") if path.name != "step.py")
DEFINITION_SIDE = sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "steps").rglob("step.py")])
ASK_AWS = (
    ROOT / "steps" / "champion" / "approved.py",
    ROOT / "steps" / "shared" / "secrets.py",
    ROOT / "steps" / "gate" / "judge" / "bedrock.py",
)
SDK_USERS = {"build.py", "processing_job.py", "request_step.py", "scope.py", "render.py", "step.py"}


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


# From the ground up. A floor may import those below it and itself; a step's code knows shared and its own rooms.
FLOORS = (
    {
        "steps.shared",
        "steps.shared.calls",
        "steps.shared.libraries",
        "steps.shared.pages",
        "steps.shared.signs",
        "steps.shared.statistics",
        "steps.shared.templates",
        "steps.shared.weights",
        "pipeline.errors",
        "pipeline.feedback",
        "pipeline.files",
        "pipeline.texts",
        "pipeline.rendered",
    },
    {"a step's own rooms"},
    {"pipeline.settings", "pipeline.checks"},
    {"pipeline.parameters", "pipeline.step_kit"},
    {"pipeline.preflight"},
    {"step.py"},
    {"pipeline.definition"},
    {"pipeline.aws"},
    {"pipeline.account", "pipeline.automation", "pipeline.versions", "pipeline.watching"},
    {"pipeline.account_check"},
    {"pipeline.account_check.subjects"},
    {"pipeline.local.state"},
    {"pipeline.local.plan"},
    {"pipeline.local.jobs", "pipeline.local.jobs.in_job"},
    {"pipeline.local"},
    {"pipeline.forgetting"},
    {"pipeline.report"},
    {"pipeline.commands.shared"},
    {"pipeline.commands"},
    {
        "pipeline.commands.automation",
        "pipeline.commands.feedback",
        "pipeline.commands.reports",
        "pipeline.commands.trying",
    },
    {"pipeline.verbs"},
    {"pipeline.cli"},
)
# Answering and Collect read messages as Preprocess does, and Answering model folders as Merge does; the job that
# registers reads the registry as Champion does, and the gate looks for it to know that a run is one on this machine.
# Candidates loads what answers as Answering does, has it answer and judges that as Train and Gate do.
READS_OTHERS = {"answer": {"merge", "preprocess"}, "register": {"champion"}, "gate": {"champion"},
                "collect": {"preprocess"},
                "candidates": {"answer", "champion", "collect", "gate", "merge", "preprocess", "train"}}  # fmt: skip
MODULES = sources("pipeline", "steps")
GRAPH = imports(MODULES)
PACKAGES = {".".join(path.parent.relative_to(ROOT).parts) for path in MODULES.values()}


def floor(module: str) -> int:
    name = room(module)
    if name.startswith("steps.") and not name.startswith("steps.shared"):
        name = "step.py" if name.endswith(".step") else "a step's own rooms"
    return next(number for number, floor in enumerate(FLOORS) if name in floor)


def test_no_modules_and_no_rooms_import_each_other_in_a_circle() -> None:
    assert len(GRAPH) > 250 and sum(map(len, GRAPH.values())) > 700
    assert circle(GRAPH) == []
    assert circle(rooms(GRAPH)) == []


def test_a_circle_would_be_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) in (
        ["a", "b", "c", "a"],
        ["b", "c", "a", "b"],
        ["c", "a", "b", "c"],
    )


def test_nothing_imports_what_stands_above_it() -> None:
    placed = {module: floor(module) for module in GRAPH if module not in PACKAGES}
    up = [
        f"{module} -> {other}"
        for module, others in GRAPH.items()
        if module in placed
        for other in others
        if other in placed and placed[other] > placed[module]
    ]
    assert up == []
    assert {placed[module] for module in placed} == set(range(len(FLOORS)))


def test_a_steps_code_knows_what_is_shared_and_its_own_rooms() -> None:
    strangers = []
    for module, others in GRAPH.items():
        side, _, rest = module.partition(".")
        own = rest.partition(".")[0]
        if side != "steps" or module.endswith(".step"):
            continue
        known = {own, "shared"} | READS_OTHERS.get(own, set())
        strangers += [f"{module} -> {other}" for other in others if other.split(".")[1] not in known]
    assert strangers == []


@pytest.mark.parametrize("folder", sorted({path.parent for path in sources("pipeline", "steps", "tests").values()}))
def test_a_folder_has_at_most_fifteen_modules(folder: Path) -> None:
    assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 15


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}))
def test_a_package_says_in_one_line_what_it_is_for(folder: Path) -> None:
    text = (folder / "__init__.py").read_text()
    assert text.startswith('"""') and text.count("\n") == 1 and len(text) > 40
