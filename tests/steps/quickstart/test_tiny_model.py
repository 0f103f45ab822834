"""The quickstart's base model: its folder, its chat template, its tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoTokenizer, Qwen2Tokenizer
from transformers.utils.logging import enable_progress_bar

from steps.quickstart import tiny_model as maker
from steps.shared.contract import StepError

TOOL = {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": {"properties": {"a": {}}}}}
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": "é", "b": [1, None]}}}
CONVERSATIONS = {
    "text": ([{"role": "user", "content": "Hi"}], {"role": "assistant", "content": "Hello."}),
    "call": (
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Add"}],
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
    ),
    "text and two calls": (
        [{"role": "user", "content": "Add"}],
        {"role": "assistant", "content": "Sure.", "tool_calls": [CALL, CALL]},
    ),
    "after a result": (
        [
            {"role": "user", "content": "Add"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "3"},
        ],
        {"role": "assistant", "content": "It is 3."},
    ),
}


@pytest.fixture(scope="module")
def tokenizer():
    texts = ["Book a table for two.", '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>']
    return maker.blank_tokenizer().train_new_from_iterator(texts, 300, show_progress=False)


@pytest.mark.parametrize("tools", [None, [TOOL]], ids=["no tools", "tools"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_prompt_is_an_exact_prefix_of_prompt_and_answer(tokenizer, name: str, tools) -> None:
    messages, answer = CONVERSATIONS[name]
    prompt = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*messages, answer], tools=tools, tokenize=False)
    assert whole.startswith(prompt)
    assert whole.endswith("<|im_end|>\n")
    ids = tokenizer(whole)["input_ids"]
    assert ids[: len(tokenizer(prompt)["input_ids"])] == tokenizer(prompt)["input_ids"]


def test_a_conversation_renders_as_chatml(tokenizer) -> None:
    messages, answer = CONVERSATIONS["call"]
    assert tokenizer.apply_chat_template([*messages, answer], tools=[TOOL], tokenize=False) == (
        "<|im_start|>system\nBe brief.\n\nTools:\nadd(a): Add.<|im_end|>\n"
        "<|im_start|>user\nAdd<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "add", "arguments": {"a": "é", "b": [1, null]}}\n</tool_call>'
        "<|im_end|>\n"
    )


@pytest.mark.parametrize("text", ["naïve café 🙂", "预订一张桌子", "\tx = {1: 'y'}\r\n\n", "مرحبا"])
def test_any_text_survives_encoding(tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_arguments_as_json_text_render_like_arguments_as_an_object(tokenizer) -> None:
    arguments = CALL["function"]["arguments"]
    for given in (arguments, json.dumps(arguments, ensure_ascii=False)):
        call = {"type": "function", "function": {"name": "add", "arguments": given}}
        text = tokenizer.apply_chat_template(
            [{"role": "assistant", "content": "", "tool_calls": [call]}], tokenize=False
        )
        assert '{"name": "add", "arguments": {"a": "é", "b": [1, null]}}' in text


@pytest.mark.parametrize("function", [{"name": "now"}, {"name": "now", "parameters": {}, "description": None}])
def test_a_tool_without_parameters_renders(tokenizer, function) -> None:
    text = tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tools=[function], tokenize=False)
    assert "\nnow(): <|im_end|>" in text


@pytest.mark.slow
def test_the_folder_is_a_bf16_qwen2_that_the_auto_classes_read_as_it_was_trained(tiny_model: Path) -> None:
    config = json.loads((tiny_model / "config.json").read_text())
    assert config["model_type"] == "qwen2" and config["tie_word_embeddings"] and config["dtype"] == "bfloat16"
    assert config["max_position_embeddings"] >= 4096
    with safe_open(tiny_model / "model.safetensors", "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        assert {file.get_slice(name).get_dtype() for name in shapes} == {"BF16"}
    matrices = [shape for shape in shapes.values() if len(shape) == 2]
    assert all(rows % 2 == 0 and rows * columns % 128 == 0 for rows, columns in matrices)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert type(tokenizer) is Qwen2Tokenizer and len(tokenizer) <= config["vocab_size"]
    assert tokenizer.pad_token_id != tokenizer.eos_token_id == config["eos_token_id"]


@pytest.mark.slow
def test_a_finished_folder_is_reused(run, tiny_model: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in tiny_model.iterdir()}
    done = run("-m", "steps.quickstart.tiny_model", "--output", tiny_model)
    assert (done.returncode, done.stdout) == (0, f"{tiny_model}: there already\n")
    assert {path.name: path.stat().st_mtime_ns for path in tiny_model.iterdir()} == before
    assert [path.name for path in tiny_model.parent.iterdir()] == [tiny_model.name]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"base": "a merged model"}')
    with pytest.raises(StepError) as error:
        maker.ensure(tmp_path)
    assert str(error.value) == f"{tmp_path}: holds something else than a tiny model; name an empty or a new folder"
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_making_it_says_what_is_made_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("steps.quickstart.pretrain.pretrain", lambda *_: 0.125)
    enable_progress_bar()
    threads = torch.get_num_threads()
    try:
        assert maker.ensure(tmp_path / "model")
    finally:
        torch.set_num_threads(threads)
    out, err = capsys.readouterr()
    assert out.startswith("tiny model: ") and out.endswith("loss 0.12\n") and err == ""


def test_a_failure_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maker, "HIDDEN", -4)
    with pytest.raises(RuntimeError, match="negative"):
        maker.ensure(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_missing_or_of_another_layout_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.jsonl"
    with pytest.raises(StepError) as error:
        maker.ensure(tmp_path / "model", missing)
    assert str(error.value) == f"{missing}: the sample data is missing; pass --data FILE"
    other = tmp_path / "other.jsonl"
    shutil.copy(maker.DATA, other)
    with other.open("a") as file:
        file.write('{"prompt": "x"}\n')
    count = len(other.read_text().splitlines())
    with pytest.raises(StepError) as error:
        maker.ensure(tmp_path / "model", other)
    assert str(error.value) == (
        f"{other}: line {count} is no row of tools, messages, chosen_response and rejected_response: KeyError('tools')"
    )
