"""`make account-test`: the scenario in a real AWS account. Nothing runs without DPO_ACCOUNT_TEST=1 and a yes.

It has not been run yet: tests/account/test_rehearsal.py runs the same scenario against moto and the local executor.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer

import pytest

from pipeline.aws.client import check_account, client, session
from pipeline.preflight import costs
from tests.account import own_settings, report
from tests.account.limits import EXPECTED, STARTS, Bound, bound
from tests.account.made import FOLDER, Made, unfinished
from tests.account.scenario import Scenario
from tests.paths import ROOT

COMMAND = "DPO_ACCOUNT_TEST=1 make account-test"
HOURS = 3  # of one command: longer than its jobs may run together, with their starts


def refusal(variables: Mapping[str, str], credentials: bool, terminal: bool) -> str:
    """Why the test does not run; empty where it does."""
    if variables.get("DPO_ACCOUNT_TEST") != "1":
        return f"it runs in your AWS account and costs {EXPECTED}: {COMMAND}"
    if not credentials:
        return f"there are no AWS credentials; `aws configure sso` or AWS_PROFILE, then: {COMMAND}"
    if variables.get("DPO_ACCOUNT_TEST_YES") != "1" and not terminal:
        return f"nobody can be asked here; when it is what you want: DPO_ACCOUNT_TEST_YES=1 {COMMAND}"
    return ""


def question(name: str, most: Bound, account: str) -> str:
    """What is about to happen, and what it can cost."""
    lines = [f"{len(STARTS)} executions of pipeline {name} in account {account}, {EXPECTED}, and at most:"]
    lines += [f"  {start.name:<12} ${most.executions[start.name]:.2f}  {start.why}" for start in STARTS]
    lines += [
        f"  {'together':<12} ${most.dollars:.2f}  if every job ran to its time limit and nothing came from the cache"
    ]
    return "\n".join([*lines, f"Prices: {most.prices_file}. A job that AWS breaks and repeats is paid again."])


def run_command(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The command as a process; its stderr is shown as it comes. It ends with us, and after `HOURS` at the latest."""
    command = [sys.executable, "pipeline.py", *words]
    lines = []
    with (
        tempfile.TemporaryFile("w+") as out,
        subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.PIPE, text=True) as process,
    ):
        limit = Timer(HOURS * 3600, process.terminate)
        limit.start()
        try:
            for line in process.stderr or ():
                print(line, end="", flush=True)
                lines.append(line)
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
        finally:
            limit.cancel()
        out.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), "".join(lines))


def interrupt(_number: int, _frame: object) -> None:
    """SIGTERM ends the test as Ctrl-C does: what was made is deleted."""
    raise KeyboardInterrupt


@pytest.mark.account
def test_the_quickstart_runs_in_this_account_and_leaves_nothing(tmp_path: Path) -> None:
    credentials = os.environ.get("DPO_ACCOUNT_TEST") == "1" and session(None, None).get_credentials() is not None
    if reason := refusal(os.environ, credentials, sys.stdin.isatty()):
        pytest.skip(reason)
    assert not unfinished(), "an earlier account test has left something; delete it first: python -m tests.account"
    account = own_settings.account_of(own_settings.ACCOUNT)
    check_account(client("sts", account["region"]), account["account_id"], COMMAND)
    name = own_settings.new_name(account)
    by_step, by_job = own_settings.write(tmp_path / "settings", name, own_settings.ACCOUNT)
    most = bound(by_step, by_job)
    print(f"\n{question(name, most, account['account_id'])}")
    if os.environ.get("DPO_ACCOUNT_TEST_YES") != "1" and input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        pytest.skip("the answer was no; nothing was made")
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        evidence, left = Scenario(name, by_step, by_job, most, Made(FOLDER / f"{name}.made"), run_command, print).run()
    finally:
        signal.signal(signal.SIGTERM, before)
    evidence.save(FOLDER / f"{name}.json")
    said = report.text(evidence, most, costs.load_prices(most.prices_file))
    (FOLDER / f"{name}.txt").write_text(f"{said}\n", encoding="utf-8")
    print(f"\n{said}\n\nwritten to {FOLDER / name}.txt, with all that was seen in {name}.json")
    assert left == []
    assert report.surprises(evidence) == []
