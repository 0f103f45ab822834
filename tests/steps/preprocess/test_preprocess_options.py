"""What can be asked of the step beyond its defaults: each option changes what it says it changes, and is reported."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from steps.preprocess.options import parse
from steps.preprocess.preprocess import Options, preprocess
from steps.shared.contract import StepError
from steps.shared.records import read_records

TOOL = {"name": "add", "parameters": {"type": "dict", "properties": {"a": {"type": "int"}}, "required": ["a"]}}


def plain(prompt: object, chosen: object = "yes", rejected: object = "no") -> dict:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def calling(number: int, call: str) -> dict:
    return {
        "tools": [TOOL],
        "messages": [{"role": "user", "content": f"add {number}"}],
        "chosen_response": f"<TOOLCALL>[{call}]</TOOLCALL>",
        "rejected_response": "I cannot.",
    }


def test_a_validation_set_of_the_users_own_is_held_out_and_its_prompts_leave_train(write_lines, tmp_path):
    data = write_lines([*(plain(f"p{n}") for n in range(20)), plain("  HELD 1", "new answer")], "data.jsonl")
    held = write_lines([plain(f"held {n}") for n in range(4)], "held/data.jsonl")
    report = preprocess(Options(data, tmp_path / "out", validation_data=held)).as_json()
    assert report["rows"] == {"read": 25, "train": 20, "validation": 4, "duplicate": 0, "quarantined": 1}
    assert report["reasons"] == {"leaked": 1}
    assert report["examples"]["leaked"][0]["line"] == 21
    assert report["files"] == {"data.jsonl": 21, "validation:data.jsonl": 4}
    assert (report["validation_data"], report["validation_fraction"]) == ("data.jsonl", None)
    validation = read_records(tmp_path / "out" / "validation")
    assert {record.prompt[0]["content"] for record in validation} == {f"held {n}" for n in range(4)}


def test_leaked_rows_are_not_invalid_ones(write_lines, tmp_path):
    rows = [plain(f"p{n}") for n in range(10)]
    data, held = write_lines(rows, "data.jsonl"), write_lines(rows[1:], "held.jsonl")
    report = preprocess(Options(data, tmp_path / "out", validation_data=held, max_invalid_fraction=0)).as_json()
    assert (report["rows"]["train"], report["reasons"]) == (1, {"leaked": 9})


def test_fields_of_the_users_own_names(write_lines, tmp_path):
    rows = [{"question": f"q{n}", "good": "yes", "bad": "no", "note": 1} for n in range(30)]
    columns = {"prompt": "question", "chosen": "good", "rejected": "bad"}
    report = preprocess(Options(write_lines(rows), tmp_path / "out", columns=columns)).as_json()
    assert report["formats"] == {"plain": 30}
    assert report["columns"] == columns
    arguments = ["--input", "a", "--output", "b", "--column", "prompt=question", "--column", "chosen=a=b"]
    assert parse(arguments).columns == {"prompt": "question", "chosen": "a=b"}


def test_fields_that_nothing_reads_are_counted_by_file_with_an_example(write_lines, run_step, tmp_path):
    write_lines([{**plain(f"p{n}"), "category": "math", "id": n} for n in range(9)], "data/a.jsonl")
    write_lines([{**plain(f"q{n}"), "id": None if n else 7} for n in range(9)], "data/b.jsonl")
    report, _, _ = run_step(tmp_path / "data")
    assert report["unread"] == {
        "a.jsonl": {"category": {"rows": 9, "example": '"math"'}, "id": {"rows": 9, "example": "0"}},
        "b.jsonl": {"id": {"rows": 1, "example": "7"}},
    }
    summary = preprocess(Options(tmp_path / "data", tmp_path / "out")).summary()
    assert '  fields that nothing reads: id (10 rows, e.g. 0), category (9 rows, e.g. "math")' in summary.splitlines()
    page = (tmp_path / "out" / "report" / "report.html").read_text()
    assert "Fields that nothing reads" in page and "<code>category</code>" in page


def test_a_field_that_means_nothing_is_left_alone_when_asked(write_lines, run_step):
    rows = [{**plain(f"p{n}"), "documents": ["d"]} for n in range(9)]
    report, records, _ = run_step(write_lines([*rows, *(plain(f"q{n}") for n in range(9))]))
    assert (report["reasons"], len(records)) == ({"unsupported_field": 9}, 9)
    report, records, _ = run_step(write_lines(rows), ignore_fields=("documents",))
    assert (report["reasons"], len(records), report["unread"]) == ({}, 9, {})
    assert report["ignore_fields"] == ["documents"]
    arguments = ["--input", "a", "--output", "b", "--ignore-field", "documents", "--ignore-field", "image"]
    assert parse(arguments).ignore_fields == ("documents", "image")


def listed(number: int, *scores: float) -> dict:
    answers = [{"response": f"answer {place}", "overall_score": score} for place, score in enumerate(scores)]
    return {"instruction": f"question {number}", "completions": answers}


def test_each_pair_of_a_list_is_a_row_and_the_rows_still_add_up(write_lines, run_step, tmp_path):
    rows = [*(listed(n, 1, 5, 3) for n in range(6)), listed(6, 2, 2), listed(7, 4), listed(0, 1, 5, 3)]
    path = write_lines([*rows, *(plain(f"p{n}") for n in range(4))])
    report, records, quarantine = run_step(path)
    assert report["lists"] == {"rows": 8, "pairs": 7, "ties": 1}
    assert report["rows"]["read"] == 13 and report["rows"]["duplicate"] == 1 and len(records) == 10
    assert report["reasons"] == {"tied": 1, "one_sided": 1}
    assert json.loads(quarantine[0]["raw"]) == rows[6]

    report, records, _ = run_step(path, pairs="all", min_score_difference=2, max_pairs=2)
    assert report["lists"] == {"rows": 8, "pairs": 14, "ties": 1}
    assert sum(report["files"].values()) == report["rows"]["read"] == 20
    assert (report["pairs"], report["min_score_difference"], report["max_pairs"]) == ("all", 2, 2)
    assert [record.source_line for record in records][:4] == [1, 1, 2, 2]

    done = preprocess(Options(path, tmp_path / "out", pairs="best_vs_rest", max_invalid_fraction=0.1))
    assert "  8 lists of answers became 14 pairs (best_vs_rest), 1 tied" in done.summary().splitlines()
    page = (tmp_path / "out" / "report" / "report.html").read_text()
    assert "8 lists of scored answers became 14 pairs" in page


def test_ties_are_left_out_and_are_not_invalid(write_lines, tmp_path):
    rows = [plain(f"p{n}") for n in range(9)]
    tied = [{"prompt": f"t{n}", "response_1": "a", "response_2": "b", "preference_strength": 0} for n in range(9)]
    report = preprocess(Options(write_lines([*rows, *tied]), tmp_path / "out", max_invalid_fraction=0)).as_json()
    assert report["reasons"] == {"tied": 9}


def test_scores_that_tie_or_speak_for_the_rejected_answer_are_told(write_lines, tmp_path):
    rows = [{**plain(f"p{n}"), "chosen_rating": 5, "rejected_rating": 5 if n < 9 else 7} for n in range(12)]
    done = preprocess(Options(write_lines(rows), tmp_path / "out"))
    assert done.as_json()["scores"] == {"rows": 12, "tied": 9, "inverted": 3}
    said = "  scores: the same for both answers in 9 rows, lower for chosen in 3"
    assert said in done.summary().splitlines()


@pytest.mark.parametrize("column", ["prompt", "prompt=", "=question"])
def test_a_column_without_two_names_is_an_error(column):
    with pytest.raises(StepError, match="must be FIELD=NAME, such as prompt=question"):
        parse(["--input", "a", "--output", "b", "--column", column])


def test_faulty_calls_of_chosen_are_quarantined_or_kept_and_counted(write_lines, run_step):
    good = [calling(n, f'{{"name": "add", "arguments": {{"a": {n}}}}}') for n in range(8)]
    bad = [
        calling(100, '{"name": "sub", "arguments": {}}'),
        calling(101, '{"name": "add", "arguments": {}}'),
        calling(102, '{"name": "add", "arguments": "not JSON"}'),
    ]
    path = write_lines([*good, *bad])
    report, _, quarantine = run_step(path)
    assert report["reasons"] == {"tool_call_invalid": 3}
    assert "without its required a" in quarantine[1]["message"]
    report, records, quarantine = run_step(path, tool_calls="keep")
    assert (report["reasons"], quarantine) == ({}, [])
    assert report["chosen_calls"] == {"undeclared": 1, "arguments": 1, "malformed": 1}
    assert "not JSON" in records[10].chosen[0]["content"]
    assert report["tools"]["called"] == {"add": 9, "sub": 1}
    assert report["tools"]["balance"]["chosen_call_rejected_text"] == 10


def test_turns_are_joined_and_repeated_prompts_removed_on_request_and_the_report_says_so(write_lines, run_step):
    said = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "Name a prime."}]
    answers = {"chosen": [{"role": "assistant", "content": "7"}], "rejected": [{"role": "assistant", "content": "9"}]}
    twice = {"prompt": said, **answers}
    others = [plain(f"Say {n}.", f"{n}", "no") for n in range(20)]
    path = write_lines([twice, plain("Name a prime, please.", "Name a prime, please. 7", "9"), *others])
    report, _, _ = run_step(path)
    assert report["reasons"] == {"turn_order": 1}
    assert report["texts"]["prompt repeated in an answer"] == 1 and "merge_turns" not in report
    options = parse(["--input", "a", "--output", "b", "--merge-turns", "--strip-prompt"])
    report, records, _ = run_step(path, merge_turns=options.merge_turns, strip_prompt=options.strip_prompt)
    assert [record.chosen[0]["content"] for record in records[:2]] == ["7", "7"]
    assert {done: count for done, count in report["texts"].items() if count} == {
        "turns merged": 1, "repeated prompt removed from an answer": 1
    }  # fmt: skip
    assert (report["merge_turns"], report["strip_prompt"]) == (True, True)


def test_rows_over_a_length_in_characters(write_lines, run_step):
    rows = [plain("q" * 40 + str(n), "a" * 30, "b") for n in range(5)]
    report, _, quarantine = run_step(write_lines([*rows, plain("q" * 41, "a", "b" * 60)]), max_characters=100)
    assert report["reasons"] == {"too_long": 1}
    assert quarantine[0]["message"] == (
        "prompt and longer answer exceed 100 characters (prompt 41, chosen 1, rejected 60)"
    )
    assert report["lengths"]["characters"]["pair"]["max"] == 71
    assert report["lengths"]["tokens"] is None
    assert report["recommended_max_length"]["basis"] == "characters"


def test_lengths_in_tokens_of_the_models_own_template(write_lines, run_step, tiny_model):
    rows = [plain(f"Say hello to number {n}, please.", "Hello!", "No way, not today.") for n in range(40)]
    report, _, _ = run_step(write_lines(rows), tokenizer=tiny_model)
    tokens = report["lengths"]["tokens"]
    assert tokens["pair"]["max"] == tokens["prompt"]["max"] + tokens["rejected"]["max"]
    assert report["recommended_max_length"]["basis"] == "tokens"
    limit = tokens["pair"]["max"] - 1
    shorter, _, quarantine = run_step(write_lines(rows), tokenizer=tiny_model, max_tokens=limit)
    assert shorter["reasons"]["too_long"] == len(quarantine) > 0
    assert f"exceed {limit} tokens" in quarantine[0]["message"]


def test_a_folder_without_a_tokenizer_is_named(write_lines, tmp_path):
    with pytest.raises(StepError, match=r"--tokenizer .*nowhere: cannot be loaded"):
        preprocess(Options(write_lines([plain("q")]), tmp_path / "out", tokenizer=tmp_path / "nowhere"))
    assert not (tmp_path / "out" / "report").exists()


def test_near_duplicate_prompts_leave_when_asked(write_lines, run_step):
    text = "Explain to me in some detail how the tides of the sea come about and why there are two of them a day {}"
    rows = [plain(text.format(word), f"answer {n}") for n, word in enumerate(("now", "now", "please"))]
    rows += [plain(f"What is the {hashlib.sha256(bytes([n])).hexdigest()} of it?") for n in range(8)]
    assert run_step(write_lines(rows))[0]["rows"]["quarantined"] == 0
    report, records, _ = run_step(write_lines(rows), near_duplicates=0.7)
    assert report["reasons"] == {"near_duplicate": 1}
    assert report["examples"]["near_duplicate"][0]["line"] == 3
    assert {record.source_line for record in records} >= {1, 2}  # the same prompt with two answers stays


def test_a_baseline_tells_what_came_and_what_went(write_lines, tmp_path):
    old = write_lines([plain(f"p{n}") for n in range(40)], "old.jsonl")
    new = write_lines([*(plain(f"p{n}", "yes" * 200) for n in range(10)), *(plain(f"p{n}") for n in range(10, 43))])
    preprocess(Options(old, tmp_path / "old"))
    output = tmp_path / "new"
    report = preprocess(Options(new, output, baseline=tmp_path / "old" / "report"))
    drift = json.loads((output / "report" / "report.json").read_text())["baseline"]
    assert drift["rows"] == {"new": 13, "kept": 30, "vanished": 10}
    assert "chosen" in " ".join(drift["warnings"])
    assert "drift: " in report.summary()
    same = preprocess(Options(new, tmp_path / "same", baseline=output / "report")).as_json()["baseline"]
    assert same["rows"] == {"new": 0, "kept": 43, "vanished": 0}
    assert same["warnings"] == []


def test_a_baseline_that_is_none_is_named(write_lines, tmp_path):
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(StepError, match=r"report.json: not a report that Preprocess wrote"):
        preprocess(Options(write_lines([plain("q")]), tmp_path / "out", baseline=tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"columns": {"promt": "q"}}, "--column promt=q: no field promt; known: prompt, chosen, "),
        ({"near_duplicates": 0.4}, "--near-duplicates 0.4: must be a similarity from 0.5 to 1"),
        ({"max_tokens": 10}, "--max-tokens needs --tokenizer; without one give --max-characters"),
        ({"max_characters": 0}, "--max-characters 0: must be at least 1"),
        (
            {"chat_template_kwargs": "[1]"},
            '--chat-template-kwargs [1]: must be a JSON object, such as {"enable_thinking": false}',
        ),
        ({"min_score_difference": -1}, "--min-score-difference -1: must be at least 0"),
        ({"max_pairs": 0}, "--max-pairs 0: must be at least 1"),
        ({"workers": 0}, "--workers 0: must be at least 1"),
        ({"validation_data": Path("/")}, "lies in /, which it would add to; give another folder"),
    ],
)
def test_options_that_cannot_be_are_named(write_lines, tmp_path, options, said):
    with pytest.raises(StepError) as error:
        preprocess(Options(write_lines([plain("q")]), tmp_path / "out", **options))
    assert said in str(error.value)
    assert not (tmp_path / "out").exists()
