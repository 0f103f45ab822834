"""The quality gate: verify that training finished whole, then compare held-out reward accuracy with the threshold and
with the champion's.

Command:  python3 -m steps.gate --adapter DIR --threshold 0.6 --output DIR [--champion-tolerance 0.02]
Inputs:   --adapter: what the Train step left (adapter, evaluation.json, manifest.json).
Outputs:  OUTPUT/decision/gate.json (fixed keys: a Condition, the Fail message and registration read them) and
          evaluation.json, OUTPUT/adapter: the verified adapter, which is what gets merged and registered.
Limits:   a decision against the model is not an error: the job succeeds and says `fail`. What is an error is an adapter
          that is not whole: a job can be reported Completed although its disk was full.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from steps import contract
from steps.contract import StepError
from steps.gate.decision import decide
from steps.serving import max_lora_rank


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m steps.gate", description=__doc__.splitlines()[0])
    parser.add_argument("--adapter", type=Path, required=True, help="folder that the Train step left")
    parser.add_argument("--threshold", type=float, required=True, help="least held-out reward accuracy, 0 to 1")
    parser.add_argument("--champion-tolerance", type=float, default=0.02, help="how far below the champion's, 0 to 1")
    parser.add_argument("--champion-lookup", default="no champion was named", help="what the registry said of it")
    parser.add_argument("--output", type=Path, required=True, help="folder for decision/ and adapter/")
    options = parser.parse_args(argv)
    for flag, value in (("--threshold", options.threshold), ("--champion-tolerance", options.champion_tolerance)):
        if not 0 <= value <= 1:
            raise StepError(f"{flag}: {value}: must lie between 0 and 1")
    manifest = verify(options.adapter)
    evaluation = contract.read_json(options.adapter / "evaluation.json", "the evaluation")
    adapter = contract.read_json(options.adapter / "adapter_config.json", "the adapter's configuration")
    decision = decide(evaluation, options.threshold, options.champion_tolerance, options.champion_lookup)
    decision |= {"max_lora_rank": max_lora_rank(adapter["r"])}
    copy_verified(options.adapter, manifest, options.output / "adapter")
    contract.write_json(options.output / "decision" / "evaluation.json", evaluation)
    contract.write_json(options.output / "decision" / "gate.json", decision)
    print(decision["message"])


def verify(adapter: Path) -> dict[str, Any]:
    """The success manifest, once everything in it holds.

    Raises:
        StepError: training did not finish, or a file is missing or not the one that training wrote.
    """
    manifest = contract.read_json(
        adapter / "manifest.json", "the success manifest of training (without it the run did not finish)"
    )
    if manifest["steps_done"] < manifest["steps_planned"]:
        raise StepError(
            f"{adapter}: training stopped after {manifest['steps_done']} of {manifest['steps_planned']} steps"
        )
    for name, expected in manifest["files"].items():
        path = adapter / name
        if not path.is_file():
            raise StepError(f"{path}: is missing; the training job's upload is not whole")
        if contract.sha256(path) != expected:
            raise StepError(f"{path}: is not the file that training wrote (its hash differs)")
    return manifest


def copy_verified(adapter: Path, manifest: dict[str, Any], target: Path) -> None:
    """Copy exactly the files that the manifest names, and the manifest itself."""
    target.mkdir(parents=True, exist_ok=True)
    for name in [*manifest["files"], "manifest.json"]:
        shutil.copyfile(adapter / name, target / name)


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
