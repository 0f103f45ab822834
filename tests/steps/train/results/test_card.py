"""The model card: its metadata as the hub reads it, the run's figures, and nothing of the rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.origin import Origin, read_data_report
from steps.train.results import hub_card
from steps.train.results.facts import collect_facts
from steps.train.tracking.settings import shown
from tests.steps.train import runs

REPORT = {"data_hash": "ab" * 32, "formats": {"chat": 700, "hh": 2}, "samples": {"chat": [{"prompt": "a secret"}]}}
VERSIONS = {"trl": "1.16.0", "peft": "0.21.2"}


def rendered(run: dict[str, Any] | None = None, **given: Any) -> str:
    """The card of a run of 60 rows; `given` are training arguments, and what its sources have."""
    run = run or runs.run()
    sources = {name: given.pop(name) for name in ("report", "initial_adapter") if name in given}
    arguments = shown(TrainArguments(**{"model_id": "Qwen/Qwen3-8B"} | given))
    origin = Origin(run["records"], {}, **sources)
    return hub_card.render(collect_facts(run["evaluation"], arguments, origin, {"steps": 1200, "pairs": 32}, VERSIONS))


def test_the_hub_reads_base_library_and_task_from_it() -> None:
    read = ModelCard(rendered(model_revision="v1"))
    assert read.data.to_dict() == {
        "base_model": "Qwen/Qwen3-8B",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["dpo", "trl", "lora"],
    }
    assert "An adapter for `Qwen/Qwen3-8B` at revision `v1`." in read.text
    assert 'AutoModelForCausalLM.from_pretrained("Qwen/Qwen3-8B")' in read.text


def test_a_base_that_is_not_on_the_hub_is_named_in_the_text_alone() -> None:
    read = ModelCard(rendered(model_id="/opt/ml/input/data/model", base_model_name="s3://bucket/model/"))
    assert read.data.base_model is None and "An adapter for `s3://bucket/model/`." in read.text
    assert "from_pretrained" not in read.text and "/opt/ml" not in read.text


def test_figures_data_and_arguments_are_the_runs() -> None:
    run = runs.run()
    after = run["evaluation"]["after"]
    text = rendered(run, report=REPORT, loss_type="sigmoid,sft", loss_weights=[1, 0.5], load_in_4bit=False)
    assert f"| 0.6931 | {after['loss']:.4f} |" in text and "On 60 held-out rows." in text
    assert f"| {after['slices']['format']['hh']['rows']} |" in text.split("| `hh` ")[1]
    assert "| train | 600 | 590 | too_long: 10 |" in text and "| validation | 60 | 60 | none |" in text
    assert f"SHA-256 of the data: `{'ab' * 32}`." in text and "`chat` 700, `hh` 2." in text
    assert "Optimizer steps: 1,200; pairs in each: 32." in text and "Versions: trl 1.16.0, peft 0.21.2." in text
    assert "| loss_type | `sigmoid, sft` |\n| loss_weights | `1.0, 0.5` |" in text
    assert "The reference is the base itself, with the adapter off." in text and "NF4" not in text


def test_an_initial_adapter_is_the_reference_and_data_without_a_report_is_said_to_be() -> None:
    text = rendered(initial_adapter="cd" * 32)
    assert f"an earlier adapter, SHA-256 `{'cd' * 32}`: the reference is the base with that" in " ".join(text.split())
    assert "the hash of the data is not known" in text and "used the base in NF4" in text


def test_no_text_of_a_row_and_no_password_stands_in_it() -> None:
    text = rendered(report=REPORT, mlflow_uri="http://ada:s3cr3t@host", train_data="/home/ada/pairs")
    assert not [
        word
        for word in ("s3cr3t", "ada:", "/home", "a secret", "to rain", "No idea", "chats.jsonl", "row-7")
        if word in text
    ]


def test_names_from_the_data_stay_names() -> None:
    text = rendered(runs.run(hostile=True), report=REPORT | {"formats": {runs.EVIL: 1}})
    cells = [line for line in text.splitlines() if "<script" in line]
    assert cells and all("`" in line.split("<script")[0] and "`" in line.split("<script")[-1] for line in cells)


@given(st.text())
def test_code_is_one_line_whose_fence_no_text_closes(text: str) -> None:
    written = hub_card.code(text)
    fence = written[: len(written) - len(written.lstrip("`"))] if text.strip("`") else ""
    assert "\n" not in written and "|" not in written.replace("\\|", "")
    assert not fence or fence not in written[len(fence) : -len(fence)]


def test_a_report_that_is_none_is_refused_before_training(tmp_path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    assert read_data_report(tmp_path / "train") is None
    (folder / "report.json").write_text(json.dumps(REPORT))
    assert read_data_report(tmp_path / "train") == REPORT
    (folder / "report.json").write_text("[]")
    with pytest.raises(StepError, match="is not what the Preprocess step writes"):
        read_data_report(tmp_path / "train")


def test_the_served_form_and_the_answers_are_summed_up_and_what_is_tested_is_not_called_untested() -> None:
    run = runs.judged_run()
    after, calls = run["evaluation"]["served"]["after"], run["evaluation"]["answers"]["after"]["calls"]
    text = rendered(run)
    assert (
        f"| reward accuracy | 50% | {after['reward_accuracy']:.1%} | " in text and "2 of 60 rows change sides" in text
    )
    run["evaluation"]["served"]["drift"]["log_prob_per_token"] = None
    assert "rows change sides.\n" in rendered(run)
    assert f"| right, of 24 prompts with tools | 0% | {calls['share']:.1%} | 69% \N{EN DASH} 95.7% |" in text
    assert "| 50% | 8.3% | 2.9% \N{EN DASH} 21.8% |" in text
    assert "beyond the 36 held-out prompts whose answers were judged by calls and form alone" in text
    assert "used the base in NF4" not in text and "every figure here is of the log-probabilities" not in text


def test_a_card_says_why_neither_was_judged() -> None:
    text = rendered(runs.not_judged_run())
    assert "## As it is served" not in text and "## What it says" not in text
    assert "the log-probabilities of given answers (evaluate_answers: 0)." in text
    assert "training and evaluation used the base in NF4 (evaluate_served: false)." in text


def test_answers_without_calls_or_tools_are_summed_up_by_their_form() -> None:
    run = runs.judged_run(champion=False)
    section = run["evaluation"]["answers"]
    section["parser"], section["parser_reason"] = None, "no parser is known for `x`"
    for side in ("before", "after"):
        section[side]["calls"] = None
    text = rendered(run)
    assert "Calls were not judged: `` no parser is known for `x` ``." in text and "judged by form alone" in text
    assert "right, of" not in text and "degenerate answers" in text
