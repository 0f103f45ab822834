"""How a run's data differs from an earlier run's, from the two reports.

Lengths are compared by the population stability index, the sum over groups of lengths of (new share - old share) *
ln(new share / old share), with the groups cut where the older data has its deciles. Below 0.1 is taken for stable,
above 0.25 for a shift (Siddiqi, Credit Risk Scorecards, 2006). Few rows reach that by chance alone: with `n` new and
`m` old rows the index of equal data follows (1/n + 1/m) * chi-squared (Yurdakul and Naranjo, Journal of Risk Model
Validation, 2020), and only what goes beyond that is a warning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steps.preprocess.report.distribution import EDGES

KNOWN_EDGES = frozenset(EDGES.tolist())
UNSTABLE, SHIFTED = 0.1, 0.25  # population stability index
GROUPS = 10  # of lengths, with about as many older rows in each
EMPTY = 0.5  # rows that an empty group counts as, since the index has no value for zero
NORMAL_99 = 2.326  # 99 % of a normal distribution lies below that many deviations
GROWN = 0.01  # of a reason's share of the rows read
SHRUNK = 0.1  # of the rows that stay
SHOWN_PERCENTILES = ("50", "95", "99")
SETTINGS = ("validation_fraction", "validation_data", "max_invalid_fraction", "format", "columns", "tool_calls",
            "near_duplicates", "tokenizer", "max_tokens", "max_characters")  # fmt: skip


def compare(report: Mapping[str, Any], baseline: Mapping[str, Any], rows: Mapping[str, int] | None) -> dict[str, Any]:
    """The drift from `baseline` to `report`.

    Args:
        baseline: a report of any version; what it lacks is left out of the comparison.
        rows: how many rows are new, kept and vanished; None where that is not known.

    Returns:
        same_data, baseline_rows, rows, lengths (by unit and part: percentiles old and new, psi, chance: the psi that
        equal data reaches once in a hundred times, baseline_histogram), formats and reasons (shares of the rows read,
        old and new), settings (those that differ, old and new), and warnings: a sentence for each notable change.
    """
    lengths = {
        unit: {part: length_drift(now, before) for part, now, before in _comparable(report, baseline, unit)}
        for unit in ("tokens", "characters")
    }
    settings = {name: [baseline[name], report[name]] for name in SETTINGS if name in baseline}
    drift = {
        "same_data": report["data_hash"] == baseline.get("data_hash"),
        "baseline_rows": {name: count for name, count in baseline["rows"].items() if isinstance(count, int)},
        "rows": dict(rows) if rows is not None else None,
        "lengths": {unit: parts for unit, parts in lengths.items() if parts},
        "formats": _shares(report, baseline, "formats"),
        "reasons": _shares(report, baseline, "reasons"),
        "settings": {name: [old, new] for name, (old, new) in settings.items() if old != new},
    }
    return {**drift, "warnings": list(_warnings(drift, report["rows"]))}


def _comparable(report: Mapping[str, Any], baseline: Mapping[str, Any], unit: str) -> list[tuple[str, Any, Any]]:
    now, before = (_mapping(_mapping(source.get("lengths")).get(unit)) for source in (report, baseline))
    both = [(part, now[part], _mapping(before.get(part))) for part in now]
    return [(part, new, old) for part, new, old in both if new["count"] and _is_distribution(old)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_distribution(value: Mapping[str, Any]) -> bool:
    """Whether it is one as distribution.py makes them, of at least one row: a baseline may be anybody's file."""
    percentiles, histogram = _mapping(value.get("percentiles")), _mapping(value.get("histogram"))
    edges, counts = histogram.get("edges"), histogram.get("counts")
    if not isinstance(edges, list) or not isinstance(counts, list) or len(edges) != len(counts) + 1:
        return False
    if not KNOWN_EDGES.issuperset(edges[:-1]):
        return False
    numbers = [*counts, *(percentiles.get(name) for name in SHOWN_PERCENTILES)]
    return all(isinstance(number, int) for number in numbers) and sum(counts) > 0


def length_drift(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What `compare` says of one unit and part, from two distributions (distribution.py) with a row at least."""
    groups = _grouped(now["histogram"], before["histogram"])
    return {
        "percentiles": {name: [before["percentiles"][name], now["percentiles"][name]] for name in SHOWN_PERCENTILES},
        "psi": round(stability_index(groups), 4),
        "chance": round(_by_chance(groups), 4),
        "baseline_histogram": before["histogram"],
    }


def _grouped(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[tuple[int, int]]:
    """New and old counts in groups of neighbouring bins, cut at the deciles of the old rows.

    What is shorter than all the old rows, or longer, is a group of its own.
    """
    new, old = (dict(zip(side["edges"], side["counts"], strict=False)) for side in (now, before))
    total, passed = sum(old.values()), 0
    groups: dict[int, tuple[int, int]] = {}
    for edge in sorted(new.keys() | old.keys()):
        here = old.get(edge, 0)
        group = GROUPS * passed // total if passed or here else -1
        new_count, old_count = groups.get(group, (0, 0))
        groups[group] = (new_count + new.get(edge, 0), old_count + here)
        passed += here
    return [counts for counts in groups.values() if any(counts)]


def stability_index(groups: Sequence[tuple[int, int]]) -> float:
    """The population stability index of new and old counts, group by group."""
    new_total, old_total = map(sum, zip(*groups, strict=True))
    total = 0.0
    for counts in groups:
        new, old = (max(count, EMPTY) / of for count, of in zip(counts, (new_total, old_total), strict=True))
        total += (new - old) * math.log(new / old)
    return total


def _by_chance(groups: Sequence[tuple[int, int]]) -> float:
    """The index that as many rows of the same kind reach once in a hundred times."""
    freedom = len(groups) - 1
    if not freedom:
        return 0.0
    spread = 2 / (9 * freedom)
    chi_squared = freedom * (1 - spread + NORMAL_99 * math.sqrt(spread)) ** 3  # Wilson and Hilferty's approximation
    return chi_squared * sum(1 / sum(side) for side in zip(*groups, strict=True))


def _shares(report: Mapping[str, Any], baseline: Mapping[str, Any], name: str) -> dict[str, list[float]]:
    """Name -> share of the rows read, in the baseline and now; nothing where the baseline does not tell."""
    now, before, read = report[name], baseline.get(name), baseline["rows"].get("read")
    if not isinstance(before, Mapping) or not isinstance(read, int):
        return {}
    sides = [(before, max(read, 1)), (now, max(report["rows"]["read"], 1))]
    names = sorted({*now, *(key for key, count in before.items() if isinstance(count, int))})
    return {key: [_significant(counts.get(key, 0) / of) for counts, of in sides] for key in names}


def _significant(share: float) -> float:
    """Four digits that count: a row in ten millions is not nothing."""
    return float(f"{share:.4g}")


def _warnings(drift: Mapping[str, Any], rows: Mapping[str, int]) -> Iterator[str]:
    kept, had = (counts.get("train", 0) + counts.get("validation", 0) for counts in (rows, drift["baseline_rows"]))
    if kept < (1 - SHRUNK) * had:
        yield f"{kept:,} rows stay, where the baseline had {had:,}"
    for name, (old, new) in drift["reasons"].items():
        if new - old > GROWN:
            yield f"quarantined as {name}: {new:.1%} of the rows, {old:.1%} in the baseline"
    for said, missing in (("appeared", 0), ("vanished", 1)):
        names = [name for name, shares in drift["formats"].items() if not shares[missing] and shares[1 - missing]]
        if names:
            yield f"layout{'s' if len(names) > 1 else ''} {', '.join(names)} {said}"
    for part, unit, (old, new), index in shifted(drift["lengths"]):
        yield f"{part} lengths shifted: median {new:,} {unit}, {old:,} in the baseline ({index})"


def shifted(lengths: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, tuple[int, int], str]]:
    """The parts whose lengths shifted, each once, by the first unit that shows it: part, unit, the medians before and
    now, and the index in words.

    Args:
        lengths: by unit and part, as `length_drift` has them.
    """
    told = set()
    for unit, parts in lengths.items():
        for part, found in parts.items():
            if found["psi"] > max(SHIFTED, found["chance"]) and part not in told:
                told.add(part)
                yield part, unit, tuple(found["percentiles"]["50"]), f"stability index {found['psi']:.2f}"
