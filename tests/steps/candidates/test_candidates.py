"""The whole step: a real model that answers as a process does, and a scripted one for what comes of its answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from steps.candidates.candidates import candidates
from steps.candidates.judge import Judge
from steps.candidates.model import Misfit
from steps.candidates.options import Options, parse
from steps.candidates.states import State
from steps.gate.judge.bedrock import Reply
from steps.preprocess.options import Options as PreprocessOptions
from steps.preprocess.preprocess import preprocess
from steps.shared.contract import StepError
from steps.train.answers.said import Said
from tests.paths import ROOT
from tests.steps.candidates.made import TOOL, call, calling, read, saying, write

DRAWN = {"answers": 4, "max_new_tokens": 48, "temperature": 1.5, "top_p": 1.0, "tool_call_parser": "hermes"}


def sample(count: int) -> list[dict[str, Any]]:
    """Prompts with tools of the quickstart's sample, with what its tiny model would better answer."""
    lines = (ROOT / "steps/quickstart/preferences.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    texts = [row for row in rows if "TOOLCALL" not in json.dumps(row["chosen_response"])]
    return [
        {"prompt": row["messages"], "tools": row["tools"], "reference": row["chosen_response"]} for row in texts[:count]
    ]


def test_a_model_answers_and_preprocess_reads_the_pairs(run, tiny_model: Path, tmp_path: Path) -> None:
    prompts = write(tmp_path / "prompts.jsonl", [*sample(4), {"prompt": "Hello?"}, "{\n"])
    options = [word for name, value in DRAWN.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    words = ("--base", str(tiny_model), "--prompts", str(prompts), "--output", str(tmp_path / "out"))
    done = run("-m", "steps.candidates", *words, *options)  # a process of its own: what it imports, in its own order
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/report/report.json").read_text())
    pairs = read(tmp_path / "out/pairs/pairs.jsonl")

    states = report["prompts"]
    assert states["lines"] == 6 == sum(states[state] for state in State)
    assert states["paired"] == len(pairs) == report["pairs"]["kept"] > 0
    assert (states["no_verifier"], states["unreadable"]) == (1, 1)
    assert report["answers"]["count"] == 4 * 4 and report["answered_by"]["kind"] == "base"
    for pair in pairs:
        about = pair["provenance"]
        assert (about["rule"], about["answered_by"], about["reference"]) == ("candidates", "base", True)
        best, worst = about["scores"][about["chosen"]], about["scores"][about["rejected"]]
        assert best == 1 and best - worst > about["margin"]
        assert about["sampling"] == {
            "answers": 4, "temperature": 1.5, "top_p": 1.0, "max_new_tokens": 48, "seed": 0,
        }  # fmt: skip

    write(tmp_path / "data/a.jsonl", [{"prompt": f"{n}", "chosen": "a", "rejected": "b"} for n in range(40)])
    given = PreprocessOptions(
        tmp_path / "data", tmp_path / "prepared", candidate_data=tmp_path / "out/pairs", format="plain",
        validation_fraction=0.3,
    )  # fmt: skip
    told = preprocess(given).as_json()
    assert told["files"] == {"a.jsonl": 40, "candidates:pairs.jsonl": len(pairs)}
    assert told["reasons"] == {} and told["unread"] == {} and told["candidate_data"] == "pairs"


Script = dict[str, Sequence[str | Said]]


@pytest.fixture
def scripted(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """`scripted({prompt: answers}, rows, option=value)`: run the step with a model that says just that; its output."""
    from steps.candidates import generate, model

    def run(script: Script, rows: list[Any], judge: Judge | None = None, **options: Any) -> dict[str, Any]:
        def answers(loaded: Any, prompts: Any, ids: Any, given: Options, end: float) -> dict[int, list[Said]]:
            texts = [prompt.messages[-1]["content"] for prompt in prompts]
            return {
                place: [one if isinstance(one, Said) else Said(one, 9, True) for one in script[text]]
                for place, text in enumerate(texts)
                if text in script
            }

        monkeypatch.setattr(generate, "answers", answers)
        monkeypatch.setattr(model, "load", lambda files: None)
        path = write(tmp_path / "prompts.jsonl", rows)
        given = {"output": tmp_path / "out", "base": str(tiny_model), "prompts": path, "tool_call_parser": "hermes"}
        found = candidates(Options(**(given | {"answers": 2} | options)), judge).as_json()
        return found | {
            "rows": read(tmp_path / "out/pairs/pairs.jsonl"),
            "left_out": read(tmp_path / "out/report/left_out.jsonl"),
        }

    return run


def row(text: str, **more: Any) -> dict[str, Any]:
    return {"prompt": text, "tools": [TOOL], **more}


def test_each_prompt_ends_in_the_state_that_says_what_came_of_it(scripted: Callable[..., dict[str, Any]]) -> None:
    script: Script = {
        "paired": [call("Rome"), call()],
        "same": [call(), call()],
        "equal": [call(), call("Rome")],
        "wrong": [call(7), "<tool_call>{</tool_call>"],
        "cut": [call(), Said("It will rain in O", 9, False)],
    }
    rows = [
        row("paired", reference=calling()[0]), row("same"), row("equal"), row("wrong"), row("cut"), row("late"),
        row("same"), {"prompt": "no tools"}, row("long " * 20_000), "{\n",
    ]  # fmt: skip
    found = scripted(script, rows)
    expected = {
        "paired": 1, "too_few": 2, "no_difference": 1, "none_good": 1, "over_time": 1, "duplicate": 1, "no_verifier": 1,
        "too_long": 1, "unreadable": 1,
    }  # fmt: skip
    assert {state: count for state, count in found["prompts"].items() if count and state != "lines"} == expected
    assert found["prompts"]["lines"] == len(rows)
    (pair,) = found["rows"]
    assert (pair["chosen"], pair["rejected"], pair["tools"]) == (calling(), calling("Rome"), [TOOL])
    assert pair["provenance"]["by"] == "arguments" and pair["provenance"]["scores"] == [0.5, 1.0]
    assert [one["line"] for one in found["left_out"]] == [10, 9] and "positions" in found["left_out"][1]["reason"]


def test_no_more_than_max_prompts_are_answered_and_those_without_a_verifier_take_no_place(
    scripted: Callable[..., dict[str, Any]],
) -> None:
    script: Script = {text: [call(), call(7)] for text in ("a", "b", "c")}
    found = scripted(script, [{"prompt": "no tools"}, row("a"), row("b"), row("c")], max_prompts=2)
    assert [pair["prompt"][0]["content"] for pair in found["rows"]] == ["a", "b"]
    assert (found["prompts"]["over_limit"], found["prompts"]["no_verifier"]) == (1, 1)


def test_a_judge_compares_what_the_verifier_cannot_tell_apart(scripted: Callable[..., dict[str, Any]]) -> None:
    def ask(question: str) -> Reply:
        return Reply("[[A]]" if "Sunshine" in question.partition("<answer_B>")[0] else "[[B]]", "end_turn", 10)

    script: Script = {"words": ["Rain", "Sunshine"], "call": [call("Rome"), call()], "calls": [call(), call(7)]}
    rows = [{"prompt": "words"}, row("call"), row("calls")]
    found = scripted(script, rows, Judge("m", ask, 10**6, time.monotonic() + 10**6))
    words, calls = found["rows"]
    assert (words["chosen"], words["rejected"]) == (saying("Sunshine"), saying("Rain"))
    assert (words["provenance"]["by"], words["provenance"]["judge"]) == ("judge", "m")
    assert "judge" not in calls["provenance"]
    assert found["prompts"]["no_difference"] == 1  # two calls, which no judge compares
    assert found["judge"] == {"model": "m", "reason": None, "comparisons": 1, "tokens": 20, "stopped": None}


def test_an_adapter_of_another_base_answers_nothing_and_ends_no_run(
    scripted: Callable[..., dict[str, Any]], tiny_model: Path, tmp_path: Path
) -> None:
    from steps.candidates import model

    adapter = tmp_path / "adapter"
    write(adapter / "adapter_config.json", [{"base_model_name_or_path": "theirs"}])
    found = scripted({}, [row("a")], champion=adapter, version="3", model_name="ours")
    assert found["prompts"]["no_model"] == 1 and found["rows"] == []
    assert found["answered_by"]["misfit"] == "its base is theirs, this run's is ours"
    assert (found["answered_by"]["kind"], found["answered_by"]["version"]) == ("champion", "3")
    with pytest.raises(Misfit, match=r"adapter_model\.safetensors is missing"):
        model.find(Options(tmp_path / "o", base=str(tiny_model)), model.Origin("champion", "3", adapter))


def test_without_prompts_nothing_is_loaded(tmp_path: Path) -> None:
    prompts = write(tmp_path / "prompts.jsonl", [])
    found = candidates(Options(tmp_path / "out", base="no/model", prompts=prompts)).as_json()
    assert found["prompts"]["lines"] == 0 and read(tmp_path / "out/pairs/pairs.jsonl") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there are no prompts"),
        (["--prompts", "p", "--answers", "1"], "--answers 1: must be at least 2"),
        (["--prompts", "p", "--temperature", "0"], "--temperature 0.0: must be above 0"),
        (["--prompts", "p", "--top-p", "1.1"], "--top-p 1.1"),
        (["--prompts", "p", "--margin", "1"], "--margin 1.0"),
        (["--prompts", "p", "--chat-template-kwargs", "[]"], "must be a JSON object"),
        (["--prompts", "."], "give another folder"),
        (["--prompt", "p"], "see --help"),
    ],
)
def test_a_wrong_option_is_named(words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StepError, match=said):
        candidates(parse(["--base", "b", "--output", "out", *words]))
