"""The training script as a process: alone and sharded, resumed, and refusing what would go wrong later."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import shutil
from pathlib import Path

import pytest

from steps.shared.folders import sole_writer
from steps.shared.records import read_records
from steps.shared.signs import phases
from steps.train.evaluation.figures import RowMargin, summarise
from steps.train.metrics import lines as metrics
from tests.document import require_whole
from tests.pages.browser import Picture

pytestmark = pytest.mark.slow
SHORT = {"max_steps": 4, "save_steps": 2, "logging_steps": 1}


@pytest.fixture(scope="module")
def sharded(train, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A short FSDP2 + NF4 run in bfloat16 over two processes: its output folder and its log."""
    output = tmp_path_factory.mktemp("sharded") / "out"
    done = train(output, 2, bf16="true", **SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    return output, done.stdout + done.stderr


def test_two_processes_each_hold_half_of_the_parameters(sharded: tuple[Path, str]) -> None:
    _, log = sharded
    line = next(line for line in log.splitlines() if line.startswith("FSDP2: "))
    local, total = (int(line.split()[index].replace(",", "")) for index in (1, 3))
    assert line.endswith("on each of 2 ranks")
    assert total / 2 <= local < total / 2 * 1.25


def test_training_begins_at_ln_2_and_ties_everywhere(sharded: tuple[Path, str]) -> None:
    output, _ = sharded
    history = json.loads((output / "history.json").read_text())
    first = next(entry for entry in history if "loss" in entry)
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5)
    evaluation = json.loads((output / "evaluation.json").read_text())
    assert evaluation["before"]["ties"] == evaluation["before"]["rows"] == len(evaluation["margins"])
    assert evaluation["after"]["ties"] < evaluation["after"]["rows"]


def test_two_processes_count_each_held_out_row_once_in_the_whole_and_in_the_slices(
    sharded: tuple[Path, str], pairs: Path
) -> None:
    output, _ = sharded
    evaluation = json.loads((output / "evaluation.json").read_text())
    records = read_records(pairs / "validation")
    assert [(row["id"], row["format"], row["with_tools"]) for row in evaluation["margins"]] == [
        (record.id, record.format, bool(record.tools)) for record in records
    ]
    rows = [
        RowMargin(
            row["id"], row["chosen_log_ratio"], row["rejected_log_ratio"], 0, 0,
            row["chosen_tokens"], row["rejected_tokens"], row["format"], row["with_tools"],
        )
        for row in evaluation["margins"]
    ]  # fmt: skip
    assert all(row.chosen_tokens > 0 and row.rejected_tokens > 0 for row in rows)
    assert evaluation["after"] == summarise(rows, evaluation["beta"]).as_dict()
    for when in ("before", "after"):
        for parts in evaluation[when]["slices"].values():
            assert sum(part["rows"] for part in parts.values()) == len(records)


def test_a_run_leaves_a_report_with_its_figures_and_a_picture(sharded: tuple[Path, str]) -> None:
    output, _ = sharded
    after = json.loads((output / "evaluation.json").read_text())["after"]
    html = (output / "report.html").read_text()
    require_whole(html)
    assert f"<b>{after['loss']:.4f}</b>" in html
    assert Picture.read(output / "training.png").lines > 200


def test_the_metric_definitions_read_what_the_run_printed(sharded: tuple[Path, str]) -> None:
    output, log = sharded
    lines = [line for line in log.splitlines() if line.startswith(metrics.PREFIX)]
    history = json.loads((output / "history.json").read_text())
    assert len(lines) == len(history)
    for line, entry in zip(lines, history, strict=True):
        found = {one["Name"]: re.search(one["Regex"], line) for one in metrics.DEFINITIONS}
        read = {name: float(match.group(1)) for name, match in found.items() if match}
        assert read.pop("train:max_steps") == 4
        expected = {
            f"eval:{name[5:]}" if name.startswith("eval_") else f"train:{name}": float(f"{value:.6g}")
            for name, value in entry.items()
            if name != "seconds"
        }
        assert read == expected


def test_the_log_tells_each_phase_once_as_it_begins_with_the_first_rank_alone(sharded: tuple[Path, str]) -> None:
    _, log = sharded
    told = [phase for line in log.splitlines() if (phase := phases.read(line))]
    names = [name for name, _ in itertools.groupby(phase.name for phase in told)]
    wanted = [
        "reading the rows", "reading the tokenizer", "tokenising train", "tokenising validation", "checking memory",
        "looking for checkpoints", "loading the model", "first evaluation", "first evaluation by the reference",
        phases.STEPS, "evaluation", "saving the adapter", "saving the results",
    ]  # fmt: skip
    assert [name for name in names if name in wanted] == wanted
    assert next(phase for phase in told if phase.name == phases.STEPS) == phases.Phase(phases.STEPS, 0, 4)


def test_what_is_not_evaluated_as_served_says_why(sharded: tuple[Path, str]) -> None:
    output, log = sharded
    served = json.loads((output / "evaluation.json").read_text())["served"]
    assert served == {"evaluated": False, "reason": "evaluate_served: false"}
    assert not (output / "probes.json").exists()
    assert "not evaluated as served: evaluate_served: false" in log


def test_every_step_is_logged_with_its_tokens_and_time(sharded: tuple[Path, str]) -> None:
    output, _ = sharded
    history = json.loads((output / "history.json").read_text())
    assert [entry["step"] for entry in history if "eval_loss" in entry] == [0, 4]
    steps = [entry for entry in history if "loss" in entry]
    assert [entry["step"] for entry in steps] == [1, 2, 3, 4]  # the last too, although an evaluation comes first
    for entry in steps:
        assert entry["tokens_per_second"] == pytest.approx(entry["tokens_per_step"] / entry["step_seconds"])
        # What the batches held: a prompt counts for both of its answers, and is computed once.
        assert entry["tokens_per_second"] / 2 < entry["computed_tokens_per_second"] < entry["tokens_per_second"]
        assert "mfu" not in entry  # the peak of a CPU is not known


def test_the_manifest_names_every_file_by_its_hash(sharded: tuple[Path, str]) -> None:
    output, _ = sharded
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["steps_done"], manifest["steps_planned"]) == (4, 4)
    present = {path.name for path in output.iterdir() if path.is_file()} - {"manifest.json"}
    assert set(manifest["files"]) == present > {
        "README.md", "evaluation.json", "history.json", "report.html", "training.png",
    }  # fmt: skip
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((output / name).read_bytes()).hexdigest() == digest


def test_the_adapter_loads_with_peft_and_changes_the_logits(sharded: tuple[Path, str], tiny_model: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    output, _ = sharded
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    tokens = torch.arange(20).unsqueeze(0)
    with torch.no_grad():
        before = base(tokens).logits
        after = PeftModel.from_pretrained(base, str(output))(tokens).logits
    assert not torch.equal(before, after)
    assert torch.isfinite(after).all()


def test_a_checkpoint_holds_the_adapter_and_never_the_base(sharded: tuple[Path, str]) -> None:
    from safetensors import safe_open

    output, _ = sharded
    checkpoint = output / "checkpoints" / "checkpoint-2"
    with safe_open(checkpoint / "adapter_model.safetensors", "pt") as file:
        assert file.keys() and all("lora_" in name for name in file.keys())  # noqa: SIM118 (not a mapping)
    assert not list(checkpoint.glob("*model_fsdp*"))


def test_one_process_trains_without_sharding_in_float32_and_sees_the_same_rows(
    sharded: tuple[Path, str], train, tmp_path: Path
) -> None:
    done = train(tmp_path / "out", 0, fsdp="false", bf16="false", load_in_4bit="false", max_steps=2, logging_steps=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "manifest.json").is_file()
    counted = ("id", "chosen_tokens", "rejected_tokens", "format", "with_tools")
    alone, two = (
        json.loads((folder / "evaluation.json").read_text())["margins"] for folder in (tmp_path / "out", sharded[0])
    )
    assert [[row[key] for key in counted] for row in alone] == [[row[key] for key in counted] for row in two]


def test_two_processes_in_float32_begin_at_ln_2_and_list_every_row_left_out_in_the_order_of_one(
    train, pairs: Path, tmp_path: Path
) -> None:
    done = train(
        tmp_path / "out",
        2,
        bf16="false",
        max_steps=1,
        warmup_steps=0,
        logging_steps=1,
        max_length=80,
        truncation="drop",
        max_left_out_fraction=1,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bytes on each of 2 ranks" in done.stdout
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert next(entry for entry in history if "loss" in entry)["loss"] == pytest.approx(math.log(2), abs=1e-6)
    path = tmp_path / "out" / "left_out.jsonl"
    assert f"every row that was cut or left out: {path}" in done.stdout
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    tokenised = json.loads((tmp_path / "out" / "evaluation.json").read_text())["tokenised"]
    for split in ("train", "validation"):
        listed = [row["id"] for row in rows if row["split"] == split]
        given = [record.id for record in read_records(pairs / split)]
        assert len(listed) == tokenised[split]["too_long"] > 5
        assert listed == [id for id in given if id in set(listed)]


def test_a_second_training_into_the_same_folder_is_refused(train, tmp_path: Path) -> None:
    with sole_writer(tmp_path / "out"):
        done = train(tmp_path / "out", 0, fsdp="false")
    assert done.returncode == 1
    said = "another run writes there now; wait until it has ended, or give another --output_dir"
    assert done.stderr.splitlines()[-1] == f"error: {tmp_path / 'out'}: {said}"


def test_fsdp_without_torchrun_fails_fast(train, tmp_path: Path) -> None:
    done = train(tmp_path / "out", 0)
    assert done.returncode == 1
    assert done.stderr == (
        "error: fsdp: true needs torchrun: python -m steps.train.torchrun --nproc-per-node N steps/train/train.py …; "
        "for one process without sharding add --fsdp false\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["chat_template.jinja", "tokenizer.json", "model.safetensors", "config.json"])
def test_a_folder_that_is_no_usable_model_is_one_line(train, tiny_model: Path, tmp_path: Path, missing: str) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / missing).unlink()
    done = train(tmp_path / "out", 0, fsdp="false", model_id=model)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {model}: ") and "Traceback" not in done.stderr


def test_a_missing_folder_of_pairs_is_one_line(train, tmp_path: Path) -> None:
    done = train(tmp_path / "out", 0, fsdp="false", train_data=tmp_path / "absent")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"error: train_data: {tmp_path / 'absent'}: there is no such folder")
