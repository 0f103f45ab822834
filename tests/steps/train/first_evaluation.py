"""Run train.py and write the log-probabilities of its first held-out evaluation, a row each, to the file named first.

Command:  python tests/steps/train/first_evaluation.py FILE --config FILE …, alone or under torchrun
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[3])

from steps.shared import contract
from steps.train import train
from steps.train.evaluation.held_out import HeldOut, RowMargin
from steps.train.loop.trainer import PairTrainer

evaluate = HeldOut.evaluate


def evaluate_and_write(self: HeldOut, trainer: PairTrainer, phase: str) -> list[RowMargin]:
    rows = evaluate(self, trainer, phase)
    file = Path(sys.argv[1])
    if trainer.args.process_index == 0 and not file.exists():
        file.write_text(json.dumps([asdict(row) for row in rows]))
    return rows


if __name__ == "__main__":
    HeldOut.evaluate = evaluate_and_write
    sys.exit(contract.run(lambda: train.main(sys.argv[2:])))
