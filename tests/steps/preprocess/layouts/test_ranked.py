"""Lists of scored answers: what each layout lists, and which pairs a rule takes of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.layouts.ranked import Answer, choose
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Pairing, Rules
from steps.preprocess.shards.convert import Converted, Layout, convert_all
from steps.preprocess.shards.record import Recorder
from steps.shared.records import decode
from tests.steps.preprocess.turns import assistant, user


def converted(row: dict[str, Any], *pairing: Any) -> Converted:
    recorder = Recorder(Rules(pairing=Pairing(*pairing)))
    return convert_all(RawRow("file", 1, orjson.dumps(row)), row, Layout(None), recorder)


def texts(row: dict[str, Any], *pairing: Any) -> list[tuple[str, str]]:
    """The chosen and rejected texts of all pairs."""
    records = [decode(found.record) for found in converted(row, *pairing).rows]
    return [(record.chosen[0]["content"], record.rejected[0]["content"]) for record in records]


def refused(row: dict[str, Any]) -> tuple[str, str]:
    (reason,) = converted(row).rows
    assert isinstance(reason, InvalidRow)
    return str(reason.code), str(reason)


def scored(**scores: float) -> list[Answer]:
    return [Answer(name, name, score) for name, score in scores.items()]


def names(answers: list[Answer], *pairing: Any) -> tuple[list[str], int]:
    pairs, ties = choose(answers, Pairing(*pairing))
    return [better.said + worse.said for better, worse in pairs], ties


LIST = scored(a=1, b=5, c=5, d=3)


@pytest.mark.parametrize(
    ("pairing", "pairs", "ties"),
    [
        (("best_worst",), ["ba"], 0),
        (("best_vs_rest",), ["bd", "ba"], 1),
        (("all",), ["bd", "ba", "cd", "ca", "da"], 1),
        (("all", 3), ["ba", "ca"], 4),
        (("all", 0, 2), ["ba", "ca"], 1),
        (("best_vs_rest", 5), [], 3),
    ],
)
def test_a_rule_takes_its_pairs_and_counts_ties(pairing, pairs, ties):
    assert names(LIST, *pairing) == (pairs, ties)


def test_equal_scores_are_a_tie_and_one_answer_is_no_list():
    assert names(scored(a=2, b=2)) == ([], 1)
    with pytest.raises(InvalidRow) as error:
        choose(scored(a=2), Pairing())
    assert (error.value.code, str(error.value)) == ("one_sided", "1 answer to the prompt; a pair needs two")


SCORES = st.lists(st.integers(0, 4), min_size=2, max_size=6)


@given(SCORES, st.sampled_from(["best_worst", "best_vs_rest", "all"]), st.integers(0, 3), st.none() | st.integers(1, 4))
def test_every_pair_is_better_against_worse_and_all_that_were_wanted_are_counted(scores, pairs, least, most):
    answers = [Answer(index, str(index), score) for index, score in enumerate(scores)]
    chosen, ties = choose(answers, Pairing(pairs, least, most))
    assert all(better.score - worse.score >= max(least, 1) for better, worse in chosen)
    wanted = {"best_worst": 1, "best_vs_rest": len(scores) - 1, "all": len(scores) * (len(scores) - 1) // 2}[pairs]
    assert len(chosen) + ties == wanted or len(chosen) == most
    assert len(set(chosen)) == len(chosen) <= (most or wanted)


RAW = {
    "source": "x",
    "instruction": "Name a prime.",
    "models": ["a", "b", "c"],
    "completions": [
        {"model": "a", "response": "9", "overall_score": 2.0, "fine-grained_score": 5.0},
        {"model": "b", "response": "7", "overall_score": 9.0, "fine-grained_score": 4.0},
        {"model": "c", "response": "11", "overall_score": 6.0, "fine-grained_score": 3.0},
    ],
}


def test_ultrafeedback_as_it_was_collected():
    assert texts(RAW) == [("7", "9")]
    assert texts(RAW, "all") == [("7", "11"), ("7", "9"), ("11", "9")]
    (found,) = converted(RAW).rows
    assert decode(found.record).prompt == [user("Name a prime.")]
    assert found.unread == {
        "source": "x",
        "models": ["a", "b", "c"],
        "completions[].model": "c",
        "completions[].fine-grained_score": 3.0,
    }


def test_ultrafeedbacks_other_scores_count_where_the_first_is_missing():
    fine = {**RAW, "completions": [{**entry, "overall_score": None} for entry in RAW["completions"]]}
    assert texts(fine) == [("9", "11")]
    rated = [
        {"response": text, "annotations": {"helpfulness": [{"Rating": str(rating)}], "honesty": {"Rating": "3"}}}
        for text, rating in (("7", 5), ("9", 1))
    ]
    assert texts({"instruction": "q", "completions": rated}) == [("7", "9")]
    assert refused({"instruction": "q", "completions": [{"response": "7"}, {"response": "9"}]}) == (
        "missing_field",
        "completions[0] has no overall_score and no ratings",
    )


def test_nectars_rank_one_is_best():
    answers = [{"answer": "11", "rank": 2}, {"answer": "7", "rank": 1}, {"answer": "9", "rank": 3}]
    row = {"prompt": "\n\nHuman: Name a prime.\n\nAssistant: ", "answers": answers}
    assert texts(row) == [("7", "9")]
    assert texts(row, "best_vs_rest", 2) == [("7", "9")]
    assert decode(converted(row).rows[0].record).prompt == [user("Name a prime.")]
    assert texts({**row, "prompt": "Name a prime."}) == [("7", "9")]
    messages = [{"answer": [assistant(entry["answer"])], "rank": entry["rank"]} for entry in answers]
    (reason,) = converted({"prompt": "", "answers": messages}).rows
    assert isinstance(reason, InvalidRow) and reason.code == "empty_prompt"


def test_nemos_rank_zero_is_best():
    row = {
        "context": [user("Name a prime.")],
        "completions": [
            {"rank": 1, "completion": [assistant("9")]},
            {"rank": 0, "completion": [assistant("7")]},
        ],
    }
    assert texts(row) == [("7", "9")]


def test_vertex_contents_and_parts():
    def content(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
        return {"role": role, "parts": list(parts)}

    row = {
        "systemInstruction": {"role": "system", "parts": [{"text": "Be "}, {"text": "brief."}]},
        "contents": [content("user", {"text": "Name a prime."})],
        "completions": [
            {"score": 0.1, "completion": content("model", {"text": "9"})},
            {"score": 0.9, "completion": content("model", {"text": "7"})},
        ],
    }
    assert texts(row) == [("7", "9")]
    assert decode(converted(row).rows[0].record).prompt == [
        {"role": "system", "content": "Be brief."},
        user("Name a prime."),
    ]
    picture = {**row, "contents": [content("user", {"fileData": {"fileUri": "gs://a/b.png"}})]}
    assert refused(picture) == (
        "wrong_type",
        "completions[1] against completions[0]: contents[0].parts[0] is no text; only texts can be trained on here",
    )


@pytest.mark.parametrize("asked", ["prompt", "instruction", "query"])
def test_a_list_of_answers_beside_a_list_of_scores(asked):
    assert texts({asked: "q", "generations": ["a", "b"], "ratings": [1, 2]}) == [("b", "a")]
    assert refused({"prompt": "q", "generations": ["a", "b"], "ratings": [1]})[0] == "missing_field"


def test_binarised_rows_that_keep_their_lists_are_read_by_their_pair():
    row = {"instruction": "q", "generations": ["a", "b"], "ratings": [1, 2]}
    pair = {"chosen_response": "better", "rejected_response": "worse"}
    (found,) = converted({**row, **pair}).rows
    assert decode(found.record).chosen == [assistant("better")]
    assert found.unread == {"generations": ["a", "b"], "ratings": [1, 2]}


def test_a_pair_that_is_wrong_inside_is_named_by_its_answers():
    entries = [{"response": "7", "overall_score": 2}, {"response": " ", "overall_score": 1}]
    assert refused({"instruction": "q", "completions": entries}) == (
        "empty_response",
        "completions[0] against completions[1]: rejected is empty",
    )


@pytest.mark.parametrize(
    ("entries", "code", "said"),
    [
        ([], "one_sided", "0 answers to the prompt; a pair needs two"),
        (["7", "9"], "wrong_type", "answers[0] is text; must be an object"),
        ([{"answer": "7"}], "missing_field", "answers[0] has no rank; it has: answer"),
        ([{"answer": "7", "rank": "first"}], "wrong_type", "answers[0].rank is 'first'; must be a number"),
        ([{"answer": x, "rank": 1} for x in "79"], "tied", "the scores of the answers do not differ enough"),
    ],
)  # fmt: skip
def test_lists_that_give_no_pair_have_one_reason(entries, code, said):
    assert refused({"prompt": "q", "answers": entries}) == (code, said)


@pytest.mark.parametrize("asked", ["prompt", "question"])
@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("responses", [{"text": "9", "score": 0.1}, {"text": "7", "score": 0.9}]),
        ("answers", [{"content": "9", "rating": 1}, {"content": "7", "rating": 5}]),
        ("candidates", [{"response": "7", "rank": 1}, {"response": "9", "rank": 2}]),
    ],
)
def test_answers_that_each_have_their_score(asked, name, entries):
    assert texts({asked: "Name a prime.", name: entries}) == [("7", "9")]


THREE = [{"text": "a", "score": 1}, {"text": "b", "score": 2}, {"text": "c", "score": 3}]


@pytest.mark.parametrize("entry", [{"text": None, "score": 9}, {"text": "x", "score": None}, {"text": "x"},
                                   {"text": "x", "score": "N/A"}])  # fmt: skip
def test_an_answer_without_a_text_or_a_score_is_left_out_and_noted(entry):
    (found,) = converted({"prompt": "q", "responses": [THREE[0], entry, THREE[2]]}).rows
    said = decode(found.record)
    assert (said.chosen, said.rejected) == ([assistant("c")], [assistant("a")])
    assert found.unread == {"responses[]": entry}
    assert refused({"prompt": "q", "responses": [THREE[0], entry]})[0] == "missing_field"


def test_an_answer_may_say_that_it_does_not_apply():
    assert texts({"prompt": "q", "responses": [{"text": "N/A", "score": 5}, THREE[0]]}) == [("N/A", "a")]


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "NaN"])
def test_a_score_that_is_not_finite_refuses_the_row_by_name(value):
    said = f"responses[1].score is '{value}'; must be a number"
    assert refused({"prompt": "q", "responses": [*THREE[:1], {"text": "x", "score": value}, *THREE[1:]]}) == (
        "wrong_type",
        said,
    )


def test_an_ultrafeedback_answer_without_a_rating_is_left_out():
    def rated(said: str, *ratings: str) -> dict[str, Any]:
        return {"response": said, "annotations": {str(index): {"Rating": one} for index, one in enumerate(ratings)}}

    row = {"instruction": "q", "completions": [rated("a", "1", "2"), rated("b", "5", "N/A"), rated("c", "4", "4")]}
    assert texts(row) == [("c", "a")]
    assert converted(row).rows[0].unread == {"completions[]": rated("b", "5", "N/A")}
    overall = [{"response": "a", "overall_score": 0}, {"response": "b", "overall_score": None}, {"response": "c",
               "overall_score": 2}]  # fmt: skip
    assert texts({"instruction": "q", "completions": overall}) == [("c", "a")]


@pytest.mark.parametrize(
    ("row", "pair"),
    [
        ({"responses": ["a", "b", "c"], "scores": [1, None, 2]}, ("c", "a")),
        ({"responses": ["a", None, "c"], "ratings": ["1", 5, "2"]}, ("c", "a")),
        ({"generations": ["a", "b"], "rating": [5.0, 3.0]}, ("a", "b")),
        ({"generations": ["a", "b"], "rank": [2, 1]}, ("b", "a")),
        ({"generations": ["a", "b"], "scores": [2, 1], "rating": 4}, ("a", "b")),
        ({"generations": ["a", "b"], "ranks": [1, 2]}, ("a", "b")),
    ],
)
@pytest.mark.parametrize("asked", ["prompt", "input", "instruction"])
def test_lists_of_scores_and_of_ranks(asked, row, pair):
    assert texts({asked: "q", **row}) == [pair]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "q", "completions": []},
        {"context": [user("q")], "completions": []},
        {"prompt": "q", "answers": []},
        {"prompt": "q", "responses": []},
        {"prompt": "q", "responses": [], "scores": []},
    ],
)
def test_an_empty_list_has_no_answers(row):
    assert refused(row) == ("one_sided", "0 answers to the prompt; a pair needs two")
