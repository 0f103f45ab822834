"""What becomes of captures and feedback: pairs by each rule, and exactly one state for every line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.collect.collect import collect
from steps.collect.options import Options
from steps.preprocess.options import Options as PreprocessOptions
from steps.preprocess.preprocess import preprocess
from steps.shared.contract import StepError
from steps.shared.records import read_records
from tests.steps.collect.captured import WEATHER, Collected, call, capture, read, say, texts, write


def test_a_correction_is_a_pair_over_the_answer_that_it_corrects(tmp_path: Path) -> None:
    run = Collected(
        tmp_path, [capture("a", "Capital of Peru?", "Cusco")], [say("a", correction="Lima", reason="wrong")]
    )

    assert texts(run.pairs) == [("Capital of Peru?", "Lima", "Cusco")]
    about = run.pairs[0]["provenance"]
    assert about["rule"] == "correction"
    assert about["rejected"] == {
        "inference_ids": ["a"], "model_version": "3", "endpoint": "chat", "variant": "AllTraffic", "model": "lmi",
        "answered_at": "2026-11-29T08:00:00.000000+00:00", "verdicts": [-1], "reasons": ["wrong"],
    }  # fmt: skip
    assert about["chosen"] == {"correction": True, "verdicts": [-1], "reasons": ["wrong"]}
    assert run.counts("captures") == run.counts("feedback") == {"paired": 1}


def test_opposite_verdicts_on_answers_to_one_prompt_are_a_pair_whatever_its_case_and_spaces(
    tmp_path: Path,
) -> None:
    captures = [capture("a", "Capital of Peru?", "Cusco"), capture("b", "capital  of PERU?", "Lima")]
    run = Collected(tmp_path, captures, [say("a", "down"), say("b", 2)])

    assert [(chosen, rejected) for _, chosen, rejected in texts(run.pairs)] == [("Lima", "Cusco")]
    assert run.pairs[0]["provenance"]["rule"] == "opposite_verdicts"


def test_another_tool_or_template_argument_makes_it_another_prompt(tmp_path: Path) -> None:
    captures = [
        capture("a", "Weather?", "Where?"),
        capture("b", "Weather?", "No idea.", tools=[WEATHER]),
        capture("c", "Weather?", "Hm.", chat_template_kwargs={"enable_thinking": False}),
    ]
    run = Collected(tmp_path, captures, [say("a", "up"), say("b", "down"), say("c", "down")])

    assert run.pairs == []
    assert run.counts("captures") == run.counts("feedback") == {"unpaired": 3}
    assert sorted(row["verdict"] for row in run.unpaired) == ["down", "down", "up"]


def test_a_corrected_call_is_a_pair_with_its_tools(tmp_path: Path) -> None:
    right = {"content": "", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Lima"}}}]}
    run = Collected(
        tmp_path, [capture("a", "Weather in Lima?", call("Rome"), tools=[WEATHER])], [say("a", correction=right)]
    )

    assert [pair["provenance"]["rule"] for pair in run.pairs] == ["corrected_call"]
    pair = run.pairs[0]
    assert [pair[side][0]["tool_calls"][0]["function"]["arguments"]["city"] for side in ("chosen", "rejected")] == [
        "Lima",
        "Rome",
    ]
    assert pair["tools"] == [WEATHER]


def test_every_answer_with_an_opposite_is_in_a_pair_and_there_are_no_more_pairs_than_answers(tmp_path: Path) -> None:
    captures = [capture(name, "Say something", f"answer {name}") for name in "abcde"]
    feedback = [say("a", 2), say("b", 1), say("c", -1), say("d", -2), say("e", -1)]
    run = Collected(tmp_path, captures, feedback)

    made = {(chosen, rejected) for _, chosen, rejected in texts(run.pairs)}
    assert len(made) == 3
    assert {rejected for _, rejected in made} == {"answer c", "answer d", "answer e"}
    assert {chosen for chosen, _ in made} == {"answer a", "answer b"}
    assert ("answer a", "answer d") in made  # the strongest of both sides


def test_the_same_answer_captured_twice_is_one_answer_with_the_opinions_on_both(tmp_path: Path) -> None:
    captures = [capture("a", "Hi", "Hello"), capture("b", "Hi", "Hello"), capture("c", "Hi", "Go away")]
    feedback = [say("a", "up", by="ann"), say("b", "up", by="bob"), say("c", "down", by="ann")]
    run = Collected(tmp_path, captures, feedback)

    assert len(run.pairs) == 1
    assert run.pairs[0]["provenance"]["chosen"]["inference_ids"] == ["a", "b"]
    assert run.counts("captures") == {"paired": 3}


def test_the_latest_opinion_of_a_person_counts_and_a_repeated_line_once(tmp_path: Path) -> None:
    late, early = "2026-11-29T10:00:00+02:00", "2026-11-29T07:00:00Z"  # in UTC the first is 08:00
    feedback = [
        say("a", "up", by="ann", at=late),
        say("a", "down", by="ann", at=early),
        say("a", "down", by="ann", at=early),
    ]
    run = Collected(tmp_path, [capture("a", "Hi", "Hello")], feedback)

    assert run.counts("feedback") == {"unpaired": 1, "superseded": 1, "duplicate": 1}
    assert run.unpaired[0]["verdict"] == "up"


@pytest.mark.parametrize(
    ("contradictions", "captures", "feedback"),
    [
        ("majority", {"unpaired": 1, "contradictory": 1}, {"unpaired": 2, "contradicted": 3}),
        ("leave_out", {"contradictory": 2}, {"contradicted": 5}),
    ],
)
def test_people_who_disagree_are_counted_by_majority_or_left_out(
    tmp_path: Path, contradictions: Any, captures: dict[str, int], feedback: dict[str, int]
) -> None:
    lines = [say("a", "up", by="ann"), say("a", "up", by="bob"), say("a", "down", by="cy")]
    lines += [say("b", "up", by="ann"), say("b", "down", by="bob")]
    run = Collected(
        tmp_path, [capture("a", "Hi", "Hello"), capture("b", "Bye", "Ciao")], lines, contradictions=contradictions
    )

    assert run.counts("captures") == captures
    assert run.counts("feedback") == feedback


def test_odd_captures_and_lines_each_have_their_state_and_the_counts_add_up(tmp_path: Path) -> None:
    several = {"choices": [{"message": {"role": "assistant", "content": text}} for text in ("x", "y")]}
    captures = [
        capture("good", "1", "wrong"), capture("good", "1", "wrong"), capture("silent", "2", "A"),
        capture("cut", "3", "A long", ended="length"), capture("failed", "4", {"error": {"message": "busy"}}),
        capture("several", "5", several), capture("old", "6", "A", time="2025-01-01T00:00:00Z"),
        capture("empty", "", "A"), capture("image", [{"role": "user", "content": [{"type": "image_url"}]}], "A"),
        capture("stream", "7", b'data: {"choices": []}'), capture("neutral", "8", "neutral"),
        capture("csv", "9", "A", encoding="CSV"), capture("same", "10", "same"), "no json", {"captureData": {}},
        capture(None, "11", "by event", event="the-event"), capture("b64", "12", "coded", encoding="BASE64"),
        capture("blank", "13", " "), capture("filtered", "14", "A", ended="content_filter"),
    ]  # fmt: skip
    said = ["cut", "failed", "several", "old", "empty", "image", "stream", "csv", "b64", "blank", "filtered", "nobody"]
    unreadable = [
        say("good", "sideways"), say("good"), "no json", "[]", say("good", True), say("good", 1.5), {"verdict": "up"},
        say("good", "up", at="yesterday"), say("good", "up", stars=5), say("good", correction=""), say("good", 3),
        say("good", "up", by=7), say("x" * 257, "up"), say("good", correction=["x"]),
    ]  # fmt: skip
    feedback = [
        say("good", correction="right"), say("neutral", 0), say("same", correction="same"),
        say("the-event", correction="found by it"), *(say(name, "up") for name in said), *unreadable,
    ]  # fmt: skip
    run = Collected(tmp_path, captures, feedback, max_age_days=30, now=datetime(2026, 12, 1, tzinfo=UTC))

    assert run.counts("captures") == {
        "paired": 2, "unpaired": 1, "neutral": 2, "no_feedback": 1, "duplicate": 1, "too_old": 1, "truncated": 1,
        "error": 4, "several_answers": 1, "request_invalid": 3, "unreadable": 2,
    }  # fmt: skip
    assert run.counts("feedback") == {
        "paired": 2, "unpaired": 1, "neutral": 1, "unchanged": 1, "no_capture": 1, "capture_left_out": 10,
        "unreadable": len(unreadable),
    }  # fmt: skip
    assert sum(run.report.captures.values()) == len(captures)
    assert sum(run.report.feedback.values()) == len(feedback)
    assert len(run.left_out) == 13 + len(unreadable)  # all that is wrong with a line, one by one
    assert all(line["reason"] for line in run.left_out)


def test_a_request_that_was_tried_again_under_its_id_is_the_answer_that_came(tmp_path: Path) -> None:
    captures = [capture("a", "Q", {"error": "busy"}), capture("a", "Q", "wrong", event="later")]
    run = Collected(tmp_path, captures, [say("a", correction="right")])

    assert run.counts("captures") == {"error": 1, "paired": 1}
    assert run.counts("feedback") == {"paired": 1}


def test_a_persons_opinions_beyond_the_limit_of_a_day_do_not_count(tmp_path: Path) -> None:
    captures = [capture(str(number), f"Q{number}", "A") for number in range(5)]
    day, next_day = "2026-11-29T0{}:00:00Z", "2026-11-30T0{}:00:00Z"
    feedback = [say(str(number), "down", by="ann", at=day.format(number)) for number in (3, 2, 1, 0)]
    feedback.append(say("4", "down", by="ann", at=next_day.format(0)))
    run = Collected(tmp_path, captures, feedback, max_per_person_and_day=2)

    assert run.counts("feedback") == {"unpaired": 3, "over_limit": 2}
    assert sorted(row["provenance"]["inference_ids"][0] for row in run.unpaired) == ["0", "1", "4"]


def test_pairs_beyond_the_share_of_feedback_are_left_out_the_oldest_first(tmp_path: Path) -> None:
    write(tmp_path / "data.jsonl", [{"prompt": f"{n}", "chosen": "a", "rejected": "b"} for n in range(6)])
    captures = [capture(str(number), f"Q{number}", "A") for number in range(5)]
    feedback = [say(str(n), correction="B", at=f"2026-11-2{n}T00:00:00Z") for n in range(5)]
    run = Collected(tmp_path, captures, feedback, max_feedback_share=0.25, data=tmp_path / "data.jsonl")

    assert [prompt for prompt, _, _ in texts(run.pairs)] == ["Q3", "Q4"]  # 2 of 8
    assert run.counts("captures") == run.counts("feedback") == {"paired": 2, "over_share": 3}
    assert run.report.as_json()["pairs"] == {
        "made": 5, "over_share": 3, "kept": 2, "rules": {"correction": 2, "corrected_call": 0, "opposite_verdicts": 0},
    }  # fmt: skip

    shared = {"max_feedback_share": 0.25, "data": tmp_path / "data.jsonl", "feedback_weight": 2}
    twice = Collected(tmp_path / "twice", captures, feedback, **shared)
    assert [prompt for prompt, _, _ in texts(twice.pairs)] == ["Q4"]  # seen twice beside 6


def test_preprocess_reads_the_pairs_beside_data_of_another_layout(tmp_path: Path) -> None:
    right = {"content": "", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Lima"}}}]}
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather in Lima?"}]
    about = {"tools": [WEATHER], "chat_template_kwargs": {"enable_thinking": False}}
    captures = [capture("a", "Capital of Peru?", "Cusco"), capture("b", asked, call("Rome"), **about)]
    run = Collected(tmp_path, captures, [say("a", correction="Lima"), say("b", correction=right)])
    write(run.output / "pairs/plain.jsonl", [{"prompt": str(n), "chosen": "a", "rejected": "b"} for n in range(20)])
    done = preprocess(PreprocessOptions(run.output / "pairs", tmp_path / "prepared", validation_fraction=0.5))

    assert done.tally.reasons == {}
    records = [*read_records(tmp_path / "prepared/train"), *read_records(tmp_path / "prepared/validation")]
    found = {record.prompt[-1]["content"]: record for record in records}
    assert len(found) == 22
    weather = found["Weather in Lima?"]
    assert weather.chosen[0]["tool_calls"][0]["function"]["arguments"] == {"city": "Lima"}
    assert weather.rejected[0]["tool_calls"][0]["function"]["arguments"] == {"city": "Rome"}
    assert weather.tools == [WEATHER]
    assert weather.chat_template_kwargs == {"enable_thinking": False}


def test_nothing_captured_and_nothing_said_is_no_pairs_and_no_error(tmp_path: Path) -> None:
    report = collect(Options(tmp_path / "none", tmp_path / "none", tmp_path / "out"))

    assert report.pairs == 0
    assert read(tmp_path / "out/pairs/pairs.jsonl") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_feedback_share": 0.5}, "--max-feedback-share needs --data: it is a share of these rows and the pairs"),
        ({"max_feedback_share": 2.0}, "--max-feedback-share 2.0: must be above 0 and at most 1"),
        ({"feedback_weight": 0}, "--feedback-weight 0: must be at least 1"),
        ({"max_age_days": 0.0}, "--max-age-days 0.0: must be above 0"),
        ({"max_per_person_and_day": 0}, "--max-per-person-and-day 0: must be at least 1"),
        ({"redact": ("names",)}, "--redact names: unknown; known: mail, account, phone; your own: --redact-pattern"),
        ({"redact_patterns": ("a*",)}, "--redact-pattern a*: finds an empty text; let it find at least a character"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(StepError) as error:
        collect(Options(tmp_path, tmp_path, tmp_path.parent / "out", **options))
    assert str(error.value) == said


LONG = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]
PROMPTS = st.sampled_from(["Q", "q ", "other", "", LONG])
ANSWERS = st.one_of(st.sampled_from(["A", "B", "a", ""]), st.builds(call, st.sampled_from(["Lima", "Rome"])))
IDS = st.sampled_from([*"abcdef", "event-a"])
CAPTURES = st.lists(
    st.one_of(
        st.builds(
            capture, IDS, PROMPTS, ANSWERS, ended=st.sampled_from(["stop", "length", "tool_calls"]),
            encoding=st.sampled_from(["JSON", "BASE64", "CSV"]), event=st.sampled_from([None, "b", "event-a"]),
            time=st.sampled_from([None, "never", "2026-11-01T00:00Z"]),
        ),
        st.sampled_from(["{", "null", {"captureData": {}, "eventMetadata": {"eventId": 1}}]),
    ),
    max_size=12,
)  # fmt: skip
SAID = st.lists(
    st.builds(
        say, IDS, st.sampled_from([None, "up", "down", -2, 0, 2, "maybe"]),
        correction=st.sampled_from([None, "A", "C"]), by=st.sampled_from([None, "ann", "bob"]),
        at=st.sampled_from([None, "2026-11-28T00:00:00Z", "2026-11-29T00:00:00+01:00"]),
    ),
    max_size=15,
)  # fmt: skip


@given(CAPTURES, SAID, st.sampled_from(["majority", "leave_out"]), st.sampled_from([None, 1]))
@settings(max_examples=100)
def test_whatever_comes_every_line_has_one_state_and_the_written_rows_are_those_counted(
    tmp_path_factory: pytest.TempPathFactory, captures: list[Any], said: list[Any], rule: Any, limit: int | None
) -> None:
    options: dict[str, Any] = {"contradictions": rule, "max_per_person_and_day": limit}
    run = Collected(tmp_path_factory.mktemp("lines"), captures, said, **options)
    states, lines = run.counts("captures"), run.counts("feedback")
    pairs, unpaired = run.pairs, run.unpaired

    assert sum(states.values()) == len(captures) and sum(lines.values()) == len(said)
    assert len(pairs) == run.report.pairs
    assert all(pair["chosen"] != pair["rejected"] for pair in pairs)
    sides = [pair["provenance"][side] for pair in pairs for side in ("chosen", "rejected")]
    in_pairs = {name for side in sides for name in side.get("inference_ids", ())}
    apart = {name for row in unpaired for name in row["provenance"]["inference_ids"]}
    assert len(in_pairs) == states.get("paired", 0) and len(apart) == states.get("unpaired", 0)
    assert not in_pairs & apart
    assert bool(pairs) == bool(lines.get("paired", 0))

    # Where no id was captured twice, the order in which captures stand makes no difference.
    about = [line["eventMetadata"] for line in captures if isinstance(line, dict)]
    ids = [name for entry in about for name in (entry.get("inferenceId"), entry.get("eventId"))]
    if len(set(ids)) == len(ids):
        again = Collected(tmp_path_factory.mktemp("lines"), captures[::-1], said, **options)
        assert again.pairs == pairs and again.unpaired == unpaired
