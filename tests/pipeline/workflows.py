"""The workflows that tests walk: all that are shipped, and those that need what none of them does."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import ROOT

NO_WORKFLOWS = ("account", "infrastructure")
WORKFLOWS = sorted(path for path in (ROOT / "configs").glob("*.yaml") if path.stem not in NO_WORKFLOWS)
SPARK, CANDIDATES = (Path(__file__).parent / "data" / f"{name}.yaml" for name in ("spark", "candidates"))
