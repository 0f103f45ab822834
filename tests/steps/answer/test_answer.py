"""Answers of tiny random models, held against a greedy search of their own; and what is refused before any weight."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from steps.answer import weights
from steps.answer.__main__ import main
from steps.answer.conversation import messages, read_tools
from steps.answer.generate import Voice, _Stream
from steps.answer.weights import find_weights, free_memory, require_memory
from steps.merge.__main__ import main as merge
from steps.shared.contract import StepError
from tests.steps.answer.small import CALL, END, TEMPLATE, WORDS, base_and_adapter, tokenizer

PROMPT = "w1 w2 w3"
TOKENS = 12


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base in two shards, an adapter that changes it much, and both merged."""
    home = tmp_path_factory.mktemp("models")
    made = base_and_adapter(home, positions=64)
    merge(["--base", str(made["base"]), "--adapter", str(made["adapter"]), "--output", str(home / "merged")])
    return made | {"merged": home / "merged"}


def words_of(folders: dict[str, Path], name: str) -> list[str]:
    own = [f"--{'adapter' if name == 'adapter' else 'model'}={folders[name]}", f"--prompt={PROMPT}"]
    return [*own, f"--max-new-tokens={TOKENS}", *([f"--base={folders['base']}"] if name == "adapter" else [])]


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    capsys.readouterr()
    main([*words, "--json"])
    return json.loads(capsys.readouterr().out)


def greedy(model: torch.nn.Module) -> str:
    """The likeliest token again and again, from whole forward passes."""
    ids = [WORDS.index(word) for word in f"user {PROMPT}".split()]
    start = len(ids)
    while len(ids) - start < TOKENS:
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == END:
            return " ".join(WORDS[id] for id in ids[start:-1])
    return " ".join(WORDS[id] for id in ids[start:])


def test_each_variant_says_what_its_weights_say(folders: dict[str, Path], capsys) -> None:
    base = AutoModelForCausalLM.from_pretrained(folders["base"])
    expected = {"base": greedy(base), "merged": greedy(AutoModelForCausalLM.from_pretrained(folders["merged"]))}
    expected["adapter"] = greedy(PeftModel.from_pretrained(base, folders["adapter"]))
    assert expected["base"] != expected["adapter"] == expected["merged"]
    for name in folders:
        answer = asked(capsys, *words_of(folders, name))["answer"]
        assert answer["text"] == expected[name]
        assert (answer["prompt_tokens"], answer["tokens"]) == (4, len(answer["text"].split()) + (not answer["cut"]))
    both = asked(capsys, *words_of(folders, "adapter"), "--beside")
    assert (both["answer"]["text"], both["base"]["text"]) == (expected["adapter"], expected["base"])


def test_what_is_streamed_is_what_is_said(folders: dict[str, Path], capsys) -> None:
    text = asked(capsys, *words_of(folders, "merged"))["answer"]["text"]
    main([*words_of(folders, "merged"), f"--base={folders['base']}", "--beside"])
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "--- this version" and lines[1] == text and lines[2] == "--- the base model"
    assert (
        err.startswith(f"4 tokens of prompt\n{TOKENS} tokens of answer in ") and "cut there by --max-new-tokens" in err
    )


def test_an_answer_ends_where_it_is_told_to_and_can_be_the_bases(folders: dict[str, Path]) -> None:
    voice = Voice(find_weights(None, folders["adapter"], str(folders["base"]), None), folders["adapter"], {})
    prompt = voice.prompt([{"role": "user", "content": PROMPT}], None, TOKENS)
    heard: list[str] = []
    how = {"max_new_tokens": TOKENS, "temperature": 0.0}
    stopped = voice.answer(prompt, **how, heard=heard.append, stopped=lambda: len(heard) > 1)
    whole, base = voice.answer(prompt, **how), voice.answer(prompt, **how, as_base=True)
    assert 0 < stopped.tokens < TOKENS == whole.tokens and whole.text.startswith(stopped.text)
    assert base.text == greedy(AutoModelForCausalLM.from_pretrained(folders["base"])) != whole.text
    assert voice.answer(prompt, **how) == replace(whole, seconds=ANY)  # the adapter is back


def test_tool_calls_are_given_out_and_the_end_is_not() -> None:
    heard: list[str] = []
    stream = _Stream(tokenizer(), frozenset({END}), heard.append)
    stream.put(torch.tensor([[3, 7, END]]))  # the prompt may hold ends of turns
    for id in (CALL, 9, END):
        stream.put(torch.tensor([id]))
    stream.end()
    assert "".join(heard).split() == ["<call>", WORDS[9]]


def test_system_and_tools_enter_the_prompt_and_a_temperature_draws(folders: dict[str, Path], capsys, tmp_path) -> None:
    path = tmp_path / "tools.json"
    path.write_text('[{"name": "f", "parameters": {"type": "dict", "properties": {"a": {"type": "str"}}}}]')
    assert read_tools(path)[0]["function"]["parameters"] == {
        "type": "object", "properties": {"a": {"type": "string"}},
    }  # fmt: skip
    more = [f"--tools={path}", "--system=w4", "--temperature=50"]
    torch.manual_seed(1)
    first = asked(capsys, *words_of(folders, "merged"), *more)["answer"]
    second = asked(capsys, *words_of(folders, "merged"), *more)["answer"]
    assert first["prompt_tokens"] == 4 + 2 + 2 and first["text"] != second["text"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "the list of tools is not valid JSON"),
        ('{"name": "f"}', "must be a JSON list of tools"),
        ('[{"parameters": {}}]', "not tools: "),
        (None, "the list of tools is missing"),
    ],
)
def test_a_file_that_holds_no_tools_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "tools.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StepError, match=f"{path}: {said}"):
        read_tools(path)


def test_an_empty_prompt_and_one_that_is_too_long_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(StepError, match="the prompt is empty"):
        messages(" \n", None)
    long = f"--prompt={'w1 ' * 60}"
    with pytest.raises(
        StepError, match="the prompt is too long: 61 tokens, and --max-new-tokens 12, and the model has 64"
    ):
        main([f"--model={folders['merged']}", long, "--max-new-tokens=12"])


def test_files_that_are_missing_or_of_another_base_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"absent: not a model folder: config\.json is missing"):
        find_weights(str(tmp_path / "absent"), None, None, None)
    with pytest.raises(StepError, match=r"not an adapter: adapter_config\.json is missing"):
        find_weights(None, folders["base"], str(folders["base"]), None)
    torch.manual_seed(7)
    other = LlamaConfig(vocab_size=64, hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                        num_key_value_heads=2)  # fmt: skip
    LlamaForCausalLM(other).save_pretrained(tmp_path / "other")
    with pytest.raises(StepError, match="the adapter was trained on another base"):
        find_weights(None, folders["adapter"], str(tmp_path / "other"), None)
    sharded = sorted(folders["base"].glob("*-of-*.safetensors"))
    for path in folders["base"].iterdir():
        if path != sharded[-1]:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(StepError, match=rf"1 of {len(sharded)} shards are missing, first {sharded[-1].name}"):
        find_weights(str(tmp_path), None, None, None)


def test_a_model_beyond_the_free_memory_is_refused_with_both_sizes(folders: dict[str, Path]) -> None:
    found = find_weights(None, folders["adapter"], str(folders["base"]), None)
    sizes = [path.stat().st_size for name in ("base", "adapter") for path in folders[name].glob("*.safetensors")]
    assert found.bytes == sum(sizes)
    require_memory(found, found.bytes + weights.BESIDE_WEIGHTS, "here")
    with pytest.raises(StepError, match=r"needs about 1\.1 GB \(0\.0 GB of weights\), 1\.1 GB are free here;"):
        require_memory(found, found.bytes + weights.BESIDE_WEIGHTS - 1, "here")


def test_free_memory_is_what_the_machine_and_the_containers_limit_leave(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(weights, "CGROUP", tmp_path)
    monkeypatch.setattr(weights, "MEMINFO", tmp_path / "meminfo")
    assert free_memory() > 10**8  # all of the machine's, where nothing tells what is available
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:  64 kB\n")
    assert free_memory() == 64 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() == 64 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    assert free_memory() == 4000


@pytest.mark.parametrize("words", [["--adapter=a", "--prompt=p"], ["--model=m", "--prompt=p", "--beside"],
                                   ["--model=m", "--adapter=a", "--prompt=p"], ["--prompt=p"],
                                   ["--model=m", "--prompt=p", "--max-new-tokens=0"]])  # fmt: skip
def test_options_that_do_not_go_together_are_refused(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2 and "error: " in capsys.readouterr().err


def test_the_template_gets_what_it_got_in_training_by_the_manifest(folders: dict[str, Path], tmp_path, capsys) -> None:
    import shutil

    adapter, merged = tmp_path / "adapter", tmp_path / "merged"
    shutil.copytree(folders["adapter"], adapter)
    (adapter / "chat_template.jinja").write_text("{% if mood %}system {{ mood }} {% endif %}" + TEMPLATE)
    manifest = {"files": {}, "chat_template": {"kwargs": {"mood": "w9"}, "moment": None}}
    (adapter / "manifest.json").write_text(json.dumps(manifest))
    merge(["--base", str(folders["base"]), "--adapter", str(adapter), "--output", str(merged)])
    places = {"base": folders["base"], "adapter": adapter, "merged": merged}
    for name in ("adapter", "merged"):
        assert asked(capsys, *words_of(places, name))["answer"]["prompt_tokens"] == 6
        assert asked(capsys, *words_of(folders, name))["answer"]["prompt_tokens"] == 4
