"""What evaluation.json and answers.jsonl say of the answers, with the arithmetic shown."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from steps.shared.statistics.intervals import wilson_interval
from steps.train.answers.parser import Parser
from steps.train.answers.said import Answers, Said
from steps.train.answers.section import in_short, judge
from tests.steps.train.answers.answers import BROKEN, WEATHER, answers, call, calling, said, texting

HERMES = Parser("hermes")
LOOP = "I can look that up for you. " * 12


def judged(given: Answers | str, parser: Parser = HERMES, specials: tuple[str, ...] = ()) -> tuple[Any, Any]:
    return judge(given, parser, specials=specials, max_new_tokens=256)


def test_right_calls_are_counted_before_and_after_with_their_interval() -> None:
    questions = [calling(0), calling(1, "Rome"), calling(2, "Lima"), texting(3, "Which city do you mean?")]
    given = answers(
        questions,
        base=said("Sorry, I cannot do that.", call("Oslo"), "Which city?", call("Oslo")),
        candidate=said(call("Oslo"), call("Rome"), call("Rome"), "Where are you?"),
    )
    section, _ = judged(given)
    before, after = section["before"]["calls"], section["after"]["calls"]
    assert (before["rows"], before["right"], before["share"]) == (4, 0, 0.0)
    assert (after["rows"], after["right"], after["share"]) == (4, 3, 0.75)
    assert (after["low"], after["high"]) == wilson_interval(3, 4)
    assert (before["decision"]["right"], after["decision"]["right"]) == (1, 4)
    assert after["name"] == {"n": 3, "right": 3, "share": 1.0, "low": wilson_interval(3, 3)[0], "high": 1.0}
    assert (after["arguments"]["n"], after["arguments"]["right"]) == (3, 2)
    assert after["confusion"]["call"] == {"call": 3, "ask": 0, "decline": 0, "answer": 0}
    assert before["confusion"]["call"] == {"call": 1, "ask": 1, "decline": 1, "answer": 0}
    assert before["confusion"]["ask"] == {"call": 1, "ask": 0, "decline": 0, "answer": 0}
    # Three wins and no loss: 2 / 2^3 and 1.
    assert section["against_base"]["calls"] == {"rows": 4, "wins": 3, "losses": 0, "p": 0.25, "p_worse": 1.0}
    assert section["champion"] is section["against_champion"] is None


def test_calls_that_get_worse_than_the_champions_are_losses() -> None:
    questions = [calling(number) for number in range(5)]
    right, wrong = said(*[call("Oslo")] * 5), said(*[call("Rome")] * 5)
    section, _ = judged(answers(questions, base=wrong, candidate=wrong, champion=right))
    assert section["champion"]["calls"]["share"] == 1
    assert section["against_champion"]["calls"] == {"rows": 5, "wins": 0, "losses": 5, "p": 1 / 16, "p_worse": 1 / 32}
    assert section["against_base"]["calls"]["p_worse"] == 1


def test_calls_of_undeclared_tools_of_a_wrong_type_and_unreadable_ones_are_counted() -> None:
    questions = [calling(number) for number in range(4)]
    candidate = said(
        call("Oslo", "get_news"), call(7), '<tool_call>\n{"name": "get_weather", "arg', call("Oslo", days=2)
    )
    section, rows = judged(answers(questions, base=said(*["No."] * 4), candidate=candidate))
    calls = section["after"]["calls"]
    assert (calls["valid"]["n"], calls["valid"]["right"]) == (3, 1)
    assert (calls["undeclared"]["n"], calls["undeclared"]["count"]) == (3, 1)
    assert (calls["unreadable"]["n"], calls["unreadable"]["count"]) == (4, 1)
    assert {row["answers"]["candidate"]["wrong"] for row in rows} == {"name", "arguments", "unreadable"}
    assert section["before"]["calls"]["valid"] == {"n": 0, "right": 0, "share": None, "low": None, "high": None}


def test_what_is_wrong_with_a_call_is_named() -> None:
    questions = [calling(number) for number in range(5)]
    candidate = said("No.", call("Oslo") * 2, call("Oslo", "get_news"), call("Rome"), call(" Oslo "))
    _, rows = judged(answers(questions, base=said(*["No."] * 5), candidate=candidate))
    wrong = {row["id"]: row["answers"]["candidate"]["wrong"] for row in rows}
    assert wrong == {"row-0": "decision", "row-1": "number", "row-2": "name", "row-3": "arguments", "row-4": None}


def test_a_schema_that_is_none_is_counted_and_its_calls_are_not_judged_valid() -> None:
    section, _ = judged(
        answers([calling(0, tools=(BROKEN, WEATHER))], base=said(call(1, "mend")), candidate=said(call("Oslo")))
    )
    assert section["after"]["calls"]["schemas_unusable"] == 1
    assert section["after"]["calls"]["valid"]["right"] == 1
    assert section["before"]["calls"]["valid"]["n"] == 0


def test_faults_of_form_are_counted_and_compared() -> None:
    questions = [texting(number, "It will be dry in Oslo.", tools=False) for number in range(4)]
    candidate = (*said("Dry.", LOOP), *said("It will be<|im_end|>", unfinished=True), *said(" \n"))
    section, rows = judged(answers(questions, base=said(*["It will be dry."] * 4), candidate=candidate))
    form = section["after"]["form"]
    assert (form["rows"], form["degenerate"]["count"], form["degenerate"]["share"]) == (4, 3, 0.75)
    assert (form["degenerate"]["low"], form["degenerate"]["high"]) == wilson_interval(3, 4)
    assert {name: form[name] for name in ("empty", "unfinished", "repetitive", "marker")} == {
        "empty": 1, "unfinished": 1, "repetitive": 1, "marker": 1,
    }  # fmt: skip
    # Words stand for tokens here: 1 + 84 + 3 + 1 of four answers, against 4 in each of the base's.
    assert form["tokens_mean"] == (1 + 84 + 3 + 1) / 4
    assert form["length_ratio"] == (1 + 84 + 3 + 1) / 4 / 4
    assert section["before"]["form"]["length_ratio"] is None
    assert section["against_base"]["form"] == {"rows": 4, "wins": 0, "losses": 3, "p": 0.25, "p_worse": 0.125}
    assert section["after"]["calls"] is None
    assert section["against_base"]["calls"] is None
    assert rows[0]["answers"]["candidate"]["faults"] == ["unfinished", "marker"]


def test_an_answer_is_not_blamed_for_an_end_that_the_chosen_one_would_not_have_either() -> None:
    short, long = texting(0, "Dry.", tools=False), texting(1, "It will be dry, " + "and so on, " * 256, tools=False)
    endless = said("It will", "It will", unfinished=True)
    section, rows = judged(answers([short, long], base=said("Dry.", "Dry."), candidate=endless))
    form = section["after"]["form"]
    assert (form["unfinished"], form["cut"], form["degenerate"]["count"]) == (1, 1, 1)
    assert {row["id"]: row["answers"]["candidate"]["faults"] for row in rows} == {"row-0": ["unfinished"], "row-1": []}
    looping = said("Dry.") + said(LOOP, unfinished=True)
    section, _ = judged(answers([short, long], base=said("Dry.", "Dry."), candidate=looping))
    assert (section["after"]["form"]["cut"], section["after"]["form"]["repetitive"]) == (1, 1)


def test_an_answer_that_is_cut_in_its_reasoning_is_not_judged() -> None:
    questions = [calling(number) for number in range(3)]
    thinking = said("<think>\nThe user wants", unfinished=True)
    loop = said(f"<think>\n{LOOP}", unfinished=True)
    whole = said(f"<think>\nOslo.\n</think>\n\n{call('Oslo')}")
    section, rows = judged(answers(questions, base=thinking * 3, candidate=(*thinking, *loop, *whole)))
    form = section["after"]["form"]
    assert (form["cut"], form["unfinished"], form["empty"], form["repetitive"]) == (2, 0, 0, 1)
    assert (section["before"]["calls"], section["against_base"]["calls"]) == (None, None)
    assert (section["after"]["calls"]["rows"], section["after"]["calls"]["right"]) == (1, 1)
    right = {row["id"]: row["answers"]["candidate"]["right"] for row in rows}
    assert right == {"row-0": None, "row-1": None, "row-2": True}
    assert "right calls" not in in_short(section)


def test_an_answer_in_another_script_is_told_and_is_not_degenerate() -> None:
    question = texting(0, "You can find it at the end of the street.")
    section, _ = judged(answers([question], base=said("Here it is."), candidate=said("博物馆在街道的尽头那里就有。")))
    assert section["after"]["form"]["other_script"] == 1
    assert section["after"]["form"]["degenerate"]["count"] == 0


def test_without_a_parser_calls_are_not_judged_and_form_is() -> None:
    given = answers(
        [calling(0), texting(1, "Hi.", tools=False)], base=said("a", "b"), candidate=said(call("Oslo"), "Hi.")
    )
    section, rows = judged(given, Parser(None, "no parser is known for gpt-2"))
    assert section["after"]["calls"] is None
    assert section["against_base"]["calls"] is None
    assert section["after"]["form"]["rows"] == 2
    assert (section["parser"], section["parser_reason"]) == (None, "no parser is known for gpt-2")
    assert {row["answers"]["candidate"]["kind"] for row in rows} == {None, "text"}
    assert {row["answers"]["candidate"]["right"] for row in rows} == {None}


def test_a_parser_that_does_not_read_the_chosen_answers_themselves_judges_no_calls() -> None:
    questions = [*(calling(number) for number in range(3)), texting(3, "Hi.")]
    worse = said("[TOOL_CALLS]nothing", *["I do not know."] * 2, "Hi.")
    given = answers(questions, base=said(*[call("Oslo")] * 3, "Hi."), candidate=worse)
    section, _ = judged(given, Parser("mistral"))
    assert (section["parser"], section["after"]["calls"], section["against_base"]["calls"]) == (None, None, None)
    assert section["parser_reason"] == (
        "the parser mistral does not read the calls of 3 of 3 chosen answers as the template writes them; name the "
        "model's own by tool_call_parser"
    )
    assert judged(given)[0]["against_base"]["calls"]["losses"] == 3


def test_the_worst_answers_come_first() -> None:
    questions = [calling(number) for number in range(5)]
    right, wrong = call("Oslo"), call("Rome")
    candidate = (*said(right), *said(wrong), *said(right), *said(wrong), *said(right, unfinished=True))
    _, rows = judged(answers(questions, base=said(right, wrong, right, right, right), candidate=candidate))
    assert [row["id"] for row in rows] == ["row-3", "row-4", "row-1", "row-0", "row-2"]


def test_a_line_shows_what_was_asked_expected_and_said() -> None:
    _, rows = judged(answers([calling(0)], base=said("No."), candidate=said(call("Oslo"))))
    assert rows == [
        {
            "id": "row-0",
            "prompt": [{"role": "user", "content": "Will it rain in Oslo?"}],
            "tools": [WEATHER],
            "chosen": call("Oslo"),
            "expected": "call",
            "answers": {
                "base": {
                    "text": "No.", "tokens": 1, "ended": True, "kind": "answer", "calls": [], "right": False,
                    "wrong": "decision", "faults": [],
                },
                "candidate": {
                    "text": call("Oslo"), "tokens": 7, "ended": True, "kind": "call", "right": True, "wrong": None,
                    "calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}], "faults": [],
                },
            },
        }
    ]  # fmt: skip


def test_facts_of_the_asking_are_passed_on() -> None:
    section, _ = judged(answers([calling(0)], base=said("No."), candidate=said("No.")))
    assert section["judged"] is True
    assert section["reason"] is None
    facts = ("form", "asked", "rows", "not_asked", "out_of_time", "no_champion", "max_new_tokens", "seconds", "tokens")
    assert [section[name] for name in facts] == [
        "served", 2, 1, {"template_no_generation": 2}, True, None, 256, 1.5, 2,
    ]  # fmt: skip


def test_where_nothing_was_asked_the_section_says_why() -> None:
    assert judged("evaluate_answers: 0") == ({"judged": False, "reason": "evaluate_answers: 0"}, [])
    assert in_short({"judged": False, "reason": "evaluate_answers: 0"}) == "no answers judged (evaluate_answers: 0)"


def test_the_log_tells_calls_and_degenerate_answers() -> None:
    section, _ = judged(
        answers([calling(0), texting(1, "Hi.")], base=said("No.", LOOP), candidate=said(call("Oslo"), "Hi."))
    )
    assert in_short(section) == "right calls 0.500 -> 1.000 of 2, degenerate answers 0.500 -> 0.000 of 2"
    texts, _ = judged(answers([texting(1, "Hi.", tools=False)], base=said(LOOP), candidate=said("Hi.")))
    assert in_short(texts) == "degenerate answers 1.000 -> 0.000 of 1"


TEXTS = st.one_of(st.text(max_size=60), st.sampled_from([call("Oslo"), call("Rome"), LOOP, "", "<tool_call>{"]))


@given(st.lists(st.tuples(st.booleans(), TEXTS, TEXTS, st.booleans()), min_size=1, max_size=8))
def test_whatever_is_said_the_figures_agree_and_are_json(rows: list[tuple[bool, str, str, bool]]) -> None:
    questions = [calling(at) if calls else texting(at, "Hi.") for at, (calls, *_) in enumerate(rows)]
    base = tuple(Said(text, 3, ended) for _, text, _, ended in rows)
    candidate = tuple(Said(text, 4, True) for _, _, text, _ in rows)
    section, lines = judged(answers(questions, base=base, candidate=candidate))
    json.dumps([section, lines], allow_nan=False)
    for side in ("before", "after"):
        calls = section[side]["calls"]
        assert sum(sum(said.values()) for said in calls["confusion"].values()) == calls["rows"] == len(rows)
        assert calls["right"] <= calls["decision"]["right"]
    against = section["against_base"]["calls"]
    assert (
        against["wins"] - against["losses"] == section["after"]["calls"]["right"] - section["before"]["calls"]["right"]
    )
    assert {line["id"] for line in lines} == {question.record.id for question in questions}
