"""Send to MLflow and W&B what a training could not deliver, into the same runs.

Command:  python -m steps.train.send_tracking --checkpoints DIR [--mlflow_uri URI]
Inputs:   DIR: the checkpoints folder of the training, with trackers.json and tracking-buffer-*.jsonl.
Outputs:  a line a tracker; exit code 1 where something still did not arrive, which then stays in the buffer.
Limits:   what W&B's own process has taken is sent with `wandb sync`, as tracking.json says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from steps.shared import contract
from steps.shared.contract import StepError
from steps.train.tracking.outbox import Delivery
from steps.train.tracking.runs import load_state, open_trackers
from steps.train.tracking.settings import fault
from steps.train.tracking.tracker import Status

SECONDS = 120.0


def main(argv: list[str]) -> None:
    """
    Raises:
        StepError: a tracker still does not take everything.
    """
    parser = argparse.ArgumentParser(prog="python -m steps.train.send_tracking", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=Path, required=True, help="the checkpoints folder of the training")
    parser.add_argument("--mlflow_uri", help="MLflow's address, where it has changed or holds a password")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long to try (default: %(default)s)")
    options = parser.parse_args(argv)
    state = load_state(options.checkpoints)
    if options.mlflow_uri:
        if said := fault(options.mlflow_uri):
            raise StepError(f"--mlflow_uri: {said}")
        state.arguments["mlflow_uri"] = options.mlflow_uri
    waiting = [one for one in open_trackers(state, options.checkpoints) if one.buffer.is_file()]
    if not waiting:
        print(f"{options.checkpoints}: nothing is waiting to be sent")
    missing = [said for delivery in waiting if (said := send(delivery, state.status, options.seconds))]
    if missing:
        raise StepError("; ".join(missing))


def send(delivery: Delivery, status: Status, seconds: float) -> str | None:
    """Send one tracker's entries; what is wrong where they did not all arrive."""
    delivery.start()
    outcome = delivery.finish(status, seconds)
    name = delivery.tracker.name
    print(f"{name}: {outcome.delivered} entries sent, {len(outcome.refused)} refused", flush=True)
    if outcome.undelivered or not outcome.closed:
        left = sum(outcome.undelivered.values())
        return f"{name}: {left} entries are still in {delivery.buffer}: {outcome.last_error}; try again later"
    return None


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
