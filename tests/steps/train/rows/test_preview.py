"""The preview: what is marked is what the loss counts, text is whole, and the data cannot steer the terminal."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.shared.records import Record, read_records
from steps.shared.templates.chat_template import ChatTemplate
from steps.train.arguments import TrainArguments
from steps.train.rows import preview, tokenise

TOOLS = [{"type": "function", "function": {"name": "find", "description": "d", "parameters": {"type": "object"}}}]
CALL = {"type": "function", "function": {"name": "find", "arguments": {"q": "x"}}}
ANSWER_WITH_TOOL = [
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "42 degrees"},
    {"role": "assistant", "content": "It is 42 😊."},
]
NO = [{"role": "assistant", "content": "No."}]
YES = [{"role": "assistant", "content": "Yes"}]


@pytest.fixture(scope="module")
def arguments(tiny_model: Path) -> TrainArguments:
    return TrainArguments(model_id=str(tiny_model))


@pytest.fixture(scope="module")
def tokenizer(arguments: TrainArguments):
    from steps.train.model.load import load_tokenizer

    return load_tokenizer(arguments)


def record(chosen: list, prompt: str = "Find x.", line: int = 1, id: str = "id", file: str = "f.jsonl") -> Record:
    return Record(id, [{"role": "user", "content": prompt}], chosen, NO, TOOLS, "chat", file, line)


def lines(row: Record, tokenizer, *, colour: bool = False) -> str:
    pair, _ = tokenise.tokenise_record(row, ChatTemplate(tokenizer), 4096, "drop")
    return "\n".join(preview.row_lines(row, pair, tokenizer, colour=colour))


def test_a_row_shows_its_place_its_tokens_and_marks_what_is_learned(tokenizer) -> None:
    row = record(ANSWER_WITH_TOOL)
    pair, _ = tokenise.tokenise_record(row, ChatTemplate(tokenizer), 4096, "drop")
    assert lines(row, tokenizer) == (
        "row id  f.jsonl:1  chat\n"
        f"tokens: prompt {len(pair.prompt_ids)}, "
        f"chosen {len(pair.chosen_ids)} ({sum(pair.chosen_mask)} in the loss), "
        f"rejected {len(pair.rejected_ids)} ({sum(pair.rejected_mask)} in the loss)\n"
        "--- prompt\n"
        "<|im_start|>system\\n\nTools:\\n\nfind(): d<|im_end|>\\n\n"
        "<|im_start|>user\\n\nFind x.<|im_end|>\\n\n<|im_start|>assistant\\n\n\n"
        "--- chosen\n"
        '⟦<tool_call>\\n\n{"name": "find", "arguments": {"q": "x"}}\\n\n</tool_call><|im_end|>⟧\\n\n'
        "<|im_start|>user\\n\n<tool_response>\\n\n42 degrees\\n\n</tool_response><|im_end|>\\n\n"
        "<|im_start|>assistant\\n\n⟦It is 42 😊.<|im_end|>⟧\\n\n\n"
        "--- rejected\n"
        "⟦No.<|im_end|>⟧\\n\n"
    )


def test_a_row_shows_template_arguments_of_its_own(tokenizer) -> None:
    own = replace(record(YES), chat_template_kwargs={"effort": "h\x1bé"})
    first, second, *rest = lines(own, tokenizer).splitlines()
    assert (first, second) == ("row id  f.jsonl:1  chat", 'chat_template_kwargs: {"effort": "h\\u001bé"}')
    assert [first, *rest] == lines(record(YES), tokenizer).splitlines()


def test_in_colour_exactly_the_loss_is_green_or_red_and_a_tool_result_is_dim(tokenizer) -> None:
    text = lines(record(ANSWER_WITH_TOOL), tokenizer, colour=True)
    coloured = re.findall(r"\x1b\[(\d+)m([^\x1b]*)\x1b\[0m", text)
    by_colour = {code: "".join(part for found, part in coloured if found == code) for code in ("32", "31", "2")}
    assert by_colour["32"].endswith("</tool_call><|im_end|>It is 42 😊.<|im_end|>")
    assert by_colour["31"] == "No.<|im_end|>"
    assert "42 degrees" in by_colour["2"] and "42 degrees" not in by_colour["32"]


def test_a_character_of_several_tokens_is_whole_wherever_the_border_lies(tokenizer) -> None:
    text = "a😊é漢b"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) > len(text)
    for border in range(len(ids) + 1):
        found = preview.spans(tokenizer, ids, [0] * border + [1] * (len(ids) - border))
        assert "".join(part for _, part in found) == text
    assert preview.spans(tokenizer, ids, [0] * 2 + [1] * (len(ids) - 2)) == [(False, "a"), (True, "😊é漢b")]


@pytest.mark.parametrize("colour", [False, True])
def test_a_hostile_row_sends_no_control_character_to_the_terminal(tokenizer, colour: bool) -> None:
    hostile = "\x1b[2J\x1b]0;title\x07\x9b31m\r\x08\u202eright\u2028⟦learned⟧\t\x7f"
    row = record([{"role": "assistant", "content": hostile}], prompt=hostile, file="\x1b[31mf\r.jsonl")
    text = lines(row, tokenizer, colour=colour)
    rest = re.sub(r"\x1b\[(32|31|2|0)m", "", text) if colour else text
    assert not [one for one in rest if unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"} and one != "\n"]
    assert r"\x1b[2J\x1b]0;title\x07\x9b31m\r\x08\u202eright\u2028" in text
    if colour:
        assert "⟦learned⟧" in text
    else:
        assert text.count("⟦") == text.count("⟧") == 2 and r"\u27e6learned\u27e7" in text


def test_rows_are_spread_over_the_data_and_only_used_ones_are_shown(tokenizer, arguments: TrainArguments) -> None:
    short = arguments.model_copy(update={"max_length": 100})
    rows = [record(YES, line=line, prompt="word " * 200 if line in (4, 7, 8, 9) else "Hi") for line in range(1, 10)]
    shown = [row.source_line for row, _ in preview.spread(rows, ChatTemplate(tokenizer), short, 3)]
    assert shown == [1, 5]  # of lines 4 to 6 the first is too long, of 7 to 9 every one
    assert len(list(preview.spread(rows, ChatTemplate(tokenizer), short, 50))) == 5


def test_the_last_line_accounts_for_every_row(tokenizer, arguments, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [record(YES), record(YES, prompt="word " * 200), record([{"role": "assistant", "content": "word " * 200}])]
    cutting = arguments.model_copy(update={"max_length": 100, "truncation": "cut_prompt"})
    preview.show(rows, ChatTemplate(tokenizer), cutting, 1)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "train: 2 of 3 rows used, 1 of them with their prompt cut; 1 left out (too_long 1)"
    )


@pytest.mark.parametrize("words", [["--preview", "3"], ["--preview=3"]])
def test_the_switch_is_taken_out_of_the_command_line(words: list[str]) -> None:
    assert preview.take(["--config", "f", *words, "--beta", "1"]) == (["--config", "f", "--beta", "1"], 3)
    assert preview.take(["--config", "f"]) == (["--config", "f"], None)


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "²", ""])
def test_a_bad_number_of_rows_is_one_error(number: str) -> None:
    with pytest.raises(StepError) as caught:
        preview.take(["--config", "f", f"--preview={number}"])
    assert str(caught.value) == f"--preview {number}: expected the number of rows to show, 1 or more: --preview 3"
    with pytest.raises(StepError, match="--preview : expected"):
        preview.take(["--preview", "--config", "f"])


def test_the_command_needs_neither_torchrun_nor_weights(run, tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    import shutil

    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "model.safetensors").write_bytes(b"no weights")
    words = ("--model_id", model, "--train_data", pairs / "train", "--preview", "2")
    done = run("-X", "importtime", "steps/train/train.py", "--config", "configs/recipes/quickstart.yaml", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nrow ") + done.stdout.startswith("row ") == 2
    rows = len(read_records(pairs / "train"))
    last = f"train: {rows} of {rows} rows used, 0 of them with their prompt cut; 0 left out"
    assert done.stdout.splitlines()[-1] == last
    assert not re.search(r"\| +trl$", done.stderr, re.MULTILINE)
