"""A run in Weights & Biases, online or, with WANDB_MODE=offline, in a folder that `wandb sync` sends later."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steps.train.tracking.tracker import Entry, Status

INIT_SECONDS, FINISH_SECONDS = 30, 20


class WandbRun:
    """A Tracker (tracker.py). W&B's own process keeps what is logged in `folder`/wandb and uploads it."""

    name = "wandb"

    def __init__(
        self,
        project: str,
        run_name: str | None,
        run_id: str,
        folder: Path,
        pipeline: str | None = None,
        tags: Mapping[str, str] | None = None,
    ):
        self.project, self.run_name, self.run_id, self.folder = project, run_name, run_id, folder
        self._pipeline, self._tags = pipeline, dict(tags or {})
        self.offline = False
        self._run: Any = None
        self._timed_out = False

    def open(self) -> None:
        import wandb

        settings = wandb.Settings(
            init_timeout=INIT_SECONDS,
            login_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
            finish_timeout_raises=True,
            silent=True,
            console="off",
            disable_git=True,
            x_disable_stats=True,  # gpu_metrics measures every rank's GPU; W&B's own would see this node's only
        )
        self._run = wandb.init(
            project=self.project, name=self.run_name, id=self.run_id, resume="allow", dir=str(self.folder),
            group=self._pipeline, settings=settings,
        )  # fmt: skip
        self._run.config.update(self._tags, allow_val_change=True)  # W&B's own tags are words without a name
        self.offline = bool(self._run.settings._offline)
        # A restarted run logs some steps again, which W&B's own step, ever growing, would drop.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def send(self, entry: Entry) -> None:
        if entry.kind == "metrics":
            self._run.log({**entry.values, "step": entry.step})
        elif entry.kind == "text":
            for name, text in entry.values.items():
                file = Path(self._run.dir) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
                self._run.save(file, base_path=self._run.dir, policy="now")
        elif entry.kind == "table":
            self._run.log({**self._tables(entry), "step": entry.step})
        else:
            values = {"data_report": entry.values} if entry.kind == "report" else entry.values
            self._run.config.update(values, allow_val_change=True)

    def _tables(self, entry: Entry) -> dict[str, Any]:
        import wandb

        return {
            name.removesuffix(".json"): wandb.Table(columns=table["columns"], data=table["data"])
            for name, table in entry.values.items()
        }

    def place(self) -> dict[str, Any]:
        return {"project": self.project, "offline": self.offline}

    def sync_commands(self, *, closed: bool) -> list[str]:
        left = self.folders(uploaded=closed and not self.offline)
        return [shlex.join(["wandb", "sync", *map(str, left)])] if left else []

    def folders(self, *, uploaded: bool) -> list[Path]:
        """What `wandb sync` takes, of this start of the run and of earlier ones; `uploaded`: this one needs no sync."""
        kind = "offline-run" if uploaded else "*run"
        return sorted(self.folder.glob(f"wandb/{kind}-*-{self.run_id}"))

    def close(self, status: Status) -> None:
        if self._timed_out:  # a second `finish` returns at once and would look like success
            raise TimeoutError(f"the upload did not end within {FINISH_SECONDS} s")
        try:
            self._run.finish(exit_code=0 if status == "FINISHED" else 1)
        except TimeoutError:
            self._timed_out = True
            raise
