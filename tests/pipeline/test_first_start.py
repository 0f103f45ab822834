"""The record of a first start: how it is made, and that the manual has one without a long silence."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.pipeline import first_start

PROGRAM = (  # which ends by SIGINT, also where the tests were started with it ignored
    "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "print('reading'); print('of /tmp/clone/configs'); time.sleep(600)"
)


def test_each_line_has_its_second_and_the_program_is_ended(tmp_path: Path) -> None:
    lines = first_start.record([sys.executable, "-uc", PROGRAM], tmp_path, 3, os.environ)
    assert [text for _, text in lines] == ["reading", "of /tmp/clone/configs"]
    assert lines[0][0] <= lines[1][0]
    assert re.fullmatch(r" +[\d.]+ s  reading\n +[\d.]+ s  of configs", first_start.told(lines, {"/tmp/clone/": ""}))


def test_silence_is_measured_from_the_start_to_the_end() -> None:
    assert first_start.silence([(4.0, ""), (7.0, "")], 8) == 4
    assert first_start.silence([(1.0, "")], 8) == 7


def test_a_new_record_takes_the_old_ones_place() -> None:
    page = f"before\n{first_start.BEGIN}\nold\n{first_start.END}\nafter\n"
    assert first_start.page_with(page, "  1.0 s  new").split("\n")[4:5] == ["  1.0 s  new"]
    assert "old" not in first_start.page_with(page, "new")


def test_the_manuals_record_has_no_silence_of_more_than_5_seconds() -> None:
    page = first_start.PAGE.read_text(encoding="utf-8")
    record = page.partition(first_start.BEGIN)[2].partition(first_start.END)[0]
    lines = [(float(second), text) for second, text in re.findall(r"^ *([\d.]+) s  (.*)$", record, re.MULTILINE)]
    assert lines and first_start.silence(lines, lines[-1][0]) <= 5
