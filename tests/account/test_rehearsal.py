"""The whole account test against moto and the local executor: what it asks, how it ends, and that it leaves nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from werkzeug.serving import make_server

from pipeline.preflight import costs
from tests.account import own_settings, report
from tests.account.limits import bound
from tests.account.made import Made
from tests.account.questions import answers
from tests.account.scenario import Scenario
from tests.account.stand_in import StandIn
from tests.forks.client import Forked
from tests.paths import ROOT
from tests.pipeline.moto_server import ACCOUNT, BUCKET, access, client, reset

pytestmark = pytest.mark.rehearsal
GROUP = "dpo-pipeline"


@pytest.fixture
def stand_in(tmp_path: Path, fork: Callable[..., Any]) -> Iterator[StandIn]:
    """Served, and empty but for what `bootstrap` makes."""
    root = tmp_path / "local"

    def run(execution: str) -> Forked:
        return fork("pipeline.py", "retry", execution, "--local", "--local-root", root, jobs=True)

    fork("pipeline.py", "--help", jobs=True).wait()  # loads what executions and jobs import, which no request waits for
    application = StandIn(root, run)
    server = make_server("127.0.0.1", 0, application, threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    application.endpoint = f"http://127.0.0.1:{server.server_port}"
    reset(application.endpoint)
    s3 = client(application.endpoint, "s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    client(application.endpoint, "scheduler").create_schedule_group(Name=GROUP)
    yield application
    server.shutdown()


@pytest.fixture
def account_file(tmp_path: Path) -> Path:
    """The example account as moto's, with what schedules stand on."""
    account = yaml.safe_load((ROOT / "configs" / "account.yaml").read_text().replace("111122223333", ACCOUNT))
    role = f"arn:aws:iam::{ACCOUNT}:role/dpo-pipeline-"
    account["automation"] = {
        "schedule_group": GROUP,
        "scheduler_role_arn": f"{role}scheduler",
        "events_role_arn": f"{role}events",
        "dead_letter_queue_arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:dpo-pipeline-dead-letters",
        "debounce_function_arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:dpo-pipeline-debounce",
    }
    path = tmp_path / "account.yaml"
    path.write_text(yaml.safe_dump(account))
    return path


@pytest.fixture
def scenario(stand_in: StandIn, account_file: Path, tmp_path: Path, forked: Callable[..., Any]) -> Scenario:
    name = own_settings.new_name(own_settings.account_of(account_file))
    by_step, by_job = map(shortened, own_settings.write(tmp_path / "settings", name, account_file))
    variables = access(stand_in.endpoint, tmp_path)

    def run_command(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return forked("pipeline.py", *words, **variables)

    made = Made(tmp_path / f"{name}.made")

    def clients(service: str, _region: str) -> Any:
        return client(stand_in.endpoint, service)

    return Scenario(name, by_step, by_job, bound(by_step, by_job), made, run_command, print, clients)


def shortened(path: Path) -> Path:
    """The same settings with a training of few steps on few rows, good enough for any gate but one of 1."""
    settings = yaml.safe_load(path.read_text())
    rows, recipe = path.parent / "rows.jsonl", path.parent / "recipe.yaml"
    rows.write_text("".join(Path(settings["data"]).read_text().splitlines(keepends=True)[:200]))
    recipe.write_text(f"{Path(settings['recipe']).read_text()}max_steps: 6\n")
    settings |= {"data": str(rows), "recipe": str(recipe)}
    settings["gate"] |= {"reward_accuracy_threshold": 0, "min_validation_rows": 1}  # few rows are held out of these
    path.write_text(yaml.safe_dump(settings))
    return path


def remains(stand_in: StandIn, name: str) -> dict[str, list[Any]]:
    """What there still is in the account."""
    sagemaker, s3 = client(stand_in.endpoint, "sagemaker"), client(stand_in.endpoint, "s3")
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=f"{own_settings.PREFIX}/{name}/")
    return {
        "pipelines": sagemaker.list_pipelines()["PipelineSummaries"],
        "groups": sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"],
        "schedules": client(stand_in.endpoint, "scheduler").list_schedules()["Schedules"],
        "objects": [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])],
    }


def test_every_question_is_answered_and_nothing_stays(
    scenario: Scenario, stand_in: StandIn, quickstart_model: Path
) -> None:
    evidence, left = scenario.run()
    said = report.text(evidence, scenario.bound, costs.load_prices(scenario.bound.prices_file))
    print(said)
    found = {question.text: answer for question, answer in answers(evidence)}
    assert len(found) > 20
    assert {text: answer.seen for text, answer in found.items() if not answer.good} == {}
    assert left == [] and not scenario.made.path.exists()
    assert remains(stand_in, scenario.name) == {"pipelines": [], "groups": [], "schedules": [], "objects": []}
    assert "Cost: about $0." in said
