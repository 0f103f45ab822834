"""How a run's data differs from an earlier run's, from the two reports.

Lengths are compared by the population stability index over the bins that all reports share: the sum over bins of
(new share - old share) * ln(new share / old share). Below 0.1 is taken for stable, above 0.25 for a shift that wants a
look (Siddiqi, Credit Risk Scorecards, 2006).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SHIFTED = 0.25  # population stability index
GROWN = 0.01  # of a reason's share of the rows read
SHRUNK = 0.1  # of the rows that stay
LEAST_SHARE = 1e-4  # what an empty bin counts as, since the index has no value for zero
SHOWN_PERCENTILES = ("50", "95", "99")


def compare(report: Mapping[str, Any], baseline: Mapping[str, Any], rows: Mapping[str, int] | None) -> dict[str, Any]:
    """The drift from `baseline` to `report`.

    Args:
        rows: how many rows are new, kept and vanished; None where that is not known.

    Returns:
        same_data, baseline_rows, rows, lengths (by unit and part), formats and reasons (shares of the rows read, old
        and new), and warnings: a sentence for each notable change. What the older report lacks is left out.
    """
    lengths = {
        unit: {part: _length_drift(now, before) for part, now, before in _comparable(report, baseline, unit)}
        for unit in ("characters", "tokens")
    }
    drift = {
        "same_data": report["data_hash"] == baseline.get("data_hash"),
        "baseline_rows": dict(baseline["rows"]),
        "rows": dict(rows) if rows is not None else None,
        "lengths": {unit: parts for unit, parts in lengths.items() if parts},
        "formats": _shares(report, baseline, "formats"),
        "reasons": _shares(report, baseline, "reasons"),
    }
    return {**drift, "warnings": _warnings(drift, report, baseline)}


def _comparable(report: Mapping[str, Any], baseline: Mapping[str, Any], unit: str) -> list[tuple[str, Any, Any]]:
    now, before = ((source.get("lengths") or {}).get(unit) or {} for source in (report, baseline))
    both = [(part, now[part], before[part]) for part in now if part in before]
    return [(part, new, old) for part, new, old in both if new["count"] and old["count"]]


def _length_drift(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    percentiles = {name: [before["percentiles"][name], now["percentiles"][name]] for name in SHOWN_PERCENTILES}
    return {
        "percentiles": percentiles,
        "psi": round(stability_index(now["histogram"], before["histogram"]), 4),
        "baseline_histogram": before["histogram"],
    }


def stability_index(now: Mapping[str, Any], before: Mapping[str, Any]) -> float:
    """The population stability index of two histograms on the same bins."""
    shares = [_bin_shares(histogram) for histogram in (now, before)]
    total = 0.0
    for edge in shares[0].keys() | shares[1].keys():
        new, old = (max(share.get(edge, 0.0), LEAST_SHARE) for share in shares)
        total += (new - old) * math.log(new / old)
    return total


def _bin_shares(histogram: Mapping[str, Any]) -> dict[int, float]:
    total = sum(histogram["counts"])
    return {edge: count / total for edge, count in zip(histogram["edges"], histogram["counts"], strict=False)}


def _shares(report: Mapping[str, Any], baseline: Mapping[str, Any], name: str) -> dict[str, list[float]]:
    """Name -> share of the rows read, in the baseline and now."""
    sides = [(source.get(name) or {}, max(source["rows"]["read"], 1)) for source in (baseline, report)]
    names = sorted({key for counts, _ in sides for key in counts})
    return {key: [round(counts.get(key, 0) / read, 4) for counts, read in sides] for key in names}


def _warnings(drift: Mapping[str, Any], report: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    kept, had = (source["rows"]["train"] + source["rows"]["validation"] for source in (report, baseline))
    found = []
    if kept < (1 - SHRUNK) * had:
        found.append(f"{kept:,} rows stay, where the baseline had {had:,}")
    for name, (old, new) in drift["reasons"].items():
        if new - old > GROWN:
            found.append(f"quarantined as {name}: {new:.1%} of the rows, {old:.1%} in the baseline")
    for name, (old, new) in drift["formats"].items():
        if (old == 0) != (new == 0):
            found.append(f"layout {name} {'appeared' if old == 0 else 'vanished'}")
    for unit, parts in drift["lengths"].items():
        for part, lengths in parts.items():
            if lengths["psi"] > SHIFTED:
                old, new = lengths["percentiles"]["50"]
                found.append(f"{part} lengths shifted: median {new:,} {unit}, {old:,} in the baseline")
    return found
