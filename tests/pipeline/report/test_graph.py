"""The picture of an execution's steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.rendered import read
from pipeline.report import graph
from tests.pipeline.report import made


def definition(needs: dict[str, list[str]]):
    steps = [{"Name": name, "Type": "Processing", "Arguments": {}, "DependsOn": waits} for name, waits in needs.items()]
    return read({"Steps": steps})


def test_a_step_stands_below_all_that_it_waits_for_and_edges_that_others_tell_are_left_out() -> None:
    drawn = graph.draw(definition({"c": ["a", "b"], "a": [], "b": ["a"]}), [made.step("a")], status="Succeeded")
    rows = {node.name: node.y for node in drawn.nodes}
    assert rows["a"] < rows["b"] < rows["c"]
    assert len(drawn.edges) == 2  # a-b and b-c; that c waits for a too is told by them


def test_a_step_is_drawn_as_it_stands() -> None:
    steps = [
        made.step("a", cached=True), made.step("b", "Failed"), made.step("c", "Executing"), made.step("d", "Stopped")
    ]  # fmt: skip
    drawn = graph.draw(definition({name: [] for name in "abcde"}), steps, status="Executing")
    styles = {node.name: (node.style, node.cached) for node in drawn.nodes}
    assert styles == {
        "a": ("good", True), "b": ("bad", False), "c": ("busy", False), "d": ("warn", False), "e": ("idle", False)
    }  # fmt: skip
    said = {node.name: node.said for node in drawn.nodes}
    assert said["a"] == "Succeeded, cached" and said["b"] == "Failed, 3:00" and said["e"] == "not reached yet"


def test_what_a_failure_kept_from_running_is_told_from_a_branch_not_taken() -> None:
    def said(status: str) -> list[str]:
        steps = [made.step("a", "Failed"), made.step("b", "Skipped"), made.step("c", "Pending")]
        return [node.said for node in graph.draw(definition({name: [] for name in "abcd"}), steps, status).nodes][1:]

    assert said("Failed") == ["not taken", "not reached", "not reached"]
    assert said("Succeeded") == ["not taken"] * 3 and said("Executing") == ["not reached yet"] * 3


def test_steps_that_wait_for_each_other_are_drawn_all_the_same() -> None:
    assert len(graph.draw(definition({"a": ["b"], "b": ["a"]}), [], status="Succeeded").nodes) == 2


def test_no_steps_make_an_empty_picture() -> None:
    assert graph.draw(read({}), [], status="Succeeded") == graph.Graph(0, 0, (), ())


@given(st.integers(1, 12).flatmap(lambda n: st.lists(st.sets(st.integers(0, n - 1)), min_size=n, max_size=n)))
def test_boxes_lie_inside_the_picture_and_on_no_other_box(needs: list[set[int]]) -> None:
    named = {f"s{index}": [f"s{other}" for other in waits if other != index] for index, waits in enumerate(needs)}
    drawn = graph.draw(definition(named), [], status="Succeeded")
    assert len({(node.x, node.y) for node in drawn.nodes}) == len(needs)
    for one in drawn.nodes:
        assert 0 <= one.x <= drawn.width - graph.WIDTH and 0 <= one.y <= drawn.height - graph.HEIGHT
        assert all(abs(one.x - other.x) >= graph.WIDTH or one.y != other.y or one is other for other in drawn.nodes)
