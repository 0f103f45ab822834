"""Tokenised pairs: prompt + answer is the full render, tool results stay out of the loss, no row vanishes uncounted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from steps.shared.records import Record
from steps.shared.templates.chat_template import KEPT, ChatTemplate
from steps.train.arguments import TrainArguments
from steps.train.rows import tokenise as data

TOOLS = [{"type": "function", "function": {"name": "find", "description": "d", "parameters": {"type": "object"}}}]
CALL = {"type": "function", "function": {"name": "find", "arguments": {"q": "x"}}}


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    from steps.train.model.load import load_tokenizer

    return load_tokenizer(TrainArguments(model_id=str(tiny_model)))


def record(
    chosen: list, rejected: list | None = None, prompt: str = "Find x.", line: int = 1, tools: list | None = TOOLS
) -> Record:
    rejected = rejected or [{"role": "assistant", "content": "No."}]
    return Record("id", [{"role": "user", "content": prompt}], chosen, rejected, tools, "chat", "f.jsonl", line)


def tokenise(records: list, tokenizer, max_length: int = 4096, truncation: str = "drop"):
    return data.tokenise(records, ChatTemplate(tokenizer), max_length, truncation)


def test_prompt_and_answer_together_are_the_full_render(tokenizer) -> None:
    chosen = [{"role": "assistant", "content": "Yes 😊"}]
    (pair,), left = tokenise([record(chosen)], tokenizer)
    full = tokenizer.apply_chat_template([{"role": "user", "content": "Find x."}, *chosen], tools=TOOLS, tokenize=False)
    assert tokenizer.decode(pair.prompt_ids + pair.chosen_ids) == full
    assert tokenizer.decode(pair.prompt_ids).endswith("<|im_start|>assistant\n")
    assert pair.chosen_mask == [1] * (len(pair.chosen_ids) - 1) + [0]  # the line break behind the stop token
    assert not left.counts


def test_one_answer_being_a_prefix_of_the_other_corrupts_neither(tokenizer) -> None:
    short, long = ([{"role": "assistant", "content": text}] for text in ("Yes", "Yes, it is there"))
    (pair,), _ = tokenise([record(short, long)], tokenizer)
    assert tokenizer.decode(pair.chosen_ids) == "Yes<|im_end|>\n"
    assert tokenizer.decode(pair.rejected_ids) == "Yes, it is there<|im_end|>\n"


def test_tool_results_inside_an_answer_are_seen_and_not_learned(tokenizer) -> None:
    answer = [
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "42 degrees"},
        {"role": "assistant", "content": "It is 42."},
    ]
    (pair,), _ = tokenise([record(answer)], tokenizer)
    learned = tokenizer.decode([t for t, m in zip(pair.chosen_ids, pair.chosen_mask, strict=True) if m])
    assert "42 degrees" in tokenizer.decode(pair.chosen_ids)
    assert "42 degrees" not in learned and "<|im_start|>" not in learned
    assert "find" in learned and "It is 42." in learned


def test_long_rows_are_counted_and_named_or_cut_on_the_left(tokenizer) -> None:
    answer = [{"role": "assistant", "content": "Yes"}]
    rows = [record(answer), record(answer, prompt="word " * 500 + "last", line=7)]
    pairs, left = tokenise(rows, tokenizer, 200)
    assert pairs[1] is None and left.lines() == ["too_long: 1 rows, such as f.jsonl:7"]
    pairs, left = tokenise(rows, tokenizer, 200, "cut_prompt")
    assert pairs[1].tokens == 200 and left.lines() == ["prompt_cut: 1 rows, such as f.jsonl:7"]
    assert tokenizer.decode(pairs[1].prompt_ids).endswith("last<|im_end|>\n<|im_start|>assistant\n")
    assert pairs[1].chosen_ids == tokenise(rows, tokenizer)[0][1].chosen_ids
    long_answer = [{"role": "assistant", "content": "word " * 500}]
    pairs, left = tokenise([record(long_answer)], tokenizer, 200, "cut_prompt")
    assert pairs == [None] and left.counts == {"too_long": 1}


def test_a_row_is_rendered_with_its_own_template_arguments_before_the_runs(tokenizer) -> None:
    import copy

    moody = copy.deepcopy(tokenizer)
    moody.chat_template = "{{ mood }}|{{ place }}|" + tokenizer.chat_template
    plain = record([{"role": "assistant", "content": "Yes"}])
    rows = [plain, replace(plain, chat_template_kwargs={"mood": "wet"}), plain]
    pairs, left = data.tokenise(rows, ChatTemplate(moody, {"mood": "dry", "place": "here"}), 4096, "drop")
    texts = [moody.decode(pair.prompt_ids) for pair in pairs]
    assert texts[0].startswith("dry|here|") and texts[1] == texts[0].replace("dry|", "wet|", 1)
    assert pairs[2] == pairs[0] and pairs[1].chosen_ids == pairs[0].chosen_ids and not left.counts
    whole = ChatTemplate(moody, {"mood": "wet", "place": "here"})
    assert pairs[1] == data.tokenise_record(plain, whole, 4096, "drop")[0]


def test_what_a_template_leaves_out_is_told_by_a_rows_own_arguments(tokenizer) -> None:
    import copy

    hiding = copy.deepcopy(tokenizer)
    hiding.chat_template = "{% if hide %}{% set tools = none %}{% endif %}" + tokenizer.chat_template
    plain = record([{"role": "assistant", "content": "Yes"}])
    rows = [plain, replace(plain, chat_template_kwargs={"hide": True}, source_line=2), replace(plain, source_line=3)]
    pairs, left = tokenise(rows, hiding)
    assert [pair is None for pair in pairs] == [False, True, False]
    assert left.lines() == ["template_drops_tools: 1 rows, such as f.jsonl:2"]


def test_templates_of_rows_arguments_are_remembered_up_to_a_number(tokenizer) -> None:
    template = ChatTemplate(tokenizer, {"mood": "dry"})
    first = template.given({"a": 1, "b": 2})
    assert template.given({"b": 2, "a": 1}) is first and template.given(None) is template
    assert template.given({"a": True, "b": 2}) is not first
    for number in range(KEPT):
        template.given({"a": number + 100})
    assert template.given({"a": 1, "b": 2}) is not first


def test_a_template_that_renders_the_prompt_otherwise_is_noticed(tokenizer) -> None:
    import copy

    odd = copy.deepcopy(tokenizer)
    odd.chat_template = "{% for m in messages | reverse %}{{ m.content }}{% endfor %}"
    pairs, left = tokenise([record([{"role": "assistant", "content": "Yes"}], tools=None)], odd)
    assert pairs == [None] and left.counts == {"template_mismatch": 1}


def test_a_template_that_refuses_a_row_is_quoted(tokenizer) -> None:
    import copy

    strict = copy.deepcopy(tokenizer)
    strict.chat_template = "{{ raise_exception('roles must alternate') }}"
    pairs, left = tokenise([record([{"role": "assistant", "content": "Yes"}])], strict)
    assert pairs == [None]
    assert left.lines() == ["template_refused (roles must alternate): 1 rows, such as f.jsonl:1"]


def test_every_row_cut_or_left_out_is_listed_with_its_tokens(tokenizer, tmp_path: Path) -> None:
    answer = [{"role": "assistant", "content": "Yes"}]
    rows = [record(answer, prompt="word " * (0 if line == 3 else 500), line=line) for line in range(1, 10)]
    path = tmp_path / "out" / "left_out.jsonl"
    _, left = tokenise(rows, tokenizer, 200)
    assert data.write_left_out(path, {"train": left, "validation": data.Left()}, 200)
    whole = data.tokenise_record(rows[0], ChatTemplate(tokenizer), 4096, "drop")[0]
    listed = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["source_line"] for row in listed] == [1, 2, 4, 5, 6, 7, 8, 9]
    assert listed[0] == {
        "id": "id", "source_file": "f.jsonl", "source_line": 1, "split": "train", "reason": "too_long", "detail": None,
        "prompt_tokens": len(whole.prompt_ids), "chosen_tokens": len(whole.chosen_ids),
        "rejected_tokens": len(whole.rejected_ids), "max_length": 200,
    }  # fmt: skip
    assert not data.write_left_out(path, {"train": data.Left()}, 200)
    assert not path.exists()


def test_the_account_of_several_ranks_is_in_the_order_of_the_rows(tokenizer) -> None:
    answer = [{"role": "assistant", "content": "Yes"}]
    rows = [record(answer, prompt="word " * (500 if line % 5 else 1), line=line) for line in range(1, 24)]
    _, whole = tokenise(rows, tokenizer, 200)
    parts = [tokenise(rows[rank::3], tokenizer, 200)[1] for rank in range(3)]
    merged = data.Left.of_ranks(parts)
    assert [row.source_line for row in merged.rows] == [row.source_line for row in whole.rows]


def test_no_row_left_is_an_error_that_says_why() -> None:
    from steps.shared.contract import StepError

    left = data.Left([data.LeftRow(0, "id", "f.jsonl", 1, "too_long")])
    with pytest.raises(StepError) as caught:
        data.require_rows([], "train", left, 16)
    assert str(caught.value) == (
        "train: no row can be used: too_long: 1 rows, such as f.jsonl:1; "
        "raise max_length (now 16) or set truncation: cut_prompt"
    )
