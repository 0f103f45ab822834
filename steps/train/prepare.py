"""The first part of a training: everything is read, checked, loaded and put together; no step is taken.

What needs no weight comes first, so that a fault in the rows, an adapter or the tokenizer is named before the base is
loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared import contract
from steps.shared.libraries.lean import lean
from steps.shared.signs import phases
from steps.train.arguments import TrainArguments
from steps.train.evaluation import champion
from steps.train.loop import checkpoints, fingerprint
from steps.train.loop.config import trainer_config
from steps.train.loop.moment import run_moment
from steps.train.model import fsdp_cpu, initial_adapter
from steps.train.model.load import load_base, load_template
from steps.train.model.lora import FittedAdapter, fit_adapter, lora_config
from steps.train.model.processors_template import warn_of_other_template
from steps.train.origin import Origin, read_data_page, read_data_report
from steps.train.preflight.this_job import report_base, run_preflight
from steps.train.preflight.vocabulary import require_embedded
from steps.train.rows import reversed as reversed_pairs
from steps.train.rows import splits
from steps.train.run import Run
from steps.train.shared_prompts import grouping

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainerCallback
    from trl import DPOConfig

    from steps.train.loop.held_out_evaluation import HeldOutEvaluation
    from steps.train.loop.metric_lines import MetricLines
    from steps.train.loop.trainer import PairTrainer
    from steps.train.rows.tokenise import Pair
    from steps.train.tracking.callback import Tracking


log = logging.getLogger("train")


def prepare(arguments: TrainArguments) -> Run:
    """
    Raises:
        StepError: the data, the model, an adapter, the arguments or this machine are refused.
    """
    output = output_folder(arguments)
    phases.tell("reading the rows")
    records = splits.read(arguments)
    named = {"train": arguments.train_data, "validation": arguments.validation_data}
    reports = {name: read_data_report(splits.folder(path, name)) for name, path in named.items()}
    splits.require_reported(records, reports)
    data_report = reports["train"]
    arguments = champion.continued(arguments)
    initial = initial_adapter.check(arguments)
    rival = champion.find(arguments)
    phases.tell("reading the tokenizer")
    template = load_template(arguments)
    checkpoints_at = _checkpoint_folder(arguments, output)
    config = trainer_config(arguments, checkpoints_at)
    if config.process_index == 0:
        warn_of_other_template(arguments, template.tokenizer)
    moment = run_moment(template, records, arguments, checkpoints_at)
    template = template.at(moment)
    train, validation = splits.prepare(records, template, arguments, config, output)
    arguments = grouping.decide(arguments, train.pairs)
    seen = train.seen(arguments.feedback_weight)
    require_embedded(arguments, template.tokenizer, [*train.pairs, *validation.pairs])
    phases.tell("checking memory")
    unserved = run_preflight(
        arguments, ranks=config.world_size, rank=config.process_index, rows=len(seen),
        longest=max(train.longest, validation.longest), held_out=len(validation.pairs),
        pair_tokens=train.pair_tokens(shared=arguments.share_prompts),
    )  # fmt: skip
    phases.tell("looking for checkpoints")
    rows_hash = fingerprint.hash_rows(seen, validation.pairs)
    checkpoint, marker = _continue(config, checkpoints_at, fingerprint.of_run(arguments, rows_hash, initial))
    phases.tell("loading the model")
    fitted = fit_adapter(arguments, first=config.process_index == 0)
    report_base(arguments, fitted.coverage, config.world_size)
    trainer = _load_trainer(arguments, template.tokenizer, seen, config, marker, fitted)
    lines, held_out = _add_callbacks(trainer, seen, validation.pairs, initial)
    rows = {split.name: split.counts for split in (train, validation)}
    tracking = _track(trainer, {"rows_hash": rows_hash, "rows": rows}, data_report)
    left = {split.name: split.left for split in (train, validation)}
    reasoning = {split.name: split.reasoning for split in (train, validation)}
    feedback = {split.name: len(split.of_feedback()) for split in (train, validation)}
    turned = reversed_pairs.count([*train.records, *validation.records], data_report)
    return Run(
        output=output,
        template=template,
        validation=validation,
        rows=rows,
        origin=Origin(
            validation.records, left, data_report, initial, moment, reasoning, feedback, fitted.coverage, turned
        ),
        fitted=fitted,
        unserved=unserved,
        rival=rival,
        checkpoint=checkpoint,
        trainer=trainer,
        lines=lines,
        held_out=held_out,
        tracking=tracking,
    )


def output_folder(arguments: TrainArguments) -> Path:
    """The folder of the results."""
    return Path(arguments.output_dir) if arguments.output_dir else contract.root() / "model"


def _checkpoint_folder(arguments: TrainArguments, output: Path) -> Path:
    """Beside the results, or in a job the folder that SageMaker keeps in step with S3."""
    return output / "checkpoints" if arguments.output_dir else contract.root() / "checkpoints"


def _continue(config: DPOConfig, folder: Path, run: str) -> tuple[checkpoints.Checkpoint | None, checkpoints.Marker]:
    """The checkpoint to continue from, if the folder has one of the run with this fingerprint, and the marker for new
    ones.

    Where the checkpoint is of another number of processes, `config` gets the accumulation that makes the same batches.
    """
    checkpoint = _find_checkpoint(config, folder, run)
    if checkpoint is None:
        return None, checkpoints.Marker(run, checkpoints.World(config.world_size, config.gradient_accumulation_steps))
    world = checkpoint.world.of(config.world_size)
    config.gradient_accumulation_steps = world.accumulation
    return checkpoint, checkpoints.Marker(run, world, checkpoint.facts)


def _find_checkpoint(config: DPOConfig, folder: Path, run: str) -> checkpoints.Checkpoint | None:
    """What the first process may continue from, the same for all; on every node, leftovers are removed.

    Nodes may hold different checkpoints: one that took another's place has those that were in S3. The first one's
    newest counts, and the others get what they lack of it.
    """
    from steps.train.runtime import nodes, ranks

    if config.local_process_index == 0:
        checkpoints.clear_staging(folder)
    found = ranks.done_by_first(lambda: checkpoints.newest(folder, run))
    if found is None:
        return None
    found = replace(found, path=folder / found.path.name)  # every node's own
    if copied := nodes.share(found.path, found.files):
        log.info("%s: %d files copied to nodes that lacked them", found.path.name, len(copied))
    return found


def _load_trainer(
    arguments: TrainArguments,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    config: DPOConfig,
    marker: checkpoints.Marker,
    fitted: FittedAdapter,
) -> PairTrainer:
    """The trainer with the base's weights; without a GPU torch and accelerate are prepared for that before."""
    import torch

    if not torch.cuda.is_available():
        fsdp_cpu.apply(arguments.fsdp)
    with lean():
        from steps.train.loop.trainer import PairTrainer

    base = load_base(arguments, fitted.attention, fitted.unquantised)
    peft_config = lora_config(arguments, fitted.places)
    return PairTrainer(arguments, base, tokenizer, pairs, config, marker, peft_config)


def _add_callbacks(
    trainer: PairTrainer, train_pairs: Sequence[Pair], validation_pairs: Sequence[Pair], initial: str | None
) -> tuple[MetricLines, HeldOutEvaluation]:
    """What happens beside the steps, in the order in which it happens.

    Args:
        initial: hash of the initial adapter; None without one.
    """
    from transformers import PrinterCallback

    from steps.train.evaluation.figures import Evaluation
    from steps.train.evaluation.held_out import HeldOut
    from steps.train.loop.early_end import StopOnBadFigures, StopOnSignal, StopWithoutGain
    from steps.train.loop.first_step import FirstStepChecks
    from steps.train.loop.held_out_evaluation import HeldOutEvaluation
    from steps.train.loop.metric_lines import MetricLines
    from steps.train.loop.system_figures import SystemFigures

    arguments, facts = trainer.arguments, trainer.marker.facts
    lines = MetricLines(facts.setdefault("history", []))
    held_out = HeldOutEvaluation(
        trainer,
        HeldOut(validation_pairs, arguments.per_device_eval_batch_size, arguments.beta),
        arguments.eval_steps,
        Evaluation.from_dict(facts["before"]) if facts.get("before") else None,
    )
    trainer.remove_callback(PrinterCallback)
    callbacks: list[TrainerCallback] = [
        FirstStepChecks(trainer),
        *_reference(trainer, train_pairs, initial),
        SystemFigures(trainer),
        StopOnSignal(trainer),
        lines,
        StopOnBadFigures(arguments),
        held_out,
    ]
    if arguments.early_stopping_patience:
        callbacks.append(StopWithoutGain(trainer, held_out))
    for callback in callbacks:
        trainer.add_callback(callback)
    return lines, held_out


def _reference(trainer: PairTrainer, pairs: Sequence[Pair], initial: str | None) -> list[TrainerCallback]:
    """What fills in the reference before the first step, where the arguments ask for that; rank 0 has the cache."""
    from steps.train.loop import reference
    from steps.train.runtime import ranks

    arguments, opened = trainer.arguments, list[reference.Cache]()
    if not arguments.precompute_ref_log_probs:
        return []
    ranks.done_by_first(lambda: opened.append(reference.open_cache(arguments, trainer.folder, initial)))
    return [reference.ReferenceLogProbs(trainer, pairs, opened[0] if opened else None)]


def _track(trainer: PairTrainer, facts: dict[str, Any], data_report: dict[str, Any] | None) -> Tracking:
    """Let the trackers that the arguments name follow this run; added last, it sees what other callbacks log."""
    from steps.train.tracking.callback import Tracking

    if data_report:
        facts |= {"data_hash": data_report["data_hash"]}
    libraries = {f"library.{name}": number for name, number in fingerprint.versions().items()}
    facts |= {"processes": trainer.args.world_size, **libraries}
    tracking = Tracking(
        trainer.arguments, trainer.folder, trainer.marker.fingerprint,
        first_rank=trainer.args.process_index == 0, facts=facts, report=data_report,
        page=read_data_page(splits.folder(trainer.arguments.train_data, "train")),
    )  # fmt: skip
    trainer.add_callback(tracking)
    return tracking
