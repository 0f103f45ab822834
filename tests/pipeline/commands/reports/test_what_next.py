"""What the page of an execution offers next."""

from __future__ import annotations

import dataclasses

from pipeline.commands.reports.what_next import what_next
from tests.pipeline.report import made


def commands(facts, options=" --local", group="dpo") -> list[str]:
    return [one.command.removeprefix("python pipeline.py ") for one in what_next(facts, options, group)]


def test_a_version_that_waits_is_tried_compared_and_decided() -> None:
    assert commands(made.registered()) == [
        'try 3 "Hello" --base --local',
        "compare 2 3 --local",
        "approve 3 --local",
        "reject 3 --local",
    ]
    assert commands(made.registered(local=False), "")[-1] == "deploy 3"


def test_an_approved_version_is_served_and_one_of_another_group_is_named() -> None:
    version = made.version(approval_status="Approved", champion=True)
    facts = dataclasses.replace(made.registered(local=False), version=version, champion=3)
    assert commands(facts, "", "another") == ['try 3 "Hello" --base --group dpo', "deploy 3 --group dpo"]


def test_a_failure_offers_what_the_failure_asks_for() -> None:
    assert commands(made.rejected()) == ["logs --local abcdefghijkl --step Gate", "start --local"]
    assert commands(made.crashed()) == ["logs --local abcdefghijkl", "retry --local abcdefghijkl", "start --local"]
    unfit = what_next(made.broken_data(), "", "dpo")
    assert unfit[1].command == "python pipeline.py start --set InputDataUri=DATA"
    assert unfit[2].command == "" and "`retry`" in unfit[2].purpose


def test_a_running_one_is_watched_or_stopped() -> None:
    assert [one.split()[0] for one in commands(made.running())] == ["status", "logs", "stop"]
