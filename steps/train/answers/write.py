"""From what was said to what is written: the section of evaluation.json, and the file of answers beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steps.shared.contract import write_text
from steps.shared.templates.chat_template import ChatTemplate
from steps.train.answers import parser
from steps.train.answers.said import Answers
from steps.train.answers.section import Row, judge
from steps.train.arguments import TrainArguments

FILE = "answers.jsonl"


def judge_and_write(
    answers: Answers | str, template: ChatTemplate, arguments: TrainArguments, folder: Path
) -> tuple[dict[str, Any], list[Row]]:
    """Judge the answers, write them into the folder, and give the section and the file's rows. For one rank.

    Args:
        answers: or why there are none.
        template: of the tokenizer that they were written with.
    """
    model = arguments.base_model_name or arguments.model_id
    section, rows = judge(
        answers,
        parser.choose(arguments.tool_call_parser, model, template.source),
        specials=[*template.specials, *template.ends],
        max_new_tokens=arguments.answers_max_new_tokens,
    )
    _write(folder / FILE, rows)
    return section, rows


def _write(file: Path, rows: Sequence[Row]) -> None:
    """A line a question; without rows no file, not even that of an earlier run."""
    if rows:
        write_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        file.unlink(missing_ok=True)
