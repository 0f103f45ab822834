"""The report's page: says what the report says, and shows hostile data as text."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.report import page, quarantine
from steps.preprocess.report.figures import Figures
from steps.preprocess.report.report import Report
from steps.preprocess.shards.tally import Tally
from steps.shared.pages import template
from steps.shared.pages.visible import HIDDEN
from tests.document import Document, require_targets, require_whole
from tests.steps.preprocess import reports

SOURCE = Path(template.__file__).parent


def text_of(report: dict) -> str:
    return Document(page.render(report)).text


@pytest.fixture(params=reports.ALL)
def any_report(request) -> dict:
    return reports.ALL[request.param]()


def test_every_page_is_whole_and_loads_nothing(any_report):
    require_whole(page.render(any_report))


def test_every_link_and_label_leads_somewhere(any_report):
    require_targets(page.render(any_report))


def test_a_page_is_the_same_from_the_file(any_report):
    report = {**any_report, "samples": {}}  # their arguments and schemas are shown in the order that they have
    saved = json.loads(json.dumps(report, sort_keys=True))
    assert page.render(saved) == page.render(report)


def test_the_rows_are_seen_to_add_up():
    said = text_of(reports.report())
    assert "12,263 of 12,840 rows are kept" in said
    total = "12,840 rows read = 11,037 train 86% to train on + 1,226 validation 9.5% held out"
    assert f"{total} + 321 duplicate 2.5% seen before + 256 quarantined 2% set aside" in said


def test_reasons_come_with_what_they_mean_and_with_examples():
    said = text_of(reports.report())
    assert "tool_call_invalid prompt or chosen makes a call that is malformed, undeclared or incomplete 128 1%" in said
    assert "chats/2026-01.jsonl:41 tool_call_invalid: what is wrong with the row" in said
    assert "leaked left out on request" in said
    assert "No row had to be set aside." in text_of(reports.longwinded())


def test_a_failed_run_says_why_and_opens_its_reason():
    html = page.render(reports.failed())
    said = Document(html).text
    assert "Not fit to train on 40 of 40 rows (100%) are invalid, where 10% may be" in said
    assert "<details open><summary>" in html
    assert "#lengths" not in html
    assert "No row is left for validation" in text_of(reports.one_row())


COUNTS = st.integers(0, 30)


@given(
    train=COUNTS,
    validation=COUNTS,
    duplicate=COUNTS,
    broken=COUNTS,
    leaked=COUNTS,
    allowed=st.floats(0, 1),
    least=COUNTS,
)
def test_the_page_calls_a_run_failed_when_the_step_does(train, validation, duplicate, broken, leaked, allowed, least):
    reasons = Counter({"not_json": broken, "leaked": leaked})
    kept = train + validation
    read = kept + duplicate + broken + leaked
    tally = Tally(read=read, kept=kept, duplicate=duplicate, reasons=reasons)
    tally.examples = {"not_json": [{"file": "a", "line": 1, "message": "m", "raw": ""}]}
    asked = {"max_invalid_fraction": allowed, "validation_fraction": 0.1, "min_validation_rows": least}
    report = Report(tally, Figures(train=train, validation=validation), "", [], asked, ("characters",))
    assert (quarantine.problem(report.as_json()) is None) == (report.problem() is None)


def test_lengths_come_with_their_percentiles_and_what_to_set():
    report = reports.report()
    said = text_of(report)
    pair = report["lengths"]["tokens"]["pair"]["percentiles"]
    assert f"max_length: {report['recommended_max_length']['tokens']} holds 99% of the pairs whole" in said
    assert f"median: {pair['50']:,}" in said
    assert f"99%: {pair['99']:,}" in said
    assert "The same in characters" in said
    guessed = text_of(reports.longwinded())
    assert "An estimate at 3 characters a token" in guessed
    assert "The same in characters" not in guessed


def test_a_bias_of_length_is_told_either_way():
    longer = reports.longwinded()
    assert "The median chosen answer is 4." in text_of(longer)
    parts = longer["lengths"]["characters"]
    parts["chosen"], parts["rejected"] = parts["rejected"], parts["chosen"]
    assert "The median rejected answer is 4." in text_of(longer)
    assert "The medians are within 1.5 times of each other:" in text_of(reports.report())
    assert "Too few rows to tell." in text_of(reports.one_row())


def test_one_sided_tool_calls_are_told():
    report = reports.report()
    assert "In 45.8% of them the chosen answer calls one." in text_of(report)
    cells = {"chosen_call_rejected_call": 0, "chosen_call_rejected_text": 0, "chosen_text_rejected_call": 9,
             "chosen_text_rejected_text": 1}  # fmt: skip
    report["tools"] = {"rows": 10, "called": {}, "balance": cells}
    assert "No chosen answer calls a tool." in text_of(report)
    assert "None calls a tool." in text_of(report)
    swapped = {key.replace("text", "?").replace("call", "text").replace("?", "call"): n for key, n in cells.items()}
    report["tools"]["balance"] = swapped
    assert "Every chosen answer calls a tool." in text_of(report)


def test_answers_with_reasoning_are_counted_where_there_are_any():
    assert "Answers with reasoning" not in text_of(reports.report(1_000))
    said = text_of(reports.report(1_000, reasoning={"chosen": 1_200, "rejected": 3}))
    assert "Answers with reasoning ( reasoning_content ): 1,200 chosen, 3 rejected." in said


def test_of_many_files_the_largest_are_listed_and_the_rest_counted():
    said = text_of(reports.huge())
    assert "Files: the 50 largest of 2,000" in said
    assert "and 1,950 more files 9,749,000" in said


def test_of_a_long_conversation_both_ends_are_shown():
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"turn number {n}."} for n in range(41)]
    said = text_of(reports.report(samples={"chat": reports.sample(prompt=turns)}))
    assert "… 33 turns left out …" in said
    assert "turn number 3." in said and "turn number 37." in said
    assert "turn number 4." not in said and "turn number 36." not in said


def test_drift_is_told_with_its_warnings_first():
    said = text_of(reports.drifted())
    assert "6 drift warnings" in said
    assert said.index("These changed notably:") < said.index("layout sharegpt vanished") < said.index("Points")
    assert "11,000 rows are in both, 1,200 are new, 3,020 have vanished." in said
    assert "tokenizer qwen3-4b qwen3-8b" in said
    same = reports.report()
    same["baseline"] = reports.compare(same, same, None)
    assert "The data is the baseline's" in text_of(same)
    assert "Nothing changed notably" in text_of(same)
    assert "the baseline has no index of its rows" in text_of(same)


def test_a_baseline_of_an_older_version_is_shown_as_far_as_it_goes():
    report = reports.report()
    report["baseline"] = reports.compare(report, {"rows": {"read": 10}, "lengths": None}, None)
    said = text_of(report)
    assert "read 10 12,840 +12,830" in said
    assert "PSI" not in said


def test_hostile_data_is_text():
    html = page.render(reports.hostile())
    assert "&lt;script&gt;document.title" in html
    said = Document(html).text
    assert "{{ 7 * 7 }}{% raw %}" in said
    assert "[U+202E]gnol[U+202C]" in said
    assert "[U+0000][U+001B][31m" in said
    assert not HIDDEN.search(html)
    html.encode()  # no lone surrogate is left


@pytest.mark.parametrize(
    ("count", "of", "said"),
    [(0, 9, "0%"), (9, 9, "100%"), (1, 10**7, "< 0.1%"), (10**7 - 1, 10**7, "> 99.9%"), (1, 8, "12.5%"), (3, 0, "0%")],
)
def test_a_share_is_neither_nothing_nor_all_unless_it_is(count, of, said):
    assert template.share(count, of) == said


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""
    lights = sorted(
        sum(
            weight * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
            for weight, part in zip(
                (0.2126, 0.7152, 0.0722), (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)), strict=True
            )
        )
        for colour in (one, other)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_is_legible_on_what_it_stands_on(scheme):
    schemes = re.findall(r":root \{(.*?)\}", (SOURCE / "page.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", schemes[scheme]))
    pairs = [("ink", "page"), ("ink", "panel"), ("ink", "raised"), ("muted", "page"), ("muted", "panel"),
             ("muted", "raised"), ("accent", "panel"), ("good", "good-soft"), ("warn", "warn-soft"),
             ("bad", "bad-soft"), ("ink", "good-soft"), ("ink", "warn-soft"), ("chosen", "panel"),
             ("rejected", "panel")]  # fmt: skip
    for text, ground in pairs:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for mark in ("train", "validation", "duplicate", "quarantined", "prompt", "pair", "old"):
        assert contrast(colours[mark], colours["panel"]) >= 2, mark
