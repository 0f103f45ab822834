"""What a run tells MLflow and W&B, and how a restarted job continues the same run there. Only rank 0 tells.

Beside the checkpoints: trackers.json (which runs these are; a restart with the same fingerprint continues them), and
tracking-buffer-*.jsonl while a tracker is down. In the output folder: tracking.json, what arrived and what did not.
"""

from __future__ import annotations

import importlib
import logging
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from steps.shared import contract
from steps.shared.libraries.lean import uncollected
from steps.train.arguments import TrainArguments
from steps.train.runtime.interruption import Interrupted
from steps.train.tracking import figures, final, label
from steps.train.tracking.outbox import Delivery, Outcome
from steps.train.tracking.runs import State, open_trackers
from steps.train.tracking.settings import shown
from steps.train.tracking.tracker import Entry, Status

log = logging.getLogger("train")

REPORT = "tracking.json"
FINISH_SECONDS = 30.0  # that the end of a training waits for what is still on its way
STOP_SECONDS = 10.0  # the same where it failed or was stopped: SageMaker kills a stopped job after 120 s


class Tracking(TrainerCallback):
    """Tells the trackers; does nothing on other ranks, or where none is named.

    Args:
        facts: told once beside the arguments: data hash, library versions, processes.
        report: the Preprocess step's report of the data, where it is at hand.
        page: the same as a page, HTML.
    """

    def __init__(
        self,
        arguments: TrainArguments,
        folder: Path,
        fingerprint: str,
        *,
        first_rank: bool,
        facts: Mapping[str, Any],
        report: Mapping[str, Any] | None = None,
        page: str | None = None,
    ):
        self.folder = folder
        self.deliveries: list[Delivery] = []
        self.outcomes: dict[str, Outcome] = {}
        if not first_rank or not (arguments.mlflow_uri or arguments.wandb_project):
            return
        self.state = State.of(folder, fingerprint, arguments, label.of(arguments, os.environ, facts))
        self.state.write(folder)
        self.deliveries = open_trackers(self.state, folder)
        with uncollected():  # seconds, which would otherwise slow the first steps down
            for delivery in self.deliveries:
                importlib.import_module(delivery.tracker.name)
        self._put(Entry("params", shown(arguments) | {"fingerprint": fingerprint} | dict(facts)))
        if report:
            self._put(Entry("report", dict(report)))
        if page:
            self._put(Entry("text", {final.DATA_PAGE: page}))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for delivery in self.deliveries:
            delivery.start()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        self._put_figures(figures.named(logs or {}), state.global_step)
        self._note_runs()

    @contextmanager
    def run(self) -> Iterator[None]:
        """Around the training: a run that fails, or stops before `finish`, is ended as such in the trackers too."""
        try:
            yield
        except BaseException as error:
            failed = isinstance(error, Exception) and not isinstance(error, Interrupted)
            self._end("FAILED" if failed else "KILLED", STOP_SECONDS)
            raise
        self._end("KILLED", STOP_SECONDS)

    def finish(
        self,
        output: Path,
        evaluation: Mapping[str, Any],
        step: int,
        card: str,
        answers: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Tell the final evaluation, the answers, the model card and the reports, end the run, and write tracking.json.

        Args:
            card: the model card's name in `output`.
            answers: the rows of answers.jsonl, where there are any.
        """
        for group in final.figures(evaluation):
            self._put_figures(group, step)
        if answers:
            self._put(Entry("table", {final.ANSWERS: final.table(answers)}, step))
        for name in (card, *final.FILES) if self.deliveries else ():
            if (output / name).is_file():
                self._put(Entry("text", {name: (output / name).read_text(encoding="utf-8")}))
        self._end("FINISHED", FINISH_SECONDS)
        if self.outcomes:
            contract.write_json(output / REPORT, self.account())

    def account(self) -> dict[str, Any]:
        """What each tracker got and did not get, and how to send the rest."""
        found = {}
        for delivery in self.deliveries:
            tracker = delivery.tracker
            told = {"run_id": tracker.run_id, "to_send": self.to_send(delivery), "checkpoints": str(self.folder)}
            told |= tracker.place()
            found[tracker.name] = asdict(self.outcomes[tracker.name]) | told
        return found

    def to_send(self, delivery: Delivery) -> str | None:
        """The commands that send what did not arrive; None where all did."""
        outcome = self.outcomes[delivery.tracker.name]
        commands = delivery.tracker.sync_commands(closed=outcome.closed)
        if outcome.undelivered or not (outcome.closed or commands):
            commands.append(f"python -m steps.train.send_tracking --checkpoints {shlex.quote(str(self.folder))}")
        return " && ".join(commands) or None

    def _end(self, status: Status, seconds: float) -> None:
        """Once; later calls find the deliveries ended."""
        if self.deliveries and not self.outcomes:
            self.state.status = status
            self.state.write(self.folder)
        for delivery in self.deliveries:
            name = delivery.tracker.name
            if name in self.outcomes:
                continue
            if not delivery.started:  # the training failed before its first step: there is nothing to tell
                continue
            outcome = self.outcomes[name] = delivery.finish(status, seconds)
            if not outcome.whole:
                missing = ", ".join(f"{count} {kind}" for kind, count in outcome.undelivered.items()) or "no entries"
                log.warning(
                    "%s: not delivered: %s; refused: %d; %s%s", name, missing, len(outcome.refused),
                    outcome.last_error or "the run's end was not told" * (not outcome.closed),
                    f"; to send it: {self.to_send(delivery)}" if self.to_send(delivery) else "",
                )  # fmt: skip
        self._note_runs()

    def _note_runs(self) -> None:
        """Write down the runs' ids: MLflow's is known only once the server has answered."""
        if self.deliveries and self.state.note({one.tracker.name: one.tracker.run_id for one in self.deliveries}):
            self.state.write(self.folder)

    def _put_figures(self, named: Mapping[str, Any], step: int) -> None:
        numbers = {key: float(value) for key, value in named.items() if isinstance(value, (int, float))}
        if numbers:
            self._put(Entry("metrics", numbers, step))

    def _put(self, entry: Entry) -> None:
        for delivery in self.deliveries:
            delivery.put(entry)
