"""Damaged recipes, accounts and values of parameters: each is read, or refused by the user's error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.files import ROOT
from pipeline.parameters.values import parse_assignments, resolve_parameters
from pipeline.settings.account import Account
from pipeline.settings.schema import WorkflowFile
from steps.shared import typed_yaml
from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments

ODD = (
    *("", "~", "-1", "1e400", ".nan", "9" * 5000, "[1, [2]]", "{a: {b: 1}}", "[" * 60 + "]" * 60, '"\\ud800"', '"\\0"'),
    *('"\\e[31m"', "/", "..", "s3://", "*a", "&a [*a]", "!!binary x", "!!python/name:os", "2024-13-01", "1:2", "- a"),
    *("? a", "\u202e", "%", "@", "'", "{", "=", "['(']", "x" * 2000, "https://u:p@h/", "|\n  x", "<<", "\x1b[2J"),
)
VALUES = st.sampled_from(ODD)
FILES = (
    ("recipes/quickstart.yaml", TrainArguments),
    ("quickstart.yaml", WorkflowFile),
    ("account.yaml", Account),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.integers(0, 200), VALUES, st.sampled_from(["value", "line", "indent", "cut"]))
def test_a_mutated_file_is_read_or_refused(
    tmp_path: Path, file: tuple[str, type[Any]], place: int, value: str, how: str
) -> None:
    name, model = file
    lines = (ROOT / "configs" / name).read_text().splitlines()
    keyed = [number for number, line in enumerate(lines) if ":" in line and not line.lstrip().startswith("#")]
    at = keyed[place % len(keyed)]
    key = lines[at].partition(":")[0]
    lines[at] = {"value": f"{key}: {value}", "line": value, "indent": f"   {lines[at]}", "cut": lines[at][:place]}[how]
    path = tmp_path / "mutated.yaml"
    path.write_text("\n".join(lines))
    try:
        typed_yaml.load(path, model)
    except StepError as error:
        assert str(path) in str(error) and len(str(error)) < 20_000


@settings(max_examples=50)
@given(st.sampled_from(sorted(TrainArguments.model_fields)), VALUES | st.text(max_size=20))
def test_a_mutated_hyperparameter_is_read_or_refused(key: str, value: str) -> None:
    try:
        typed_yaml.load(ROOT / "configs" / FILES[0][0], TrainArguments, overrides={key: value})
    except StepError as error:
        assert key.partition(".")[0] in str(error)


@settings(max_examples=50)
@given(st.sampled_from(["N", "F", "B", "S", "E", "Z", ""]), st.sampled_from(["=", ""]), VALUES | st.text(max_size=20))
def test_a_mutated_parameter_is_taken_or_refused(name: str, sign: str, value: str) -> None:
    types = {"N": "Integer", "F": "Float", "B": "Boolean", "S": "String", "E": "String"}
    parameters: list[dict[str, Any]] = [{"Name": name, "Type": kind} for name, kind in types.items()]
    parameters[-1]["EnumValues"] = ["a", "b"]
    for parameter, default in zip(parameters, (1, 1.0, True, "s", "a"), strict=True):
        parameter["DefaultValue"] = default
    try:
        resolve_parameters({"Parameters": parameters, "Steps": []}, parse_assignments([f"{name}{sign}{value}"]))
    except UserError as error:
        assert len(str(error)) < 1_000
