"""Gemma 4 writes calls in a notation of its own: bare keys, and a token in place of quotation marks.

    <|tool_call>call:name{city:<|"|>Oslo<|"|>,days:3,where:{at:[1,2]}}<tool_call|>

Sources: Gemma 4's chat template (https://huggingface.co/google/gemma-4-E4B-it), and vLLM's parser `gemma4`, which also
takes a bare word for a string, as is done here.
"""

from __future__ import annotations

import re
from typing import Any

from steps.shared.calls.call import DEEPEST, Unreadable, checked, named
from steps.shared.calls.json_forms import Read, between
from steps.shared.records import Tools

CALL = "<|tool_call>", "<tool_call|>"
QUOTE = '<|"|>'
NAME = re.compile(r"\s*call:([\w.\-]++)\s*+(?=\{)")
KEY = re.compile(r"\s*+([^:,{}\[\]]++):\s*+")
BARE = re.compile(r"[^,{}\[\]]*+")
INTEGER, NUMBER = re.compile(r"-?\d{1,400}"), re.compile(r"-?\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,3})?")
WORDS = {"true": True, "false": False, "null": None, "none": None, "nil": None}


def gemma4(text: str, tools: Tools) -> Read:
    content, begun, _ = text.partition(CALL[0])
    if not begun:
        return [], text
    calls = []
    for inside in between(text, *CALL):
        name = NAME.match(inside)
        if not name:
            raise Unreadable("the call has no name")
        arguments, _ = _value(inside, name.end(), 1)
        calls.append(named(name[1], checked(arguments)))
    return calls, content


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at a place, and the place after it."""
    if depth > DEEPEST:
        raise Unreadable(f"its arguments are nested more than {DEEPEST} deep")
    if text.startswith(QUOTE, at):
        return _quoted(text, at)
    if text.startswith("{", at):
        return _object(text, at + 1, depth)
    if text.startswith("[", at):
        return _array(text, at + 1, depth)
    bare = BARE.match(text, at)
    assert bare is not None  # it takes nothing too
    word = bare[0].strip()
    if word.lower() in WORDS:
        return WORDS[word.lower()], bare.end()
    if INTEGER.fullmatch(word):
        return int(word), bare.end()
    return float(word) if NUMBER.fullmatch(word) else word, bare.end()


def _quoted(text: str, at: int) -> tuple[str, int]:
    begin = at + len(QUOTE)
    end = text.find(QUOTE, begin)
    if end < 0:
        raise Unreadable("a string of its arguments is not closed")
    return text[begin:end], end + len(QUOTE)


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while not (closed := _closed(text, at, "}")):
        if text.startswith(QUOTE, _blank(text, at)):
            key, at = _quoted(text, _blank(text, at))
            if not text.startswith(":", at):
                raise Unreadable("a key of its arguments has no value")
            at = _blank(text, at + 1)
        else:
            bare = KEY.match(text, at)
            if not bare:
                raise Unreadable("its arguments are not closed")
            key, at = bare[1].strip(), bare.end()
        found[key], at = _value(text, at, depth + 1)
        at = _separated(text, at)
    return found, closed


def _array(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while not (closed := _closed(text, at, "]")):
        value, after = _value(text, _blank(text, at), depth + 1)
        if after == _blank(text, at):
            raise Unreadable("its arguments are not closed")
        found.append(value)
        at = _separated(text, after)
    return found, closed


def _closed(text: str, at: int, mark: str) -> int:
    """The place after the closing mark, where nothing else comes first; 0 otherwise."""
    at = _blank(text, at)
    return at + 1 if text.startswith(mark, at) else 0


def _separated(text: str, at: int) -> int:
    at = _blank(text, at)
    return at + 1 if text.startswith(",", at) else at


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
