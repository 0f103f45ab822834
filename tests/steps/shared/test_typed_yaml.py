"""Configuration files: whatever stands in one, the answer is a model or an InvalidFile that names the place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from steps.shared import typed_yaml
from steps.shared.typed_yaml import InvalidFile


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


def test_a_file_that_is_nested_too_deep_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 3000)
    with pytest.raises(typed_yaml.InvalidFile) as error:
        typed_yaml.load(tmp_path / "deep.yaml", BaseModel)
    assert error.value.problems == ["is nested too deep"]
