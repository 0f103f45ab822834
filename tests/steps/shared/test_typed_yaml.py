"""Configuration files: whatever stands in one, the answer is a model or an InvalidFile that names the place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from steps.shared import typed_yaml
from steps.shared.contract import StepError, read_json
from steps.shared.typed_yaml import InvalidFile, decode, load


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 1


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = "n"
    rate: float = 0.1
    inner: Inner = Inner()
    words: list[str] = []


KEYS = st.sampled_from(["name", "rate", "inner", "words", "size", "nmae", "1", "null"]) | st.text(max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def read(path: Path, text: str) -> Settings | str:
    path.write_text(text, encoding="utf-8")
    try:
        return typed_yaml.load(path, Settings)
    except InvalidFile as error:
        assert error.problems and str(error).startswith(f"{path}: ")
        return str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    assert isinstance(read(tmp_path / "s.yaml", text), Settings | str)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_mapping_is_read_or_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    result = read(tmp_path / "s.yaml", yaml.safe_dump(values, allow_unicode=True))
    if set(values) - set(Settings.model_fields):
        assert isinstance(result, str)
    else:
        assert isinstance(result, str) or result.model_fields_set == set(values)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a", "line 1  expected `key: value` lines"),
        ("inner: &x\n  size: *x", "line 1  an alias refers to what it stands in"),
        ("[a, b]: 1", "line 1  keys must be plain words"),
        ("name: n\n1: x", "line 2  keys must be plain words"),
        ("name: !!python/name:os.system x", "line 1  is not YAML: could not determine a constructor"),
        ("name: 2024-13-01", "is not YAML: month must be in 1..12"),
        ("inner: 3", "line 1  inner: must be a valid dictionary"),
    ],
)
def test_what_no_settings_file_holds_is_named(tmp_path: Path, text: str, problem: str) -> None:
    assert f"\n  {problem}" in read(tmp_path / "s.yaml", text)


def said(tmp_path: Path, text: str, **more: Any) -> str:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(InvalidFile) as error:
        load(file, Settings, **more)
    return str(error.value).removeprefix(f"{file}: ")


def test_aliases_of_aliases_are_refused_by_what_they_repeat(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 25))]
    assert "holds more than 10,000 values, with those that aliases repeat" in said(tmp_path, "\n".join(lines))


@pytest.mark.parametrize("nested", ["[" * 60 + "]" * 60, "{a: " * 60 + "1" + "}" * 60])
def test_what_is_nested_too_deep_is_refused(tmp_path: Path, nested: str) -> None:
    assert "is nested too deep: more than 50 levels" in said(tmp_path, f"inner: {nested}")


def test_values_that_json_cannot_be_read_from_stay_texts() -> None:
    for text in ("[" * 100_000, '{"a": ' * 100_000, "[" + "9" * 5_000 + "]"):
        assert decode(text) == text


def test_a_pipe_or_a_device_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(InvalidFile, match=f"must be a file, not {kind}"):
            load(path, Settings)
        with pytest.raises(StepError, match=f"must be a file, not {kind}"):
            read_json(path, "it")


def test_a_very_large_file_is_read_no_farther_than_the_limit(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**34)
    with pytest.raises(InvalidFile, match="is larger than 1 MiB"):
        load(tmp_path / "large", Settings)


def test_messages_quote_little_and_no_value_of_a_secrets_name(tmp_path: Path) -> None:
    class Secretive(BaseModel):
        hub_token: int
        mlflow_uri: int
        tokenizer: int

    file = tmp_path / "file.yaml"
    file.write_text(f"hub_token: hunter2\nmlflow_uri: https://me:hunter2@host\ntokenizer: {'x' * 1000}")
    with pytest.raises(InvalidFile) as error:
        load(file, Secretive)
    assert "hunter2" not in str(error.value)
    assert "x" * 78 + "…)" in str(error.value) and "x" * 80 not in str(error.value)
