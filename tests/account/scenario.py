"""The account test itself, in order: upsert, the executions, a schedule; then all is deleted, come what may."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.automation.start import prefix
from pipeline.aws.client import client
from pipeline.aws.downloads import read
from tests.account.evidence import Evidence, Seen, job
from tests.account.limits import STARTS, Bound, Start
from tests.account.made import Made
from tests.account.own_settings import PREFIX

NEVER = "0 6 1 1 ? 2099"  # the schedule is listed and deleted, and never starts anything
REFUSED = "Pipelines does not take"  # what `upsert` says where Register must be a job
Say = Callable[[str], None]
# Runs `pipeline.py` with these words; what it prints to stderr is shown as it comes and returned too.
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
Clients = Callable[[str, str], Any]


class Ended(Exception):
    """Something without which the rest makes no sense."""


@dataclass
class Scenario:
    """One run of the account test.

    Attributes:
        by_step: the settings whose Register is a step; `by_job`, the same with the job.
        made: where each thing is written down before it is made.
    """

    name: str
    by_step: Path
    by_job: Path
    bound: Bound
    made: Made
    run_command: Run
    say: Say
    clients: Clients = client

    def run(self) -> tuple[Evidence, list[str]]:
        """Run it and delete what it made; what was seen, and what could not be deleted."""
        evidence, left = Evidence(self.name), []
        try:
            self._run(evidence)
        except Ended as error:
            self.say(f"the account test ends early: {error}")
        finally:  # also where someone interrupts: an execution that runs is stopped first
            self.say("deleting what it made; to go on with it later: python -m tests.account")
            left = self.made.delete(self.say, self.clients)
            for problem in left:
                self.say(f"could not be deleted: {problem}; again: python -m tests.account {self.made.path}")
        return evidence, left

    def _run(self, evidence: Evidence) -> None:
        self._write_down()
        settings = self.by_step
        if not self._upserted(evidence, settings, "upsert"):
            if REFUSED not in evidence.said["upsert"][1]:
                raise Ended(f"upsert was refused: {evidence.said['upsert'][1].strip()}")
            settings = self.by_job
            if not self._upserted(evidence, settings, "upsert by job"):
                raise Ended("upsert was refused again")
        for start in STARTS:
            if start.by_job and settings is self.by_step:
                settings = self.by_job
                if not self._upserted(evidence, settings, "upsert by job"):
                    raise Ended("upsert of the job that registers was refused")
            self._execute(evidence, start, settings)
            if start.name == "first":
                self._command(evidence, "logs", ["logs", "--step", "Train"], settings)
        self._schedule(evidence, settings)
        self._command(evidence, "delete", ["delete", "--yes"], settings)

    def _write_down(self) -> None:
        account = self._account()
        region, bucket = account["region"], account["bucket"]
        self.made.note("objects", name=f"{PREFIX}/{self.name}/", region=region, bucket=bucket)
        self.made.note("group", name=self.name, region=region)
        self.made.note("pipeline", name=self.name, region=region)

    def _account(self) -> dict[str, Any]:
        return yaml.safe_load((self.by_step.parent / "account.yaml").read_text(encoding="utf-8"))

    def _client(self, service: str) -> Any:
        return self.clients(service, self._account()["region"])

    def _upserted(self, evidence: Evidence, settings: Path, word: str) -> bool:
        done = self._command(evidence, word, ["upsert", "--yes", "--json"], settings)
        if done.returncode == 0:
            answer = self._client("sagemaker").describe_pipeline(PipelineName=self.name)
            evidence.definition = json.loads(answer["PipelineDefinition"])
        return done.returncode == 0

    def _execute(self, evidence: Evidence, start: Start, settings: Path) -> None:
        self.say(f"--- {start.name}: {start.why}")
        if start.name == "retried":
            before = evidence.executions["gate-fails"].status["id"]
            self._command(evidence, "retry", ["retry", before, "--json"], settings)
            self._command(evidence, start.name, ["status", before, "--wait", "--json"], settings)
            execution = before
        else:
            limit = f"{self.bound.dearest + 0.01:.2f}"
            words = ["start", "--name", start.name, "--wait", "--json", "--prices", str(self.bound.prices_file)]
            words += ["--max-cost", limit]
            words += [word for name, value in start.parameters.items() for word in ("--set", f"{name}={value}")]
            done = self._command(evidence, start.name, words, settings)
            if not done.stdout.strip():
                raise Ended(f"{start.name} was not started: {_last_line(done.stderr)}")
            execution = json.loads(done.stdout)["id"]
        evidence.executions[start.name] = self._seen(evidence, start, execution, settings)
        if start.name == "first" and evidence.executions["first"].status["status"] != "Succeeded":
            raise Ended(f"the first execution has {evidence.executions['first'].ended}")

    def _seen(self, evidence: Evidence, start: Start, execution: str, settings: Path) -> Seen:
        done = self._command(evidence, f"status {start.name}", ["status", execution, "--json"], settings)
        if done.returncode:
            raise Ended(f"status of {execution} was refused")
        seen, sagemaker = Seen(json.loads(done.stdout)), self._client("sagemaker")
        for step in seen.status["steps"]:
            found = job(sagemaker, step)
            if found:
                seen.jobs[step["name"]] = found
        arn = self._package(evidence, start, seen)
        if arn:
            seen.package = sagemaker.describe_model_package(ModelPackageName=arn)
        return seen

    def _package(self, evidence: Evidence, start: Start, seen: Seen) -> str | None:
        """The ARN of the version that an execution registered, by a step or by a job; reads its files meanwhile."""
        for step, output, file in (
            ("Champion", "champion", "champion.json"),
            ("Preprocess", "report", "report.json"),
            ("Gate", "decision", "gate.json"),
            *((name, "registered", "registered.json") for name in ("RegisterMerged", "RegisterAdapter")),
        ):
            outputs = seen.jobs.get(step, {}).get("ProcessingOutputConfig", {}).get("Outputs", [])
            for entry in outputs:
                if entry["OutputName"] == output:
                    content = read(self._client("s3"), f"{entry['S3Output']['S3Uri']}/{file}")
                    if content is not None:
                        evidence.texts[f"{start.name}/{file}"] = json.loads(content)
        by_step = (seen.step(name) for name in ("RegisterMerged", "RegisterAdapter"))
        arn = next((step["output"] for step in by_step if step and step["output"]), None)
        registered = evidence.texts.get(f"{start.name}/registered.json")
        return arn or (registered["model_package_arn"] if registered else None)

    def _schedule(self, evidence: Evidence, settings: Path) -> None:
        automation = self._account().get("automation")
        if not automation:
            self.say("account.yaml has no section `automation`: schedules are left out")
            return
        group, region = automation["schedule_group"], self._account()["region"]
        self.made.note("schedule", name=f"{prefix(self.name)}never", group=group, region=region)
        words = ["schedule", "--name", "never", "--cron", NEVER, "--json"]
        if self._command(evidence, "schedule", words, settings).returncode == 0:
            done = self._command(evidence, "schedules", ["schedules", "--json"], settings)
            evidence.schedules = json.loads(done.stdout) if done.returncode == 0 else None
            self._command(evidence, "unschedule", ["unschedule", "never"], settings)

    def _command(
        self, evidence: Evidence, word: str, words: Sequence[str], settings: Path
    ) -> subprocess.CompletedProcess[str]:
        self.say(f"$ python pipeline.py {' '.join(words)}")
        done = self.run_command([*words, "--settings", str(settings)])
        evidence.said[word] = (done.returncode, done.stderr[-2000:])
        return done


def _last_line(text: str) -> str:
    return next(reversed(text.strip().splitlines()), "it said nothing")
