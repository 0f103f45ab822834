"""The moment that a chat template is told of: one for a training, however often it starts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from steps.shared.templates.chat_template import ChatTemplate
from steps.train.arguments import TrainArguments
from steps.train.loop import fingerprint, moment
from steps.train.rows import tokenise
from tests.steps.shared.templates.kinds import row
from tests.steps.shared.templates.tokenizers import byte_level

DATED = (
    "{{ strftime_now('%d %B %Y %H:%M:%S') }}\n{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROWS = {"train": [row("single")], "validation": [row("blanks")]}
ARGUMENTS = TrainArguments(model_id="org/model")


def of_run(folder: Path, rows: dict = ROWS, arguments: TrainArguments = ARGUMENTS) -> datetime | None:
    return moment.run_moment(ChatTemplate(byte_level(DATED)), rows, arguments, folder)


def a_day_later(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: timezone | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=1)

    monkeypatch.setattr(moment, "datetime", Tomorrow)


def test_a_start_after_midnight_makes_the_same_tokens_and_so_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = ChatTemplate(byte_level(DATED))

    def rows_hash() -> str:
        at = template.at(of_run(tmp_path))
        pairs = [tokenise.tokenise(rows, at, 4096, "drop")[0] for rows in ROWS.values()]
        return fingerprint.hash_rows(*pairs)

    first = rows_hash()
    a_day_later(monkeypatch)
    assert rows_hash() == first
    (tmp_path / moment.FILE).unlink()
    assert rows_hash() != first


def test_another_training_in_the_same_folder_has_a_moment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = of_run(tmp_path)
    a_day_later(monkeypatch)
    other = of_run(tmp_path, rows={"train": [row("blanks")], "validation": [row("single")]})
    assert first is not None and other is not None and other > first
    assert json.loads((tmp_path / moment.FILE).read_text())["moment"] == other.isoformat()


def test_a_template_that_does_not_ask_for_the_time_leaves_no_file(tmp_path: Path) -> None:
    plain = ChatTemplate(byte_level(DATED.partition("\n")[2]))
    assert moment.run_moment(plain, ROWS, ARGUMENTS, tmp_path) is None
    assert not list(tmp_path.iterdir())
