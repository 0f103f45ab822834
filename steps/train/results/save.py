"""What a finished training leaves in its output folder; the manifest comes last and says that the run is whole."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from steps.shared import contract
from steps.shared.weights.identity import identity
from steps.train.answers import section, write
from steps.train.evaluation import figures
from steps.train.loop.fingerprint import versions
from steps.train.model.shape import base_folder
from steps.train.results import curves, hub_card, picture_and_page, registry_card
from steps.train.results.facts import collect_facts
from steps.train.results.tokenizer_files import copy_tokenizer
from steps.train.served import probes
from steps.train.tracking import settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from steps.train.answers.said import Answers
    from steps.train.run import Run


def save(run: Run, judged: dict[str, Any], answers: Answers | str, probed: list[dict[str, Any]]) -> None:
    """Write the results beside the adapter, which is there already, on the first rank's node. All ranks must call it
    together.

    Args:
        judged: by their keys the parts of evaluation.json that are made after training: `served`, `champion`.
        answers: what base, model and champion said to held-out prompts, or why there is nothing.
        probed: the held-out answers that a merge is compared with.

    Raises:
        StepError: the base's files cannot be copied; on every rank.
    """
    from steps.train.runtime import ranks

    ranks.done_by_first(lambda: _write(run, judged, answers, probed))


def _write(run: Run, judged: dict[str, Any], answers: Answers | str, probed: list[dict[str, Any]]) -> None:
    output, trainer, origin = run.output, run.trainer, run.origin
    copy_tokenizer(trainer.arguments, cast("PreTrainedTokenizerBase", trainer.processing_class), output)
    before, after = run.held_out.before_and_after()
    answered, answer_rows = write.judge_and_write(answers, run.template, trainer.arguments, output)
    evaluation = {
        "rows": after.rows,
        "beta": trainer.arguments.beta,
        "before": before.as_dict(),
        "after": after.as_dict(),
        "tokenised": run.rows,
        "reasoning": dict(origin.reasoning),
        "feedback": {**origin.feedback, "weight": trainer.arguments.feedback_weight, **origin.reversed},
        "margins": [row.as_dict() for row in run.held_out.margins],
        "binary_classification_metrics": figures.model_quality(after),
        **judged,
        "answers": answered,
    }
    contract.write_json(output / "evaluation.json", evaluation)
    probes.write(output, probed)
    history = curves.finite(run.lines.history)
    contract.write_json(output / "history.json", history)
    arguments = settings.shown(trainer.arguments)
    shares = origin.coverage.sentences(trainer.arguments) if origin.coverage else []
    picture_and_page.write(output, evaluation, history, arguments, origin, shares, answer_rows)
    training = {"steps": trainer.state.global_step, "pairs": trainer.pairs_per_step}
    facts = collect_facts(evaluation, arguments, origin, training, versions())
    hub_card.write(output, facts)
    registry_card.write(output, facts)
    run.tracking.finish(output, evaluation, trainer.state.global_step, hub_card.CARD, answer_rows)
    written = [path for pattern in ("*", "additional_chat_templates/*") for path in sorted(output.glob(pattern))]
    files = {path.relative_to(output).as_posix(): contract.sha256(path) for path in written if path.is_file()}
    manifest = {
        "steps_planned": trainer.state.max_steps,
        "steps_done": trainer.state.global_step,
        "fingerprint": trainer.marker.fingerprint,
        "arguments": arguments,
        "base": identity(base_folder(trainer.arguments)),
        "chat_template": {
            "kwargs": trainer.arguments.chat_template_kwargs,
            "moment": origin.moment.isoformat() if origin.moment else None,
        },
        "coverage": asdict(origin.coverage) if origin.coverage else None,
        "files": files,
    }
    contract.write_json(output / "manifest.json", manifest)
    print(
        f"held-out reward accuracy {before.reward_accuracy:.3f} -> {after.reward_accuracy:.3f}{_as_served(judged)}, "
        f"loss {before.loss:.4f} -> {after.loss:.4f} on {after.rows} rows; {section.in_short(answered)}; "
        f"adapter in {output}",
        flush=True,
    )


def _as_served(judged: dict[str, Any]) -> str:
    """The accuracy in the served form, where that is another one and was evaluated."""
    served = judged["served"]
    if not served["evaluated"] or served["same"]:
        return ""
    return f" ({served['after']['reward_accuracy']:.3f} as served)"
