"""Whether what a trainer makes of a row is right, told from its token ids alone; and what TRL makes of it.

A row is wrong where a part of it is missing from the text, what a tool returned is learned, both sides are equal, the
prompt is not what inference sees, or a reasoning block that the prompt opens is not closed. Reasoning that a template
does not write, and what is learned behind the stop token, are not counted as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from steps.shared.templates.blocks import block_at_end
from steps.shared.templates.calls import Form, written
from steps.shared.templates.chat_template import AS_WRITTEN, ChatTemplate
from tests.steps.shared.templates.kinds import KINDS

Side = tuple[list[int], list[int]]  # token ids of an answer, and 1 where one is learned


@dataclass(frozen=True)
class Tokens:
    """A row as it is trained on; `asked` is the prompt's text that inference sees."""

    asked: str
    prompt: list[int]
    chosen: Side
    rejected: Side

    @property
    def tokens(self) -> tuple[list[int], list[int], list[int]]:
        return self.prompt, self.chosen[0], self.rejected[0]


def faults(template: ChatTemplate, kind: str, row: Tokens) -> list[str]:
    """What is wrong with a row of a kind; nothing where it is right."""
    prompt, chosen, rejected, tools = KINDS[kind]
    decode = template.tokenizer.decode
    text = decode(row.prompt)
    found = [] if text == row.asked else ["the prompt is not what inference sees"]
    found += [f"{message['role']} turn missing" for message in prompt if not _stands(message["content"], row.asked)]
    found += ["tools missing" for tool in tools or () if not _stands(tool["function"]["name"], row.asked)]
    given = [value for message in prompt for call in message.get("tool_calls", ()) for value in _said(call)]
    found += ["call missing" for value in given if not _stands(value, row.asked)]
    if row.chosen == row.rejected:
        found.append("equal sides")
    if AS_WRITTEN.search(text + decode(row.chosen[0]) + decode(row.rejected[0])):
        found.append("a list of parts as Python writes it")
    for answer, (ids, mask) in ((chosen, row.chosen), (rejected, row.rejected)):
        learned = decode([number for number, on in zip(ids, mask, strict=True) if on])
        block = block_at_end(text)
        if block and block.is_open and block.closed not in learned:
            found.append("the block of reasoning stays open")
        found += _missing(answer, learned, decode(ids))
    return found


def _missing(answer: list[dict[str, Any]], learned: str, whole: str) -> Iterator[str]:
    for message in answer:
        if message["role"] == "tool":
            if _stands(message["content"], learned):
                yield "a result is learned"
            elif not _stands(message["content"], whole):
                yield "result missing"
            continue
        if not _stands(message["content"], learned):
            yield "content missing"
        for call in message.get("tool_calls") or ():
            if not all(_stands(part, learned) for part in _said(call)):
                yield "call missing"


def _said(call: dict[str, Any]) -> list[str]:
    return [call["function"]["name"], *map(str, call["function"]["arguments"].values())]


def _stands(part: str, text: str) -> bool:
    """Whether the part is in the text, but for white space and for `True` instead of `true`."""
    return "".join(part.split()).lower() in "".join(text.split()).lower()


class _Rows(list):
    """Rows that TRL's preparation maps over as over a dataset."""

    def map(self, function: Callable[..., dict[str, Any]], fn_kwargs: dict[str, Any]) -> _Rows:
        return _Rows(row | function(row, **fn_kwargs) for row in self)


def by_trl(template: ChatTemplate, kind: str) -> Tokens | None:
    """What TRL's own preparation for DPO makes of a row; None where its template raises.

    The row is given as suits TRL best: with ids of calls where the template reads them, and its content in parts where
    the template wants parts.
    """
    from trl import DPOTrainer

    form = Form(as_text=False, ids="fill" if template.reads_ids else "own")
    prompt, chosen, rejected = written(KINDS[kind][:3], form)
    tools = KINDS[kind][3]
    row = dict(zip(("prompt", "chosen", "rejected"), map(template.messages, (prompt, chosen, rejected)), strict=True))
    settings = SimpleNamespace(dataset_num_proc=None, max_length=None, truncation_mode="keep_start")
    try:
        asked = template.text(prompt, tools, generation=True)
        prepare: Any = DPOTrainer._prepare_dataset
        with template.clock():  # at midnight TRL would be wrong, and at no other time
            (made,) = prepare(None, _Rows([row | {"tools": tools}]), template.tokenizer, settings, "rows")
    except Exception:  # whatever a template raises; TRL's training ends with it
        return None
    sides = [(made[f"{side}_ids"], [1] * len(made[f"{side}_ids"])) for side in ("chosen", "rejected")]
    return Tokens(asked, made["prompt_ids"], *sides)
