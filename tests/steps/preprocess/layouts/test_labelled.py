"""Two answers and a label: which is better by each label, and ties, which are no pair."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from steps.preprocess.layouts.formats import by_name
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import ConvertedRow, Layout, convert
from steps.shared.records import decode
from tests.steps.preprocess.turns import assistant, user

ARENA = {"conversation_a": [user("q"), assistant("one")], "conversation_b": [user("q"), assistant("two")]}
FLAGS = {"winner_model_a": 0, "winner_model_b": 0, "winner_tie": 0}
ROWS = {
    "pku-saferlhf": {"prompt": "q", "response_0": "one", "response_1": "two"},
    "helpsteer3": {"context": [user("q")], "response1": "one", "response2": "two"},
    "helpsteer2": {"prompt": "q", "response_1": "one", "response_2": "two"},
    "chatbot-arena": ARENA,
    "arena-texts": {"prompt": "q", "response_a": "one", "response_b": "two"},
    "arena-flags": {"prompt": '["q"]', "response_a": '["one"]', "response_b": '["two"]', **FLAGS},
    "alpaca-farm": {"instruction": "q", "output_1": "one", "output_2": "two"},
    "shp": {"history": "q", "human_ref_A": "one", "human_ref_B": "two"},
    "two-scores": {"prompt": "q", "answer_0": "one", "answer_1": "two"},
}


def converted(row: dict[str, Any], **rules: Any) -> ConvertedRow:
    return convert(RawRow("file", 1, orjson.dumps(row)), Layout(None), Rules(**rules))


def refused(row: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(InvalidRow) as error:
        converted(row)
    return str(error.value.code), str(error.value)


@pytest.mark.parametrize(
    ("name", "label", "better"),
    [
        ("pku-saferlhf", {"better_response_id": 0}, "one"),
        ("pku-saferlhf", {"better_response_id": "1"}, "two"),
        ("helpsteer3", {"overall_preference": -3}, "one"),
        ("helpsteer3", {"overall_preference": 3}, "two"),
        ("helpsteer2", {"preference_strength": -1}, "one"),
        ("helpsteer2", {"preference_strength": "2"}, "two"),
        ("chatbot-arena", {"winner": "model_a"}, "one"),
        ("chatbot-arena", {"winner": "model_b"}, "two"),
        ("arena-texts", {"winner": "model_a"}, "one"),
        ("arena-texts", {"winner": " Model_B"}, "two"),
        ("arena-flags", {"winner_model_a": 1}, "one"),
        ("arena-flags", {"winner_model_b": "1"}, "two"),
        ("alpaca-farm", {"preference": 1}, "one"),
        ("alpaca-farm", {"preference": 2.0}, "two"),
        ("shp", {"labels": 1}, "one"),
        ("shp", {"labels": 0}, "two"),
        ("two-scores", {"score_0": 1.5, "score_1": 0}, "one"),
        ("two-scores", {"score_0": -1, "score_1": 1}, "two"),
    ],
)
def test_the_label_decides(name, label, better):
    found = converted({**ROWS[name], **label})
    record = decode(found.record)
    assert (record.format, record.prompt) == (name, [user("q")])
    assert (record.chosen, record.rejected) == (
        [assistant(better)],
        [assistant("two" if better == "one" else "one")],
    )
    assert found.unread == {}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("helpsteer3", {"overall_preference": 0}),
        ("helpsteer2", {"preference_strength": 0}),
        ("chatbot-arena", {"winner": "tie"}),
        ("chatbot-arena", {"winner": "tie (bothbad)"}),
        ("arena-texts", {"winner": "both_bad"}),
        ("arena-flags", {"winner_tie": 1}),
        ("alpaca-farm", {"preference": 0}),
        ("two-scores", {"score_0": 2, "score_1": 2}),
    ],
)
def test_a_tie_is_no_pair(name, label):
    code, said = refused({**ROWS[name], **label})
    assert code == "tied" and said.startswith("neither of ")


@pytest.mark.parametrize(
    ("name", "label", "said"),
    [
        ("pku-saferlhf", {"better_response_id": 2}, "better_response_id is 2; must be one of 0, 1"),
        ("shp", {"labels": "yes"}, "labels is 'yes'; must be a number"),
        ("helpsteer3", {"overall_preference": 7}, "overall_preference is 7; must be from -3 to 3"),
        ("helpsteer2", {"preference_strength": "-100"}, "preference_strength is '-100'; must be from -3 to 3"),
        ("two-scores", {"score_0": "nan", "score_1": 1}, "score_0 is 'nan'; must be a number"),
        ("chatbot-arena", {"winner": "gpt-4"}, "winner is 'gpt-4'; must be one of model_a, model_b, a, b, tie, "),
        ("arena-flags", {}, "not one of winner_model_a, winner_model_b, winner_tie is 1, but 0"),
    ],
)
def test_a_label_that_says_nothing_refuses_the_row(name, label, said):
    code, message = refused({**ROWS[name], **label})
    assert code == "wrong_type" and message.startswith(said)


def test_safety_decides_where_the_column_says_so():
    row = {**ROWS["pku-saferlhf"], "better_response_id": 0, "safer_response_id": 1}
    found = converted(row)
    assert (decode(found.record).chosen, found.unread) == ([assistant("one")], {"safer_response_id": 1})
    found = converted(row, columns={"better_response_id": "safer_response_id"})
    assert decode(found.record).chosen == [assistant("two")]
    assert found.unread == {"better_response_id (replaced by safer_response_id)": 0}


def test_alpaca_farms_input_follows_its_instruction():
    row = {**ROWS["alpaca-farm"], "input": "i", "preference": 1}
    assert decode(converted(row).record).prompt == [user("q\ni")]


def test_conversations_that_part_before_the_last_answer_are_refused():
    row = {
        "conversation_a": [*ARENA["conversation_a"], user("r"), assistant("three")],
        "conversation_b": [*ARENA["conversation_b"], user("r"), assistant("four")],
        "winner": "model_a",
    }
    assert refused(row)[0] == "prompt_mismatch"
    texts = {"prompt": ["q", "r"], "response_a": ["one", "three"], "response_b": ["two", "four"], "winner": "model_a"}
    assert refused(texts)[0] == "prompt_mismatch"
    same = decode(converted({**texts, "response_b": ["one", "four"]}).record)
    assert (len(same.prompt), same.chosen, same.rejected) == (3, [assistant("three")], [assistant("four")])
    assert refused({**texts, "response_b": ["two"]}) == ("turn_order", "response_b has 1 turns to the 2 of the prompt")


def test_a_row_with_chosen_and_rejected_keeps_the_plain_reading():
    pair = {"prompt": "q", "chosen": "yes", "rejected": "no"}
    others = {"response_0": "a", "response_1": "b", "better_response_id": 1, "completions": [], "labels": 1}
    found = converted({**pair, **others})
    assert (decode(found.record).format, found.unread) == ("plain", others)
    row = {**ROWS["pku-saferlhf"], **pair, "better_response_id": 1}
    in_a_file_of_such = convert(RawRow("file", 1, orjson.dumps(row)), Layout(by_name("pku-saferlhf")), Rules())
    assert in_a_file_of_such.record.format == "plain"


@pytest.mark.parametrize(
    ("answers", "label", "better"),
    [
        (("response_a", "response_b"), {"preference": "A"}, "one"),
        (("response_a", "response_b"), {"choice": "response_b"}, "two"),
        (("response_A", "response_B"), {"winner": "model_b"}, "two"),
        (("answer_1", "answer_2"), {"label": 2}, "two"),
        (("output1", "output2"), {"preferred": "Output 1"}, "one"),
        (("completion_0", "completion_1"), {"label": 0}, "one"),
        (("response_1", "response_2"), {"better_response": "1"}, "one"),
    ],
)
@pytest.mark.parametrize("asked", ["prompt", "question", "instruction"])
def test_any_two_answers_whose_better_one_is_named(asked, answers, label, better):
    row = {asked: "q", answers[0]: "one", answers[1]: "two", **label}
    found = converted(row)
    assert decode(found.record).chosen == [assistant(better)]
    assert (decode(found.record).prompt, found.unread) == ([user("q")], {})


@pytest.mark.parametrize(
    ("label", "code", "said"),
    [
        ({"label": 0}, "wrong_type", "label is 0; must name response_1 or response_2, or be a tie"),
        ({"label": True}, "wrong_type", "label is True; must name response_1 or response_2, or be a tie"),
        ({"label": "good"}, "wrong_type", "label is 'good'; must name response_1 or response_2, or be a tie"),
        ({"label": "tie"}, "tied", "neither of response_1 and response_2 is judged to be better"),
        ({"label": 1, "choice": 2}, "missing_field", "preference_strength is missing (helpsteer2 layout)"),
        (
            {"label": 1, "response_3": "x", "output_1": "y"},
            "missing_field",
            "preference_strength is missing (helpsteer2 layout)",
        ),
    ],
)
def test_a_label_that_may_mean_either_is_refused(label, code, said):
    found, message = refused({"prompt": "q", "response_1": "one", "response_2": "two", **label})
    assert found == code and message.startswith(said)


@pytest.mark.parametrize(
    ("asked", "better", "worse"),
    [
        ("One fruit as a JSON list.", '["apple"]', '["pear"]'),
        ("Two fruits as a JSON list.", '["apple","x"]', '["pear"]'),
        ('["a"] what is this?', "a list", '["b"]'),
        ('["a"]', '["b"]', "no list"),
    ],
)
@pytest.mark.parametrize("label", [{"winner": "model_a"}, {**FLAGS, "winner_model_a": 1}])
def test_texts_that_are_json_stay_texts_where_the_row_has_others(asked, better, worse, label):
    said = decode(converted({"prompt": asked, "response_a": better, "response_b": worse, **label}).record)
    assert (said.prompt, said.chosen, said.rejected) == ([user(asked)], [assistant(better)], [assistant(worse)])


def test_lists_of_turns_that_are_broken_json_are_refused():
    row = {"prompt": '["q \\ud83d"]', "response_a": '["one"]', "response_b": '["two"]', "winner": "model_a"}
    assert refused(row)[0] == "not_json"
    assert refused({**row, "prompt": '["q"]', "response_a": "[null]"}) == ("empty_response", "chosen is empty")
