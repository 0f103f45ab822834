"""Where the marks of a plot stand."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.report import plots
from steps.preprocess.report.distribution import distribution
from tests.steps.preprocess.reports import counted

LENGTHS = st.lists(st.integers(0, 2**25) | st.integers(0, 9), min_size=1, max_size=40)


@settings(deadline=None)
@given(LENGTHS, LENGTHS)
def test_plots_keep_within_their_frame(new, old):
    sides = [distribution(*counted(rows)) for rows in (new, old)]
    plot = plots.two_histograms(*(side["histogram"] for side in sides), "tokens")
    axis = plot["axis"]
    for bars, side in ((plot["bars"], sides[0]), (plot["others"], sides[1])):
        assert len(bars) == sum(count > 0 for count in side["histogram"]["counts"])
        assert all(bar["x"] >= 0 and bar["x"] + axis.step <= 100.01 and 0 < bar["height"] <= 100 for bar in bars)
    places = [tick["x"] for tick in axis.ticks()]
    assert 1 <= len(places) <= plots.MOST_TICKS and places == sorted(set(places))
    marks = plots.marks(sides[0], axis)
    assert all(0 <= mark["x"] <= 100 for mark in marks)


def test_a_mark_stands_on_the_bar_of_its_length():
    found = distribution(*counted([700] * 10 + [1_500]))
    drawn = plots.histogram(found, plots.Axis.over([found["histogram"]]), "tokens")
    median = next(mark for mark in drawn["marks"] if "median: 700" in mark["text"])
    bar = next(bar for bar in drawn["bars"] if bar["title"] == "609 to 723 tokens: 10 rows (90.9%)")
    assert bar["x"] < median["x"] < bar["x"] + drawn["axis"].step
