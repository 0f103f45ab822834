"""What an answer to a prompt with tools does: call, ask back, decline, or answer.

Calls tell themselves: one that begins and cannot be read is a call too, by what the model meant. Between the other
three decide two rules about the text. One of the last two sentences is a question, and none that only offers more help
after an answer ("Would you like more details?"): ask. It begins by saying that something cannot be done: decline.
Otherwise: answer. Question marks of all scripts count; the words of declining are known in English, German, French, Spanish,
Portuguese, Italian, Dutch, Chinese and Japanese, those of offering in English: what declines in another language is
counted as an answer.
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
# A sentence ends at these where no small letter follows: 'What?' is a question in a sentence that goes on.
ENDS = re.compile(
    r"([.!?\u3002\uff01\uff1f\u061f\u055e\u037e\u2026\n])[\"'\u201d\u2019\u00bb)*_]*(?:\s++(?![a-z])|$|(?=[\u3040-\u9fff]))"
)
QUESTION_MARKS = "?\uff1f\u061f\u055e\u037e"
OFFER = re.compile(
    r"(?:would you like|do you want me|shall i|can i|may i|how (?:else )?can i|how (?:else )?may i|is there anything"
    r"|(?:do you )?need anything|anything else|what else)\b",
    re.IGNORECASE,
)
DECLINES = re.compile(
    r"\b(?:can ?not|can[’']?t|could ?n[o’']?t|unable|not (?:able|possible|capable|supported|available)|incapable"
    r"|(?:do|does|did) ?n(?:ot|[’']t) (?:have|support|offer|provide|allow)|(?:have|is|are|has) no\b|none of"
    r"|(?:is|are|am|was|were)n[’']t able|won[’']t be able|beyond my|outside (?:of )?my|no (?:suitable |such )?tool"
    r"|nicht m[öo]glich|kann (?:\w+ ){0,4}(?:nicht|kein\w*)|leider|nicht in der lage|keine? (?:funktion|werkzeug|tool)\w*"
    r"|ne (?:peux|peut|suis|dispose|permet)\w*|n[’']ai pas|impossible|malheureusement|aucun (?:outil|moyen)"
    r"|no (?:puedo|puede|es posible|tengo|dispongo)|incapaz|lamentablemente|ning[uú]n[ao]?\b"
    r"|n[ãa]o (?:posso|consigo|tenho|é poss[íi]vel)|infelizmente|nenhuma?\b"
    r"|non (?:posso|riesco|è possibile|ho|dispongo)|purtroppo|nessun\w*"
    r"|kan (?:\w+ ){0,4}niet|niet mogelijk|helaas|geen (?:functie|hulpmiddel|tool))"
    r"|^.{0,20}(?:无法|不能|無法|抱歉|对不起)|没有.{0,8}(?:工具|功能)|できません|できかねます|申し訳",
    re.IGNORECASE,
)


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
        if sentence.rstrip("\"'”’»)*_ ").endswith(tuple(QUESTION_MARKS)):
            said = sum(map(len, sentences[:at]))
            if said <= ANSWERED or not OFFER.match(sentence.lstrip(" \n\t\"'“«(*_")):
                return True
    return False


def _sentences(text: str) -> list[str]:
    found, at = [], 0
    for end in ENDS.finditer(text):
        found.append(text[at : end.end()].strip())
        at = end.end()
    return [sentence for sentence in (*found, text[at:].strip()) if sentence]
