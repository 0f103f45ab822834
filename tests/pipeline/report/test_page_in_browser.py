"""The pages of executions in a browser: legible at every width, day and night, and deaf to what is in the data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.report import page, runs
from pipeline.report.facts import Command
from tests.pages.browser import Browser, Look, open_browser
from tests.pipeline.report import made
from tests.steps.preprocess.reports import EVIL

WIDTHS = [320, 390, 768, 1280]
LONG = [Command("Approve it", "python pipeline.py approve 3 --local-root /" + "long/" * 60)]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def all_runs(name: str | None = None) -> str:
    gate = made.gate()
    accuracy = runs.Accuracy(gate["reward_accuracy"], 0.9, 0.99, gate["rows"], gate["threshold"])
    version = made.version(group=name or "dpo")
    return runs.render([runs.Run(made.summary(name=name), accuracy, "pass", version)] * 30)


PAGES = {name: lambda make=make: page.render(make(), LONG) for name, make in made.ALL.items()}
PAGES |= {"runs": all_runs, "hostile_runs": lambda: all_runs(EVIL)}


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_no_page_has_to_be_scrolled_sideways(browser: Browser, make) -> None:
    browser.pages["page.html"] = make().encode()
    assert browser.widths_in("page.html", WIDTHS) == WIDTHS


def test_what_is_opened_is_not_wider_than_the_window(browser: Browser) -> None:
    browser.pages["open.html"] = PAGES["hostile"]().replace("<details", "<details open").encode()
    assert browser.widths_in("open.html", WIDTHS) == WIDTHS


@pytest.mark.parametrize("name", ["hostile", "hostile_data", "hostile_runs"])
def test_no_data_runs_or_loads_anything(browser: Browser, name: str) -> None:
    html = PAGES[name]()
    browser.pages["hostile.html"] = html.encode()
    browser.requests.clear()
    title = re.search("<title>(.*?)</title>", browser.dom("hostile.html"))
    assert title and title[1] != "run"
    assert set(browser.requests) <= {"http://page.test/favicon.ico"}


@pytest.mark.parametrize("name", ["registered", "rejected", "broken_data", "runs"])
def test_pictures_show_something_by_day_and_by_night_and_on_a_phone(
    browser: Browser, tmp_path: Path, name: str
) -> None:
    browser.pages["page.html"] = PAGES[name]().encode()
    looks = [
        Look(tmp_path / "day.png", 1280, 2000),
        Look(tmp_path / "night.png", 1280, 2000, dark=True),
        Look(tmp_path / "phone.png", 390, 2000),
    ]
    assert all(picture.lines > 300 for picture in browser.pictures("page.html", looks))
    assert len({look.file.read_bytes() for look in looks}) == 3
