"""The held-out evaluation in the form that is served, where the run asks for it and it can be had.

What is served is the unquantised base with the adapter, or a merge of both; what trained was the base in NF4. The
trained model is freed first, so that this takes the place that training had. The figures before training are those of
the same base without the trained adapter (with `initial_adapter`, with that one), which is the reference. Limits: the
recipe's compute dtype and this framework's arithmetic, which a server's kernels round otherwise.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steps.shared.signs import phases
from steps.train.evaluation.figures import RowMargin, summarise
from steps.train.evaluation.held_out import HeldOut
from steps.train.runtime import out_of_memory
from steps.train.served import drift, host_memory, probes

if TYPE_CHECKING:
    from steps.train.evaluation.scorer import Scorer
    from steps.train.loop.trainer import PairTrainer
    from steps.train.run import Run

log = logging.getLogger(__name__)

WITHOUT_MEMORY = (
    "evaluate_served: false, which judges on the base in NF4 alone",
    "a lower per_device_eval_batch_size; the next start of the run trains no further and judges again",
)


@dataclass(frozen=True)
class Judged:
    """What judges a trained model from here on.

    Attributes:
        scorer: the model that is compared and that answers: in the served form where there is one.
        margins: the held-out rows by that model, in their order.
        section: `served` of evaluation.json.
        probes: of `probes.json`; empty where nothing was evaluated as served.
    """

    scorer: Scorer
    margins: list[RowMargin]
    section: dict[str, Any]
    probes: list[dict[str, Any]]


def evaluate(run: Run) -> Judged:
    """Evaluate the held-out rows in the served form, or say why not. All ranks must call it together, with the adapter
    saved; where the served form is loaded, the run's trainer computes nothing any more.

    Raises:
        StepError: the base cannot be loaded, or a log-probability is not finite.
        Interrupted: a process got SIGTERM.
    """
    trainer, trained = run.trainer, run.held_out.margins
    if not trainer.arguments.load_in_4bit:
        return _as_served(run, trainer, trained, 0.0)
    if reason := run.unserved or host_memory.lacking(trainer.arguments, run.fitted.coverage.weights):
        log.info("not evaluated as served: %s", reason)
        return Judged(trainer, trained, {"evaluated": False, "reason": reason}, [])
    started = time.perf_counter()
    pairs, arguments = run.validation.pairs, trainer.arguments
    with out_of_memory.explained(arguments, WITHOUT_MEMORY):
        scorer = _reload(run)
        margins = HeldOut(pairs, arguments.per_device_eval_batch_size, arguments.beta).evaluate(
            scorer, "evaluation as served"
        )
    judged = _as_served(run, scorer, margins, time.perf_counter() - started)
    _tell(judged.section)
    return judged


def _reload(run: Run) -> PairTrainer:
    """The served form in the trained one's place."""
    from steps.train.served.load import load
    from steps.train.served.release import release

    phases.tell("loading the served form")
    release(run.trainer)
    return load(run)


def _as_served(run: Run, scorer: PairTrainer, margins: list[RowMargin], seconds: float) -> Judged:
    section = _section(run, scorer, margins, seconds)
    return Judged(scorer, margins, section, probes.find(run.validation.pairs, margins))


def _section(run: Run, scorer: PairTrainer, margins: list[RowMargin], seconds: float) -> dict[str, Any]:
    """What evaluation.json says, for a form that was evaluated."""
    beta, kind = scorer.arguments.beta, scorer.arguments.compute_kind
    same = scorer is run.trainer
    section: dict[str, Any] = {
        "evaluated": True,
        "reason": None,
        "same": same,
        "form": f"the base in {kind} with the adapter",
        "dtype": kind,
        "before": summarise(drift.untrained(margins), beta).as_dict(),
        "after": summarise(margins, beta).as_dict(),
    }
    if not same:  # otherwise they are the evaluation's own
        section["margins"] = [row.as_dict() for row in margins]
    return section | {
        "drift": drift.drift(run.held_out.margins, margins, beta),
        "seconds": seconds,
    }


def _tell(section: dict[str, Any]) -> None:
    apart, after = section["drift"], section["after"]
    log.info(
        "as served (%s): held-out reward accuracy %.3f (%+.3f against the trained form), %d of %d rows change sides; "
        "%.1f s", section["form"], after["reward_accuracy"], apart["accuracy"], apart["rows_changed"], apart["rows"],
        section["seconds"],
    )  # fmt: skip
