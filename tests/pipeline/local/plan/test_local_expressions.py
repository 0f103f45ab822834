"""Properties of the expression language, and the messages for what is not there."""

import json
import operator
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.local.plan.conditions import holds
from pipeline.local.plan.expressions import Scope, evaluate, evaluate_known, java_double, lookup
from pipeline.local.state.store import Store
from pipeline.rendered import steps_in

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
# Plain data: no object of one member whose name would make it an expression.
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES.filter(lambda n: n != "Get"), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.integers(-5, 5) | st.sampled_from([-0.5, 0.5, 2.0])


def scope(parameters=None, steps=None, root=Path("unused")):
    return Scope(parameters or {}, {"PipelineExecutionId": "abc"}, Store(root), steps or {})


def error_of(value, where="Train", **given):
    with pytest.raises(UserError) as error:
        evaluate(value, scope(**given), where)
    return str(error.value)


JAVA = [
    (5e-6, "5.0E-6"), (32.0, "32.0"), (0.001, "0.001"), (9.9e-4, "9.9E-4"), (1e7, "1.0E7"), (9999999.0, "9999999.0"),
    (123456789.0, "1.23456789E8"), (-2.5e-7, "-2.5E-7"), (0.0, "0.0"), (-0.0, "-0.0"), (1e22, "1.0E22"),
    (float("inf"), "Infinity"), (float("-inf"), "-Infinity"), (float("nan"), "NaN"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "text"), JAVA)
def test_a_number_in_a_text_is_as_java_prints_it(number, text):
    assert java_double(number) == text
    joined = {"Std:Join": {"On": "=", "Values": ["beta", {"Get": "Parameters.Beta"}]}}
    assert evaluate(joined, scope({"Beta": number}), "Step") == f"beta={text}"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_javas_text_is_the_same_number(number):
    assert float(java_double(number)) == number
    assert re.fullmatch(r"-?\d+\.\d+(E-?\d+)?", java_double(number))


@given(PLAIN)
def test_what_holds_no_expression_stays_as_it_is(value):
    assert evaluate(value, scope(), "Step") == value
    assert steps_in(value) == set()


@given(st.dictionaries(NAMES, st.text() | st.integers() | st.booleans(), min_size=1), PLAIN)
def test_expressions_are_found_however_deep_they_stand(parameters, around):
    name, value = next(iter(parameters.items()))
    nested = [{"a": {"b": [around, {"Get": f"Parameters.{name}"}]}}]
    assert evaluate(nested, scope(parameters), "Step") == [{"a": {"b": [around, value]}}]


@given(st.text(), st.lists(st.text() | st.integers() | st.booleans()))
def test_join_is_join(on, values):
    expected = on.join(value if isinstance(value, str) else json.dumps(value) for value in values)
    assert evaluate({"Std:Join": {"On": on, "Values": values}}, scope(), "Step") == expected


@given(st.lists(st.text(max_size=5), max_size=3), st.lists(st.text(max_size=5), max_size=3))
def test_joins_nest(left, right):
    inner = {"Std:Join": {"On": "", "Values": right}}
    outer = {"Std:Join": {"On": "", "Values": [*left, inner]}}
    assert evaluate(outer, scope(), "Step") == "".join(left + right)


@given(st.lists(NAMES, min_size=1, max_size=5), st.integers(0, 3), SCALARS)
def test_a_path_leads_to_what_was_put_there(names, index, value):
    data = [None] * index + [value]
    path = f"[{index}]"
    for number, name in enumerate(reversed(names)):
        data = {name: data}
        path = (f".{name}" if number % 2 else f"['{name}']") + path
    assert evaluate({"Get": f"Steps.S{path}"}, scope(steps={"S": data}), "Step") == value


@given(st.sets(NAMES, max_size=5))
def test_references_are_the_steps_in_any_kind_of_expression(names):
    parts = [{"Get": f"Steps.{name}.X['y'].Z"} for name in names]
    file = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Gate.PropertyFiles.gate"}, "Path": "a"}}
    value = {"Join": {"Std:Join": {"On": "/", "Values": parts}}, "Other": [file]}
    assert steps_in(value) == names | {"Gate"}


def test_items_of_a_list_answer_to_their_names():
    outputs = [{"OutputName": "a", "S3Output": {"S3Uri": "s3://b/a"}}, {"OutputName": "b", "S3Output": {"S3Uri": "x"}}]
    assert lookup({"Outputs": outputs}, "Outputs['b'].S3Output.S3Uri") == "x"
    assert lookup([{"MetricName": "train:loss", "Value": 0.5}], "['train:loss'].Value") == 0.5


def test_a_missing_reference_names_expression_step_and_what_there_is():
    steps = {"Preprocess": {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "train"}]}}}
    assert error_of({"Get": "Steps.Preprocess.ProcessingOutputConfig.Outputs['tain'].S3Output"}, steps=steps) == (
        'Train: {"Get": "Steps.Preprocess.ProcessingOutputConfig.Outputs[\'tain\'].S3Output"}: '
        "no item 'tain' in a list of 1; there is train"
    )
    assert error_of({"Get": "Steps.Later.X"}) == 'Train: {"Get": "Steps.Later.X"}: step Later has not succeeded'
    assert error_of({"Get": "Parameters.Epoch"}, parameters={"Epochs": 1}) == (
        'Train: {"Get": "Parameters.Epoch"}: no such parameter; did you mean Epochs?'
    )
    assert error_of({"Std:Map": {}}) == (
        'Train: {"Std:Map": {}}: unknown function; known are Get, Std:Join, Std:JsonGet'
    )
    assert "cannot join" in error_of({"Std:Join": {"On": "", "Values": [{"a": 1, "b": 2}]}})


def test_json_get_reads_property_files_and_objects(root):
    store = Store(root)
    store.path("s3://b/gate").mkdir(parents=True)
    store.path("s3://b/gate/gate.json").write_text('{"decision": "pass", "rows": [{"margin": 0.5}]}')
    steps = {
        "Gate": {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "d", "S3Output": {"S3Uri": "s3://b/gate"}}]}}
    }
    files = {"Gate": {"gate": {"PropertyFileName": "gate", "OutputName": "d", "FilePath": "gate.json"}}}
    known = Scope({}, {}, store, steps, files)

    def get(path, **source):
        request = source or {"PropertyFile": {"Get": "Steps.Gate.PropertyFiles.gate"}}
        return evaluate({"Std:JsonGet": {**request, "Path": path}}, known, "CheckGate")

    assert get("decision") == "pass"
    assert get("$.rows[0].margin") == 0.5
    assert get("rows[0]['margin']", S3Uri={"Std:Join": {"On": "/", "Values": ["s3:/", "b", "gate/gate.json"]}}) == 0.5
    with pytest.raises(
        UserError, match=r'^CheckGate: .*: is \[\{"margin": 0.5\}\]; must be a string, number or boolean$'
    ):
        get("rows")
    with pytest.raises(UserError, match=r"^CheckGate: .*: no 'decisoin'; did you mean decision\?$"):
        get("decisoin")
    with pytest.raises(UserError, match=r"^CheckGate: .*: s3://b/none was not written"):
        get("x", S3Uri="s3://b/none")


def test_what_depends_on_a_step_is_left_for_later():
    later = {"Std:Join": {"On": "", "Values": [{"Get": "Steps.A.X"}, {"Get": "Parameters.P"}]}}
    value = {"now": {"Get": "Parameters.P"}, "later": later}
    assert evaluate_known(value, scope({"P": 2}), "Step") == {"now": 2, "later": later}


@given(NUMBERS, NUMBERS)
def test_comparisons_are_pythons(left, right):
    operators = {
        "Equals": operator.eq,
        "GreaterThan": operator.gt,
        "GreaterThanOrEqualTo": operator.ge,
        "LessThan": operator.lt,
        "LessThanOrEqualTo": operator.le,
    }
    for kind, compare in operators.items():
        request = {"Type": kind, "LeftValue": {"Get": "Parameters.L"}, "RightValue": right}
        assert holds(request, scope({"L": left}), "Check") == compare(left, right)
        assert holds({"Type": "Not", "Condition": request}, scope({"L": left}), "Check") != compare(left, right)


@given(st.lists(st.booleans(), max_size=4), st.lists(st.text(max_size=2), max_size=4), st.text(max_size=2))
def test_or_is_any_and_in_is_membership(truths, values, value):
    parts = [{"Type": "Equals", "LeftValue": truth, "RightValue": True} for truth in truths]
    assert holds({"Type": "Or", "Conditions": parts}, scope(), "Check") == any(truths)
    request = {"Type": "In", "QueryValue": value, "Values": [{"Get": "Parameters.P"}, *values]}
    assert holds(request, scope({"P": "one"}), "Check") == (value in ["one", *values])


def test_values_of_different_kinds_are_an_error_and_not_a_branch():
    request = {"Type": "GreaterThan", "LeftValue": {"Get": "Parameters.T"}, "RightValue": 0.5}
    with pytest.raises(UserError) as error:
        holds(request, scope({"T": "0.9"}), "Check")
    assert str(error.value) == (
        'Check: condition GreaterThan cannot compare the string "0.9", from {"Get": "Parameters.T"} with the number 0.5'
    )
