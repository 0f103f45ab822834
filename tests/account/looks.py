"""What the account test's run shows of each question, and whether it is what the code counts on.

Each look raises NotReached where the run did not come so far.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.account.evidence import Evidence, Seen

HASH = re.compile(r"[0-9a-f]{64}")
CACHED = ("Preprocess", "Train", "Gate", "Merge")
PREPROCESS_SAID = "no row falls to"  # what it writes to output/message where nothing is held out
AFTER_THE_CONDITION = ("Train", "Gate", "RejectModel", "Merge", "RegisterMerged", "RegisterAdapter")


class NotReached(Exception):
    """The run did not come to what `str(error)` names."""


@dataclass(frozen=True)
class Answer:
    """What was seen, and whether it is what the code counts on; None: not known."""

    good: bool | None
    seen: str


def seen_of(evidence: Evidence, name: str) -> Seen:
    if name not in evidence.executions:
        raise NotReached(f"the execution {name}")
    return evidence.executions[name]


def job_of(evidence: Evidence, name: str, step: str) -> dict[str, Any]:
    jobs = seen_of(evidence, name).jobs
    if step not in jobs:
        raise NotReached(f"the job of {step} in the execution {name}")
    return jobs[step]


def package_of(evidence: Evidence, name: str) -> dict[str, Any]:
    package = seen_of(evidence, name).package
    if package is None:
        raise NotReached(f"a version of the execution {name}")
    return package


def text_of(evidence: Evidence, place: str) -> dict[str, Any]:
    if place not in evidence.texts:
        raise NotReached(place)
    return evidence.texts[place]


def _states(seen: Seen) -> str:
    return ", ".join(f"{step['name']} {step['status']}{' (cached)' if step['cached'] else ''}"
                     for step in seen.status["steps"])  # fmt: skip


def whole(evidence: Evidence) -> Answer:
    seen = seen_of(evidence, "first")
    return Answer(seen.status["status"] == "Succeeded", f"{seen.ended}; {_states(seen)}")


def step_accepted(evidence: Evidence) -> Answer:
    if "upsert" not in evidence.said:
        raise NotReached("upsert")
    code, said = evidence.said["upsert"]
    return Answer(code == 0, said.strip().splitlines()[-1] if code else "the definition was taken as it is")


def environment(evidence: Evidence) -> Answer:
    state = text_of(evidence, "first/champion.json")["data_state"]
    found = job_of(evidence, "first", "Preprocess").get("Environment", {})
    return Answer(state in found.values(), f"Champion wrote {state[:12]}…, Preprocess has {_shown(found)}")


def checkpoints(evidence: Evidence) -> Answer:
    uri = job_of(evidence, "first", "Train")["CheckpointConfig"]["S3Uri"]
    return Answer(bool(HASH.search(uri)) and uri.endswith("/") and "Std:" not in uri, uri)


def argument(evidence: Evidence) -> Answer:
    reason = text_of(evidence, "first/champion.json")["reason"]
    words = job_of(evidence, "first", "Gate")["AppSpecification"]["ContainerArguments"]
    got = words[words.index("--champion-lookup") + 1]
    return Answer(got == reason, f"Champion wrote {reason!r}, Gate got {got!r}")


def condition(evidence: Evidence) -> Answer:
    outcomes = {}
    for name in ("first", "no-new-data"):
        step = seen_of(evidence, name).step("NoNewData")
        outcomes[name] = step["output"] if step else "not reached"
    return Answer(outcomes == {"first": "False", "no-new-data": "True"}, _shown(outcomes))


def side_by_side(evidence: Evidence) -> Answer:
    seen = seen_of(evidence, "no-new-data")
    ran = [name for name in AFTER_THE_CONDITION if seen.step(name)]
    return Answer(seen.status["status"] == "Succeeded" and not ran, f"{seen.ended}; {_states(seen)}")


def branches(evidence: Evidence) -> Answer:
    merged, adapter = seen_of(evidence, "first"), seen_of(evidence, "adapter")
    good = not merged.step("RegisterAdapter") and not adapter.step("Merge") and bool(adapter.step("RegisterAdapter"))
    return Answer(good, f"first: {_states(merged)}; adapter: {_states(adapter)}")


def artifacts(evidence: Evidence) -> Answer:
    """The gate's input is this URI as it is: a prefix with or without a slash at the end, and no archive."""
    uri = job_of(evidence, "first", "Train")["ModelArtifacts"]["S3ModelArtifacts"]
    return Answer(not uri.endswith(".tar.gz"), uri)


def cache(evidence: Evidence) -> Answer:
    seen = seen_of(evidence, "again")
    steps = {name: (seen.step(name) or {}).get("cached", False) for name in CACHED}
    return Answer(all(steps.values()), _states(seen))


def hyperparameters(evidence: Evidence) -> Answer:
    """Whether Train reads the numbers is answered by its success; this shows how they are written."""
    given = job_of(evidence, "first", "Train").get("HyperParameters", {})
    return Answer(bool(given), _shown(given))


def metrics(evidence: Evidence) -> Answer:
    found = job_of(evidence, "first", "Train").get("FinalMetricDataList", [])
    names = sorted(metric["MetricName"] for metric in found)
    return Answer(bool(names), ", ".join(names) or "none")


def job_names(evidence: Evidence) -> Answer:
    seen = seen_of(evidence, "first")
    names = [step["job_name"] for step in seen.status["steps"] if step["job_name"]]
    start = f"pipelines-{seen.status['id']}-"
    return Answer(bool(names) and all(name.startswith(start) for name in names), ", ".join(names))


def model_data(evidence: Evidence) -> Answer:
    (container,) = package_of(evidence, "first")["InferenceSpecification"]["Containers"]
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    good = source.get("S3DataType") == "S3Prefix" and source.get("CompressionType") == "None"
    return Answer(good and source["S3Uri"].endswith("/"), _shown(container))


def card(evidence: Evidence) -> Answer:
    content = package_of(evidence, "first").get("ModelCard", {}).get("ModelCardContent", "")
    return Answer(bool(content) and bool(json.loads(content)), f"{len(content)} characters of card")


def metadata(evidence: Evidence) -> Answer:
    facts = package_of(evidence, "first").get("CustomerMetadataProperties", {})
    report = text_of(evidence, "first/report.json")
    good = facts.get("data_hash") == report["data_hash"] and facts.get("variant") == "merged"
    return Answer(good and not any("Std:" in value for value in facts.values()), _shown(facts))


def by_job(evidence: Evidence) -> Answer:
    """The version that a job registered says what the step's says, but for the execution's ARN."""
    package, written = package_of(evidence, "by-job"), text_of(evidence, "by-job/registered.json")
    facts, wanted = (one["CustomerMetadataProperties"] for one in (package, package_of(evidence, "first")))
    differs = sorted(name for name in wanted.keys() | facts.keys() if wanted.get(name) != facts.get(name))
    good = package["ModelPackageArn"] == written["model_package_arn"] and set(differs) <= {"execution_arn"}
    return Answer(good, f"{written['model_package_arn']}; differs in: {', '.join(differs) or 'nothing'}")


def gate_fails(evidence: Evidence) -> Answer:
    seen, message = seen_of(evidence, "gate-fails"), text_of(evidence, "gate-fails/gate.json")["message"]
    reason = f"{seen.status.get('failure_reason')} {(seen.step('RejectModel') or {}).get('output')}"
    return Answer(seen.status["status"] == "Failed" and message in reason, f"{seen.ended}; gate.json says: {message}")


def job_fails(evidence: Evidence) -> Answer:
    seen = seen_of(evidence, "job-fails")
    step, found = seen.step("Preprocess") or {}, seen.jobs.get("Preprocess", {})
    said = {"the step": step.get("failure_reason"), "the execution": seen.status.get("failure_reason")}
    said |= {member: found[member] for member in ("ExitMessage", "FailureReason") if member in found}
    good = seen.status["status"] == "Failed" and any(PREPROCESS_SAID in str(text) for text in said.values())
    return Answer(good, _shown(said))


def retry(evidence: Evidence) -> Answer:
    before, after = seen_of(evidence, "gate-fails"), seen_of(evidence, "retried")
    code, said = evidence.said["retry"]
    if code:
        return Answer(False, said.strip())
    jobs = [{step["name"]: step["job_name"] for step in seen.status["steps"] if step["job_name"]}
            for seen in (before, after)]  # fmt: skip
    good = after.status["status"] == "Failed" and jobs[0] == jobs[1]
    return Answer(good, f"{after.ended}; the same jobs as before: {jobs[0] == jobs[1]}")


def schedule(evidence: Evidence) -> Answer:
    if "schedule" not in evidence.said:
        raise NotReached("a schedule")
    for word in ("schedule", "schedules", "unschedule"):
        code, said = evidence.said.get(word, (1, "was not run"))
        if code:
            return Answer(False, f"{word}: {said.strip()}")
    return Answer(bool(evidence.schedules), _shown(evidence.schedules))


def logs(evidence: Evidence) -> Answer:
    if "logs" not in evidence.said:
        raise NotReached("the log of Train")
    code, said = evidence.said["logs"]
    return Answer(code == 0, said.strip().splitlines()[-1] if said.strip() else "the log was read")


def _shown(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False, sort_keys=isinstance(value, Mapping))
