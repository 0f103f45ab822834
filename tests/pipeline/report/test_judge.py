"""The part of an execution's page that tells what the gate's judge said."""

from __future__ import annotations

import json

import pytest

from pipeline.report import judge, page
from tests.document import Document
from tests.pipeline.report import made

GATE = f"{made.RUN}/Gate/decision"


def test_it_tells_how_often_which_answer_was_preferred_and_lost_pairs_first() -> None:
    view = judge.judge(made.rejected())
    assert view is not None
    found = [(one["verdict"], len(one["said"]), len(one["answers"])) for one in view["examples"]]
    assert found == [
        ("lost", 2, 0),  # its row is not among the answers
        ("no verdict", 2, 2),
        ("tie", 2, 2),
        ("won", 2, 2),
        ("tie: the same answer", 0, 2),
    ]
    assert [order for order, _ in view["examples"][1]["said"]] == [
        "Asked with this model's answer first, it chose the first",
        "Asked with the base's answer first, it chose nothing readable",
    ]


def test_the_page_has_the_counts_the_answers_and_the_judges_words() -> None:
    text = " ".join(Document(page.render(made.rejected(), [])).text.split())
    assert "9 pairs of text answers" in text and "amazon.nova-pro-v1:0" in text and "720 tokens" in text
    assert "won 1 lost 1 tie 1 of them the same answer 2 no verdict" in text
    assert "Not all were judged: judge_max_pairs: 5." in text
    assert "B is polite, A is not." in text and "a row that is gone" in text


def test_without_a_judge_there_is_no_such_part_and_its_file_is_not_asked_for() -> None:
    objects = made.files()
    source = made.Source(objects)
    facts = made.facts(source, "Succeeded", [made.step("Gate")])
    assert judge.judge(facts) is None and f"{GATE}/judge.jsonl" not in source.asked


@pytest.mark.parametrize("content", ["{", json.dumps({"id": "1"})])
def test_a_damaged_transcript_leaves_the_other_parts_standing(content: str) -> None:
    objects = made.files(decision="fail") | {f"{GATE}/judge.jsonl": content.encode()}
    steps = [made.step("Train"), made.step("Gate")]
    html = page.render(made.facts(made.Source(objects), "Succeeded", steps), [])
    assert '<section id="gate"' in html
    told = f"{GATE}/judge.jsonl: cannot be read" if content == "{" else "This part cannot be shown"
    assert told in Document(html).text
