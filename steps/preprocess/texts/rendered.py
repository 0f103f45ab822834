"""Texts that went through a chat template already, back to turns: ChatML, Llama 3, and Llama 2 with Mistral.

What else looks like such a text (markers.py says how), or is one and does not come apart cleanly, cannot be trained on:
the template would write its markers a second time, and as a user's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.texts.markers import (
    ANSWERS,
    FIRST,
    end_marker,
    is_transcript,
    may_start_rendered,
    starts_rendered,
)
from steps.shared.records import Messages

HINT = "give the conversation as chat messages"
OF_TOOLS = ("<tool_call>", "<tool_response>", "<tools>", "[AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]")
LLAMA_DATES = re.compile(r"\A(?:Environment: ipython\n)?Cutting Knowledge Date: .*\nToday Date: .*\n\n?")
SYSTEM = re.compile(r"\A\s*<<SYS>>\n?(.*?)\n?<</SYS>>\s*", re.DOTALL)
ABOUT = re.compile(r"\b(?:tokens?|markers?|tags?|HTML|ChatML)\b", re.IGNORECASE)  # what an end's mark may answer
SPEAKERS = ("system", "user", "assistant")


@dataclass(frozen=True)
class Template:
    """A template whose texts are unwrapped.

    Attributes:
        begins: tells that a text is one of it.
        turns: the turns of a text, without an empty one at the end that waits for the answer; None where the text
            does not come apart cleanly.
        ends: what may stand behind an answer.
        inside: what cannot stand in a turn.
    """

    begins: re.Pattern[str]
    turns: Callable[[str], Messages | None]
    ends: tuple[str, ...]
    inside: tuple[str, ...]


def _marked_turns(
    text: str, marker: re.Pattern[str], ends: tuple[str, ...], inside: tuple[str, ...]
) -> Messages | None:
    """The turns of a text in which each begins with a marker that names its role, and ends with one of `ends`."""
    _, *pieces = marker.split(re.sub(rf"\A{FIRST}", "", text, count=1))
    turns: Messages = []
    for index, (role, body) in enumerate(zip(pieces[::2], pieces[1::2], strict=True)):
        closed = next((end for end in ends if body.rstrip().endswith(end)), None)
        said = body.rstrip().removesuffix(closed) if closed else body
        if role not in SPEAKERS or any(mark in said for mark in (*inside, *OF_TOOLS)):
            return None
        if role == "system":
            said = LLAMA_DATES.sub("", said)
        if closed and (said or role != "system"):
            turns.append({"role": role, "content": said})
        elif not closed and (role != "assistant" or said.strip() or index < len(pieces) // 2 - 1):
            return None
    return turns


def _chatml(text: str) -> Messages | None:
    return _marked_turns(text, re.compile(r"<\|im_start\|>(\w+)(?:\n|\Z)"), CHATML.ends[:1], CHATML.inside)


def _llama3(text: str) -> Messages | None:
    marker = re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>(?:\n\n|\s*\Z)")
    return _marked_turns(text, marker, LLAMA3.ends[:1], LLAMA3.inside)


def _llama2(text: str) -> Messages | None:
    _, *pieces = re.split(r"(?:<s>\s*)?\[INST\]", text)
    turns: Messages = []
    for index, piece in enumerate(pieces):
        asked, *answers = piece.split("[/INST]")
        if len(answers) != 1 or any(mark in piece for mark in OF_TOOLS):
            return None
        system = SYSTEM.match(asked) if index == 0 else None
        if system:
            turns.append({"role": "system", "content": system[1].strip()})
            asked = asked[system.end() :]
        turns.append({"role": "user", "content": asked.strip()})
        answer = answers[0].strip().removesuffix("</s>").strip()
        if answer:
            turns.append({"role": "assistant", "content": answer})
        elif index < len(pieces) - 1:
            return None
    return None if any(mark in turn["content"] for turn in turns for mark in LLAMA2.inside) else turns


CHATML = Template(
    re.compile(rf"{FIRST}<\|im_start\|>"), _chatml, ("<|im_end|>", "<|endoftext|>"), ("<|im_start|>", "<|im_end|>")
)
LLAMA3 = Template(
    re.compile(rf"{FIRST}<\|start_header_id\|>"),
    _llama3,
    ("<|eot_id|>", "<|end_of_text|>"),
    ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>"),
)
LLAMA2 = Template(re.compile(r"\s*(?:<s>\s*)?\[INST\]"), _llama2, ("</s>",), ("[INST]", "<<SYS>>", "<</SYS>>", "</s>"))
TEMPLATES = (CHATML, LLAMA3, LLAMA2)


def unwrap_prompt(text: str) -> tuple[Messages, Template] | None:
    """The turns of a prompt's text and the template that wrote it; None where no template did.

    Raises:
        InvalidRow: rendered_text, for what is of a template and does not come apart.
    """
    if starts_rendered(text):
        template = next((template for template in TEMPLATES if template.begins.match(text)), None)
        turns = template.turns(text) if template else None
        if template and turns:
            return turns, template
        raise refused("the prompt", text)
    if ends_rendered(text):
        raise refused("the prompt", text)
    return None


def ends_rendered(text: str) -> bool:
    """Whether a text of the user ends as a template ends it: with the mark of its end, or with the next turn's."""
    end = end_marker(text)
    return is_transcript(text) or bool(end and end != "</s>" and not _before(text, end).isspace())


def unwrap_answer(text: str, prompt: Messages, rendered: str | None, template: Template | None, field: str) -> str:
    """An answer without the prompt before it, the marker of its turn, and the mark of its end.

    Args:
        prompt: its turns.
        rendered: its text, where a template wrote it.
        template: that template; None for one that may have written the answer alone.

    Raises:
        InvalidRow: rendered_text, for what is of a template and does not come apart.
    """
    own = text.removeprefix(rendered) if rendered and template else text
    own_template = next((one for one in TEMPLATES if may_start_rendered(own) and one.begins.match(own)), None)
    if own_template:
        turns = own_template.turns(own)
        if turns and turns[:-1] in ([], prompt) and turns[-1]["role"] == "assistant":
            return str(turns[-1]["content"])
    if starts_rendered(own) or ANSWERS.match(own):
        raise refused(field, text)
    if template is None:
        return text
    bare = _without_ends(own, template.ends)
    if any(mark in bare for mark in template.inside):
        raise refused(field, text)
    return bare.strip() if template is LLAMA2 else bare


def _without_ends(text: str, ends: tuple[str, ...]) -> str:
    """A text without the marks at its end, and the white space behind each; cut once, since there may be many."""
    cut = len(text)
    while True:
        place = cut
        while place and text[place - 1].isspace():
            place -= 1
        end = next((end for end in ends if text.endswith(end, 0, place)), None)
        if end is None:
            return text[:cut]
        cut = place - len(end)


def strip_end(text: str, other: str, prompt: str) -> str:
    """An answer without a template's mark of its end, where no template wrote the prompt.

    A mark that is quoted stays: one that the prompt speaks of, or asks for; or that stands behind a space, or on a line
    of its own in this answer alone. HTML has `</s>` too: it goes where both answers end with it.
    """
    end = end_marker(text)
    if end is None or end in prompt or (end == "</s>" and "<s>" in text):
        return text
    before, both = _before(text, end), end_marker(other) == end
    if end == "</s>":
        ends = both and not ABOUT.search(prompt)
    elif before.isspace():
        ends = both and before != " " and not ABOUT.search(prompt)
    else:
        ends = both or not ABOUT.search(prompt)
    return text.rstrip().removesuffix(end) if ends else text


def _before(text: str, end: str) -> str:
    """The character before the mark at a text's end."""
    return text.rstrip().removesuffix(end)[-1:]


def refused(field: str, text: str) -> InvalidRow:
    return InvalidRow(
        Reason.RENDERED_TEXT,
        f"{field} went through a chat template already, which would be written a second time; {HINT} ({text[:60]!r})",
    )
