"""The loop: a version answers, people correct it, and the version that learned from that answers rightly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.pipeline.forgetting.traces import traces

pytestmark = pytest.mark.slow
SETTINGS = ("--settings", str(ROOT / "configs" / "loop.yaml"))
NAME = "dpo-loop"
LENIENT = {"RewardAccuracyThreshold": 0, "ChampionTolerance": 1, "MergeWeights": "false", "MinValidationRows": 1}
TOOL = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
ASKED = {  # in training, all of them, by the hash that splits; and the city that the call must have
    "Weather in Lima, please.": "Lima",
    "What is the weather in Rome?": "Rome",
    "Will it rain in Paris?": "Paris",
    "How warm is it in Madrid?": "Madrid",
}


def test_what_people_corrected_is_answered_rightly_by_the_version_that_learned_from_it(
    pipeline, tmp_path: Path
) -> None:
    (tmp_path / "tools.json").write_text(json.dumps([TOOL]))
    rows = pipeline.data.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_text("".join(rows[:240]), encoding="utf-8")
    given = {"ModelUri": pipeline.model, "InputDataUri": tmp_path / "rows.jsonl"} | LENIENT

    def start(steps: int) -> dict:
        words = [word for name, value in {**given, "MaxSteps": steps}.items() for word in ("--set", f"{name}={value}")]
        return pipeline.json("start", "--wait", *SETTINGS, *words)

    def ask(version: str, question: str) -> dict:
        words = ("--tools", str(tmp_path / "tools.json"), "--max-new-tokens", "64")
        return pipeline.json("try", version, question, *words, *SETTINGS)

    first = start(4)
    assert first["collected"]["pairs"]["kept"] == 0 and first["status"] == "Succeeded"
    assert first["feedback"]["train"] == 0
    pipeline("approve", "1", *SETTINGS)
    corrected, names = [], []
    for question, city in ASKED.items():
        told = ask("1", question)
        assert not called_rightly(told, city)
        function = {"name": "get_weather", "arguments": {"city": city}}
        (tmp_path / "right.json").write_text(json.dumps({"tool_calls": [{"type": "function", "function": function}]}))
        words = (told["inference_id"], "--correct", str(tmp_path / "right.json"), "--by", "ann")
        done = pipeline("feedback", *words, *SETTINGS)
        assert done.returncode == 0, done.stderr
        names.append(told["inference_id"])
        corrected += [] if told["answer"]["cut"] else [question]  # an answer that was cut is in no pair
    assert corrected

    second = start(40)
    assert second["collected"]["feedback"]["lines"] == len(ASKED)
    kept = second["collected"]["pairs"]
    assert kept["kept"] == kept["rules"]["corrected_call"] == len(corrected)
    assert second["rows"]["read"] == first["rows"]["read"] + kept["kept"]
    assert second["feedback"] == {
        "train": len(corrected), "validation": 0, "weight": 60, "pairs": len(corrected), "reversed": 0,
    }  # fmt: skip
    assert "champion" in second["gate"]["message"].lower() and "No champion" not in second["gate"]["message"]
    assert [question for question in corrected if not called_rightly(ask("2", question), ASKED[question])] == []

    done = pipeline("forget", "ann", "--with-answers", "--yes", *SETTINGS)
    assert done.returncode == 0, done.stderr
    asked_again = f"captures/{NAME}/version-2/"
    left = traces(pipeline.root, [*corrected, *names])
    assert [file for file in left if not file.startswith(asked_again)] == []


def called_rightly(told: dict, city: str) -> bool:
    """Whether the answer is the one call that it must be."""
    wanted = {"name": "get_weather", "arguments": {"city": city}}
    text = told["answer"]["text"].strip()
    return text == f"<tool_call>\n{json.dumps(wanted)}\n</tool_call>"
