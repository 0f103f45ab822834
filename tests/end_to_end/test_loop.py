"""The loop: a version answers, people correct it, and the next run learns from that beside the given data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow
SHORT = {
    "MaxSteps": 4, "RewardAccuracyThreshold": 0, "ChampionTolerance": 1, "MergeWeights": "false",
    "MinValidationRows": 1,
}  # fmt: skip
TOOL = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
QUESTIONS = ["Weather in Lima, please.", "What is the weather in Rome?"]


def test_what_people_corrected_is_trained_on_beside_the_given_data_and_judged_against_the_champion(
    pipeline, tmp_path: Path
) -> None:
    settings = ("--settings", str(ROOT / "configs" / "loop.yaml"))
    (tmp_path / "tools.json").write_text(json.dumps([TOOL]))
    (tmp_path / "right.json").write_text(
        json.dumps(
            {"tool_calls": [{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "X"}}}]}
        )
    )
    given = {"ModelUri": pipeline.model, "InputDataUri": pipeline.data} | SHORT
    words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]

    first = pipeline.json("start", "--wait", *settings, *words)
    assert first["collected"]["pairs"]["kept"] == 0 and first["status"] == "Succeeded"
    pipeline("approve", "1", *settings)
    for question in QUESTIONS:
        told = pipeline.json(
            "try", "1", question, "--tools", str(tmp_path / "tools.json"), "--max-new-tokens", "40", *settings
        )
        done = pipeline(
            "feedback", told["inference_id"], "--correct", str(tmp_path / "right.json"), "--by", "ann", *settings
        )
        assert done.returncode == 0, done.stderr

    second = pipeline.json("start", "--wait", *settings, *words)
    assert second["collected"]["feedback"]["lines"] == 2
    kept = second["collected"]["pairs"]
    assert kept["kept"] == kept["rules"]["corrected_call"] == 2 - cut(second)
    assert second["rows"]["read"] == first["rows"]["read"] + kept["kept"]
    assert "champion" in second["gate"]["message"].lower() and "No champion" not in second["gate"]["message"]


def cut(summary: dict) -> int:
    """Answers that reached --max-new-tokens, which are not paired."""
    return summary["collected"]["captures"]["truncated"]
