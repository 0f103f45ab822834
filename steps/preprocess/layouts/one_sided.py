"""One answer, with what was thought of it (KTO's) or without (SFT's): not preference pairs, and said so."""

from __future__ import annotations

from steps.preprocess.layouts import ranked, synonyms, two_answers
from steps.preprocess.layouts.conversations import ends_with_answer
from steps.preprocess.rows.pairs import Row
from steps.preprocess.rows.reasons import InvalidRow, Reason

TALKS = ("messages", "conversations")
ANSWERS = ("completion", "response", "output", "answer", "generation", *TALKS)
LABELS = (
    *("label", "labels", "kto_tag", "thumb", "thumbs", "thumbs_up", "thumbs_down", "feedback", "desirable"),
    *("is_desirable", "liked", "is_good", "is_safe", "rating", "score", "reward"),
)
OF_PAIRS = frozenset(
    (
        *("chosen", "rejected", "rejected_messages", *two_answers.ANSWERS, *ranked.ANSWER_LISTS),
        *(name for pair in synonyms.ANSWERS for name in pair),
    )
).difference(ANSWERS)
NEEDS = "DPO needs a better and a worse one"


def refusal(row: Row) -> InvalidRow | None:
    """Why a row that fits no layout is no pair, where it has one answer alone."""
    answer = next((name for name in ANSWERS if row.get(name)), None)
    label = next((name for name in LABELS if isinstance(row.get(name), bool | int | float | str)), None)
    if answer is None or row.get("chosen") or row.get("rejected"):
        return None
    if label is not None:
        said = f"one-sided feedback: one answer ({answer}) and its {label}, as for KTO; {NEEDS}"
    elif OF_PAIRS.isdisjoint(row) and (answer not in TALKS or ends_with_answer({"messages": row[answer]})):
        said = f"only one answer ({answer}), as for supervised fine-tuning; {NEEDS}"
    else:
        return None
    return InvalidRow(Reason.ONE_SIDED, said)
