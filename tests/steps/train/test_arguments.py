"""Training arguments: typed, with every mistake named; text from a command line or a hyperparameter means the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.shared import typed_yaml
from steps.shared.contract import StepError
from steps.train import arguments
from steps.train.arguments import SUCCESSORS, FsdpConfig, TrainArguments
from steps.train.other_names import OTHER_NAMES
from tests.paths import ROOT

RECIPES = sorted((ROOT / "configs" / "recipes").glob("*.yaml"))


def recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "args.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_valid_short_and_says_how_to_run_it(path: Path) -> None:
    arguments.load(path)
    text = path.read_text()
    assert len(text.splitlines()) < 90
    assert f"--config configs/recipes/{path.name}" in text


def test_there_are_recipes() -> None:
    assert [path.stem for path in RECIPES] == ["llama3.1-70b", "quickstart", "qwen3-0.6b", "qwen3-8b"]


def test_all_problems_are_named_with_line_and_mend(tmp_path: Path) -> None:
    path = recipe(tmp_path, "model_id: m\nbeta: 0\nnum_train_epoch: 3\nwarmup_ratio: 0.1\nfsdp_config:\n  versio: 2\n")
    with pytest.raises(typed_yaml.InvalidFile) as caught:
        arguments.load(path)
    assert str(caught.value) == (
        f"{path}: 4 problems\n"
        "  line 2  beta: must be greater than 0 (given: 0)\n"
        "  line 3  num_train_epoch: unknown key; did you mean num_train_epochs?\n"
        "  line 4  warmup_ratio: was removed; write warmup_steps: a value below 1 is a ratio of all steps\n"
        "  line 6  fsdp_config.versio: unknown key; did you mean version?"
    )


def test_what_other_tools_call_a_key_is_told_with_its_name_here(tmp_path: Path) -> None:
    known = TrainArguments.model_fields.keys()
    assert known.isdisjoint(OTHER_NAMES) and known >= set(OTHER_NAMES.values())
    with pytest.raises(typed_yaml.InvalidFile) as caught:
        arguments.load(recipe(tmp_path, "model_id: m\nlr: 1e-4\n"))
    assert caught.value.problems == ["line 2  lr: unknown key; it is learning_rate here"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("loss_type: exo_pair", "label_smoothing: exo_pair needs a value above 0"),
        ("loss_type: [sigmoid, sft]\nloss_weights: [1]", "loss_weights: 1 weights for 2 loss types"),
        ("target_modules: [q_proj, lm_head]", "target_modules: an adapter on lm_head would never be trained"),
        (
            "fsdp_config: {auto_wrap_policy: SIZE_BASED_WRAP, transformer_layer_cls_to_wrap: [LlamaDecoderLayer]}",
            "line 2  fsdp_config: transformer_layer_cls_to_wrap: needs auto_wrap_policy: TRANSFORMER_BASED_WRAP",
        ),
        (
            "fsdp_config: {transformer_layer_cls_to_wrap: []}",
            "transformer_layer_cls_to_wrap: name classes, or leave it",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(StepError, match=problem):
        arguments.load(recipe(tmp_path, f"model_id: m\n{text}\n"))


@pytest.mark.parametrize("text", ["0.25", '"0.25"', "2.5e-1", "2.5E-1"])
def test_a_number_means_the_same_quoted_or_bare(tmp_path: Path, text: str) -> None:
    assert arguments.load(recipe(tmp_path, "model_id: m"), {"beta": text}).beta == 0.25


def test_another_loss_comes_without_the_weights_of_the_recipes_own(tmp_path: Path) -> None:
    path = recipe(tmp_path, "model_id: org/model\nloss_type: [sigmoid, sft]\nloss_weights: [1, 2]\n")
    for same in ({}, {"loss_type": "sigmoid,sft"}, {"loss_type": '["sigmoid", "sft"]'}, {"beta": "0.2"}):
        assert arguments.load(path, same).loss_weights == [1, 2]
    assert arguments.load(path, {"loss_type": "ipo"}).loss_weights is None
    assert arguments.load(path, {"loss_type": "ipo", "loss_weights": "[3]"}).loss_weights == [3]
    with pytest.raises(StepError, match="loss_weights: 2 weights for 1 loss types"):
        arguments.load(path, {"loss_type": "ipo", "loss_weights": "[1, 2]"})


def test_overrides_win_and_keep_their_types(tmp_path: Path) -> None:
    given_text = {
        "max_length": "0512", "load_in_4bit": "false", "loss_type": "sigmoid,sft", "loss_weights": "[1, 0.5]",
        "model_revision": "none", "model_id": "007", "target_modules": '["q_proj", "v_proj"]',
    }  # fmt: skip
    loaded = arguments.load(recipe(tmp_path, "model_id: m\nmax_length: 64\nmodel_revision: main"), given_text)
    assert (loaded.max_length, loaded.load_in_4bit, loaded.model_revision, loaded.model_id) == (512, False, None, "007")
    assert loaded.loss_type == ["sigmoid", "sft"] and loaded.loss_weights == [1, 0.5]
    assert loaded.target_modules == ["q_proj", "v_proj"]


def test_the_command_line_takes_both_forms() -> None:
    words = ["--config", "f.yaml", "--beta=0.3", "--max-steps", "-1", "--fsdp", "--seed", "3"]
    assert arguments.parse(words) == (Path("f.yaml"), {"beta": "0.3", "max_steps": "-1", "fsdp": "true", "seed": "3"})
    with pytest.raises(StepError, match="--config FILE is missing"):
        arguments.parse(["--beta", "1"])
    with pytest.raises(StepError, match="beta=1: expected --key value"):
        arguments.parse(["beta=1"])


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])))
def test_any_text_that_json_quotes_comes_back(text: str) -> None:
    import json

    assert typed_yaml.decode(json.dumps(text)) == text


@pytest.mark.parametrize(
    ("words", "grouped", "budget"),
    [
        ({}, False, None),  # as long as the rows have not decided
        ({"group_by_prompt": "true", "max_tokens_per_batch": "4096"}, True, 4096),
        ({"group_by_prompt": "false", "max_tokens_per_batch": "null"}, False, None),
        ({"group_by_prompt": "auto", "max_tokens_per_batch": "auto"}, False, None),
    ],
)
def test_what_groups_pairs_is_read_from_words(
    tmp_path: Path, words: dict[str, str], grouped: bool, budget: int | None
) -> None:
    found = arguments.load(recipe(tmp_path, "model_id: org/model\n"), words)
    assert (found.grouped, found.token_budget) == (grouped, budget)


def test_names_are_trls_own_or_documented_here() -> None:
    from trl import DPOConfig

    own = {
        "model_id", "base_model_name", "model_revision", "attn_implementation", "load_in_4bit",
        "bnb_4bit_use_double_quant", "lora_r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora",
        "train_data", "validation_data", "truncation", "mlflow_uri", "mlflow_experiment_name", "wandb_project",
        "merge_weights", "initial_adapter", "continue_from_champion", "champion", "champion_version",
        "early_stopping_patience", "early_stopping_metric", "early_stopping_min_delta", "stop_grad_norm_factor",
        "stop_reward_accuracy", "ref_log_probs_cache", "share_prompts", "group_by_prompt", "max_tokens_per_batch",
        "chat_template_kwargs", "max_left_out_fraction", "evaluate_served", "evaluate_answers",
        "answers_max_new_tokens", "answers_max_minutes", "tool_call_parser", "feedback_weight",
    }  # fmt: skip
    trl_names = {field.name for field in dataclasses.fields(DPOConfig)}
    assert set(TrainArguments.model_fields) - trl_names == own
    assert all(field.description for field in TrainArguments.model_fields.values())
    assert all(field.description for field in FsdpConfig.model_fields.values())
    assert not set(SUCCESSORS) & set(TrainArguments.model_fields)


def test_what_the_chat_template_gets_is_an_object_and_never_what_rendering_sets_itself(tmp_path: Path) -> None:
    path = recipe(tmp_path, "model_id: org/model\nchat_template_kwargs:\n  enable_thinking: false\n")
    assert arguments.load(path).chat_template_kwargs == {"enable_thinking": False}
    overridden = arguments.load(path, {"chat_template_kwargs": '{"enable_thinking": true}'})
    assert overridden.chat_template_kwargs == {"enable_thinking": True}
    with pytest.raises(StepError) as caught:
        arguments.load(recipe(tmp_path, "model_id: org/model\nchat_template_kwargs:\n  tools: []\n"))
    assert "chat_template_kwargs: tools: is set by the training itself; leave it out" in str(caught.value)
    with pytest.raises(typed_yaml.InvalidFile, match="must be a finite number"):
        arguments.load(recipe(tmp_path, "model_id: org/model\nchat_template_kwargs:\n  one: [.inf]\n"))
    for name in ("enable-thinking", "none", "not", "range", "strftime_now"):
        with pytest.raises(typed_yaml.InvalidFile, match="no template can read it"):
            arguments.load(recipe(tmp_path, f"model_id: org/model\nchat_template_kwargs:\n  '{name}': 1\n"))


def test_numbers_as_java_prints_them_are_read(tmp_path: Path) -> None:
    """A pipeline's Float arrives so in a job's hyperparameters."""
    (tmp_path / "args.yaml").write_text("model_id: m\n")
    given = {"learning_rate": "5.0E-6", "lora_alpha": "32.0", "beta": "0.1", "num_train_epochs": "1.0E1"}
    found = arguments.load(tmp_path / "args.yaml", given)
    assert (found.learning_rate, found.lora_alpha, found.beta, found.num_train_epochs) == (5e-6, 32.0, 0.1, 10.0)


def test_a_word_that_yaml_reads_as_a_bool_is_the_word(tmp_path: Path) -> None:
    for text, word in (("true", "true"), ("false", "false"), ("auto", "auto"), ("off", "false")):
        loaded = arguments.load(recipe(tmp_path, f"model_id: m\nevaluate_served: {text}\n"))
        assert loaded.evaluate_served == word
    for text, word in (("True", "true"), ("FALSE", "false"), ("auto", "auto")):  # a hyperparameter is a text
        assert arguments.load(recipe(tmp_path, "model_id: m\n"), {"evaluate_served": text}).evaluate_served == word
    assert TrainArguments.model_validate(loaded.model_dump(mode="json")) == loaded
