"""Run train.py and write what the held-out prompts were answered, as every rank has it, to files beside the results.

Command:  python tests/steps/train/answers/in_ranks.py FOLDER --config FILE …, alone or under torchrun
Outputs:  FOLDER/RANK.json: questions' ids, each side's answers, and the rest; or the reason why there are none.
          FOLDER/late-RANK.json: the same once more, with a time that is over at once.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[4])

from steps.shared import contract
from steps.train import train
from steps.train.answers import ask
from steps.train.answers.said import Answers

plain = ask.ask


def ask_and_write(*given: Any) -> Answers | str:
    scorer, *other, arguments = given
    answers = plain(*given)
    write("", answers)
    late = arguments.model_copy(update={"evaluate_answers": 9, "answers_max_minutes": 1e-9})
    before, scorer.arguments = scorer.arguments, scorer.arguments.model_copy(update={"answers_max_minutes": 1e-9})
    write("late-", plain(scorer, *other, late))
    scorer.arguments = before
    return answers


def write(begins: str, answers: Answers | str) -> None:
    told = answers if isinstance(answers, str) else asdict(answers)
    (Path(sys.argv[1]) / f"{begins}{os.environ.get('RANK', '0')}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    ask.ask = ask_and_write
    sys.exit(contract.run(lambda: train.main(sys.argv[2:])))
