"""The commands that look after an execution of this machine while another process runs it."""

import json
import re

import pytest

from pipeline.cli import main
from pipeline.local import run
from pipeline.local.executor import create_execution
from pipeline.local.state import records

SLOW = (
    "import time; print('[phase] steps', flush=True)\n"
    "for step in range(1, 4): print(f'step={step} of 3', flush=True); time.sleep(0.4)"
)
METRICS = {"train:step": r"step=(\d+)", "train:max_steps": r"of (\d+)"}


@pytest.fixture
def running(build, root):
    """The id of an execution that a process of its own runs for a second or two."""
    definition = build.definition(
        build.training("Train", SLOW, metrics=METRICS), build.fail("Rejected", "no"), Beta=0.1
    )
    definition["Steps"][1]["DependsOn"] = ["Train"]
    execution = create_execution(root, "pipe", definition, {"Beta": 0.2}, "nightly-7")
    process = run.start_detached(root, execution.id)
    yield execution.id
    process.wait()


def call(root, capsys, verb, *words):
    code = main([verb, "--local", "--local-root", str(root), *words])
    return code, *capsys.readouterr()


def test_status_with_wait_watches_another_process_and_ends_as_its_execution(running, root, capsys):
    code, out, err = call(root, capsys, "status", running, "--wait", "--json")
    assert code == 1
    assert (json.loads(out)["status"], json.loads(out)["name"]) == ("Failed", "nightly-7")
    assert "Train: Executing" in err and "step 3/3" in err
    assert err.splitlines()[-1] == f"execution {running}: Failed: no"


def test_a_log_is_followed_to_the_end_of_its_job(running, root, capsys):
    while not records.load(root, running).step("Train").log:
        pass
    code, out, _ = call(root, capsys, "logs", running, "--step", "Train", "--follow", "--json")
    assert code == 0
    assert [line["message"] for line in json.loads(out)] == [
        "[phase] steps",
        *(f"step={step} of 3" for step in (1, 2, 3)),
    ]


def test_a_retry_that_fails_again_names_the_commands_that_come_next(build, root, capsys):
    fail = "from steps.shared import contract; contract.write_failure('no row is left'); raise SystemExit(1)"
    definition = build.definition(build.processing("Preprocess", fail), build.processing("Gate", ""))
    execution = create_execution(root, "pipe", definition, {})
    code, _, err = call(root, capsys, "retry", execution.id)
    assert code == 1
    see, fix, why = err.splitlines()[-3:]
    assert see == f"See why: python pipeline.py logs --local --local-root {root} {execution.id}"
    assert fix.endswith(f"start --local --local-root {root} --set InputDataUri=DATA") and "`retry` would read" in why
    code, out, _ = call(root, capsys, "status", execution.id)
    assert code == 0 and out.splitlines()[-3:] == [see, fix, why]


def test_status_tells_how_long_steps_took_and_which_were_not_reached(build, root, capsys):
    definition = build.definition(
        build.processing("Preprocess", "raise SystemExit(1)"), build.processing("Gate", "", DependsOn=["Preprocess"])
    )
    execution = create_execution(root, "pipe", definition, {})
    call(root, capsys, "retry", execution.id)
    _, out, _ = call(root, capsys, "status", execution.id)
    assert re.search(r"^pipe \S+ Failed in \d\S* s: ", out)
    assert re.search(r"^ Preprocess +Processing +Failed +\S+ \S+ +\d\S* s ", out, re.MULTILINE)
    assert re.search(r"^ Gate +Processing +Not reached +$", out, re.MULTILINE)


def test_describe_compares_with_the_settings_of_today(running, root, capsys):
    code, out, _ = call(root, capsys, "describe", running, "--json")
    uses = {use["name"]: use for use in json.loads(out)["parameters"]}
    assert code == 0
    assert uses["Beta"]["value"] == 0.2 and not uses["Beta"]["was_default"]
    assert uses["Seed"]["value"] is None  # these settings have it, that execution's definition had not
    _, out, _ = call(root, capsys, "describe", running)
    assert (
        out.splitlines()[-1] == f"the same again: python pipeline.py start --set Beta=0.2 --local --local-root {root}"
    )
    assert f"as a page: python pipeline.py report --local --local-root {root} {running} --open" in out
    assert "nightly-7" in out.splitlines()[0] and "not there yet" in out
