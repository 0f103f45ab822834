"""The layouts of preference files: how each is recognised and read. One function and one line of FORMATS for each.

A layout is recognised by the types of its fields, and by a look into the texts where types do not tell, so a row that
is wrong inside still gets read by its own layout and named for what is wrong with it. Reading turns a row into prompt,
chosen and rejected messages; what makes these good messages is checked afterwards, the same for all layouts
(steps/preprocess/shards/convert.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from steps.preprocess.layouts import chats, converse, json_columns, transcripts
from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.notes import Notes
from steps.preprocess.rows.pairs import TURNS, Pair, Row
from steps.preprocess.rows.reasons import InvalidRow, Reason

NUMBERS = (int, float)
ABSENT = type(None)  # a field that is null is as good as absent
ANSWER = (list, dict, str)
SCORES = (  # fields in which data sets keep the scores of chosen and rejected
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("chosen-rating", "rejected-rating"),
    ("chosen_reward", "rejected_reward"),
)


def own_tools(row: Row) -> Any:
    return row.get("tools")


def own_system(row: Row) -> Any:
    return row.get("system")


@dataclass(frozen=True)
class Format:
    """A layout: a row fits it when each field has one of its types.

    Attributes:
        read: a row's prompt and answers; raises InvalidRow.
        tools: what a row declares, raw; may raise InvalidRow.
        system: the system's text where it has a field of its own; may raise InvalidRow.
        may_be: what a row with these types must show besides, for a file that is known to have this layout.
        is_sure: what tells such a row from those of other layouts, for a file that is not known.
    """

    name: str
    description: str
    fields: Mapping[str, tuple[type, ...]]
    read: Callable[[Row, Notes], Pair]
    tools: Callable[[Row], Any] = own_tools
    system: Callable[[Row], Any] = own_system
    may_be: Callable[[Row], bool] | None = None
    is_sure: Callable[[Row], bool] | None = None

    def fits(self, row: Row) -> bool:
        """Whether the row is one that this layout reads, or says what is wrong with."""
        for name, types in self.fields.items():
            if not isinstance(row.get(name), types):
                return False
        return self.may_be is None or self.may_be(row)

    def recognises(self, row: Row) -> bool:
        """Whether a row of which nothing is known has this layout."""
        return self.fits(row) and (self.is_sure is None or self.is_sure(row))

    def explain(self, row: Row) -> InvalidRow:
        """Why a row does not fit, by the first field that does not."""
        for name, types in self.fields.items():
            value = row.get(name)
            if isinstance(value, types):
                continue
            if name not in row:
                has = ", ".join(row) or "nothing"
                return InvalidRow(Reason.MISSING_FIELD, f"{name} is missing ({self.name} layout); the row has: {has}")
            if value is None and name in ("prompt", "messages", "conversations", "input"):
                return InvalidRow(Reason.EMPTY_PROMPT, f"{name} is null")
            if value is None:
                return InvalidRow(Reason.EMPTY_RESPONSE, f"{name} is null")
            return InvalidRow(Reason.WRONG_TYPE, f"{name} is {kind(value)}, which the {self.name} layout does not have")
        return InvalidRow(Reason.WRONG_TYPE, f"the row does not have the {self.name} layout: {self.description}")


def read_json_columns(row: Row, notes: Notes) -> Pair:
    """Decode the columns, and read the row as the layout that it then has."""
    decoded = json_columns.decode(row)
    return _decoded_layout(decoded).read(decoded, notes)


def json_columns_tools(row: Row) -> Any:
    if row.get("input") is None and row.get("toolConfig") is None:
        return row.get("tools")
    decoded = json_columns.decode(row)
    return _decoded_layout(decoded).tools(decoded)


def json_columns_system(row: Row) -> Any:
    if row.get("messages") is None:
        return row.get("system")
    decoded = json_columns.decode(row)
    return _decoded_layout(decoded).system(decoded)


def _decoded_layout(row: Row) -> Format:
    """The layout of a row whose columns are decoded, or the one that says best what is wrong with it."""
    others = [layout for layout in DETECTED if layout.read is not read_json_columns]
    for fits in (Format.recognises, Format.fits):
        for layout in others:
            if fits(layout, row):
                return layout
    raise nearest(row, None).explain(row)


FORMATS = (
    Format(
        "plain",
        "prompt, chosen, rejected as texts",
        {"prompt": (str,), "chosen": (str,), "rejected": (str,)},
        chats.read_plain,
    ),
    Format(
        "chat",
        "prompt, chosen, rejected as chat messages",
        {"prompt": TURNS, "chosen": ANSWER, "rejected": ANSWER},
        chats.read_chat,
    ),
    Format(
        "implicit-prompt",
        "chosen and rejected as whole conversations that share their first turns",
        {"prompt": (ABSENT,), "chosen": (list,), "rejected": (list,)},
        chats.read_implicit_prompt,
    ),
    Format(
        "ultrafeedback",
        "prompt as a text, chosen and rejected as chat messages or whole conversations",
        {"prompt": (str,), "chosen": TURNS, "rejected": TURNS},
        chats.read_ultrafeedback,
    ),
    Format(
        "hh-rlhf",
        "chosen and rejected as Human: and Assistant: transcripts, or as answers to a prompt that is one",
        {"prompt": (str, ABSENT), "chosen": (str,), "rejected": (str,)},
        transcripts.read,
        may_be=transcripts.may_be,
        is_sure=transcripts.is_sure,
    ),
    Format(
        "sharegpt",
        "conversations (from, value), chosen, rejected",
        {"conversations": TURNS, "chosen": ANSWER, "rejected": ANSWER},
        chats.read_sharegpt,
    ),
    Format(
        "when2call",
        "messages, chosen_response, rejected_response, tools; calls as `<TOOLCALL>[…]</TOOLCALL>`",
        {"messages": TURNS, "chosen_response": ANSWER, "rejected_response": ANSWER},
        chats.read_when2call,
    ),
    Format(
        "openai",
        "input (messages, tools), preferred_output, non_preferred_output",
        {"input": (dict,), "preferred_output": ANSWER, "non_preferred_output": ANSWER},
        chats.read_openai,
        tools=chats.openai_tools,
    ),
    Format(
        "converse",
        "messages of content blocks, whose last turn has two candidates with a preferenceLabel; toolConfig",
        {"messages": (list,), "chosen_response": (ABSENT,), "rejected_response": (ABSENT,)},
        converse.read,
        tools=converse.tools,
        system=converse.system,
        is_sure=converse.is_sure,
    ),
    Format(
        "json-columns",
        "any of these with its messages as JSON texts, as in CSV or Parquet columns",
        {},
        read_json_columns,
        tools=json_columns_tools,
        system=json_columns_system,
        may_be=json_columns.may_be,
        is_sure=json_columns.is_sure,
    ),
)
DETECTED = sorted(FORMATS, key=lambda layout: layout.is_sure is None)  # those that the types alone do not tell, first


def detect(row: Row) -> Format | None:
    """The layout of a row of which nothing is known."""
    return next((layout for layout in DETECTED if layout.recognises(row)), None)


def nearest(row: Row, preferred: Format | None) -> Format:
    """The layout that has most of a row's field names, for a row that fits none.

    Where several do: the preferred one, then one that the types of its fields tell, then one that has most of them.
    """

    def likeness(layout: Format) -> tuple[int, bool, bool, int]:
        wanted = {name: types for name, types in layout.fields.items() if types != (ABSENT,)}
        named = sum(name in row for name in wanted)
        typed = sum(isinstance(row.get(name), types) for name, types in wanted.items())
        return named, layout is preferred, layout.is_sure is None, typed

    return max(FORMATS, key=likeness)


def by_name(name: str) -> Format | None:
    return next((layout for layout in FORMATS if layout.name == name), None)


SCORED = frozenset(better for better, _ in SCORES)


def preference_scores(row: Row) -> tuple[float, float] | None:
    """The scores of chosen and rejected, where the row has both as numbers."""
    if SCORED.isdisjoint(row):
        return None
    for better, worse in SCORES:
        if better in row and type(row[better]) in NUMBERS and type(row.get(worse)) in NUMBERS:
            return float(row[better]), float(row[worse])
    return None
