"""Rules on what the model writes, from the section `answers` of the evaluation.

calls:            whether it calls tools as the chosen answers do, against the base on the same questions: McNemar's
                  exact test, one-sided, that it is worse (`steps.shared.statistics`); p at least ALPHA.
calls_champion:   the same against the champion.
degenerate:       share of its answers that are empty, have no end where the chosen answer has one, repeat themselves or
                  hold a marker of the template; at most `max_degenerate_share`.

What Train could not judge is not judged here, and the reason is Train's. Nor is the form of answers of which more than
half were cut where that proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.gate.rules.limits import ALPHA, LEAST_PAIRS
from steps.gate.rules.ranking import no_champion
from steps.gate.rules.rule import Rule, number, quoted, value

NO_TOOLS = "Tool calls were not judged: no question that was answered declares tools."
ALL_CUT = (
    "Tool calls were not judged: no question declares tools, or all answers to those that do were cut, where a higher "
    "answers_max_new_tokens helps."
)
FAULTS = {  # in the order in which they are told
    "empty": "empty",
    "unfinished": "without an end after {tokens:g} tokens",
    "repetitive": "repeating themselves",
    "marker": "with a marker of the template",
}


def why_not(evaluation: Mapping[str, Any]) -> str:
    """Why nothing is known of the answers, as a sentence; empty where something is."""
    if not evaluation.get("answers"):
        return "What the model answers was not judged: evaluation.json says nothing of it."
    if not value(evaluation, "answers.judged"):
        return f"What the model answers was not judged: {quoted(value(evaluation, 'answers.reason'))}."
    return ""


def calls(evaluation: Mapping[str, Any]) -> Rule:
    if unknown := why_not(evaluation) or _no_calls(evaluation):
        return Rule("calls", None, ALPHA, "not judged", unknown)
    return _paired(evaluation, "calls", "base", "before", "the base")


def calls_champion(evaluation: Mapping[str, Any], lookup: str) -> Rule:
    if unknown := why_not(evaluation) or _no_calls(evaluation) or _no_champion(evaluation, lookup):
        return Rule("calls_champion", None, ALPHA, "not judged", unknown)
    return _paired(evaluation, "calls_champion", "champion", "champion", "the champion")


def degenerate(evaluation: Mapping[str, Any], most: float) -> Rule:
    if unknown := why_not(evaluation):
        return Rule("degenerate", None, most, "not judged", unknown)
    path = "answers.after.form"
    count, rows = number(evaluation, f"{path}.degenerate.count"), number(evaluation, f"{path}.rows")
    if not rows:
        return Rule(
            "degenerate", None, most, "not judged", "What the model answers was not judged: there is no answer."
        )
    share = number(evaluation, f"{path}.degenerate.share")
    of_base = number(evaluation, "answers.before.form.degenerate.share")
    tokens = number(evaluation, "answers.max_new_tokens")
    faults = {words: number(evaluation, f"{path}.{name}") for name, words in FAULTS.items()}
    told = ", ".join(f"{many:g} {words.format(tokens=tokens)}" for words, many in faults.items() if many)
    cut = number(evaluation, f"{path}.cut")
    unseen = f" {cut:g} were cut in their reasoning, or where the chosen answer is as long: no fault." if cut else ""
    good = share <= most
    if good and 2 * cut > rows:
        few = f"{cut:g} of {rows:g} answers were cut in their reasoning, or where the chosen answer is as long"
        sentence = f"Whether answers are degenerate was not judged: {few}; raise answers_max_new_tokens."
        return Rule("degenerate", share, most, "not judged", sentence)
    sentence = (
        f"{count:g} of {rows:g} answers are degenerate{f' ({told})' if told else ''}: {share:.4f}, the base's "
        f"{of_base:.4f}; {'at most' if good else 'more than'} {most:g} {'is' if good else 'is not'} allowed.{unseen}"
    )
    return Rule("degenerate", share, most, "pass" if good else "fail", sentence)


def _no_calls(evaluation: Mapping[str, Any]) -> str:
    if value(evaluation, "answers.after.calls") and value(evaluation, "answers.against_base.calls"):
        return ""
    if value(evaluation, "answers.parser") is None:
        return f"Tool calls were not judged: {quoted(value(evaluation, 'answers.parser_reason'))}."
    return ALL_CUT if value(evaluation, "answers.after.form").get("cut") else NO_TOOLS


def _no_champion(evaluation: Mapping[str, Any], lookup: str) -> str:
    against = value(evaluation, "answers.against_champion")
    if against and value(evaluation, "answers.against_champion.calls"):
        return ""
    if reason := value(evaluation, "answers.no_champion"):
        return f"The champion's answers were not compared: {quoted(reason)}."
    if not evaluation.get("champion"):
        return no_champion(lookup)
    return "The champion's answers were not compared: it gave none."


def _paired(evaluation: Mapping[str, Any], name: str, against: str, other: str, who: str) -> Rule:
    """
    Args:
        against: whose section of the pairs; `other` is its own section, and `who` it is in words.
    """
    path = f"answers.against_{against}.calls"
    wins, losses = number(evaluation, f"{path}.wins"), number(evaluation, f"{path}.losses")
    rows, worse = number(evaluation, f"{path}.rows"), number(evaluation, f"{path}.p_worse")
    own, theirs = (_right(evaluation, f"answers.{side}.calls") for side in ("after", other))
    told = f"Tool calls are as the chosen answers' in {own}, {who}'s in {theirs}: {wins:g} won, {losses:g} lost"
    if rows < LEAST_PAIRS:
        few = f"; fewer than {LEAST_PAIRS} questions with tools cannot tell worse from chance."
        return Rule(name, None, ALPHA, "not judged", told + few)
    good = worse >= ALPHA
    verdict = "not significantly worse" if good else "significantly worse"
    said = f"{told}, {verdict} (McNemar's p {worse:.4f}, {'not ' * good}below {ALPHA:g})."
    return Rule(name, worse, ALPHA, "pass" if good else "fail", said)


def _right(evaluation: Mapping[str, Any], path: str) -> str:
    right, rows, share = (number(evaluation, f"{path}.{name}") for name in ("right", "rows", "share"))
    return f"{right:g} of {rows:g} ({share:.4f})"
