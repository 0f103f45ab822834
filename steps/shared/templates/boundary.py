"""Where the answer begins in the text of prompt and answer.

P, the prompt's text up to where an answer begins, is what inference sees, and is trained on as it is. The answer is
the text that must follow it. Mostly the whole text begins with P. Otherwise the answer's own text is what differs from
the whole text of another answer, and it follows P:

- P ends with an empty reasoning block that the whole text has not: own text without such a block;
- P ends with an open block that the whole text closes: the own text from within the block on;
- P ends with an open block that nothing closes: the row's reasoning and the closing mark come first, and without
  reasoning the row is refused;
- the prompt looks otherwise once it is answered (Mistral's system turn): the own text.
"""

from __future__ import annotations

from dataclasses import dataclass

from steps.shared.records import Messages, Tools
from steps.shared.templates.blocks import Block, block_at_end
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.refused import RowRefused
from steps.shared.templates.stands import stands

OPEN = (
    "the prompt opens a reasoning block that this answer does not have: give reasoning_content, or set "
    "chat_template_kwargs"
)


@dataclass(frozen=True)
class Begin:
    """The answer's text is `before`, then the whole text from `at` on."""

    before: str
    at: int


def common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    low, high = 0, length  # texts are long and mostly equal: halve, and let slices be compared at once
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle)
    return low


def find_begin(
    template: ChatTemplate, prompt: Messages, answer: Messages, tools: Tools, text: str, whole: str
) -> Begin:
    """Where the answer begins in `whole`, the text of prompt and answer; `text` is the prompt's own.

    Raises:
        RowRefused: template_opens_reasoning, or template_mismatch: the text of an answer does not follow its prompt.
    """
    block = block_at_end(text)
    if whole.startswith(text):
        if block and block.is_open and block.closed not in whole[len(text) :]:
            return _filled(block, answer, whole, len(text))
        return Begin("", len(text))
    at = _own(template, prompt, answer, tools, whole, turn_header(template, prompt, tools, text))
    own = whole[at:]
    if block and block.is_open:
        at = len(whole) - len(block.without_opening(own))
        if block.closed not in own:
            return _filled(block, answer, whole, at)
    elif block:
        at = len(whole) - len(block.without_empty(own))
    return Begin("", at)


def _filled(block: Block, answer: Messages, whole: str, at: int) -> Begin:
    """The row's reasoning in the block that the prompt opened, where the template writes none."""
    reasoning = answer[0].get("reasoning_content")
    if not reasoning:
        raise RowRefused("template_opens_reasoning", OPEN)
    own = whole[at:]
    return Begin(block.filled(reasoning), len(whole) - len(own.lstrip()))


def turn_header(template: ChatTemplate, prompt: Messages, tools: Tools, text: str) -> str:
    """What the prompt's text ends with to let the assistant speak, without a reasoning block."""
    block = block_at_end(text)
    silent = template.text(prompt, tools)
    end = block.at if block else len(text)
    return text[common(text, silent) : end]


def _own(template: ChatTemplate, prompt: Messages, answer: Messages, tools: Tools, whole: str, header: str) -> int:
    """The place in `whole` where the text begins that must follow the prompt: the answer's own, and what stands
    between the turn's header and it."""
    shared = common(whole, template.text([*prompt, other_answer(answer)], tools))
    asked = next((message["content"] for message in reversed(prompt) if message["role"] in ("user", "tool")), "")
    if not stands(asked, whole[:shared]):
        raise RowRefused("template_mismatch", "the texts of two answers differ before the prompt's end")
    for mark in (header, header.rstrip()):
        found = whole.rfind(mark, 0, shared) if mark else -1
        if found >= 0:
            return found + len(mark)
    return shared


def other_answer(answer: Messages) -> dict[str, str]:
    """An answer that begins with another character than this one."""
    said = (answer[0].get("reasoning_content") or answer[0]["content"]).lstrip()
    return {"role": "assistant", "content": "§§§" if said.startswith("¤") else "¤¤¤"}
