"""The page of a training run: says what the evaluation says, and shows hostile data as text."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from steps.shared.pages.visible import HIDDEN
from steps.train.arguments import TrainArguments
from steps.train.model.coverage import Coverage
from steps.train.results import page, spoken
from tests.document import Document, require_targets, require_whole
from tests.steps.train import runs


def text_of(run: dict) -> str:
    return Document(page.render(**run)).text


@pytest.mark.parametrize("make", runs.ALL.values(), ids=runs.ALL)
def test_every_page_is_whole_loads_nothing_and_its_links_lead_somewhere(make) -> None:
    html = page.render(**make())
    require_whole(html)
    require_targets(html)
    assert "nan" not in Document(html).text.lower().split()


def test_a_page_is_the_same_from_the_files() -> None:
    run = runs.run()
    saved = {key: json.loads(json.dumps(run[key])) for key in ("evaluation", "history")}
    assert page.render(**run | saved) == page.render(**run)


def test_it_says_how_much_better_the_model_is_and_how_sure_that_is() -> None:
    run = runs.run()
    after, said = run["evaluation"]["after"], text_of(run)
    assert f"Held-out reward accuracy 50% → {after['reward_accuracy']:.1%}" in said
    assert "On 60 rows not trained on; 95% interval" in said
    assert f"Loss 0.6931 {after['loss']:.4f}" in said
    assert "Better than chance" in said
    assert "Worse than chance" in text_of(runs.run(gain=-3))
    assert "May be chance" in text_of(runs.run(1))


def test_the_champion_is_beside_it_or_the_page_says_why_not() -> None:
    run = runs.run()
    assert "Champion" not in text_of(run)
    section = {
        "version": "3", "compared": True, "reason": None, "source": "evaluated", "rows": 60, "wins": 9, "losses": 4,
        "ties": 47, "difference": 0.0833, "difference_low": -0.038, "difference_high": 0.199,
        "candidate": {"reward_accuracy": 0.9, "loss": 0.4, "reward_margin": 1.5},
        "champion": {"reward_accuracy": 0.8167, "loss": 0.5, "reward_margin": 1.0},
    }  # fmt: skip
    run["evaluation"]["champion"] = section
    said = text_of(run)
    assert "The champion, version 3, is what this model would replace. Both are measured on the same 60 rows" in said
    for line in ("Reward accuracy 81.7% 90%", "Loss 0.5000 0.4000", "Rows on which it scores higher 4 9",
                 "Difference in reward accuracy +0.083, 95% interval -0.038 to +0.199"):  # fmt: skip
        assert line in said, line
    run["evaluation"]["champion"] = {"version": None, "compared": False, "reason": "its base is <b>, this model's is c"}
    assert "The champion was not compared with this model: its base is <b>, this model's is c." in text_of(run)


def test_every_slice_has_its_line_and_a_small_one_is_called_so() -> None:
    said = text_of(runs.run(30))
    for line in ("all rows 30", "format chat few rows 15", "format hh few rows 15", "with tools few rows 10",
                 "without tools 20"):  # fmt: skip
        assert line in said, line


def test_a_policy_that_favours_length_is_told_from_one_that_does_not() -> None:
    assert "The policy leans to longer answers. It rewards the longer answer more" in text_of(runs.run(bias=0.4))
    assert "The policy leans to shorter answers." in text_of(runs.run(bias=-0.4))
    assert "The policy leans no more to long or short answers than the data does." in text_of(runs.run())
    equal = runs.run()
    equal["evaluation"]["after"] |= {"unequal_lengths": 0, "longer_is_preferred": None, "longer_is_chosen": None}
    assert "Every chosen answer is as long as its rejected one" in text_of(equal)


def test_the_rows_at_both_ends_are_shown_once_with_their_texts() -> None:
    run = runs.run()
    ordered = sorted(run["evaluation"]["margins"], key=lambda row: row["margin"])
    html = page.render(**run)
    smallest, largest = html.index("Smallest margins</h3>"), html.index("Largest margins</h3>")
    for rows, begin, end in ((ordered[:3], smallest, largest), (ordered[-3:], largest, len(html))):
        for row in rows:
            number = int(row["id"].removeprefix("row-"))
            assert html[begin:end].count(f"It will, in {number} hours.") == 1
    assert page.render(**runs.run(1)).count("It will, in 0 hours.") == 1


def test_rows_left_out_and_arguments_are_listed_without_a_password() -> None:
    said = text_of(runs.run())
    assert "train 600 590 too_long : 10 rows, such as chats.jsonl:7" in said
    assert "validation 60 60 none" in said
    assert "loss_type sigmoid, sft" in said
    assert "mlflow_uri https://tracker.test/mlflow" in said
    assert "run_name not set" in said


def test_rows_with_reasoning_are_counted_where_there_are_any() -> None:
    run = runs.run()
    assert "Rows of which an answer has reasoning" not in text_of(run)
    run["evaluation"]["reasoning"] = {"train": 1200, "validation": 7}
    assert "Rows of which an answer has reasoning: train 1,200, validation 7." in text_of(run)


def test_a_continued_run_and_values_that_are_not_finite_are_told() -> None:
    run = runs.run()
    assert "continued from a checkpoint" not in text_of(run)
    run["history"] = run["history"][1:]
    run["history"][0]["grad_norm"] = None
    assert "This run continued from a checkpoint" in text_of(run)
    assert "1 logged value is not finite" in text_of(run)


def test_hostile_data_is_text() -> None:
    html = page.render(**runs.run(hostile=True))
    assert "&lt;script&gt;document.title" in html
    said = Document(html).text
    assert "{{ 7 * 7 }}{% raw %}" in said
    assert "[U+202E]gnol[U+202C]" in said
    assert not HIDDEN.search(html)


def test_the_reference_is_named() -> None:
    run = runs.run()
    assert "The reference is the base model with the adapter off." in text_of(run)
    run["arguments"]["initial_adapter"] = "/earlier"
    assert "The reference is the base model with the initial adapter on." in text_of(run)


def test_the_page_tells_what_of_the_base_is_4_bit_and_adapted() -> None:
    coverage = Coverage(weights=2_000_000, embeddings=0, quantised=200_000, adapted=400_000, experts=10**6,
                        adapted_experts=0, adapter=9)  # fmt: skip
    said = (
        "Reached: the base's 2 million weights: 10% in NF4, the others in bfloat16; adapters on 20%; its experts are "
        "50% of the weights; none of them gets an adapter."
    )
    shares = coverage.sentences(TrainArguments(model_id="m"))
    assert said in Document(page.render(**runs.run(), shares=shares)).text
    large = replace(coverage, weights=30_080_000_000, quantised=6 * 10**8, adapted=3 * 10**10)
    assert large.sentences(TrainArguments(model_id="m"))[0].startswith("the base's 30.1 billion weights: 2% in NF4")
    assert "Reached:" not in Document(page.render(**runs.run())).text


def test_the_served_form_stands_beside_the_trained_one() -> None:
    run = runs.judged_run()
    evaluation = run["evaluation"]
    trained, served = evaluation["after"], evaluation["served"]["after"]
    said = text_of(run)
    assert f"Reward accuracy 50% {trained['reward_accuracy']:.1%} 50% {served['reward_accuracy']:.1%}" in said
    assert "2 rows of 60 change sides between the two forms (3.3%); reward accuracy -0.0333" in said
    assert f"Accuracy as served {served['reward_accuracy']:.1%} 2 rows of 60 changed sides" in said
    evaluation["served"]["drift"]["log_prob_per_token"] = None
    assert "reward accuracy -0.0333." in text_of(run)
    evaluation["served"] = {"evaluated": True, "reason": None, "same": True, "form": "the base in bfloat16"}
    said = text_of(run)
    assert "Served is the base in bfloat16: the form in which it was trained and evaluated" in said
    assert "change sides" not in said and "changed sides" not in said


def test_it_says_what_the_model_calls_and_where_it_does_what_the_chosen_answer_does() -> None:
    said = text_of(runs.judged_run())
    assert "36 held-out prompts of 36 chosen, answered greedily with at most 256 tokens" in said
    assert re.search(r"0% 0 of 24 0% . 13\.8% 87\.5% 21 of 24 69% . 95\.7% 50% 12 of 24", said)
    assert "Calls right 87.5% 0% by the base, 24 prompts" in said
    assert "This model call ask decline answer call 12 0 0 0 ask 0 12 0 0" in said
    assert "Against the champion, right calls: of 24 questions only this model on 9, only the champion on 0" in said


def test_answers_stand_side_by_side_the_worst_first_with_what_differs_marked() -> None:
    run = runs.judged_run()
    html = page.render(**run)
    assert html.count('<details class="panel sample"><summary><span class="pill') == spoken.SHOWN == 30
    first = html[html.index("Answers, the worst first") :].split("</details>")[0]
    assert '<span class="pill warn">unfinished</span>' in first
    wrong = html[html.index('<span class="pill bad">wrong: arguments</span>') :]
    assert '<mark class="lacking">Friday</mark>' in wrong and '<mark class="other">Monday</mark>' in wrong
    chosen, candidate, base, champion = (
        wrong.index(f"<h4>{side}") for side in ("Chosen answer", "This model", "Base", "Champion")
    )
    assert chosen < candidate < base < champion
    assert "The first 30 of 36; all are in answers.jsonl." in Document(html).text


def test_why_neither_was_judged_is_said_and_an_older_evaluation_has_no_section() -> None:
    said = text_of(runs.not_judged_run())
    assert "was not evaluated in the form in which it is served: evaluate_served: false." in said
    assert "What the model writes was not judged: evaluate_answers: 0." in said
    assert "As it is served" not in text_of(runs.run()) and "What it says" not in text_of(runs.run())


def test_what_could_not_be_asked_or_judged_is_told() -> None:
    run = runs.judged_run(champion=False)
    section = run["evaluation"]["answers"]
    section |= {"not_asked": {"template_no_generation": 3}, "out_of_time": True, "no_champion": "its base is another"}
    section |= {"parser": None, "parser_reason": "no parser is known for mystery", "asked": 40}
    for side in ("before", "after"):
        section[side]["calls"] = None
    said = text_of(run)
    assert "36 held-out prompts of 40 chosen" in said and "was over before all were given" in said
    assert "3 rows could not be asked: template_no_generation ." in said
    assert "The champion did not answer: its base is another." in said
    assert "Calls were not judged: no parser is known for mystery." in said and "Calls right" not in said


def test_hostile_answers_are_text() -> None:
    html = page.render(**runs.judged_run(hostile=True))
    assert not HIDDEN.search(html) and "<script" not in html.split("</style>")[1]
    assert "[U+202E]" in Document(html).text


def test_the_form_of_the_champions_comparison_is_named() -> None:
    run = runs.judged_run()
    figures = {"reward_accuracy": 0.9, "loss": 0.4, "reward_margin": 1.5}
    section = {
        "version": "3", "compared": True, "reason": None, "source": "evaluated", "rows": 60, "wins": 9, "losses": 4,
        "ties": 47, "difference": 0.0, "difference_low": -0.1, "difference_high": 0.1, "form": "served",
        "candidate": figures, "champion": figures,
    }  # fmt: skip
    run["evaluation"]["champion"] = section
    assert "as the reference; both in the form that is served." in text_of(run)
    section["form"] = "trained"
    assert "both in the form" not in text_of(run)
