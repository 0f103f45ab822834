"""What an answer to a prompt with tools does: call, ask back, decline, or answer.

Calls tell themselves: one that begins and cannot be read is a call too, by what the model meant. Between the other
three decide two rules about the text. One of the last two sentences is a question, and none that only offers more help
after an answer ("Would you like more details?"): ask. It begins by saying that something cannot be done: decline.
Otherwise: answer. Question marks of all scripts count. The words of declining are known in English, German, French,
Spanish, Portuguese, Italian, Dutch, Chinese and Japanese, those of offering in English: what declines in another
language is counted as an answer.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from steps.shared.calls.call import Call, Parsed
from steps.shared.records import Record

Kind = Literal["call", "ask", "decline", "answer"]
KINDS: tuple[Kind, ...] = ("call", "ask", "decline", "answer")

ASKED_IN = 2_000  # characters at an answer's end in which a question is looked for
DECLINED_IN = 300  # characters at its beginning that decline, if any do: later the same words say something else
ANSWERED = 40  # characters before an offer that are an answer; fewer are a friendly beginning
QUESTION_MARKS = "?\uff1f\u061f\u055e\u037e"
CLOSERS = "\"'\u201d\u2019\u00bb)*_"
# A sentence ends at these where no small letter follows: 'What?' is a question in a sentence that goes on.
ENDS = re.compile(rf"[.!\u3002\uff01\u2026\n{QUESTION_MARKS}][{CLOSERS}]*(?:\s++(?![a-z])|$|(?=[\u3040-\u9fff]))")
OFFER = re.compile(
    r"(?:would you like|do you want me|shall i|can i|may i|how (?:else )?(?:can|may) i|is there anything"
    r"|(?:do you )?need anything|anything else|what else)\b",
    re.IGNORECASE,
)
# What says in a language that something cannot be done; ' stands for both kinds of apostrophe.
DECLINING = (
    r"\b(?:can ?not|can't|couldn't|unable|incapable|not (?:able|possible|capable|supported|available)|none of)\b",
    r"\b(?:do|does|did)(?:n't| not) (?:have|support|offer|provide|allow)\b|\b(?:have|has|is|are) no\b",
    r"\b(?:isn't|aren't|wasn't|won't be) able\b|\b(?:beyond|outside(?: of)?) my\b|\bno (?:suitable |such )?tool",
    r"\bleider\b|\bkann (?:\w+ ){0,4}(?:nicht|kein)|\bnicht (?:möglich|in der lage)|\bkeine? (?:funktion|werkzeug)",
    r"\bmalheureusement\b|\bimpossible\b|\bne (?:peux|peut|suis|dispose|permet)|\bn'ai pas\b|\baucun (?:outil|moyen)",
    r"\blamentablemente\b|\bincapaz\b|\bno (?:puedo|puede|es posible|tengo|dispongo)\b|\bninguna herramienta",
    r"\binfelizmente\b|\bn[ãa]o (?:posso|consigo|tenho|é possível)\b|\bnenhuma? (?:função|ferramenta)",
    r"\bpurtroppo\b|\bnon (?:posso|riesco|è possibile|ho|dispongo)\b|\bnessun[oa]? (?:funzione|strumento)",
    r"\bhelaas\b|\bkan (?:\w+ ){0,4}niet\b|\bniet mogelijk\b|\bgeen (?:functie|hulpmiddel|tool)",
    r"^.{0,20}(?:无法|不能|無法|抱歉|对不起)|没有.{0,8}(?:工具|功能)|できません|できかねます|申し訳",
)
DECLINES = re.compile("|".join(DECLINING).replace("'", "['\u2019]"), re.IGNORECASE)


def kind(parsed: Parsed) -> Kind:
    """What an answer does. That a called tool is not declared makes the call wrong, not another kind."""
    return "call" if parsed.calls or parsed.broken else kind_of_text(parsed.content)


def expected_kind(record: Record) -> Kind:
    """What the chosen answer of a row with tools does: its first message, up to where the model would stop."""
    if expected_calls(record):
        return "call"
    content = record.chosen[0].get("content") if record.chosen else None
    return kind_of_text(content if isinstance(content, str) else "")


def kind_of_text(text: str) -> Kind:
    """What an answer without calls does."""
    if _asks(text[-ASKED_IN:]):
        return "ask"
    return "decline" if DECLINES.search(text[:DECLINED_IN]) else "answer"


def expected_calls(record: Record) -> tuple[Call, ...]:
    """The calls of a row's chosen answer: of its first message, since the model stops there for the results."""
    message = record.chosen[0] if record.chosen else {}
    return tuple(_call(call) for call in message.get("tool_calls") or ())


def _call(call: dict[str, Any]) -> Call:
    function = call["function"]
    arguments = function.get("arguments", {})
    return Call(function["name"], json.loads(arguments) if isinstance(arguments, str) else arguments)


def _asks(text: str) -> bool:
    """Whether one of the last two sentences is a question that wants to know something."""
    sentences = _sentences(text.strip())
    for at, sentence in enumerate(sentences[-2:], start=max(len(sentences) - 2, 0)):
        if sentence.rstrip(f"{CLOSERS} ").endswith(tuple(QUESTION_MARKS)):
            said = sum(map(len, sentences[:at]))
            if said <= ANSWERED or not OFFER.match(sentence.lstrip(" \"'\u201c\u00ab(*_")):
                return True
    return False


def _sentences(text: str) -> list[str]:
    found, at = [], 0
    for end in ENDS.finditer(text):
        found.append(text[at : end.end()].strip())
        at = end.end()
    return [sentence for sentence in (*found, text[at:].strip()) if sentence]
