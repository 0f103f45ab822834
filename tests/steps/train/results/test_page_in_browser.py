"""The training report in a browser: legible at every width, and deaf to what is in the data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.train.results import page
from tests.pages.browser import Browser, Look, open_browser
from tests.steps.train import runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def test_no_data_runs_or_loads_anything(browser: Browser) -> None:
    browser.pages["hostile.html"] = page.render(**runs.run(hostile=True)).encode()
    browser.requests.clear()
    title = re.search("<title>(.*?)</title>", browser.dom("hostile.html"))[1]
    assert title.startswith("Reward accuracy ") and title.endswith(" on 60 held-out rows")
    assert set(browser.requests) <= {"http://page.test/favicon.ico"}


@pytest.mark.parametrize("make", runs.ALL.values(), ids=runs.ALL)
def test_no_page_has_to_be_scrolled_sideways(browser: Browser, make) -> None:
    widths = [320, 390, 768, 1280]
    browser.pages["page.html"] = page.render(**make()).encode()
    assert browser.widths_in("page.html", widths) == widths


@pytest.mark.parametrize("hostile", [False, True])
def test_answers_that_are_opened_are_not_wider_than_the_window(browser: Browser, hostile: bool) -> None:
    html = page.render(**runs.judged_run(hostile=hostile))
    browser.pages["open.html"] = html.replace("<details", "<details open").encode()
    assert browser.widths_in("open.html", [320, 390, 1280]) == [320, 390, 1280]


def test_pictures_show_something_by_day_and_by_night(browser: Browser, tmp_path: Path) -> None:
    browser.pages["page.html"] = page.render(**runs.run()).encode()
    day, night = Look(tmp_path / "day.png", 1280, 3000), Look(tmp_path / "night.png", 1280, 3000, dark=True)
    assert all(picture.lines > 1000 for picture in browser.pictures("page.html", [day, night]))
    assert day.file.read_bytes() != night.file.read_bytes()
