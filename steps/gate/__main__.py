"""The quality gate: verify that training finished whole, then judge its held-out figures and answers by the rules of
`steps.gate.rules`, which include the champion's on the same rows.

Command:  python3 -m steps.gate --adapter DIR --threshold 0.6 --pipeline NAME --output DIR [--champion-tolerance 0.02]
          [--min-validation-rows N] [--threshold-on accuracy|lower_end] [--max-chosen-drop NATS]
          [--max-served-drift SHARE|none] [--max-degenerate-share SHARE] [--max-reversed-share SHARE]
          [--canary-threshold X]
          [--judge MODEL [--judge-max-pairs N] [--judge-max-tokens N]]
Inputs:   --adapter: what the Train step left (adapter, evaluation.json, answers.jsonl, manifest.json, its cards and
          reports). With --judge a model of Amazon Bedrock, which is asked about the text answers.
Outputs:  OUTPUT/decision: gate.json (fixed keys: a Condition, the Fail message and registration read them), card.json
          (`content`: the model card of the registration), evaluation.json, judge.jsonl (what the judge said), what
          people read of the training, and probes.json, which Merge reads;
          OUTPUT/serving: the folder of an adapter version, its adapter verified in adapters/dpo, which is what gets
          merged too, and a manifest of all its files, whose own hash is in gate.json. Reports stay out of it:
          report.html and answers.jsonl quote rows of the data, probes.json has tokens of some, and an endpoint needs
          none.
Limits:   a decision against the model is not an error: the job succeeds and says `fail`. What is an error is an adapter
          that is not whole: a job can be reported Completed although its disk was full.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any, get_args

from steps.gate import tracked
from steps.gate.decision import decide, table_lines
from steps.gate.judge import compare
from steps.gate.judge.compare import Bounds
from steps.gate.rules.limits import Limits, ThresholdOn
from steps.shared import contract, served_files
from steps.shared.contract import StepError
from steps.shared.served_files import MANIFEST
from steps.shared.serving import ADAPTER_FOLDER, PROPERTIES, PROPERTIES_TEXT, max_lora_rank

CARD = "model_card.json"
ANSWERS = "answers.jsonl"
# What stands beside the decision and is not served.
REPORTS = (ANSWERS, "history.json", "left_out.jsonl", "probes.json", "report.html", "tracking.json", "training.png")
OBSERVATION = 2096  # characters of `evaluation_observation` in a model card


def main(argv: list[str]) -> None:
    options = _parser().parse_args(argv)
    limits, bounds = _limits(options), Bounds(options.judge_max_pairs, options.judge_max_tokens)
    bounds.check()
    manifest = verify(options.adapter)
    evaluation = contract.read_json(options.adapter / "evaluation.json", "the evaluation")
    adapter = contract.read_json(options.adapter / "adapter_config.json", "the adapter's configuration")
    card = contract.read_json(options.adapter / CARD, "the model card")
    decided, serving = options.output / "decision", options.output / "serving"
    judged = compare.judge(options.adapter / ANSWERS, limits.judge, bounds, decided) if limits.judge else None
    decision = decide(evaluation, limits, options.champion_lookup, judged)
    decision |= {"max_lora_rank": max_lora_rank(adapter["r"])}
    decision |= tracked.of(options.adapter)
    copy_verified(options.adapter, manifest, serving, decided)
    contract.write_json(serving / MANIFEST, served_files.facts(serving, list(served_files.paths(serving))))
    decision |= {"manifest_sha256": contract.sha256(serving / MANIFEST)}
    shutil.copyfile(options.adapter / "evaluation.json", decided / "evaluation.json")
    contract.write_json(decided / "card.json", {"content": card_content(card, decision["message"], options.pipeline)})
    contract.write_json(decided / "gate.json", decision)
    print("\n".join([*table_lines(decision["rules"]), decision["message"]]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m steps.gate", description=__doc__.splitlines()[0])
    parser.add_argument("--adapter", type=Path, required=True, help="folder that the Train step left")
    parser.add_argument("--threshold", type=float, required=True, help="least held-out reward accuracy, 0 to 1")
    parser.add_argument("--champion-tolerance", type=float, default=0.02, help="how far below the champion's, 0 to 1")
    parser.add_argument("--min-validation-rows", type=int, default=1, help="fewest held-out rows to judge by (1)")
    parser.add_argument("--threshold-on", choices=get_args(ThresholdOn), default="accuracy", help="what must reach it")
    parser.add_argument("--max-chosen-drop", type=float, help="most nats a token that chosen answers may lose")
    parser.add_argument(
        "--max-served-drift",
        type=_share_or_none,
        default=0.1,
        metavar="SHARE",
        help="most of the rows that may change sides when served; none: any (0.1)",
    )
    parser.add_argument("--max-degenerate-share", type=float, default=0.2, help="most of the answers (0.2)")
    parser.add_argument("--max-reversed-share", type=float, help="most pairs of feedback that turn the data's round")
    parser.add_argument("--canary-threshold", type=float, help="least reward accuracy on the canary set, 0 to 1")
    parser.add_argument("--judge", metavar="MODEL", help="model of Amazon Bedrock that compares text answers")
    parser.add_argument("--judge-max-pairs", type=int, default=64, help="most pairs that it compares (64)")
    parser.add_argument("--judge-max-tokens", type=int, default=500_000, help="that it reads and writes (500000)")
    parser.add_argument("--champion-lookup", default="no champion was named", help="what the registry said of it")
    parser.add_argument("--pipeline", required=True, help="name of the pipeline that made the model, for its card")
    parser.add_argument("--output", type=Path, required=True, help="folder for decision/ and serving/")
    return parser


def _share_or_none(word: str) -> float | None:
    return None if word == "none" else float(word)


def _limits(options: argparse.Namespace) -> Limits:
    """Raises StepError for a limit out of range."""
    limits = Limits(
        threshold=options.threshold,
        threshold_on=options.threshold_on,
        tolerance=options.champion_tolerance,
        min_rows=options.min_validation_rows,
        max_chosen_drop=options.max_chosen_drop,
        max_served_drift=options.max_served_drift,
        max_degenerate_share=options.max_degenerate_share,
        judge=options.judge,
        max_reversed_share=options.max_reversed_share,
        canary_threshold=options.canary_threshold,
    )
    limits.check()
    return limits


def verify(adapter: Path) -> dict[str, Any]:
    """The success manifest, once everything in it holds.

    Raises:
        StepError: training did not finish, or a file is missing or not the one that training wrote.
    """
    manifest = contract.read_json(
        adapter / MANIFEST, "the success manifest of training (without it the run did not finish)"
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


def card_content(card: dict[str, Any], message: str, pipeline: str) -> str:
    """The card of the training with the gate's decision, as ModelCardContent takes it: JSON on one line."""
    (evaluation,) = card["evaluation_details"]
    said = f"{message} {evaluation['evaluation_observation']}"
    if len(said) > OBSERVATION:
        said = f"{said[: OBSERVATION - 1]}…"
    decided = evaluation | {"evaluation_observation": said}
    overview = {"model_creator": f"SageMaker pipeline {pipeline}"}
    complete = card | {"model_overview": overview, "evaluation_details": [decided]}
    return json.dumps(complete, ensure_ascii=False, allow_nan=False)


def copy_verified(adapter: Path, manifest: dict[str, Any], serving: Path, decision: Path) -> None:
    """Copy exactly the files that the manifest names, and the manifest itself, where each belongs."""
    served = serving / ADAPTER_FOLDER
    served.mkdir(parents=True, exist_ok=True)
    decision.mkdir(parents=True, exist_ok=True)
    for name in [*manifest["files"], MANIFEST]:
        target = (decision if name in REPORTS else served) / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(adapter / name, target)
    contract.write_text(serving / PROPERTIES, PROPERTIES_TEXT)


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
