"""Step caching: when a result is used again, and when it is not."""

import shutil
from datetime import timedelta

import pytest

from pipeline.errors import UserError
from pipeline.local.executor import run_execution
from pipeline.local.jobs.cache import parse_duration
from pipeline.local.state.records import load, load_all, save
from pipeline.local.state.store import Store
from tests.pipeline.registered import unexpected

ON = {"Enabled": True, "ExpireAfter": "P30D"}
CODE = (
    "import os, pathlib, sys; ml = os.environ['OPT_ML']\n"
    "pathlib.Path(sys.argv[2]).open('a').write('x'); pathlib.Path(ml, 'processing/output/o/f').write_text(sys.argv[1])"
)


@pytest.fixture
def rendered(build, tmp_path):
    step = build.processing(
        "P", CODE, {"Get": "Parameters.Word"}, str(tmp_path / "runs"), outputs=["o"], CacheConfig=ON
    )
    return build.definition(step, Word="hello")


def runs(tmp_path):
    return len((tmp_path / "runs").read_text())


def test_the_same_arguments_use_the_earlier_result(rendered, start, tmp_path):
    first, second = start(rendered), start(rendered)
    assert (first.step("P").cached, second.step("P").cached) == (False, True)
    assert second.step("P").properties == first.step("P").properties
    assert second.step("P").log == first.step("P").log
    assert second.status == "Succeeded" and runs(tmp_path) == 1


def test_other_arguments_or_other_code_run_again(rendered, start, repository, tmp_path):
    start(rendered)
    assert not start(rendered, Word="bye").step("P").cached
    (repository / "steps" / "code.py").write_text("VALUE = 2\n")
    assert not start(rendered).step("P").cached
    assert runs(tmp_path) == 3


def test_caching_is_off_unless_the_definition_turns_it_on(rendered, start):
    del rendered["Steps"][0]["CacheConfig"]
    assert not any(start(rendered).step("P").cached for _ in range(2))


def test_what_does_not_change_the_result_does_not_change_the_key(rendered, start):
    start(rendered)
    rendered["Steps"][0]["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] = "ml.m5.4xlarge"
    assert start(rendered).step("P").cached


def test_a_result_that_is_gone_or_too_old_is_no_hit(rendered, start, root):
    first = start(rendered)
    shutil.rmtree(Store(root).path(f"s3://bucket/{first.id}"))
    assert not start(rendered).step("P").cached
    rendered["Steps"][0]["CacheConfig"] = ON | {"ExpireAfter": "PT0S"}
    assert not start(rendered).step("P").cached


PARTS = (
    "import os, pathlib; out = pathlib.Path(os.environ['OPT_ML'], 'processing/output/o')\n"
    "for n in range(4): (out / f'part-{n}').write_text('rows' * n)"
)
COUNT = (
    "import os, pathlib; ml = pathlib.Path(os.environ['OPT_ML'], 'processing')\n"
    "(ml / 'output/n/n').write_text(str(len(list((ml / 'input/o').iterdir()))))"
)


def damage(part, how):
    part.chmod(0o644)
    if how == "gone":
        part.unlink()
    elif how == "cut":
        part.write_text("row")
    else:
        part.with_name("part-9").write_text("others")


@pytest.fixture
def counted(build):
    """A step that leaves four parts, and one that counts them."""
    make = build.processing("Make", PARTS, outputs=["o"], CacheConfig=ON)
    return build.definition(
        make, build.processing("Count", COUNT, inputs={"o": build.output("Make", "o")}, outputs=["n"])
    )


@pytest.mark.parametrize("how", ["gone", "cut", "one more"])
def test_a_result_of_which_a_part_is_not_as_it_was_left_is_no_hit(how, counted, start, root):
    first = start(counted)
    damage(Store(root).path(f"s3://bucket/{first.id}/Make/o") / "part-2", how)
    second = start(counted)
    assert not second.step("Make").cached
    assert Store(root).path(f"s3://bucket/{second.id}/Count/n/n").read_text() == "4"


def test_a_retry_runs_a_step_again_whose_output_is_not_whole_any_more(counted, start, root, repository):
    first = start(counted)
    damage(Store(root).path(f"s3://bucket/{first.id}/Make/o") / "part-2", "gone")
    stopped = load(root, first.id)
    stopped.status, stopped.step("Count").status = "Stopped", "Stopped"
    save(root, stopped)
    again = run_execution(root, first.id, repository=repository)
    assert (again.status, again.step("Make").attempts, again.step("Make").cached) == ("Succeeded", 2, False)
    assert Store(root).path(f"s3://bucket/{first.id}/Count/n/n").read_text() == "4"


def test_a_step_that_leaves_nothing_in_an_output_is_a_hit_too(build, start):
    rendered = build.definition(build.processing("P", "", outputs=["o"], CacheConfig=ON))
    assert [start(rendered).step("P").cached for _ in range(2)] == [False, True]


def test_a_failed_step_is_never_a_hit(build, start):
    rendered = build.definition(build.processing("P", "raise SystemExit(1)", CacheConfig=ON))
    assert [start(rendered).status, start(rendered).status] == ["Failed", "Failed"]


def test_a_cached_training_passes_its_artifacts_on(build, start, root):
    train = build.training(
        "T", "import os, pathlib; pathlib.Path(os.environ['OPT_ML'], 'model/w').write_text('w')", CacheConfig=ON
    )
    register = build.register("R", {"Get": "Steps.T.ModelArtifacts.S3ModelArtifacts"})
    one, two = start(build.definition(train, register)), start(build.definition(train, register))
    assert two.step("T").cached and two.step("R").properties["ModelPackageVersion"] == 2
    assert one.step("T").properties["ModelArtifacts"] == two.step("T").properties["ModelArtifacts"]
    assert [execution.id for execution in load_all(root, unexpected)] == [two.id, one.id]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P30D", timedelta(days=30)),
        ("30d", timedelta(days=30)),
        ("T16m", timedelta(minutes=16)),
        ("30dT5h", timedelta(days=30, hours=5)),
        ("P4DT12H", timedelta(days=4, hours=12)),
        ("P1M", timedelta(days=30)),
        ("p1y", timedelta(days=365)),
    ],
)
def test_durations_are_read_as_sagemaker_writes_them(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "P", "soon", "5", "P5X"])
def test_what_is_no_duration_is_an_error(text):
    with pytest.raises(UserError, match="not a duration"):
        parse_duration(text)
