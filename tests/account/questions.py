"""The questions that only an account can answer, each with the look at the run's evidence that answers it.

What the READMEs and the code's comments say "has not run on AWS", and a run on CPUs can settle, stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.account import looks
from tests.account.evidence import Evidence
from tests.account.looks import Answer, NotReached


@dataclass(frozen=True)
class Question:
    """One question, and the look that answers it."""

    text: str
    look: Callable[[Evidence], Answer]


def answers(evidence: Evidence) -> Iterator[tuple[Question, Answer]]:
    """Every question with its answer."""
    for question in QUESTIONS:
        try:
            yield question, question.look(evidence)
        except NotReached as error:
            yield question, Answer(None, f"not asked: the run did not come to {error}")
        except KeyError as error:
            yield question, Answer(False, f"the answer of AWS has no {error}")


QUESTIONS = (
    Question("Does Pipelines take a Register step with ModelDataSource, ModelCard and metadata?", looks.step_accepted),
    Question("Do the roles suffice, and does every step run to its end?", looks.whole),
    Question("Is Std:JsonGet resolved in a job's environment (the data's state in Preprocess)?", looks.environment),
    Question("Is Std:JsonGet resolved in a job's arguments (Champion's reason in Gate)?", looks.argument),
    Question("Is Std:JsonGet resolved within a Std:Join (the prefix of the checkpoints)?", looks.checkpoints),
    Question("Is Std:JsonGet resolved on both sides of a condition (No new data?)", looks.condition),
    Question("Do conditions beside each other stay unreached with a step of another one's branch?", looks.side_by_side),
    Question("Does each side of Merge? reach its own steps alone?", looks.branches),
    Question("What is S3ModelArtifacts of an uncompressed model, and is it no archive?", looks.artifacts),
    Question("Do Preprocess, Train, Gate and Merge come from the cache when nothing has changed?", looks.cache),
    Question("How are numbers written into hyperparameters?", looks.hyperparameters),
    Question("Are metrics read from the lines that Train prints?", looks.metrics),
    Question("Do the names of jobs start with pipelines-EXECUTION-, as the roles' policies count on?", looks.job_names),
    Question("Does the version keep its uncompressed model, and the container its environment?", looks.model_data),
    Question("Does the model card arrive by way of a property file?", looks.card),
    Question("Are the facts of the version resolved (data hash, base, gate)?", looks.metadata),
    Question("Does a job register the same as the step (register_with: job)?", looks.by_job),
    Question("Does a model that fails the gate end the execution with the gate's message?", looks.gate_fails),
    Question("Does the reason that a job writes when it fails reach the step?", looks.job_fails),
    Question("Does a retry keep the jobs that succeeded?", looks.retry),
    Question("Can the log of a job be read with the operator's policy?", looks.logs),
    Question("Does EventBridge Scheduler take the schedule, and is it listed and deleted?", looks.schedule),
)  # fmt: skip
