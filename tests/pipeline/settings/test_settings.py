"""Workflow settings: every problem is named with its file, line and fix."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import get_args

import pytest

from pipeline.cli import main
from pipeline.parameters.declared import parameters
from pipeline.settings import content
from pipeline.settings import workflow as settings
from pipeline.settings.schema import Columns, Layout
from steps.preprocess.layouts.formats import FORMATS
from steps.preprocess.options import FIELDS
from steps.shared.hub import is_hub_name
from steps.shared.typed_yaml import InvalidFile


def problems(workflow: Path) -> list[str]:
    return settings.inspect(workflow)[1]


@pytest.fixture
def configs(root: Path, tmp_path: Path) -> Path:
    """A copy of the shipped settings to break; the data path is made absolute."""
    folder = tmp_path / "configs"
    shutil.copytree(root / "configs", folder)
    edit(folder / "quickstart.yaml", "../steps/quickstart", str(root / "steps" / "quickstart"))
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def line_of(path: Path, key: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if line.strip().startswith(key))


def test_all_problems_of_all_files_are_named_at_once(configs: Path) -> None:
    workflow = configs / "quickstart.yaml"
    edit(workflow, "processes_per_node: 2", "proceses_per_node: 2")
    line = line_of(workflow, "proceses")
    assert problems(workflow) == [
        f"{workflow}: line {line}  train.proceses_per_node: unknown key; did you mean processes_per_node?"
    ]
    edit(workflow, "proceses_per_node", "processes_per_node")
    edit(configs / "account.yaml", '"111122223333"', '"1111"')
    edit(configs / "recipes" / "quickstart.yaml", "beta: 0.1", "beta: 0")
    edit(configs / "recipes" / "quickstart.yaml", "warmup_steps: 0.1", "warmup_ratio: 0.1")
    edit(workflow, "preferences.jsonl", "preference.jsonl")
    found = problems(workflow)
    account, recipe = configs / "account.yaml", configs / "recipes" / "quickstart.yaml"
    assert found[0].startswith(f"{account}: line {line_of(account, 'account_id:')}  account_id: must ")
    assert found[1] == f"{recipe}: line {line_of(recipe, 'beta')}  beta: must be greater than 0 (given: 0)"
    assert found[2].startswith(f"{recipe}: line {line_of(recipe, 'warmup')}  warmup_ratio: was removed; write ")
    assert "data: " in found[3] and "there is no such file or folder" in found[3]
    assert len(found) == 4


def test_warm_pools_tags_and_prices_are_checked_where_they_stand(configs: Path) -> None:
    workflow, account = configs / "qwen3-0.6b.yaml", configs / "account.yaml"
    edit(workflow, "  spot: true", "  keep_alive_minutes: 30\n  spot: true")
    line = line_of(workflow, "keep_alive")
    assert problems(workflow) == [
        f"{workflow}: line {line}  train.keep_alive_minutes: a warm pool cannot be of spot instances; leave out one of "
        "keep_alive_minutes and spot"
    ]
    edit(workflow, "  keep_alive_minutes: 30\n", "")
    account.write_text(account.read_text() + "prices: prices.yaml\ntags:\n  team: 7\n")
    line = line_of(account, "team")
    assert problems(workflow)[0] == f"{account}: line {line}  tags.team: must be a valid string (given: 7)"
    edit(account, "team: 7", "team: seven")
    (problem,) = problems(workflow)
    assert "prices: prices.yaml: there is no such file or folder" in problem
    (configs / "prices.yaml").write_text("ml.m5.xlarge: 0.23\n")
    found = settings.load(workflow)
    assert (found.prices, found.tags) == (configs / "prices.yaml", {"team": "seven"})


@pytest.mark.parametrize("name", ["/", "..", "a/b", "steps.", "steps.quickstart; ls"])
def test_a_name_that_is_no_modules_is_told(configs: Path, name: str) -> None:
    file = configs / "quickstart.yaml"
    file.write_text(re.sub(r"(?m)^make_model: .*", f'make_model: "{name}"', file.read_text()))
    with pytest.raises(InvalidFile, match=f"make_model: {re.escape(name)}: must name a module"):
        settings.load(file)


def test_versions_are_registered_as_approved_only_where_a_setting_says_so(configs: Path) -> None:
    workflow = configs / "quickstart.yaml"
    edit(workflow, "  package_group:", "  approval_status: Approved\n  package_group:")
    (problem,) = problems(workflow)
    assert "register.allow_approved: approval_status: Approved approves every version that passes the gate" in problem
    edit(workflow, "  package_group:", "  allow_approved: true\n  package_group:")
    assert problems(workflow) == []
    statuses = {one.name: one.choices for one in parameters(settings.load(workflow))}["ModelApprovalStatus"]
    assert statuses == ("PendingManualApproval", "Approved", "Rejected")


def test_an_execution_cannot_approve_its_own_version_unless_that_is_set(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "start",
        "--local",
        "--settings",
        str(configs / "quickstart.yaml"),
        "--set",
        "ModelApprovalStatus=Approved",
    ]
    assert main([*words, "--local-root", str(configs / "local")]) == 1
    said = "'Approved' is not one of PendingManualApproval, Rejected; a version is approved by `approve`"
    assert said in capsys.readouterr().err and not (configs / "local").exists()


def test_a_job_without_a_role_of_its_own_has_the_pipelines(configs: Path) -> None:
    account = configs / "account.yaml"
    arn = "arn:aws:iam::111122223333:role/dpo-pipeline"
    assert settings.load(configs / "quickstart.yaml").account.role_of("train") == f"{arn}-train"
    edit(account, f"  train: {arn}-train\n", "")
    found = settings.load(configs / "quickstart.yaml").account
    assert (found.role_of("train"), found.role_of("merge")) == (f"{arn}-execution", f"{arn}-merge")
    edit(account, "  merge:", "  marge:")
    assert "roles.marge: unknown key; did you mean merge?" in problems(configs / "quickstart.yaml")[0]


def test_a_key_that_stands_twice_is_refused(configs: Path) -> None:
    workflow = configs / "quickstart.yaml"
    workflow.write_text(workflow.read_text() + "recipe: recipes/qwen3-8b.yaml\n")
    with pytest.raises(InvalidFile, match=r"recipe: stands twice \(first on line 6\)"):
        settings.load(workflow)


def test_what_is_no_yaml_or_no_file_is_one_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1,\nb: }")
    assert "is not YAML" in problems(broken)[0]
    assert problems(tmp_path / "absent.yaml") == [f"{tmp_path / 'absent.yaml'}: the file does not exist"]
    (tmp_path / "absence.yaml").touch()
    near = f"; did you mean {tmp_path / 'absence.yaml'}?"
    assert problems(tmp_path / "absent.yaml") == [f"{tmp_path / 'absent.yaml'}: the file does not exist{near}"]
    for folder in (tmp_path / "configs", tmp_path / "configs" / "recipes"):
        folder.mkdir()
        (folder / "qwen3-0.6b.yaml").touch()
    both = " or ".join(str(tmp_path / "configs" / place / "qwen3-0.6b.yaml") for place in ("", "recipes"))
    assert problems(tmp_path / "qwen3-0")[0].endswith(f"the file does not exist; did you mean {both}?")


def test_new_content_gets_a_new_key_and_the_same_content_the_same(configs: Path) -> None:
    before = settings.load(configs / "quickstart.yaml")
    again = settings.load(configs / "quickstart.yaml")
    assert again.assets == before.assets
    recipe = configs / "recipes" / "quickstart.yaml"
    recipe.write_text(recipe.read_text() + "seed: 7\n")
    after = settings.load(configs / "quickstart.yaml")
    assert after.recipe_uri != before.recipe_uri
    assert after.data_uri == before.data_uri


@pytest.mark.parametrize(
    ("model_id", "is_hub"),
    [("Qwen/Qwen3-8B", True), (".local/models/quickstart", False), ("s3://bucket/model/", False), ("/models/x", False)],
)
def test_hub_names_are_told_from_paths(model_id: str, is_hub: bool) -> None:
    assert is_hub_name(model_id) is is_hub


def preprocess(configs: Path, *lines: str) -> Path:
    """The quickstart with a `preprocess:` section."""
    workflow = configs / "quickstart.yaml"
    edit(workflow, "\ntrain:\n", "\n" + "\n  ".join(["preprocess:", *lines]) + "\n\ntrain:\n")
    return workflow


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("instance_count: 2", "instance_count: 2 instances need engine: spark; the python engine runs on one"),
        ("engine: sparc", "engine: must be 'python' or 'spark' (given: \"sparc\")"),
        ("columns: {promt: question}", "columns.promt: unknown key; did you mean prompt?"),
        ("columns: {prompt: ''}", 'columns.prompt: must be String should have at least 1 character (given: "")'),
        (
            "ignore_fields: [--input]",
            "ignore_fields.0: must be String should match pattern '^[^-]' (given: \"--input\")",
        ),
        ("near_duplicates: 0.4", "near_duplicates: must be greater than or equal to 0.5 (given: 0.4)"),
        (
            "max_tokens: 9",
            "max_tokens: needs a tokenizer; name its folder as tokenizer, or give max_characters instead",
        ),
        (
            "baseline: s3://bucket/runs/a/Preprocess/report",
            "baseline: s3://bucket/runs/a/Preprocess/report: "
            'must end in "/"; without it the prefix also takes in its siblings',
        ),
    ],
)
def test_a_wrong_preprocess_setting_is_named_with_its_line(configs: Path, line: str, said: str) -> None:
    workflow = preprocess(configs, line)
    number = line_of(workflow, line.partition(":")[0])
    assert problems(workflow) == [f"{workflow}: line {number}  preprocess.{said}"]


def test_local_files_of_preprocess_are_looked_for_and_looked_into(configs: Path) -> None:
    (configs / "empty").mkdir()
    workflow = preprocess(configs, "validation_data: gone.jsonl", "tokenizer: empty", "baseline: empty")
    assert problems(workflow) == [
        f"{workflow}: preprocess.validation_data: gone.jsonl: there is no such file or folder ({configs}/gone.jsonl)",
        f"{workflow}: preprocess.tokenizer: empty: must be a folder with tokenizer.json",
        f"{workflow}: preprocess.baseline: empty: must be a folder with report.json",
    ]


def test_spark_without_an_image_says_how_to_make_one(configs: Path) -> None:
    workflow = preprocess(configs, "engine: spark", "instance_count: 3")
    workflow.write_text(f"{workflow.read_text()}\ncollect:\n  engine: spark\n")
    assert problems(workflow) == []
    account = configs / "account.yaml"
    account.write_text("".join(line for line in account.read_text().splitlines(True) if "dpo-spark:1" not in line))
    assert problems(workflow) == [
        f"{workflow}: {section}.engine: spark: there is no image for it; build and push containers/spark/Dockerfile, "
        "then name it as images.spark in account.yaml"
        for section in ("collect", "preprocess")
    ]


def test_local_files_of_preprocess_become_assets_under_their_content(configs: Path) -> None:
    (configs / "tokenizer").mkdir()
    (configs / "tokenizer" / "tokenizer.json").write_text("{}")
    (configs / "held-out.jsonl").write_text("{}")
    workflow = settings.load(preprocess(configs, "validation_data: held-out.jsonl", "tokenizer: tokenizer"))
    assert workflow.tokenizer_uri.startswith("s3://dpo-pipeline-111122223333/dpo/inputs/tokenizers/")
    assert workflow.validation_uri.endswith("/held-out.jsonl")
    paths = {asset.uri: asset.path for asset in workflow.assets}
    assert paths[workflow.tokenizer_uri] == configs / "tokenizer" and workflow.tokenizer_uri.endswith("/")
    assert paths[workflow.validation_uri] == configs / "held-out.jsonl"


def test_an_initial_adapter_of_this_machine_becomes_an_asset_and_the_workflows_own_parameter(configs: Path) -> None:
    workflow = configs / "qwen3-0.6b.yaml"
    edit(workflow, "\ntrain:\n", "\ntrain:\n  initial_adapter: earlier\n")
    assert problems(workflow) == [
        f"{workflow}: train.initial_adapter: earlier: there is no such file or folder ({configs}/earlier)"
    ]
    (configs / "earlier").mkdir()
    (configs / "earlier" / "adapter_config.json").write_text("{}")
    loaded = settings.load(workflow)
    assert loaded.initial_adapter_uri.startswith("s3://dpo-pipeline-111122223333/dpo/inputs/adapters/")
    assert configs / "earlier" in {asset.path for asset in loaded.assets if asset.uri == loaded.initial_adapter_uri}
    edit(workflow, "initial_adapter: earlier", "initial_adapter: s3://bucket/runs/a/Gate/adapter")
    assert problems(workflow)[0].endswith(
        'Gate/adapter: must end in "/"; without it the prefix also takes in its siblings'
    )


def test_a_recipe_cannot_bring_an_adapter_into_a_job(configs: Path) -> None:
    recipe = configs / "recipes" / "qwen3-0.6b.yaml"
    recipe.write_text(recipe.read_text() + "initial_adapter: /tmp/adapter\n")
    workflow = configs / "qwen3-0.6b.yaml"
    assert problems(workflow) == [
        f"{workflow}: recipe's initial_adapter: a training job has no such folder; write it as train.initial_adapter, "
        "from where it is brought to the job: /tmp/adapter"
    ]
    recipe.write_text(recipe.read_text().replace("initial_adapter:", "champion:"))
    assert problems(workflow) == [
        f"{workflow}: recipe's champion: a job gets the newest approved version; leave it out: /tmp/adapter"
    ]


@pytest.mark.parametrize("verb", ["check", "definition"])
def test_data_is_read_once_a_command(configs: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    workflow, data, read = configs / "qwen3-8b.yaml", configs / "pairs.jsonl", []
    edit(workflow, "data: s3://dpo-pipeline-111122223333/dpo/preferences/", "data: pairs.jsonl")
    data.write_text("{}")
    monkeypatch.setattr(content, "sha256", lambda path: read.append(path) or "0" * 64)
    assert main([verb, "--settings", str(workflow)]) == 0
    assert read.count(data) == 1


def test_layouts_and_fields_are_those_of_the_step() -> None:
    assert get_args(Layout) == tuple(layout.name for layout in FORMATS)
    assert tuple(Columns.model_fields) == FIELDS
