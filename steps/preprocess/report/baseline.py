"""An earlier run's report, as something to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from steps.preprocess.duplicates import ids
from steps.preprocess.report.drift import compare
from steps.shared.contract import StepError, read_json


@dataclass(frozen=True)
class Baseline:
    """What the earlier run reported, and the ids of its rows (see ids.read_ids) where they are beside the report."""

    report: dict[str, Any]
    ids: np.ndarray | None

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """From the folder of a report, or from report.json itself.

        Raises:
            StepError: there is no report, or it cannot be read.
        """
        report, folder = read_report(path)
        return cls(report, ids.read_ids(folder))

    def compare(self, report: dict[str, Any], folder: Path) -> dict[str, Any]:
        """The drift of a report whose ids lie in `folder`."""
        own = ids.read_ids(folder)
        rows = ids.compare(own, self.ids) if own is not None and self.ids is not None else None
        return compare(report, self.report, rows)


def read_report(path: Path) -> tuple[dict[str, Any], Path]:
    """An earlier run's report and the folder that it lies in; raises as `Baseline.read` does."""
    file = path / "report.json" if path.is_dir() else path
    report = read_json(file, "the --baseline report")
    if not isinstance(report, dict) or not isinstance(report.get("rows"), dict):
        raise StepError(f"{file}: not a report that Preprocess wrote; --baseline must name its report folder")
    return report, file.parent
