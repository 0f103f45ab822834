"""The one reader of a rendered definition: nested steps, what they refer to, parameters, and tolerance of defects."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.rendered import Branch, Reference, read, references, steps_in

GET = {"Get": "Steps.A.PropertyFiles.report"}
JOIN = {"Std:Join": {"On": "/", "Values": [{"Get": "Parameters.Uri"}, {"Std:JsonGet": {"PropertyFile": GET}}]}}


def condition(name: str, if_steps: list[Any], else_steps: list[Any]) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {"Conditions": [], "IfSteps": if_steps, "ElseSteps": else_steps},
    }


def step(name: str, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Processing", "Arguments": {}} | more


def test_steps_are_found_wherever_they_are_nested_with_the_branches_they_lie_in() -> None:
    found = read({"Steps": [condition("C", [step("A"), condition("D", [], [step("B")])], []), step("E")]})
    assert [step.name for step in found.steps] == ["C", "E"]
    assert [step.name for step in found.all_steps] == ["C", "A", "D", "B", "E"]
    assert found.by_name["B"].inside == (Branch("C", "IfSteps"), Branch("D", "ElseSteps"))
    assert found.by_name["B"].branch == Branch("D", "ElseSteps") and found.by_name["E"].branch is None
    assert found.by_name["C"].arguments == {"Conditions": []}


def test_a_step_waits_for_what_it_refers_to_depends_on_and_lies_in() -> None:
    waiting = step("B", Arguments={"Environment": {"X": JOIN}}, DependsOn=["F", {"Step": "G"}])
    assert read({"Steps": [condition("C", [waiting], [])]}).by_name["B"].needs == {"A", "F", "G", "C"}


def test_steps_of_opposite_branches_part() -> None:
    found = read({"Steps": [condition("C", [step("A")], [step("B")]), step("D")]}).by_name
    assert found["A"].parting(found["B"]) == Branch("C", "ElseSteps")
    assert found["A"].parting(found["D"]) is None and found["D"].parting(found["A"]) is None


@pytest.mark.parametrize(
    ("text", "reference", "sound", "path"),
    [
        ("Parameters.Beta", ("Parameters", "Beta", ""), True, ()),
        ("Steps.T.M['a b'].C[0]", ("Steps", "T", ".M['a b'].C[0]"), True, ("M", "a b", "C", 0)),
        ("Steps.T['x", ("Steps", "T", "['x"), False, ()),
        ("Step.T", ("Step", "T", ""), False, ()),
        ("Parameters", ("Parameters", "", ""), False, ()),
    ],
)
def test_a_reference_is_read_whether_it_is_sound_or_not(
    text: str, reference: tuple[str, str, str], sound: bool, path: tuple[str | int, ...]
) -> None:
    found = Reference.parse(text)
    assert (found.root, found.name, found.rest) == reference
    assert (found.sound, found.path) == (sound, path)


def test_references_are_found_inside_other_functions() -> None:
    assert [found.text for found in references([JOIN])] == ["Parameters.Uri", "Steps.A.PropertyFiles.report"]
    assert steps_in(JOIN) == {"A"} and [found.property_file for found in references(GET)] == ["report"]


def test_of_two_parameters_with_one_name_the_first_counts() -> None:
    parameters = [{"Name": "A", "Type": "String", "DefaultValue": "x", "EnumValues": ["x", "y"]}, {"Name": "B"}]
    found = read({"Parameters": [*parameters, {"Name": "A", "Type": "Float"}]}).parameters
    assert list(found) == ["A", "B"]
    assert (found["A"].type, found["A"].default, found["A"].choices) == ("String", "x", ("x", "y"))
    assert (found["B"].type, found["B"].default) == ("", None)


def test_what_has_the_wrong_form_is_read_as_empty_and_keeps_its_place() -> None:
    found = read(
        {"Parameters": [1, {}], "Steps": [7, {"Name": 3, "Type": "Condition", "Arguments": {"IfSteps": [[]]}}]}
    )
    assert not found.parameters
    assert [step.where for step in found.all_steps] == ["Steps[0]", "Steps[1]", ".IfSteps[0]"]
    assert [step.name for step in found.all_steps] == ["", "", ""]
