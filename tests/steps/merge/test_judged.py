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
from steps.shared.contract import StepError

IDS, AT = [3, 9, 4, 8, 21, 30, 7, 5], 5


def evaluation(adapter: Path, *log_probs: float, dtype: str = "float32", **changes: Any) -> None:
    """Write what training would: one answer of three tokens to each of the values."""
    probes = [
        {"id": f"row-{number}", "input_ids": IDS, "completion_at": AT, "log_prob": value}
        for number, value in enumerate(log_probs)
    ]
    served = {"evaluated": True, "reason": None, "dtype": dtype, "probes": probes} | changes
    (adapter / "evaluation.json").write_text(json.dumps({"served": served}))


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


def merge(base: Path, adapter: Path, output: Path) -> dict[str, Any]:
    main(["--base", str(base), "--adapter", str(adapter), "--output", str(output), "--check-logits", "always"])
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
    assert "not compared with the figures that it was judged by: no evaluation.json" in capsys.readouterr().out
    evaluation(made[1], evaluated=False, reason="evaluate_served: false")
    assert judged.read(made[1]) == "the adapter was not judged as served: evaluate_served: false"
    (made[1] / "evaluation.json").write_text("{}")
    assert judged.read(made[1]) == "the adapter was not judged as served: an earlier release trained it"
    evaluation(made[1])
    assert str(judged.read(made[1])).startswith("none of the held-out answers is short enough")


@pytest.mark.parametrize(
    "changes", [{"dtype": "int8"}, {"dtype": None}, {"probes": 3}, {"probes": [{"id": "a"}]},
                {"probes": [{"id": "a", "input_ids": [1], "completion_at": 1, "log_prob": 0.0}]},
                {"probes": [{"id": "a", "input_ids": [1, 2], "completion_at": 1, "log_prob": "x"}]}], ids=str,
)  # fmt: skip
def test_a_damaged_evaluation_is_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    evaluation(tmp_path, -1.0, **changes)
    with pytest.raises(StepError, match=r"evaluation\.json: served: is not what training writes; copy the adapter's"):
        judged.read(tmp_path)
