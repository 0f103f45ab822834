"""The merged model gives held-out answers the log-probability that the adapter was judged with."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from steps.merge import judged
from steps.merge.__main__ import main
from steps.shared import contract
from steps.shared.contract import StepError

IDS, AT = [3, 9, 4, 8, 21, 30, 7, 5], 5


def evaluation(adapter: Path, *log_probs: float, dtype: object = "float32", **changes: Any) -> None:
    """Write what training would: one answer of three tokens to each of the values."""
    served = {"evaluated": True, "reason": None, "dtype": dtype} | changes
    (adapter / "evaluation.json").write_text(json.dumps({"served": served}))
    probes = [
        {"id": f"row-{number}", "input_ids": IDS, "completion_at": AT, "log_prob": value}
        for number, value in enumerate(log_probs)
    ]
    (adapter / judged.PROBES).write_text(json.dumps(probes))


def as_gated(adapter: Path, decision: Path) -> None:
    """Training's manifest beside the adapter, and its probes where the gate puts them."""
    hashes = {path.name: contract.sha256(path) for path in adapter.iterdir()}
    contract.write_json(adapter / "manifest.json", {"files": hashes})
    decision.mkdir()
    (adapter / judged.PROBES).rename(decision / judged.PROBES)


def log_prob(base: Path, adapter: Path) -> float:
    """Base and adapter by peft alone, in float32."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, str(adapter)).eval()
    ids = torch.tensor([IDS])
    with torch.no_grad():
        every = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    return float(every[AT - 1 :].sum())


@pytest.fixture
def made(make_base, make_adapter) -> tuple[Path, Path]:
    base = make_base(dtype=torch.float32)
    return base, make_adapter(base)


def merge(base: Path, adapter: Path, output: Path, *more: str) -> dict[str, Any]:
    main(["--base", str(base), "--adapter", str(adapter), "--output", str(output), "--check-logits", "always", *more])
    return json.loads((output / "manifest.json").read_text())["logits"]


def test_the_manifest_has_both_sums_and_says_so(made: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    value = log_prob(*made)
    evaluation(made[1], value)
    (row,) = (found := merge(*made, tmp_path / "out")["judged"])["answers"]
    assert found["agree"] and row["judged"] == value and row["merged"] == pytest.approx(value, abs=1e-4)
    assert (row["id"], row["tokens"]) == ("row-0", 3)
    assert row["tolerance"] == pytest.approx(1e-3 * math.sqrt(2 * 3))
    assert "the merged model is the one that was judged: it gives 1 held-out answers" in capsys.readouterr().out


def test_other_figures_than_those_of_the_merged_model_end_the_merge(made: tuple[Path, Path], tmp_path: Path) -> None:
    value = log_prob(*made)
    evaluation(made[1], value, value + 0.05, math.fsum([value, -1.0]))
    with pytest.raises(StepError) as refused:
        merge(*made, tmp_path / "out")
    said = str(refused.value)
    assert "2 of 3 held-out answers have another log-probability than the trained model was judged with, first" in said
    assert f"row-1: {value:.4g} nats and not {value + 0.05:.4g} (tolerance 0.0024)" in said
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_what_bfloat16_rounds_is_no_other_model(made: tuple[Path, Path], tmp_path: Path) -> None:
    evaluation(made[1], log_prob(*made) + 0.05, dtype="bfloat16")
    assert merge(*made, tmp_path / "out")["judged"]["agree"]


def test_an_adapter_that_was_not_judged_as_served_is_merged_and_that_is_said(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(*made, tmp_path / "none")["judged"] == {"skipped": "no evaluation.json lies beside the adapter"}
    assert "judged" not in capsys.readouterr().out  # another tool's adapter
    evaluation(made[1], evaluated=False, reason="evaluate_served: false")
    reason = "the adapter was not judged as served: evaluate_served: false"
    assert merge(*made, tmp_path / "nf4")["judged"] == {"skipped": reason}
    assert f"not compared with the figures that it was judged by: {reason}" in capsys.readouterr().out
    for earlier in ("{}", '{"served": null}', '{"served": {"evaluated": false, "reason": null}}'):
        (made[1] / "evaluation.json").write_text(earlier)
        assert judged.read(made[1], None) == "the adapter was not judged as served: an earlier release trained it"


def test_answers_that_the_gate_keeps_apart_are_compared_and_are_those_of_this_training(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, adapter = made
    evaluation(adapter, log_prob(*made))
    as_gated(adapter, tmp_path / "decision")
    there = ("--judged", str(tmp_path / "decision"))
    assert merge(base, adapter, tmp_path / "out", *there)["judged"]["agree"]
    assert "the merged model is the one that was judged" in capsys.readouterr().out
    (tmp_path / "decision" / judged.PROBES).write_text("[]")
    with pytest.raises(StepError) as refused:
        merge(base, adapter, tmp_path / "other", *there)
    assert str(refused.value) == (
        f"{tmp_path}/decision/probes.json: is not the file of this adapter's training, by {adapter}/manifest.json; "
        "give the folder where the gate of that training left it as --judged"
    )
    assert not (tmp_path / "other").exists()


def test_without_the_answers_it_is_said_why_nothing_was_compared(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, adapter = made
    evaluation(adapter, -1.0)
    as_gated(adapter, tmp_path / "decision")
    reason = "no probes.json lies beside the adapter, and --judged names no folder with it"
    assert merge(base, adapter, tmp_path / "out")["judged"] == {"skipped": reason}
    assert f"not compared with the figures that it was judged by: {reason}" in capsys.readouterr().out
    with pytest.raises(StepError, match=r"empty/probes\.json: is missing; --judged must name the gate's decision/ or"):
        judged.read(adapter, tmp_path / "empty")
    (adapter / "manifest.json").unlink()
    assert judged.read(adapter, None) == reason


def test_a_training_without_short_answers_has_none_and_another_ones_are_refused(tmp_path: Path) -> None:
    evaluation(tmp_path)
    (tmp_path / judged.PROBES).unlink()
    as_written = {"evaluation.json": contract.sha256(tmp_path / "evaluation.json")}
    contract.write_json(tmp_path / "manifest.json", {"files": as_written})
    for given in (None, tmp_path / "decision"):
        assert str(judged.read(tmp_path, given)).startswith("none of the held-out answers is short enough")
    (tmp_path / judged.PROBES).write_text("[]")
    with pytest.raises(StepError, match=r"probes\.json: is not the file of this adapter's training"):
        judged.read(tmp_path, None)


def test_a_token_that_the_model_has_not_is_named(made: tuple[Path, Path], tmp_path: Path) -> None:
    evaluation(made[1], -1.0)
    file = made[1] / judged.PROBES
    file.write_text(file.read_text().replace("[3,", "[64,"))
    with pytest.raises(StepError, match=r"a held-out answer has the token 64, the model has 64 tokens; give the base"):
        merge(*made, tmp_path / "out")


@pytest.mark.parametrize(
    "content",
    [[], "x", {"served": [1]}, {"served": {"evaluate": True}},
     *({"served": {"evaluated": True, "dtype": dtype}} for dtype in ("int8", None, []))],
    ids=repr,
)  # fmt: skip
def test_a_damaged_evaluation_is_one_line(tmp_path: Path, content: Any) -> None:
    evaluation(tmp_path, -1.0)
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(StepError, match=r"evaluation\.json: served: is not what training writes; copy the adapter's"):
        judged.read(tmp_path, None)


PROBE = {"id": "a", "input_ids": [1, 2], "completion_at": 1, "log_prob": -1.0}


@pytest.mark.parametrize(
    "content",
    [
        [], 3, {"a": 1}, "abc", None, [{"id": "a"}], [None],
        *([PROBE | {"input_ids": ids}] for ids in ([1], [-1, 2], ["1", "2"], "12", 3, [1.5, 2])),
        *([PROBE | {"completion_at": place}] for place in (0, 2, 0.5, "1", None)),
        *([PROBE | {"log_prob": value}] for value in ("x", None, math.nan, 10**400)),
    ],
    ids=repr,
)  # fmt: skip
def test_a_damaged_file_of_answers_is_one_line(tmp_path: Path, content: Any) -> None:
    evaluation(tmp_path, -1.0)
    (tmp_path / judged.PROBES).write_text(json.dumps(content))
    with pytest.raises(StepError, match=r"probes\.json: is not what training writes; copy it again"):
        judged.read(tmp_path, None)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[{"])
def test_a_file_of_answers_that_is_no_json_is_one_line(tmp_path: Path, content: bytes) -> None:
    evaluation(tmp_path, -1.0)
    (tmp_path / judged.PROBES).write_bytes(content)
    with pytest.raises(StepError, match=r"probes\.json: the file of probes is not valid JSON"):
        judged.read(tmp_path, None)
