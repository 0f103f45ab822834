"""What the page of an execution says, and that nothing in it loads or runs anything."""

from __future__ import annotations

import json

import pytest

from pipeline.report import page
from pipeline.report.facts import Command
from steps.shared.pages.visible import HIDDEN
from tests.document import Document, require_targets, require_whole
from tests.pipeline.report import made
from tests.steps.preprocess.reports import EVIL

NEXT = [Command("Approve it", "python pipeline.py approve 3 --local")]


def text_of(facts) -> str:
    return Document(page.render(facts, NEXT)).text


@pytest.mark.parametrize("make", made.ALL.values(), ids=made.ALL)
def test_every_page_is_whole_loads_nothing_and_leads_somewhere(make) -> None:
    html = page.render(make(), NEXT)
    require_whole(html)
    require_targets(html)
    assert "cannot be shown" not in html


def test_the_page_of_a_registered_version_has_every_part_in_order() -> None:
    html = page.render(made.registered(), NEXT)
    wanted = ["next", "steps", "data", "figures", "served", "curves", "said", "gate", "version", "run"]
    assert [name for name in wanted if f'<section id="{name}"' in html] == wanted
    places = [html.index(f'<section id="{name}"') for name in wanted]
    assert places == sorted(places)
    text = Document(html).text
    assert "Registered as dpo version 3" in text and "python pipeline.py approve 3 --local" in text
    assert "execution abcdefghijkl (nightly-7)" in text and "ended" in text and "after 9:00" in text
    assert "Succeeded, cached" in text and "1 from the cache" in text
    assert "python pipeline.py start --set Beta=0.2 --local" in text
    for fact in (
        "s3://bucket/pairs/",
        "4fd4a68d",
        "57644a96",
        "bda34bc6 of http://tracker",
        "torch 2.13.0",
        "dpo-training:1",
    ):
        assert fact in text, fact
    assert "Accuracy 0.97 meets the threshold." in text and "version 2" in text  # the gate's reason, the champion
    assert "12,583" not in text and "12,840" in text  # rows read


def test_steps_come_with_their_bounds_and_those_not_taken_are_marked() -> None:
    text = text_of(made.registered())
    assert "1 x ml.m5.xlarge" in text and "instance-hours" in text
    assert "RejectModel not taken" in text and "Train Succeeded 40:00" in text
    assert "not reached" in text_of(made.running())


def test_what_a_sentence_quotes_is_set_as_code() -> None:
    html = page.render(made.registered(), [Command("`retry` reads <b> again")])
    assert "<code>retry</code> reads &lt;b&gt; again" in html and "`" not in Document(html).text


def test_rows_made_of_what_people_said_are_told() -> None:
    facts = made.registered()
    assert "Made of what people said" not in text_of(facts)
    facts.left.evaluation |= {"feedback": {"train": 8, "validation": 1, "weight": 20}}
    assert "Made of what people said: 8 rows trained on, each 20 times in a pass; 1 held out." in text_of(facts)


def test_a_rejected_model_has_the_gates_rules_and_no_version() -> None:
    html = page.render(made.rejected(), NEXT)
    text = Document(html).text
    assert "The gate rejected the model" in text and "Accuracy 0.41 is below the threshold 0.55." in text
    assert '<section id="version"' not in html and '<section id="gate"' in html


def test_unfit_data_is_shown_with_the_reasons_and_rows_of_the_job_that_failed() -> None:
    text = text_of(made.broken_data())
    assert "Failed in Preprocess" in text and "pairs.jsonl: 86 of 200 rows (43.0%) are invalid" in text
    assert "The last lines of Preprocess's log" in text
    assert "Train not reached" in text and "not taken" not in text
    assert "not_json" in text and "are invalid, where" in text


def test_a_failed_training_shows_the_end_of_its_log_and_the_curves_that_the_log_tells() -> None:
    html = page.render(made.crashed(), NEXT)
    text = Document(html).text
    assert "Failed in Train" in text and "RuntimeError: the loss is not finite" in text
    assert '<section id="curves"' in html and "as far as the log of the training tells them" in text
    assert '<section id="gate"' not in html and 'http-equiv="refresh"' not in html


def test_the_page_of_a_running_execution_reads_itself_again() -> None:
    html = page.render(made.running(), NEXT)
    assert f'<meta http-equiv="refresh" content="{page.REFRESH}">' in html
    text = Document(html).text
    assert "Running: Train" in text and "What it does now" in text and "step=10/40" in text
    assert "Executing for" in text


def test_hostile_texts_are_escaped_and_what_hides_is_spelt() -> None:
    for name in ("hostile", "hostile_data"):
        html = page.render(made.ALL[name](), [Command(EVIL, EVIL)])
        assert "<script" not in html and "evil.test/a.png" in html  # as text
        assert not HIDDEN.search(html.split("</style>")[1])
        assert "{{ 7 * 7 }}" in html


@pytest.mark.parametrize("name", ["evaluation.json", "gate.json"])
def test_files_of_another_version_leave_the_other_parts_standing(name: str) -> None:
    objects = made.files()
    objects[f"{made.RUN}/Gate/decision/{name}"] = json.dumps({"after": {}, "rules": [1], "served": 7}).encode()
    steps = [made.step("Preprocess"), made.step("Train"), made.step("Gate")]
    html = page.render(made.facts(made.Source(objects), "Succeeded", steps), NEXT)
    require_whole(html)
    require_targets(html)
    assert "This part cannot be shown" in html and '<section id="data"><h2>Data</h2>\n<p>' in html


def test_a_file_that_cannot_be_read_is_named() -> None:
    objects = made.files() | {f"{made.RUN}/Gate/decision/gate.json": b"{"}
    steps = [made.step("Preprocess"), made.step("Train"), made.step("Gate")]
    text = text_of(made.facts(made.Source(objects), "Succeeded", steps))
    assert f"{made.RUN}/Gate/decision/gate.json: cannot be read" in text


def test_on_aws_the_cost_bound_is_told() -> None:
    text = text_of(made.registered(local=False))
    assert "on AWS." in text and "Runs at most" in text and "no prices are known" in text
