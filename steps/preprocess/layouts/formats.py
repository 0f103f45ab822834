"""The layouts of preference files: how each is recognised and read. One function and one line of FORMATS for each.

A layout is recognised by the types of its fields, and by a look into the texts where types do not tell, so a row that
is wrong inside still gets read by its own layout and named for what is wrong with it. Reading turns a row into prompt,
chosen and rejected messages; what makes these good messages is checked afterwards, the same for all layouts
(steps/preprocess/shards/convert.py).
"""

from __future__ import annotations

from functools import lru_cache

from steps.preprocess.layouts import (
    beside,
    chats,
    conversations,
    converse,
    json_columns,
    labelled,
    ranked,
    transcripts,
    two_answers,
)
from steps.preprocess.layouts.beside import Beside
from steps.preprocess.layouts.format import Format
from steps.preprocess.layouts.scores import FIELDS as SCORE_FIELDS
from steps.preprocess.rows.notes import Notes
from steps.preprocess.rows.pairs import TURNS, Pair, Row

ABSENT = type(None)  # a field that is null is as good as absent
ANSWER = (list, dict, str)
ASKED = (str, list)  # a text or chat messages
TEXTS = (str, list)  # a text, or one for each turn
LABEL = labelled.LABEL
FLAGS = dict.fromkeys(labelled.WINNER_FLAGS, LABEL)
OTHER_ANSWERS = ("chosen_response", "rejected_response", "rejected_messages")
ALONE = {"chosen": (ABSENT,), "rejected": (ABSENT,)}  # of a row that has both, nothing else is asked


def open_json_columns(row: Row) -> tuple[Format, Row]:
    """The row with its columns decoded, and the layout that it then has."""
    decoded = json_columns.decode(row)
    return _decoded_layout(decoded), decoded


def read_json_columns(row: Row, notes: Notes) -> Pair:
    layout, decoded = open_json_columns(row)
    return layout.read(decoded, notes)


def _decoded_layout(row: Row) -> Format:
    """The layout of a row whose columns are decoded, or the one that says best what is wrong with it."""
    others = [layout for layout in DETECTED if layout.opens is None]
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
        {"prompt": (str,), "chosen": ANSWER, "rejected": ANSWER},
        chats.read_ultrafeedback,
        may_be=chats.has_messages,
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
        system=chats.openai_system,
    ),
    Format(
        "swift",
        "messages that end with the chosen answer, rejected_response",
        {"messages": (list,), "rejected_response": ANSWER, "chosen_response": (ABSENT,)},
        conversations.read_swift,
        may_be=conversations.ends_with_answer,
    ),
    Format(
        "swift-messages",
        "messages that end with the chosen answer, rejected_messages",
        {"messages": (list,), "rejected_messages": TURNS},
        conversations.read_swift_messages,
        may_be=conversations.ends_with_answer,
    ),
    Format(
        "axolotl",
        "messages, chosen, rejected, the answers as texts or chat messages; turns may have sender and text",
        {"prompt": (ABSENT,), "messages": TURNS, "chosen": ANSWER, "rejected": ANSWER},
        conversations.read_axolotl,
        may_be=conversations.has_parts_alone,
        is_sure=conversations.has_answers_alone,
    ),
    Format(
        "converse",
        "messages of content blocks, whose last turn has two candidates with a preferenceLabel; toolConfig",
        {"messages": (list,), **ALONE, **dict.fromkeys(OTHER_ANSWERS, (ABSENT,))},
        converse.read,
        tools=converse.tools,
        system=converse.system,
        reads=("toolConfig", "schemaVersion"),
        is_sure=converse.is_sure,
    ),
    Format(
        "pku-saferlhf",
        "prompt, response_0, response_1, better_response_id (0 or 1)",
        {**ALONE, "prompt": ASKED, "response_0": (str,), "response_1": (str,), "better_response_id": LABEL},
        labelled.reader("prompt", "response_0", "response_1", labelled.among("better_response_id", {0: -1, 1: 1})),
    ),
    Format(
        "helpsteer3",
        "context (chat messages), response1, response2, overall_preference (-3 to 3; below 0 the first is better)",
        {**ALONE, "context": ASKED, "response1": ANSWER, "response2": ANSWER, "overall_preference": LABEL},
        labelled.reader("context", "response1", "response2", labelled.strength("overall_preference", 3)),
    ),
    Format(
        "helpsteer2",
        "prompt, response_1, response_2, preference_strength (-3 to 3; below 0 the first is better)",
        {**ALONE, "prompt": ASKED, "response_1": ANSWER, "response_2": ANSWER, "preference_strength": LABEL},
        labelled.reader("prompt", "response_1", "response_2", labelled.strength("preference_strength", 3)),
    ),
    Format(
        "chatbot-arena",
        "conversation_a, conversation_b (whole conversations), winner (model_a, model_b or a tie)",
        {**ALONE, "conversation_a": (list,), "conversation_b": (list,), "winner": (str,)},
        labelled.read_arena,
    ),
    Format(
        "arena-texts",
        "prompt, response_a, response_b (texts, or lists of a turn each), winner (model_a, model_b or a tie)",
        {**ALONE, "prompt": TEXTS, "response_a": TEXTS, "response_b": TEXTS, "winner": (str,)},
        labelled.read_arena_texts(labelled.named("winner")),
        may_be=labelled.has_texts,
    ),
    Format(
        "arena-flags",
        "the same with winner_model_a, winner_model_b and winner_tie, of which one is 1",
        {
            **ALONE,
            "prompt": TEXTS,
            "response_a": TEXTS,
            "response_b": TEXTS,
            **dict.fromkeys(labelled.WINNER_FLAGS, LABEL),
        },
        labelled.read_arena_texts(labelled.flagged),
        may_be=labelled.has_texts,
    ),
    Format(
        "alpaca-farm",
        "instruction, input, output_1, output_2, preference (1 or 2)",
        {**ALONE, "instruction": (str,), "output_1": (str,), "output_2": (str,), "preference": LABEL},
        labelled.reader(
            "instruction", "output_1", "output_2", labelled.among("preference", {1: -1, 2: 1, 1.5: 0, 0: 0})
        ),
    ),
    Format(
        "shp",
        "history (the post), human_ref_A, human_ref_B, labels (1 where A is better, 0 where B is)",
        {**ALONE, "history": (str,), "human_ref_A": (str,), "human_ref_B": (str,), "labels": LABEL},
        labelled.reader("history", "human_ref_A", "human_ref_B", labelled.among("labels", {1: -1, 0: 1})),
    ),
    Format(
        "two-answers",
        "prompt, two answers such as response_a and response_b, the better one's name as preference, label, choice, …",
        {**ALONE, "prompt": ASKED},
        two_answers.read,
        reads=(*two_answers.ANSWERS, *two_answers.LABELS),
        may_be=two_answers.is_there,
    ),
    Format(
        "two-scores",
        "prompt, two answers such as answer_0 and answer_1, score_0, score_1; the higher score is better",
        {**ALONE, "prompt": ASKED},
        two_answers.read_by_scores,
        reads=(*two_answers.ANSWERS, *two_answers.SCORES),
        may_be=two_answers.has_scores,
    ),
    Format(
        "ultrafeedback-raw",
        "instruction, completions (response, overall_score, fine-grained_score or ratings)",
        {**ALONE, "instruction": ASKED, "completions": (list,)},
        ranked.read("instruction"),
        listed=ranked.ultrafeedback,
        may_be=ranked.has_responses,
    ),
    Format(
        "nectar",
        "prompt (a text or a transcript), answers (answer, rank; 1 is best)",
        {**ALONE, "prompt": (str,), "answers": (list,)},
        ranked.read_nectar,
        listed=ranked.nectar,
        may_be=ranked.may_be_nectar,
    ),
    Format(
        "nemo-rl",
        "context (chat messages), completions (completion, rank; 0 is best)",
        {**ALONE, "context": ASKED, "completions": (list,)},
        ranked.read("context"),
        listed=ranked.nemo_rl,
        may_be=ranked.has_completions,
    ),
    Format(
        "vertex",
        "contents and systemInstruction with parts, completions (completion, score)",
        {**ALONE, "contents": (list,), "completions": (list,)},
        ranked.read_vertex,
        system=ranked.vertex_system,
        reads=("systemInstruction",),
        listed=ranked.vertex,
    ),
    Format(
        "scored-answers",
        "prompt, a list of objects with an answer and a score, rating, reward or rank each (the lowest is best)",
        {**ALONE, "prompt": ASKED},
        ranked.read("prompt"),
        reads=ranked.ANSWER_LISTS,
        listed=ranked.scored_answers,
        may_be=ranked.has_scored_answers,
    ),
    Format(
        "scored-lists",
        "prompt, a list of answers (responses, generations, …), a list of as many scores, ratings, rewards or ranks",
        {**ALONE, "prompt": ASKED},
        ranked.read("prompt"),
        reads=(*ranked.ANSWER_LISTS, *ranked.SCORE_LISTS),
        listed=ranked.lists,
        may_be=ranked.has_lists,
    ),
    Format(
        "json-columns",
        "any of these with its messages as JSON texts, as in CSV or Parquet columns",
        {},
        read_json_columns,
        opens=open_json_columns,
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


@lru_cache(1024)
def beside_of(name: str, fields: tuple[str, ...]) -> Beside:
    """What stands beside the fields that a layout reads; most rows of a file have the same fields."""
    layout = by_name(name)
    own = {*layout.fields, *layout.reads} if layout else set()
    scores = tuple(name for name in fields if name in SCORE_FIELDS and name not in own)
    return beside.sort_fields(fields, own, scores)
