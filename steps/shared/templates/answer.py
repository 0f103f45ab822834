"""The text of an answer after its prompt, in pieces that are learned and pieces that are only read.

Learned is what the model itself writes: each of its turns up to the token at which inference stops. Read are the
results of tools, the headers between turns, and what the template puts behind the last stop token.
"""

from __future__ import annotations

from dataclasses import dataclass

from steps.shared.records import Messages, Tools
from steps.shared.templates.blocks import block_at_end
from steps.shared.templates.boundary import Begin, common, find_begin, other_answer, turn_header
from steps.shared.templates.calls import said_by_calls
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.refused import RowRefused


@dataclass(frozen=True)
class AnswerText:
    """
    Attributes:
        pieces: texts in order, each with whether it is learned.
        reasoning_dropped: the row's reasoning is not in the text: the prompt ends with an empty block for it.
        has_stop: the last learned piece ends with a token at which inference stops, or which ends a turn.
    """

    pieces: tuple[tuple[str, bool], ...]
    reasoning_dropped: bool
    has_stop: bool

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)

    @property
    def learned(self) -> str:
        return "".join(text for text, learned in self.pieces if learned)

    @property
    def read(self) -> str:
        return "".join(text for text, learned in self.pieces if not learned)


@dataclass(frozen=True)
class _Row:
    """A prompt with one answer, and what the template makes of both."""

    template: ChatTemplate
    prompt: Messages
    answer: Messages
    tools: Tools
    text: str
    whole: str

    def render(self, answer: Messages, *, generation: bool = False) -> str:
        return self.template.text([*self.prompt, *answer], self.tools, generation=generation)


def answer_text(template: ChatTemplate, prompt: Messages, answer: Messages, tools: Tools, text: str) -> AnswerText:
    """
    Args:
        text: the prompt's, up to where an answer begins.

    Raises:
        RowRefused: template_refused, template_mismatch or template_opens_reasoning.
    """
    whole = template.text([*prompt, *answer], tools)
    dropped = False
    if "reasoning_content" in answer[0] and not whole.startswith(text):
        block = block_at_end(text)
        if block and not block.is_open:  # the prompt asks for an answer without reasoning
            answer, dropped = [_silent(message) for message in answer], True
            whole = template.text([*prompt, *answer], tools)
    row = _Row(template, prompt, answer, tools, text, whole)
    begin = find_begin(template, prompt, answer, tools, text, whole)
    spans, has_stop = _spans(row, begin)
    return AnswerText(_pieces(begin, whole, spans), dropped, has_stop)


def _silent(message: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in message.items() if key != "reasoning_content"}


def _pieces(begin: Begin, whole: str, spans: list[tuple[int, int]]) -> tuple[tuple[str, bool], ...]:
    found, at = [], begin.at
    for start, end in spans:
        found += [(whole[at:start], False), (whole[start:end], True)]
        at = end
    found.append((whole[at:], False))
    if begin.before:
        found[1] = (begin.before + found[1][0], True)
    return tuple(piece for piece in found if piece[0])


def _spans(row: _Row, begin: Begin) -> tuple[list[tuple[int, int]], bool]:
    """Where each of the assistant's turns begins and ends in the whole text, and whether the last one has a stop."""
    turns = [index for index, message in enumerate(row.answer) if message["role"] == "assistant"]
    spans, start, has_stop = [], begin.at, False
    for index, following in zip(turns, [*turns[1:], None], strict=True):
        if following is None:
            end, has_stop = _last_end(row, start, row.answer[index])
            spans.append((start, end))
            break
        result = _result_at(row, index + 1)
        spans.append((start, _end_before(row, start, result, index)))
        start = _next_start(row, result, following)
        if start < spans[-1][1]:
            raise RowRefused("template_mismatch", "the turns of the answer do not stand one after the other")
    return spans, has_stop


def _result_at(row: _Row, index: int) -> int:
    """Where the text of a tool's result begins: it changes when the result alone does."""
    result = row.answer[index]
    changed = [*row.answer[:index], {**result, "content": other_answer([result])["content"]}, *row.answer[index + 1 :]]
    return common(row.whole, row.render(changed))


def _end_before(row: _Row, start: int, result: int, index: int) -> int:
    """Where a turn ends that a tool's result follows: behind the last stop token before the result."""
    found = [row.whole.rfind(stop, start, result) + len(stop) for stop in row.template.ends if stop]
    end = max((at for at, stop in zip(found, row.template.ends, strict=True) if at >= start + len(stop)), default=0)
    if not end:  # the turn has another end: as far as the text without what follows goes
        end = min(common(row.whole, row.render(row.answer[: index + 1])), result)
        end = start + len(row.whole[start:end].rstrip())
    if end <= start:
        raise RowRefused("template_mismatch", "the text of a call does not end before its result")
    return end


def _next_start(row: _Row, result: int, index: int) -> int:
    """Where the assistant's turn `index` begins, which follows the result that begins at `result`."""
    asked = row.render(row.answer[:index], generation=True)
    if row.whole.startswith(asked):
        return len(asked)
    header = turn_header(row.template, row.prompt, row.tools, row.text)
    said = row.answer[index - 1]["content"].strip()
    found = row.whole.find(said, result)
    for mark in (header, header.rstrip()):
        at = row.whole.find(mark, found + len(said) if found >= 0 else result) if mark else -1
        if at >= 0:
            return at + len(mark)
    other = row.render([*row.answer[:index], other_answer(row.answer[index:])])
    return max(common(row.whole, other), result)


def _last_end(row: _Row, start: int, message: dict[str, object]) -> tuple[int, bool]:
    """Where the last turn ends: behind the first stop token after what it says, or else behind its last special one."""
    own = row.whole[start:]
    said = [text.strip() for text in (message["content"], *said_by_calls(message)) if isinstance(text, str)]
    tail = max((own.rfind(text) + len(text) for text in said if text and text in own), default=0)
    stops = [(own.find(stop, tail), stop) for stop in row.template.ends]
    later = [(at, stop) for at, stop in stops if at >= 0] or [
        (at, stop) for stop in row.template.ends if (at := own.rfind(stop)) >= 0
    ]
    if later:
        at, stop = min(later)
        return start + at + len(stop), True
    marks = [(own.rfind(mark, tail), mark) for mark in row.template.specials]
    at, mark = max(marks, default=(-1, ""))
    return (start + at + len(mark), True) if at >= 0 else (len(row.whole), False)
