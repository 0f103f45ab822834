"""Whole local runs: merge, adapter, cache, failing gate, champion, failing step, retry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from pipeline.local.state.store import Store
from steps.shared import served_files
from steps.shared.serving import ADAPTER_FOLDER
from tests.model_card_schema import SCHEMA

pytestmark = pytest.mark.slow
SHORT = {"MaxSteps": 12, "LearningRate": 5e-3, "RewardAccuracyThreshold": 0, "LoraR": 12}


@pytest.fixture(scope="module")
def merged(pipeline) -> dict:
    code, summary, stderr = pipeline.start(**SHORT, MergeWeights="true")
    assert code == 0, stderr
    return summary


@pytest.fixture(scope="module")
def adapter(pipeline, merged: dict) -> dict:
    """The same inputs once more, registered as an adapter."""
    code, summary, stderr = pipeline.start(**SHORT, MergeWeights="false")
    assert code == 0, stderr
    return summary


def states(pipeline, execution: str) -> dict[str, str]:
    found = pipeline.json("status", execution)["steps"]
    return {step["name"]: "cached" if step["cached"] else step["status"] for step in found}


def test_a_merged_model_is_registered_and_loads_by_itself(pipeline, merged: dict) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert merged["registered"]["variant"] == "merged"
    assert "RegisterAdapter" not in states(pipeline, merged["execution"])
    folder = merged["registered"]["model"]
    AutoModelForCausalLM.from_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).chat_template


def test_what_the_gate_hands_on_to_endpoints_holds_no_row_of_the_data(pipeline, merged: dict) -> None:
    (gate,) = pipeline.root.glob(f"s3/*/**/runs/{merged['execution']}/Gate")
    probes = json.loads((gate / "decision" / "probes.json").read_text())
    tokens = [json.dumps(probe["input_ids"], separators=(",", ":"))[1:-1].encode() for probe in probes]
    texts = {text.encode() for line in pipeline.data.read_text().splitlines() for text in long(json.loads(line))}
    held_out = {text for text in texts if text in (gate / "decision" / "answers.jsonl").read_bytes()}
    assert len(tokens) == 4 and held_out
    served = {path.name: path.read_bytes() for path in (gate / "serving").rglob("*") if path.is_file()}
    assert {"adapter_model.safetensors", "evaluation.json", "README.md", "model_card.json"} < served.keys()
    for name, content in served.items():
        assert not [text for text in texts if text in content], name
        assert not [ids for ids in tokens if ids in b"".join(content.split())], name


def long(value: object) -> Iterator[str]:
    """Texts of a row that are long enough to be its own."""
    if isinstance(value, str):
        if len(value) >= 30 and json.dumps(value, ensure_ascii=False) == f'"{value}"':  # the same wherever it is quoted
            yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from long(one)


def test_the_merged_model_is_held_against_the_answers_that_it_was_judged_by(pipeline, merged: dict) -> None:
    (found,) = pipeline.root.glob(f"s3/*/**/runs/{merged['execution']}/Merge/model/manifest.json")
    tied = json.loads(found.read_text())["logits"]["judged"]
    assert tied["agree"] and len(tied["answers"]) == 4


def test_every_input_row_is_accounted_for(merged: dict) -> None:
    rows = merged["rows"]
    assert rows["read"] == sum(rows[name] for name in ("train", "validation", "duplicate", "quarantined"))
    assert merged["tokenised"]["train"]["given"] == rows["train"]
    assert merged["held_out"]["rows"] == merged["tokenised"]["validation"]["used"]


def test_the_same_inputs_hit_the_cache_and_the_adapter_is_registered(pipeline, merged: dict, adapter: dict) -> None:
    found = states(pipeline, adapter["execution"])
    assert (found["Preprocess"], found["Train"], found["Champion"]) == ("cached", "cached", "Succeeded")
    assert "Merge" not in found
    assert adapter["registered"]["variant"] == "adapter"
    assert adapter["registered"]["version"] == merged["registered"]["version"] + 1
    assert (Path(adapter["registered"]["model"]) / ADAPTER_FOLDER / "adapter_model.safetensors").is_file()
    again = pipeline("retry", adapter["execution"])
    assert again.returncode == 0 and "succeeded, and there is nothing to do" in again.stderr


def test_training_continues_from_the_adapter_of_an_earlier_execution(
    pipeline, merged: dict, few_questions: Path, tmp_path: Path
) -> None:
    (earlier,) = pipeline.root.glob(f"s3/*/**/runs/{merged['execution']}/Gate/serving/{ADAPTER_FOLDER}")
    configs = tmp_path / "configs"
    shutil.copytree(few_questions, configs)
    text = (configs / "quickstart.yaml").read_text()
    (configs / "quickstart.yaml").write_text(text.replace("\ntrain:\n", f"\ntrain:\n  initial_adapter: {earlier}\n"))
    short = SHORT | {"MaxSteps": 2, "MergeWeights": "false"}
    code, summary, stderr = pipeline.start("--settings", str(configs / "quickstart.yaml"), **short)
    assert code == 0, stderr
    assert summary["held_out"]["before"]["ties"] == summary["held_out"]["rows"]  # the earlier adapter is the reference
    log = pipeline("logs", summary["execution"], "--step", "Train").stdout
    assert "continuing from the adapter in" in log and "continuing from checkpoint" not in log

    folder = Path(summary["registered"]["model"]) / ADAPTER_FOLDER
    first, second = (json.loads((path / "manifest.json").read_text()) for path in (earlier, folder))
    assert second["arguments"]["base_model_name"] == first["arguments"]["base_model_name"]
    assert second["files"]["adapter_model.safetensors"] != first["files"]["adapter_model.safetensors"]
    packages = sorted(pipeline.root.glob("registry/*/*/package.json"), key=lambda path: path.stat().st_mtime)
    request = json.loads(packages[-1].read_text())
    assert request["CustomerMetadataProperties"]["data_hash"] in (folder / "README.md").read_text()
    card = json.loads(request["ModelCard"]["ModelCardContent"])
    jsonschema.validate(card, SCHEMA, cls=jsonschema.Draft7Validator)
    assert summary["gate"]["message"] in card["evaluation_details"][0]["evaluation_observation"]
    assert request["CustomerMetadataProperties"]["data_hash"] in json.dumps(card)
    assert not (folder / "report.html").exists()  # it quotes rows
    (container,) = request["InferenceSpecification"]["Containers"]
    assert container["Environment"]["OPTION_MAX_LORA_RANK"] == "16"  # vLLM has none of 12


def test_versions_are_listed_newest_first_with_their_facts(pipeline, merged: dict) -> None:
    models = pipeline.json("models")
    assert models[-1]["version"] == 1 and models[0]["version"] == len(models)
    facts = models[-1]["metadata"]
    assert facts["variant"] == "merged" and facts["execution_arn"].endswith(merged["execution"])
    assert len(facts["data_hash"]) == 64 and facts["base_model"].startswith("s3://")
    assert "models" not in pipeline("list").stderr
    assert [entry["status"] for entry in pipeline.json("list")][-1] == "Succeeded"


def test_a_model_below_the_threshold_is_rejected_with_the_numbers(pipeline, merged: dict) -> None:
    before = len(pipeline.json("models"))
    code, summary, _ = pipeline.start(**SHORT | {"RewardAccuracyThreshold": 1})
    assert code == 1
    assert summary["status"] == "Failed"
    assert summary["failure_reason"] == summary["gate"]["message"]
    accuracy = summary["gate"]["reward_accuracy"]
    assert f"{accuracy:.4f}, as served, is below the threshold 1 " in summary["failure_reason"]
    assert len(pipeline.json("models")) == before


def test_both_variants_are_compared_asked_and_approved(pipeline, merged: dict, adapter: dict, tmp_path: Path) -> None:
    first, second = (str(summary["registered"]["version"]) for summary in (merged, adapter))
    comparison = pipeline.json("compare", first, second)
    assert comparison["same_rows"] and comparison["paired"]["rows"] == merged["held_out"]["rows"]
    assert comparison["differing"]["arguments"] == {} and "variant" in comparison["differing"]["facts"]
    assert comparison["notes"][0].startswith("Both come from the same training run")
    tools = tmp_path / "tools.json"
    tools.write_text(
        '[{"name": "get_weather", "parameters": {"type": "dict", "properties": {"city": {"type": "str"}}}}]'
    )
    question = ("What is the weather in Lima?", "--tools", str(tools), "--max-new-tokens", "8")
    whole, apart = pipeline.json("try", first, *question), pipeline.json("try", second, *question, "--base")
    assert whole["answer"]["prompt_tokens"] == apart["answer"]["prompt_tokens"] == apart["base"]["prompt_tokens"] > 20
    for said in (whole["answer"], apart["answer"], apart["base"]):
        assert said["text"].strip() and 1 < said["tokens"] <= 8
    approved = pipeline.json("approve", first, "--note", "it answers")
    assert (approved["approval_status"], approved["champion"], approved["note"]) == ("Approved", True, "it answers")


def test_a_failing_step_shows_its_reason_its_log_and_the_next_command(pipeline, tmp_path: Path) -> None:
    data = tmp_path / "empty.jsonl"
    data.write_text("")
    parameters = ("--set", f"ModelUri={pipeline.model}", "--set", f"InputDataUri={data}")
    done = pipeline("start", "--wait", *parameters)
    assert done.returncode == 1
    assert "Preprocess failed: " in done.stderr and "Traceback" not in done.stderr
    execution = pipeline.json("list")[0]["id"]
    assert f"python pipeline.py logs --local --local-root {pipeline.root} {execution}" in done.stderr
    assert "error: " in pipeline("logs", execution).stdout
    assert states(pipeline, execution) == {"Champion": "Succeeded", "Preprocess": "Failed"}


def test_too_many_invalid_rows_fail_with_their_reasons_and_a_retry_fails_alike(pipeline, tmp_path: Path) -> None:
    data = tmp_path / "bad.jsonl"
    good = {"prompt": "p", "chosen": "a", "rejected": "b"}
    lines = [json.dumps(good | {"prompt": f"p{n}"}) for n in range(8)] + ["not json", "[1]"]
    data.write_text("\n".join(lines))
    code, summary, stderr = pipeline.start(InputDataUri=data)
    assert code == 1 and "bad.jsonl:9" in stderr
    assert summary["status"] == "Failed"
    assert pipeline("retry", summary["execution"]).returncode == 1


@pytest.fixture(scope="module")
def champion(pipeline, merged: dict) -> dict:
    """The first version, approved: from here on it is what others are compared with."""
    pipeline.json("approve", str(merged["registered"]["version"]))
    judged = {"reward_accuracy": merged["gate"]["reward_accuracy"]}
    return {"version": str(merged["registered"]["version"]), **merged["held_out"]["after"], **judged}


def comparison(pipeline, summary: dict) -> dict:
    (folder,) = pipeline.root.glob(f"s3/*/**/runs/{summary['execution']}/Gate/serving/adapters/dpo")
    return json.loads((folder / "evaluation.json").read_text())["champion"]


def test_training_on_two_nodes_is_one_job_and_a_worse_model_is_stopped_by_the_champion(
    pipeline, merged: dict, champion: dict
) -> None:
    # With another max_length the champion's own figures are not taken: its adapter is evaluated, over four processes.
    worse = {"LearningRate": 1e-12, "MaxSteps": 2, "MaxLength": 1000}
    code, summary, stderr = pipeline.start(**SHORT | worse, TrainInstanceCount=2)
    assert (code, summary["gate"]["decision"], summary["gate"]["champion"]) == (1, "fail", champion["version"]), stderr
    log = pipeline("logs", summary["execution"], "--step", "Train").stdout
    assert "bytes on each of 4 ranks" in log
    assert summary["held_out"]["rows"] == merged["held_out"]["rows"]
    assert comparison(pipeline, summary)["source"] == "evaluated"
    own, theirs = summary["gate"]["reward_accuracy"], champion["reward_accuracy"]
    of = f"has {theirs:.4f} on the same {champion['rows']} rows, this model {own:.4f}"
    said = f"{of}, both as served against the base: worse by"
    assert said in summary["failure_reason"] and "more than the tolerance 0.02" in summary["failure_reason"]
    assert "registered" not in summary


def test_a_better_model_passes_the_champion_and_is_registered_with_the_numbers(pipeline, champion: dict) -> None:
    better = {"LearningRate": 5e-3, "MaxSteps": 30, "MergeWeights": "false"}
    code, summary, stderr = pipeline.start(**SHORT | better)
    assert code == 0, stderr
    own, gate = summary["gate"]["reward_accuracy"], summary["gate"]
    assert f"this model {own:.4f}, both as served against the base: better by" in gate["message"]
    assert comparison(pipeline, summary)["source"] == "recorded"  # its own evaluation has these rows
    package = pipeline.json("models")[0]
    facts = package["metadata"]
    assert (package["version"], facts["champion"]) == (summary["registered"]["version"], champion["version"])
    assert facts["champion_reward_accuracy"] == f"{champion['reward_accuracy']:.4f}"
    assert facts["gate"] == gate["summary"]
    assert facts["adapter_uri"].endswith(f"/{summary['execution']}/Gate/serving/adapters/dpo/")
    for version in pipeline.json("models"):  # merged ones and adapters
        folder = Store(pipeline.root).path(version["model_uri"])
        served_files.check_folder(folder, version["metadata"]["manifest_sha256"], whole=True)


def test_training_continues_from_the_champion_and_its_rows_are_no_new_data_then(pipeline, champion: dict) -> None:
    more = SHORT | {"MaxSteps": 2, "MergeWeights": "false", "ContinueFromChampion": "true"}
    code, summary, stderr = pipeline.start(**more)
    assert summary["held_out"]["before"]["ties"] == summary["held_out"]["rows"], stderr  # the champion is the reference
    log = pipeline("logs", summary["execution"], "--step", "Train").stdout
    assert f"training goes on from version {champion['version']}" in log
    code, summary, stderr = pipeline.start(**more, LoraAlpha=3)
    assert code == 1 and f"continue_from_champion: version {champion['version']} does not fit" in stderr
    assert "ContinueFromChampion=false" in summary["failure_reason"]
    code, summary, stderr = pipeline.start(**more, SkipIfNoNewData="true")
    assert (code, summary["no_new_data"], "registered" in summary) == (0, True, False), stderr
