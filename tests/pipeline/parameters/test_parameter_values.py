"""Parameter values: defaults, overrides, and every problem named at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.parameters.values import parse_assignments, resolve_parameters

DEFINITION = {
    "Parameters": [
        {"Name": "Epochs", "Type": "Integer", "DefaultValue": 3},
        {"Name": "LearningRate", "Type": "Float", "DefaultValue": 1},
        {"Name": "MergeWeights", "Type": "String", "DefaultValue": "true", "EnumValues": ["true", "false"]},
        {"Name": "Verbose", "Type": "Boolean", "DefaultValue": False},
        {"Name": "InputDataUri", "Type": "String"},
    ]
}


def test_defaults_and_overrides_get_their_types():
    values = resolve_parameters(DEFINITION, {"InputDataUri": "s3://b/k", "LearningRate": "5e-5", "Verbose": "True"})
    assert values == {
        "Epochs": 3,
        "LearningRate": 5e-5,
        "MergeWeights": "true",
        "Verbose": True,
        "InputDataUri": "s3://b/k",
    }
    assert isinstance(resolve_parameters(DEFINITION, {"InputDataUri": "x"})["LearningRate"], float)


@pytest.mark.parametrize("name", ["lr", "learning_rate"])
def test_what_a_recipe_or_another_tool_calls_a_parameter_is_known(name):
    with pytest.raises(UserError, match=f"{name}: no such parameter; it is LearningRate here"):
        resolve_parameters(DEFINITION, {name: "1", "InputDataUri": "s3://b/k"})


def test_all_problems_are_named_at_once():
    wrong = {"epochs": "1", "Epochs": "2.5", "LearningRate": "nan", "MergeWeights": "ture", "Verbose": "yes"}
    with pytest.raises(UserError) as error:
        resolve_parameters(DEFINITION, wrong)
    assert str(error.value) == (
        "parameters: 6 problems\n"
        "  epochs: no such parameter; did you mean Epochs?\n"
        "  Epochs: '2.5' is not an Integer\n"
        "  LearningRate: 'nan' is not a Float\n"
        "  MergeWeights: 'ture' is not one of true, false; did you mean true?\n"
        "  Verbose: 'yes' is not a Boolean (true or false)\n"
        "  InputDataUri: has no default, give it a value\n"
        "Fix them with --set Name=Value."
    )


@pytest.mark.parametrize(("value", "reason"), [("", "must not be empty"), ("x" * 1025, "has 1025 characters")])
def test_values_that_aws_would_refuse_are_refused(value, reason):
    with pytest.raises(UserError, match=f"InputDataUri: {reason}"):
        resolve_parameters(DEFINITION, {"InputDataUri": value})


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_being_typed(whole, real):
    values = resolve_parameters(DEFINITION, {"InputDataUri": "x", "Epochs": str(whole), "LearningRate": repr(real)})
    assert (values["Epochs"], values["LearningRate"]) == (whole, real)


def test_assignments_split_at_the_first_equals_sign():
    assert parse_assignments(["A=1", "B=x=y", "A=2"]) == {"A": "2", "B": "x=y"}
    with pytest.raises(UserError, match=r"^--set A: must look like Name=Value$"):
        parse_assignments(["A"])
