"""The section and the file that a training leaves of its answers."""

from __future__ import annotations

import json
from pathlib import Path

from steps.quickstart.tiny_model import blank_tokenizer
from steps.shared.templates.chat_template import ChatTemplate
from steps.train.answers.write import FILE, judge_and_write
from steps.train.arguments import TrainArguments
from tests.steps.train.answers.answers import answers, call, calling, said

TEMPLATE = ChatTemplate(blank_tokenizer())
QWEN = TrainArguments(model_id="Qwen/Qwen3-8B", answers_max_new_tokens=32)


def test_answers_are_judged_with_the_models_own_parser_and_written(tmp_path: Path) -> None:
    given = answers([calling(0, "Århus")], base=said("No."), candidate=said(call("Århus")))
    section, _ = judge_and_write(given, TEMPLATE, QWEN, tmp_path)
    assert (section["parser"], section["max_new_tokens"], section["after"]["calls"]["right"]) == ("hermes", 32, 1)
    (line,) = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["answers"]["candidate"]["right"] is True


def test_without_answers_there_is_no_file_not_even_an_old_one(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}\n")
    assert judge_and_write("evaluate_answers: 0", TEMPLATE, QWEN, tmp_path)[0]["reason"] == "evaluate_answers: 0"
    assert not (tmp_path / FILE).exists()


def test_the_templates_own_special_tokens_are_markers(tmp_path: Path) -> None:
    given = answers([calling(0)], base=said("No.<|im_start|>user"), candidate=said("No."))
    assert judge_and_write(given, TEMPLATE, QWEN, tmp_path)[0]["before"]["form"]["marker"] == 1
