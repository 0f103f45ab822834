"""Whether pairs of a prompt stand together is decided from the rows, and from what the model can compute."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from steps.train.arguments import TrainArguments
from steps.train.loop import fingerprint
from steps.train.rows.tokenise import Pair
from steps.train.shared_prompts import grouping
from tests.paths import ROOT


def rows(pairs_a_prompt: int, count: int = 12) -> list[Pair]:
    return [
        Pair(f"row-{number}", [number // pairs_a_prompt + 1] * 30, [7] * 5, [1] * 5, [8] * (number % 3 + 1),
             [1] * (number % 3 + 1), "chat", False)
        for number in range(count)
    ]  # fmt: skip


def decided(model: Path, pairs: list[Pair], **changes) -> tuple[bool | str, int | str | None]:
    found = grouping.decide(TrainArguments(model_id=str(model), per_device_train_batch_size=3, **changes), pairs)
    return found.group_by_prompt, found.max_tokens_per_batch


def test_rows_with_several_pairs_a_prompt_are_grouped_within_the_memory_of_padded_rows(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert decided(tiny_model, rows(3)) == (True, 2 * 3 * 35)
    assert caplog.messages[-2:] == [
        "share_prompts: 12 rows have 4 prompts; grouped by prompt, 63% fewer tokens are computed",
        "share_prompts: group_by_prompt: true, max_tokens_per_batch: 210",
    ]


def test_rows_with_a_prompt_each_keep_the_order_of_trl(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert decided(tiny_model, rows(1)) == (False, None)
    assert caplog.messages[-1].endswith(
        "12 prompts; grouped by prompt, 0% fewer tokens are computed: the pairs are shuffled"
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"group_by_prompt": False}, (False, None)),
        ({"max_tokens_per_batch": None}, (True, None)),
        ({"max_tokens_per_batch": 99}, (True, 99)),
        ({"group_by_prompt": False, "max_tokens_per_batch": 99}, (False, 99)),
        ({"group_by_prompt": True}, (True, 210)),
        ({"share_prompts": False}, (False, None)),
        ({"loss_type": ["aot"]}, (False, None)),
        ({"loss_type": ["aot"], "group_by_prompt": True}, (True, None)),
        ({"attn_implementation": "eager"}, (False, None)),
    ],
)
def test_what_the_recipe_says_stays_and_what_cannot_be_packed_is_not_grouped(
    tiny_model: Path, settings: dict, expected: tuple
) -> None:
    assert decided(tiny_model, rows(3), **settings) == expected


def test_the_fingerprint_sees_what_was_decided_and_not_who_decided(tiny_model: Path) -> None:
    auto = TrainArguments(model_id=str(tiny_model), per_device_train_batch_size=3)
    said = auto.model_copy(update={"group_by_prompt": True, "max_tokens_per_batch": 210})
    other = auto.model_copy(update={"group_by_prompt": False, "max_tokens_per_batch": None})
    prints = [fingerprint.of_run(grouping.decide(one, rows(3)), "rows", None) for one in (auto, said, other)]
    assert prints[0] == prints[1] != prints[2]


def test_a_training_on_rows_with_three_pairs_a_prompt_groups_them_and_says_so(
    train: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    lines = (ROOT / "steps" / "quickstart" / "preferences.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    rows = [json.loads(line) for line in lines]
    tripled = []
    for row, *others in zip(rows, rows[1:] + rows[:1], rows[2:] + rows[:2], strict=True):
        tripled += [row, *(row | {"rejected_response": other["rejected_response"]} for other in others)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tripled), encoding="utf-8")
    command = ["-m", "steps.preprocess", "--input", tmp_path / "rows.jsonl", "--output", tmp_path / "pairs"]
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True, capture_output=True)
    where = {f"{split}_data": tmp_path / "pairs" / split for split in ("train", "validation")}
    done = train(tmp_path / "out", 0, fsdp="false", max_steps=2, logging_steps=1, save_steps=9, **where)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"share_prompts: 1\d\d rows have \d\d prompts; grouped by prompt, \d\d% fewer tokens", done.stdout)
    arguments = json.loads((tmp_path / "out" / "manifest.json").read_text())["arguments"]
    assert arguments["group_by_prompt"] is True and arguments["max_tokens_per_batch"] > 0
