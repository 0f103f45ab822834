"""Kept definitions: the same bytes as a render, and never those of other settings, code or packages."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pipeline.definition import kept
from pipeline.definition.render import render
from pipeline.settings import workflow as settings
from tests.paths import ROOT

WORKFLOW = settings.load(settings.DEFAULT_SETTINGS)
FILES = ("settings", "account", "recipe")


class Renders:
    """Stands for the SDK: counts, and says whose render it is."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, workflow: settings.Workflow) -> str:
        self.count += 1
        return f"{workflow.settings.pipeline_name}, {workflow.recipe.beta}, render {self.count}"


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Renders:
    monkeypatch.setattr(kept, "LOCAL_ROOT", tmp_path / "state")
    monkeypatch.setattr(kept, "FOLDER", tmp_path / "state" / "rendered")
    monkeypatch.setattr(kept, "render", found := Renders())
    return found


def files() -> list[Path]:
    return sorted(kept.FOLDER.glob("*"))


def test_a_second_command_gets_the_first_ones_bytes_and_renders_nothing(renders: Renders) -> None:
    first = kept.rendered(WORKFLOW)
    assert kept.rendered(settings.load(settings.DEFAULT_SETTINGS)) == first
    assert renders.count == 1 and len(files()) == 1


def test_a_kept_definition_is_the_render_itself(monkeypatch: pytest.MonkeyPatch, renders: Renders) -> None:
    monkeypatch.setattr(kept, "render", render)
    assert kept.rendered(WORKFLOW) == kept.rendered(WORKFLOW) == render(WORKFLOW)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(WORKFLOW)])
def test_every_field_of_a_workflow_decides(name: str) -> None:
    value: Any = getattr(WORKFLOW, name)
    changed = value.model_copy(update={"tags": {"a": "b"}}) if name in FILES[:2] else "changed"
    if name == "recipe":
        changed = value.model_copy(update={"beta": 0.25})
    assert kept.key_of(dataclasses.replace(WORKFLOW, **{name: changed})) != kept.key_of(WORKFLOW)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("file", FILES)
def test_every_setting_decides(file: str) -> None:
    value, key = getattr(WORKFLOW, file), kept.key_of(WORKFLOW)
    for name in type(value).model_fields:
        other = dataclasses.replace(WORKFLOW, **{file: value.model_copy(update={name: "changed"})})
        assert kept.key_of(other) != key, name


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("quickstart.yaml", "volume_gb: 30", "volume_gb: 31"),
        ("account.yaml", '"111122223333"', '"111122223334"'),
        ("recipes/quickstart.yaml", "beta: 0.1", "beta: 0.2"),
        ("pairs.jsonl", "", "\n"),
    ],
)
def test_a_change_in_a_file_that_a_workflow_names_is_rendered(
    renders: Renders, tmp_path: Path, file: str, old: str, new: str
) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(ROOT / "configs", configs)
    shutil.copy(ROOT / "steps" / "quickstart" / "preferences.jsonl", configs / "pairs.jsonl")
    workflow = configs / "quickstart.yaml"
    text = workflow.read_text().replace("../steps/quickstart/preferences.jsonl", "pairs.jsonl")
    workflow.write_text(text + ("" if "volume_gb" in text else "merge:\n  volume_gb: 30\n"))
    first = kept.rendered(settings.load(workflow))
    assert kept.rendered(settings.load(workflow)) == first and renders.count == 1
    before = (configs / file).read_text()
    assert old in before
    (configs / file).write_text(before.replace(old, new, 1) if old else before + new)
    assert kept.rendered(settings.load(workflow)) != first
    (configs / file).write_text(before)
    assert kept.rendered(settings.load(workflow)) == first
    assert renders.count == 2


def test_the_code_on_both_sides_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = tmp_path / "pipeline"
    (code / "step_kit").mkdir(parents=True)
    (code / "step_kit" / "scope.py").write_text("VALUE = 1\n")
    monkeypatch.setattr(kept, "CODE", code)
    first = kept.key_of(WORKFLOW)
    (code / "README.md").write_text("not code\n")
    assert kept.key_of(WORKFLOW) == first
    (code / "step_kit" / "scope.py").write_text("VALUE = 2\n")
    assert kept.key_of(WORKFLOW) != first
    steps = tmp_path / "steps"
    shutil.copytree(ROOT / "steps" / "merge", steps / "merge", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(settings, "STEPS", steps)
    second = kept.key_of(settings.load(settings.DEFAULT_SETTINGS))
    with open(steps / "merge" / "step.py", "a") as file:
        file.write("# changed\n")
    assert kept.key_of(settings.load(settings.DEFAULT_SETTINGS)) != second


@pytest.mark.parametrize("package", kept.PACKAGES)
def test_the_version_of_what_renders_decides(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    first, version = kept.key_of(WORKFLOW), metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1" if name == package else version(name))
    assert kept.key_of(WORKFLOW) != first


def test_python_and_the_sdks_variables_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept.key_of(WORKFLOW)
    monkeypatch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", "/tmp/config.yaml")
    second = kept.key_of(WORKFLOW)
    monkeypatch.setattr(sys, "version", "3.12.0 (another)")
    assert len({first, second, kept.key_of(WORKFLOW)}) == 3


@pytest.mark.parametrize("damage", ["", "half", "no hash", b"\xff\xfe", "folder"])
def test_a_damaged_file_is_rendered_anew(renders: Renders, damage: str | bytes) -> None:
    first = kept.rendered(WORKFLOW)
    (file,) = files()
    whole = file.read_text()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    elif isinstance(damage, bytes):
        file.write_bytes(damage)
    else:
        file.write_text({"": "", "half": whole[: len(whole) - 3], "no hash": whole.partition("\n")[2]}[damage])
    assert kept.rendered(WORKFLOW) != first and renders.count == 2
    if damage != "folder":
        assert kept.rendered(WORKFLOW).endswith("render 2") and files() == [file]


def test_what_is_wrong_with_a_definition_is_kept_beside_it(renders: Renders, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = list[str]()
    monkeypatch.setattr(kept, "render", lambda workflow: '{"Version": "1"}')
    monkeypatch.setattr(kept, "check_definition", lambda found: checked.append(found["Version"]) or ["Steps: none"])
    assert kept.Kept(WORKFLOW).problems == kept.Kept(WORKFLOW).problems == ["Steps: none"]
    assert checked == ["1"] and [file.suffix for file in files()] == [".definition", ".problems"]
    files()[1].write_text("half")
    assert kept.Kept(WORKFLOW).problems == ["Steps: none"] and len(checked) == 2


def test_where_nothing_can_be_written_it_renders_each_time(renders: Renders) -> None:
    kept.LOCAL_ROOT.write_text("a file where the folder should be")
    assert [kept.rendered(WORKFLOW)[-1], kept.rendered(WORKFLOW)[-1]] == ["1", "2"]


@pytest.mark.parametrize("side", ["CODE", "STEPS"])
def test_code_that_changes_while_it_renders_is_not_kept(
    renders: Renders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, side: str
) -> None:
    """That of a step too: what it was when the workflow was read is in the key, and what rendered is newer."""
    shutil.copytree(ROOT / "steps" / "register", tmp_path / "code", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(kept, side, tmp_path / "code")
    if side == "STEPS":
        monkeypatch.setattr(settings, "STEPS", tmp_path / "code")
    workflow = settings.load(settings.DEFAULT_SETTINGS)

    def render(workflow: settings.Workflow) -> str:
        with open(tmp_path / "code" / "step.py", "a") as file:
            file.write("# changed\n")
        return renders(workflow)

    monkeypatch.setattr(kept, "render", render)
    kept.rendered(workflow)
    assert files() == []


def test_the_newest_files_stay(renders: Renders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    for beta in range(1, 6):
        changed = dataclasses.replace(WORKFLOW, recipe=WORKFLOW.recipe.model_copy(update={"beta": beta}))
        kept.rendered(changed)
    assert len(files()) == 3
    kept.rendered(changed)
    assert renders.count == 5


def test_a_render_reads_nothing_of_the_checkout_but_code() -> None:
    """What it read else would have to be in the key."""
    watching, opened = [False], list[str]()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and event in ("open", "os.listdir", "os.scandir"):
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)
    watching[0] = True
    try:
        render(WORKFLOW)
    finally:
        watching[0] = False
    ours = [path for path in opened if path.startswith(f"{ROOT}/") and not path.startswith(f"{ROOT}/.venv")]
    assert [path for path in ours if not path.endswith((".py", ".pyc")) and Path(path).is_file()] == []
