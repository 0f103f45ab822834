"""The quickstart with its own settings really learns, and the real data sets run with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from tests.document import require_whole
from tests.paths import ROOT

pytestmark = pytest.mark.slow
REAL_DATA = ROOT.parent / "shared" / "data"
REAL_FILES = [("when2call_preference.jsonl", "merged"), ("sharegpt_preference_en.json", "adapter")]
REAL_ROWS = 150


@pytest.mark.usefixtures("quickstart_model")
def test_the_quickstart_learns_from_one_half_to_above_nine_tenths(forked, tmp_path: Path) -> None:
    done = forked("pipeline.py", "start", "--local", "--local-root", tmp_path, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["held_out"]["before"]["reward_accuracy"] == 0.5
    assert summary["held_out"]["after"]["reward_accuracy"] > 0.9
    assert summary["registered"] == summary["registered"] | {"version": 1, "variant": "merged"}
    assert summary["mlflow"] == f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(summary["mlflow"])
    (tracked,) = client.search_runs([client.get_experiment_by_name("dpo-quickstart").experiment_id])
    assert tracked.info.status == "FINISHED"
    assert tracked.info.run_name == f"dpo-quickstart {summary['execution']}"
    assert tracked.data.tags["version"] == "dpo-quickstart/1"
    (version,) = client.search_model_versions("name = 'dpo-quickstart'")
    assert version.run_id == tracked.info.run_id
    (registered,) = tmp_path.glob("registry/dpo-quickstart/1/package.json")
    facts = json.loads(registered.read_text())["CustomerMetadataProperties"]
    assert (facts["mlflow_run_id"], facts["mlflow_uri"]) == (tracked.info.run_id, "sqlite:///mlflow.db")
    assert facts["code_version"] == tracked.data.tags["code_version"]
    assert facts["execution_arn"] == tracked.data.tags["execution_arn"]
    assert tracked.data.metrics["final/after/reward_accuracy"] == summary["held_out"]["after"]["reward_accuracy"]
    (evaluation,) = tmp_path.glob("s3/**/Train/**/evaluation.json")
    answers = json.loads(evaluation.read_text())["answers"]
    before, after = answers["before"], answers["after"]
    assert answers["parser"] == "hermes"
    assert after["calls"]["share"] > before["calls"]["share"] + 0.2  # it calls where it should, and no more elsewhere
    arguments = after["calls"]["arguments"]  # the names and numbers of the question
    assert arguments["right"] >= before["calls"]["arguments"]["right"] and arguments["share"] >= 0.7
    assert after["form"]["degenerate"]["share"] <= 0.05
    assert answers["against_base"]["calls"]["p"] < 0.05
    assert (evaluation.parent / "answers.jsonl").read_text().count("\n") == answers["rows"] == 64
    written = forked("pipeline.py", "report", "--local", "--local-root", tmp_path)
    html = Path(written.stdout.strip()).read_text(encoding="utf-8")
    require_whole(html)
    assert "Registered as dpo-quickstart version 1" in html and "cannot be shown" not in html
    parts = ("steps", "data", "figures", "served", "curves", "said", "gate", "version", "run")
    assert [part for part in parts if f'<section id="{part}"' not in html] == []


@pytest.fixture
def any_answers(few_questions: Path, tmp_path: Path) -> Path:
    """Settings for which two steps on a few short rows are enough, and whatever the model says."""
    configs = tmp_path / "configs"
    shutil.copytree(few_questions, configs)
    settings = yaml.safe_load((configs / "quickstart.yaml").read_text())
    settings["gate"] |= {"max_degenerate_share": 1, "max_served_drift": None}
    (configs / "quickstart.yaml").write_text(yaml.safe_dump(settings))
    recipe = yaml.safe_load((configs / "recipes/quickstart.yaml").read_text()) | {"max_left_out_fraction": 1}
    (configs / "recipes/quickstart.yaml").write_text(yaml.safe_dump(recipe))
    return configs / "quickstart.yaml"


@pytest.mark.parametrize(("name", "variant"), REAL_FILES)
def test_real_data_runs_to_a_registered_version(
    pipeline, name: str, variant: str, any_answers: Path, tmp_path: Path
) -> None:
    """A few steps on the first rows: what is learned is another test's matter, and a whole file takes minutes."""
    short = {"MaxSteps": 2, "MaxLength": 512, "RewardAccuracyThreshold": 0, "MinValidationRows": 1}
    if not (REAL_DATA / name).is_file():
        pytest.skip(f"{REAL_DATA / name} is not on this machine")
    text = (REAL_DATA / name).read_text(encoding="utf-8")
    if name.endswith(".jsonl"):
        text = "".join(text.splitlines(keepends=True)[:REAL_ROWS])
    else:
        text = json.dumps(json.loads(text)[:REAL_ROWS])
    (tmp_path / name).write_text(text, encoding="utf-8")
    merge = str(variant == "merged").lower()
    code, summary, stderr = pipeline.start(
        "--settings", str(any_answers), InputDataUri=tmp_path / name, MergeWeights=merge, **short
    )
    assert code == 0, stderr
    rows = summary["rows"]
    assert rows["read"] == REAL_ROWS
    assert rows["read"] == sum(rows[part] for part in ("train", "validation", "duplicate", "quarantined"))
    assert summary["registered"]["variant"] == variant
