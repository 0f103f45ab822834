"""The report's page in a browser: legible at every width, and deaf to what is in the data."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from steps.preprocess.report import page
from tests.pages.browser import Browser, Look, open_browser
from tests.steps.preprocess import reports

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def test_the_browser_shows_the_figures(browser):
    browser.pages["page.html"] = page.render(reports.drifted()).encode()
    said = " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", browser.dom("page.html"), flags=re.DOTALL).split())
    for figure in ("12,840 rows read = 11,037 train", "256 quarantined", "max_length: 4032", "Who calls a tool", "PSI"):
        assert figure in said, figure


def test_no_data_runs_or_loads_anything(browser):
    clean = page.render(reports.report())
    browser.pages["open.html"] = f"<!doctype html><meta charset=utf-8><title>t</title>{reports.EVIL}".encode()
    browser.pages["hostile.html"] = page.render(reports.hostile()).encode()
    browser.pages["injected.html"] = clean.replace("<main>", f"<main>{reports.EVIL}").encode()

    def visit(name: str) -> tuple[str, list[str]]:
        browser.requests.clear()
        title = re.search("<title>(.*?)</title>", browser.dom(name))[1]
        return title, sorted(set(browser.requests) - {"http://page.test/favicon.ico"})

    assert visit("open.html") == ("run", [f"http://evil.test/a.{kind}" for kind in ("css", "js", "png")])
    title = "12,840 rows of preference data"
    assert visit("hostile.html") == (title, [])
    assert visit("injected.html") == (title, [])  # what no escaping had stopped, the page's own policy does


@pytest.mark.parametrize("make", reports.ALL.values(), ids=reports.ALL)
def test_no_page_has_to_be_scrolled_sideways(browser, make):
    widths = [320, 390, 768, 1280]
    browser.pages["page.html"] = page.render(make()).encode()
    assert browser.widths_in("page.html", widths) == widths


def test_a_page_that_is_too_wide_is_noticed(browser):
    browser.pages["page.html"] = b"<!doctype html><body style='margin: 0'><div style='width: 500px'>wide</div>"
    assert browser.widths_in("page.html", [320, 768]) == [500, 768]


def test_pictures_show_something_by_day_and_by_night(browser, tmp_path):
    browser.pages["page.html"] = page.render(reports.drifted()).encode()
    browser.pages["blank.html"] = b"<!doctype html><body style='background: #f6f7f9'>"
    day, night = Look(tmp_path / "day.png", 1280, 3000), Look(tmp_path / "night.png", 1280, 3000, dark=True)
    for seen in browser.pictures("page.html", [day, night]):
        assert (seen.width, seen.height) == (1280, 3000)
        assert seen.lines > 1000
    assert day.file.read_bytes() != night.file.read_bytes()
    (blank,) = browser.pictures("blank.html", [Look(tmp_path / "blank.png", 1280, 3000)])
    assert blank.lines <= 2
