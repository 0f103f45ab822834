"""A preference row as its texts: the prompt, and each answer as it follows it; or the reason why it has none.

This is what Train learns from, what its preview shows, and what Preprocess counts with `--tokenizer`.
"""

from __future__ import annotations

from dataclasses import dataclass

from steps.shared.records import Messages, Tools
from steps.shared.templates.answer import AnswerText, answer_text
from steps.shared.templates.calls import in_some_form, said_by_calls
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.probe import probe, worth_probing
from steps.shared.templates.refused import RowRefused
from steps.shared.templates.stands import stands

REASONING_DROPPED = "reasoning_dropped"
NO_STOP = "no_stop_token"
# What a row is trained on in spite of, and counted for.
NOTES = {
    REASONING_DROPPED: "the template does not write the reasoning of an answer",
    NO_STOP: "the template ends an answer with no token at which inference stops",
}


@dataclass(frozen=True)
class PairText:
    """
    Attributes:
        prompt: the text that inference sees, up to where an answer begins.
        notes: those of NOTES that are true of this row.
    """

    prompt: str
    chosen: AnswerText
    rejected: AnswerText
    notes: tuple[str, ...]


def prompt_ids(template: ChatTemplate, prompt: Messages, tools: Tools) -> list[int]:
    """Token ids of a prompt, up to where the answer begins: what inference gives to the model.

    Raises:
        RowRefused: template_refused: the template raises an error, or does not end.
    """
    with template.limited():
        text = in_some_form(template, [prompt], lambda forms: template.text(forms[0], tools, generation=True))
    return template.ids(text)


def render_pair(
    template: ChatTemplate, prompt: Messages, chosen: Messages, rejected: Messages, tools: Tools
) -> PairText:
    """
    Raises:
        RowRefused: the template does not write all that the row says, or takes too long; see refused.MEANINGS.
    """
    with template.limited():
        return in_some_form(
            template, [prompt, chosen, rejected], lambda forms: _pair(template, forms[0], forms[1], forms[2], tools)
        )


def _pair(template: ChatTemplate, prompt: Messages, chosen: Messages, rejected: Messages, tools: Tools) -> PairText:
    text = template.text(prompt, tools, generation=True)
    made: list[AnswerText] = []
    notes: dict[str, bool] = {}
    for answer in (chosen, rejected):
        said = answer_text(template, prompt, answer, tools, text)
        dropped = said.reasoning_dropped
        if worth_probing(prompt, answer, tools):
            found = probe(template, prompt, answer, tools)
            if found.reason:
                raise RowRefused(found.reason, found.detail)
            dropped = dropped or found.reasoning_dropped
        _check_answer(answer, said)
        notes |= {REASONING_DROPPED: True} if dropped else {}
        notes |= {NO_STOP: True} if not said.has_stop else {}
        made.append(said)
    _check_prompt(prompt, text)
    if made[0].pieces == made[1].pieces:
        raise RowRefused("same_render")
    return PairText(text, made[0], made[1], tuple(notes))


def _check_prompt(prompt: Messages, text: str) -> None:
    """Results of tools are left to the probe: templates read and write their JSON anew."""
    for message in prompt:
        said = message["content"]
        if message["role"] == "assistant":
            said = said.rpartition("</think>")[2]  # templates leave out what a model thought in earlier turns
        if message["role"] != "tool" and not stands(said, text):
            kind = "system" if message["role"] == "system" else "content"
            raise RowRefused(f"template_drops_{kind}", "of the prompt")


def _check_answer(answer: Messages, said: AnswerText) -> None:
    for message in answer:
        if message["role"] != "assistant":
            continue
        if not stands(message["content"], said.learned):
            raise RowRefused("template_drops_content", "of the answer")
        if not all(stands(text, said.learned) for text in said_by_calls(message)):
            raise RowRefused("template_drops_call", "of the answer")
