"""Damaged files of a base are one line that names the model or the file, in Train, in Merge and in `check`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steps.merge.fit.base import open_base
from steps.merge.fit.loaded import require_all_tensors
from steps.merge.fit.whole import require_embedded
from steps.shared.contract import StepError
from steps.shared.weights.identity import identity
from steps.train.arguments import TrainArguments
from steps.train.model import shape
from steps.train.model.load import load_template
from steps.train.model.lora import fit_adapter


@pytest.fixture
def base(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "base"))


def train(base: Path) -> None:
    """What Train reads of a base before its weights."""
    arguments = TrainArguments(model_id=str(base), load_in_4bit=False, bf16=False)
    load_template(arguments)
    identity(base)
    fit_adapter(arguments, first=False)


def merge(base: Path) -> None:
    """What Merge reads of a base before it writes."""
    opened = open_base(str(base), None)
    require_all_tensors(opened)
    require_embedded(opened, {"tokenizer.json": base / "tokenizer.json"})


def edit(file: Path, changed: Callable[[Any], object]) -> None:
    content = json.loads(file.read_text())
    changed(content)
    file.write_text(json.dumps(content))


def refusal(base: Path, read: Callable[[Path], None]) -> str:
    with pytest.raises(StepError) as refused:
        read(base)
    said = str(refused.value)
    assert said.startswith(str(base)) and "\n" not in said
    return said.removeprefix(str(base)).lstrip("/")


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["[1]", "null", "{"])
def test_a_file_that_is_no_json_object_is_named(base: Path, name: str, text: str) -> None:
    (base / name).write_text(text)
    for read in (train, merge):
        assert refusal(base, read).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("tokenizer.json", "[]", ": the tokenizer cannot be loaded: TypeError: "),
        ("tokenizer.json", "{}", ": the tokenizer cannot be loaded: KeyError: 'added_tokens'; correct that file, or "),
        ("special_tokens_map.json", '{"eos_token": 3}', ": the tokenizer cannot be loaded: TypeError: Special token "),
        ("generation_config.json", '{"eos_token_id": {"a": 1}}', ": generation_config.json: eos_token_id {'a': 1}: "),
    ],
)
def test_a_tokenizer_of_other_types_is_told(base: Path, name: str, text: str, said: str) -> None:
    (base / name).write_text(text)
    assert refusal(base, train).startswith(said)


@pytest.mark.parametrize(
    "changed",
    [
        lambda content: content.update(model=3),
        lambda content: content["model"].update(vocab=3),
        lambda content: content["model"].update(vocab={"a": None}),
        lambda content: content.update(added_tokens=[3]),
        lambda content: content["added_tokens"][0].update(id="x"),
    ],
)
def test_a_vocabulary_of_other_types_is_told_by_merge(base: Path, changed: Callable[[Any], object]) -> None:
    edit(base / "tokenizer.json", changed)
    assert refusal(base, merge) == (
        "tokenizer.json: is no tokenizer: model.vocab and added_tokens must give numbers to tokens; copy or download "
        "the base again"
    )


@pytest.mark.parametrize(
    "values",
    [{"hidden_size": -1}, {"hidden_size": 0}, {"hidden_size": "x"}, {"num_hidden_layers": -1}, {"rope_parameters": 3},
     {"model_type": ["a"]}, {"num_attention_heads": None}, {"dtype": []}],
)  # fmt: skip
def test_a_configuration_of_other_types_and_negative_sizes_is_told(base: Path, values: dict[str, object]) -> None:
    edit(base / "config.json", lambda content: content.update(values))
    for read in (train, merge):
        refusal(base, read)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hidden_size": -1}, "hidden_size: must be whole numbers above 0"),
        ({"head_dim": "x"}, "head_dim: must be whole numbers above 0"),
        ({"num_key_value_heads": 2.5}, "num_key_value_heads: must be whole numbers above 0"),
        ({"rope_parameters": 3}, "rope_parameters: must be objects"),
        ({"quantization_config": "x"}, "quantization_config: must be objects"),
        ({"rope_parameters": {"factor": "x"}}, "rope_parameters: factor and original_max_position_embeddings must be"),
        ({"model_type": ["a"]}, "model_type ['a']: the shape is known for llama,"),
    ],
)
def test_check_tells_what_of_a_configuration_is_wrong(base: Path, values: dict[str, object], said: str) -> None:
    edit(base / "config.json", lambda content: content.update(values))
    assert refusal(base, shape.read).startswith(f"config.json: {said}")


@pytest.mark.parametrize("damage", [b"", b"\xff" * 8 + b"{}", b"\x02" + b"\0" * 7 + b"[]"])
def test_a_damaged_weight_file_is_named(base: Path, damage: bytes) -> None:
    (base / "model.safetensors").write_bytes(damage)
    for read in (train, merge):
        assert refusal(base, read).startswith("model.safetensors: is not a whole safetensors file (")
