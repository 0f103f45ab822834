"""What a change of a definition looks like to the one who is asked whether to deploy it."""

import copy
import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.definition.diff import compare, counted
from pipeline.rendered import read
from tests.paths import GOLDEN

GOLDEN = json.loads((GOLDEN / "qwen3-8b.json").read_text())


def changed(name, edit):
    after = copy.deepcopy(GOLDEN)
    edit(read(after).by_name[name].raw)
    return after


def test_a_number_deep_in_a_step_is_two_lines_with_their_place():
    (change,) = compare(GOLDEN, changed("Train", lambda s: s["Arguments"]["ResourceConfig"].update(VolumeSizeInGB=300)))
    assert (change.name, change.kind) == ("Train", "changed")
    assert change.lines == (
        "@ Arguments.ResourceConfig",
        '          "Get": "Parameters.TrainInstanceType"',
        "        }",
        '-       "VolumeSizeInGB": 200',
        '+       "VolumeSizeInGB": 300',
        "      }",
        '      "RoleArn": "arn:aws:iam::111122223333:role/dpo-pipeline-train"',
    )


def test_a_step_in_a_branch_is_named_and_not_the_conditions_around_it():
    found = compare(GOLDEN, changed("Merge", lambda s: s.update(Description="other")))
    assert [change.name for change in found] == ["Merge"]


def test_parameters_and_steps_are_counted_by_what_happened_to_them():
    after = copy.deepcopy(GOLDEN)
    after["Parameters"][0]["DefaultValue"] = "s3://other/"
    del after["Parameters"][1]
    after["Parameters"].append({"Name": "New", "Type": "String", "DefaultValue": "x"})
    found = compare(GOLDEN, after, {"role": ("a", "b")})
    assert counted(found) == (
        "2 changed: pipeline, parameter InputDataUri; 1 added: parameter New; 1 removed: parameter ModelId"
    )
    assert found[2].lines[1:3] == ('+   "DefaultValue": "x"', '+   "Name": "New"')


def test_the_order_of_steps_is_no_change():
    assert compare(GOLDEN, GOLDEN | {"Steps": GOLDEN["Steps"][::-1]}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_a_step_is_reported_exactly_where_it_differs_and_both_sides_can_be_read_from_the_lines(before, after):
    definitions = [{"Steps": [{"Name": "A", "Type": "Fail", "Arguments": {"x": value}}]} for value in (before, after)]
    found = compare(*definitions)
    assert bool(found) == (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))
    for change in found:
        assert {line[:2] for line in change.lines} <= {"+ ", "- ", "  ", "@ "}
        assert any(line[0] in "+-" for line in change.lines)
