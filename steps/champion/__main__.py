"""Look up the champion: the newest approved version of the model package group, and where its adapter lies.

Command:  python3 -m steps.champion --group NAME --placeholder S3URI --data S3URI [--data S3URI …]
          [--model HUB_NAME --revision R] [--origin TEXT …] --output DIR
Inputs:   the model registry: SageMaker's, or a local run's where LOCAL_REGISTRY names its folder; the names of the
          objects under the data's URIs, in a local run below the folder LOCAL_STORE; the hub, for a base that is there.
Outputs:  OUTPUT/champion.json with fixed keys, all of them texts, `none` where there is nothing to say: what Train
          takes as its channel, what the gate says where there is no comparison, what was registered last, and the
          data's state, with which a cached Preprocess notices new files. A long reason is cut: it becomes an argument.
          `model_commit` is what the base's revision is now: every job of the execution loads that. `origins_hash` is
          one word for what training starts from (--origin, and that commit), which names the place of checkpoints.
Limits:   reads the champion's adapter whole, to see that it is what was approved. An approved version whose
          registration did not say where it lies, or whose adapter has been deleted, is no champion: `reason` says so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steps.champion import approved as registry
from steps.champion import objects
from steps.champion.base_commit import commit_of
from steps.shared import contract, secrets, served_files
from steps.shared.contract import StepError
from steps.shared.serving import ADAPTER_FOLDER

NONE = "none"
REASON_LIMIT = 256  # characters of a container's argument, by which the gate is told; the service refuses a longer one


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m steps.champion", description=__doc__.splitlines()[0])
    parser.add_argument("--group", required=True, help="model package group")
    parser.add_argument("--placeholder", required=True, help="S3 prefix that stands for an adapter where there is none")
    parser.add_argument("--data", action="append", required=True, help="S3 URI of preference data")
    parser.add_argument("--model", help="hub name of the base model; leave it out for a base that lies in S3")
    parser.add_argument("--revision", default="main", help="commit, tag or branch of it (main)")
    parser.add_argument("--origin", action="append", default=[], help="what training starts from: base, adapter, way")
    parser.add_argument("--output", type=Path, required=True, help="folder for champion.json")
    options = parser.parse_args(argv)
    secrets.load()
    commits = [commit_of(options.model, options.revision)] if options.model else []
    found = look_up(options.group, options.placeholder) | {
        "data_state": objects.state(options.data),
        "model_commit": commits[0] if commits else NONE,
        "origins_hash": hashlib.sha256(json.dumps([*options.origin, *commits]).encode()).hexdigest(),
    }
    for commit in commits:
        print(f"base: {options.model} at {commit} (revision {options.revision})")
    print(found["reason"])
    contract.write_json(options.output / "champion.json", found | {"reason": shortened(found["reason"])})


def look_up(group: str, placeholder: str) -> dict[str, str]:
    """What champion.json holds of the registry.

    Args:
        placeholder: stands as `adapter_uri` where there is no champion: a channel needs a prefix that has objects.

    Raises:
        StepError: the registry or S3 does not answer, or the champion's adapter is not what was approved.
    """
    versions = registry.versions(group)
    approved = next((version for version in versions if version.get("ModelApprovalStatus") == "Approved"), None)
    newest = registry.describe(group, versions[0]) if versions else {}
    champion = registry.describe(group, approved) if approved else {}
    return _champion(group, champion, placeholder) | {
        "last_registered_version": str(newest.get("ModelPackageVersion", NONE)),
        "last_registered_data_hash": _facts(newest).get("data_hash", NONE),
    }


def shortened(reason: str) -> str:
    """A reason that fits into an argument, with its end left out where it does not; this job's log has it whole."""
    mark = " [cut; whole in the log of Champion]"
    return reason if len(reason) <= REASON_LIMIT else reason[: REASON_LIMIT - len(mark)] + mark


def _champion(group: str, package: Mapping[str, Any], placeholder: str) -> dict[str, str]:
    facts, version = _facts(package), str(package.get("ModelPackageVersion", NONE))
    adapter = facts.get("adapter_uri")
    if not package:
        reason = f"no version of {group} is approved"
    elif adapter is None:
        reason = f"version {version} of {group} was registered without adapter_uri"
    elif not objects.present(adapter):
        reason = f"version {version} of {group} is approved, and its adapter is not there any more ({adapter})"
        adapter = None
    else:
        _require_same_files(group, version, facts)
        reason = f"version {version} is the newest approved one of {group}"
    return {
        "found": str(adapter is not None).lower(),
        "version": version,
        "arn": package.get("ModelPackageArn", NONE),
        "adapter_uri": f"{adapter.rstrip('/')}/" if adapter else placeholder,
        "base_model": facts.get("base_model", NONE),
        "data_hash": facts.get("data_hash", NONE),
        "reward_accuracy": facts.get("reward_accuracy", NONE),
        "reason": reason,
    }


def _require_same_files(group: str, version: str, facts: Mapping[str, str]) -> None:
    """
    Raises:
        StepError: the champion's adapter is not what was registered, or its approval is of other files.
    """
    fix = f"reject it (python pipeline.py reject {version}), or bring the file back, then start again"
    expected = facts.get(served_files.OF_ADAPTER)
    if served_files.is_approval_of_others(facts):
        raise StepError(f"version {version} of {group} was approved with other files than it is registered with; {fix}")
    if expected is None:
        return  # registered before versions had a hash of their files
    folder = f"{facts['adapter_uri'].rstrip('/').removesuffix(ADAPTER_FOLDER)}"
    try:
        served = served_files.read_manifest(objects.read(f"{folder}{served_files.MANIFEST}"), expected)
        served.check_sizes(objects.sizes(folder))
        served.check_hashes(lambda name: objects.sha256(f"{folder}{name}"))
    except served_files.FilesDiffer as error:
        raise StepError(f"version {version} of {group} is not what was approved: in {folder} {error}; {fix}") from None


def _facts(package: Mapping[str, Any]) -> dict[str, str]:
    return package.get("CustomerMetadataProperties") or {}


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
