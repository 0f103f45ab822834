"""Training runs as their page sees them, without a run."""

from __future__ import annotations

import math
import random
from typing import Any

from steps.shared.records import Record
from steps.train.evaluation.figures import RowMargin, model_quality, summarise
from tests import judged
from tests.steps.preprocess.reports import EVIL

BETA = 0.1


def record(number: int, text: str = "Is it going to rain?", **other: Any) -> Record:
    facts = {"tools": None, "format": "chat", "source_file": "chats.jsonl", "source_line": number + 1}
    return Record(
        id=f"row-{number}",
        prompt=[{"role": "user", "content": text}],
        chosen=[{"role": "assistant", "content": f"{text} It will, in {number} hours."}],
        rejected=[{"role": "assistant", "content": f"{text} No idea."}],
        **facts | other,
    )


def run(
    rows: int = 60, *, gain: float = 3.0, bias: float = 0.0, hostile: bool = False, steps: int = 40
) -> dict[str, Any]:
    """The arguments of `page.render`: margins around `gain` nats, plus `bias` for each token that chosen is longer."""
    draw = random.Random(7)
    text, layouts = (EVIL, (EVIL, "chat")) if hostile else ("Is it going to rain?", ("chat", "hh"))
    tool = {"type": "function", "function": {"name": EVIL if hostile else "weather", "parameters": {}}}
    records = [
        record(
            number,
            text,
            format=layouts[number % 2],
            tools=[tool] if number % 3 == 0 else None,
            source_file=EVIL if hostile else "chats.jsonl",
        )
        for number in range(rows)
    ]
    before, after = [], []
    for one in records:
        chosen, rejected = draw.randint(5, 40), draw.randint(5, 40)
        facts = (-20.0, -20.0, chosen, rejected, one.format, bool(one.tools))
        moved = draw.gauss(gain, 2) + bias * (chosen - rejected)
        before.append(RowMargin(one.id, -20.0, -20.0, *facts))
        after.append(RowMargin(one.id, -21.0, -21.0 - moved, *facts))
    whole = summarise(after, BETA)
    evaluation = {
        "rows": rows,
        "beta": BETA,
        "before": summarise(before, BETA).as_dict(),
        "after": whole.as_dict(),
        "tokenised": {
            "train": {"given": 600, "used": 590, "too_long": 10},
            "validation": {"given": rows, "used": rows},
        },
        "reasoning": {"train": 0, "validation": 0},
        "margins": [row.as_dict() for row in after],
        "binary_classification_metrics": model_quality(whole),
        "champion": None,
    }
    history: list[dict[str, Any]] = [
        {"step": 0, "eval_loss": math.log(2), "eval_reward_accuracy": 0.5, "eval_reward_margin": 0.0}
    ]
    for step in range(5, steps + 1, 5):
        reward = step / steps
        history.append(
            {"step": step, "loss": 0.7 - 0.4 * reward, "reward_accuracy": 0.5 + reward / 4, "reward_margin": reward,
             "reward_chosen": -reward, "reward_rejected": -2 * reward, "learning_rate": 1e-5, "grad_norm": 2 - reward}
        )  # fmt: skip
    history.append(
        {"step": steps, "eval_loss": whole.loss, "eval_reward_accuracy": whole.reward_accuracy,
         "eval_reward_margin": whole.reward_margin}
    )  # fmt: skip
    arguments = {
        "model_id": EVIL if hostile else "Qwen/Qwen3-8B",
        "loss_type": ["sigmoid", "sft"],
        "mlflow_uri": "https://tracker.test/mlflow",
        "run_name": None,
    }
    places = {"train": {"too_long": [EVIL if hostile else "chats.jsonl:7"]}, "validation": {}}
    return {
        "evaluation": evaluation,
        "history": history,
        "arguments": arguments,
        "places": places,
        "records": records,
    }


def judged_run(*, champion: bool = True, hostile: bool = False) -> dict[str, Any]:
    """A run that was evaluated as it is served, and whose answers were judged."""
    made = run(hostile=hostile)
    made["answers"] = judged.rows(36, champion=champion, hostile=hostile)
    made["evaluation"] |= {"served": judged.served(made["evaluation"]), "answers": judged.answers(made["answers"])}
    if hostile:
        made["evaluation"]["answers"] |= {"no_champion": EVIL, "not_asked": {EVIL: 2}, "parser": EVIL}
        made["evaluation"]["served"]["form"] = EVIL
    return made


def not_judged_run() -> dict[str, Any]:
    made = run()
    made["evaluation"] |= {"served": judged.NOT_SERVED, "answers": judged.NOT_JUDGED}
    return made


ALL = {
    "sound": run,
    "one_row": lambda: run(1, steps=5),
    "long": lambda: run(3000, steps=20_000),
    "biased": lambda: run(bias=0.4),
    "hostile": lambda: run(hostile=True),
    "judged": judged_run,
    "judged_hostile": lambda: judged_run(hostile=True),
    "not_judged": not_judged_run,
}
