"""The account test's report: each question with its answer, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping

from tests.account.evidence import Evidence, dollars
from tests.account.limits import Bound
from tests.account.questions import answers

WORDS = {True: "yes", False: "NO", None: "open"}
LONGEST = 600  # characters of what was seen; the file beside the report has it whole


def text(evidence: Evidence, bound: Bound, prices: Mapping[str, float]) -> str:
    """The report, a block a question."""
    lines = [f"Account test {evidence.name}", ""]
    for question, answer in answers(evidence):
        seen = answer.seen if len(answer.seen) <= LONGEST else f"{answer.seen[:LONGEST]} …"
        lines += [f"[{WORDS[answer.good]}] {question.text}", f"      {seen}"]
    paid = dollars(evidence, prices)
    lines += ["", f"Cost: about ${paid:.2f} by the jobs' billed seconds; their time limits allow ${bound.dollars:.2f}."]
    lines += [f"Prices: {bound.prices_file}; instances alone, without storage, requests and logs."]
    return "\n".join(lines)


def surprises(evidence: Evidence) -> list[str]:
    """The questions whose answer is not what the code counts on, and those that were not reached."""
    return [f"{question.text} {answer.seen}" for question, answer in answers(evidence) if not answer.good]
