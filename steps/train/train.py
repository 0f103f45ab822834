"""Train a LoRA adapter with DPO on preference pairs (FSDP2 + QLoRA), evaluate it on held-out pairs, save it.

Command:  python steps/train/train.py --config FILE [--key value …]
          python steps/train/train.py --config FILE --preview N: prints N training rows with their loss mask, no more
          torchrun --nproc_per_node N steps/train/train.py --config FILE [--key value …]
Inputs:   --config: a YAML recipe (steps/train/arguments.py lists every key; --key value overrides it);
          folders of Parquet from the Preprocess step: --train_data and --validation_data, in a job the channels.
Outputs:  in --output_dir, in a job /opt/ml/model: the adapter, its model cards README.md and
          model_card.json, the tokenizer, evaluation.json, history.json, training.png, report.html and manifest.json,
          which is written last: without it the run did not finish; left_out.jsonl names every row that was cut or left
          out, and tracking.json what trackers got, where there are.
Limits:   FSDP needs torchrun (`--fsdp false` otherwise); text models with a chat template.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Run as a script, this file's folder is first on the path; the packages are found from the folder above `steps`.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from steps.shared import contract, secrets
from steps.shared.contract import StepError
from steps.shared.records import read_records
from steps.train import arguments as train_arguments
from steps.train.arguments import TrainArguments
from steps.train.evaluation import champion
from steps.train.loop import checkpoints, fingerprint
from steps.train.model import adapter, fsdp_cpu
from steps.train.results import picture_and_page, save
from steps.train.results.picture_and_page import Sources
from steps.train.rows import preview, splits
from steps.train.tracking import settings

if TYPE_CHECKING:
    from trl import DPOConfig

    from steps.train.loop.callbacks import HeldOutEvaluation, MetricLines
    from steps.train.loop.reference_cache import Cache
    from steps.train.loop.trainer import PairTrainer
    from steps.train.rows.tokenise import Pair
    from steps.train.tracking.callback import Tracking

log = logging.getLogger("train")


def main(argv: list[str]) -> None:
    argv, preview_rows = preview.take(argv)
    path, overrides = train_arguments.parse(argv)
    overrides = {key: contract.resolve(value) for key, value in overrides.items()}
    arguments = settings.with_default(train_arguments.load(path, overrides), os.environ)
    secrets.load()
    if preview_rows:
        return show_preview(arguments, preview_rows)
    check_launch(arguments)
    settings.check(arguments)
    prepare_environment(arguments)

    output = Path(arguments.output_dir) if arguments.output_dir else contract.root() / "model"
    records = splits.read(arguments)
    data_report = picture_and_page.of_data(splits.folder(arguments.train_data, "train"))
    from steps.train.model import initial_adapter
    from steps.train.model.load import load_base, load_tokenizer, lora_config
    from steps.train.preflight.this_job import run_preflight

    arguments = champion.continued(arguments)
    initial = initial_adapter.check(arguments)
    rival = champion.find(arguments)
    tokenizer = load_tokenizer(arguments)
    config = trainer_config(arguments, checkpoint_folder(arguments, output))
    train, validation = splits.prepare(records, tokenizer, arguments, config, output)
    longest = max(train.longest, validation.longest)
    run_preflight(arguments, ranks=config.world_size, rank=config.process_index, rows=len(train.pairs), longest=longest)
    rows_hash = fingerprint.hash_rows(train.pairs, validation.pairs)
    run = fingerprint.of_run(arguments, rows_hash, initial)
    resume = find_checkpoint(config, run)
    world = checkpoints.World(config.world_size, arguments.gradient_accumulation_steps)
    if resume:
        world = resume.world.of(config.world_size)
        config.gradient_accumulation_steps = world.accumulation
    marker = checkpoints.Marker(run, world, resume.facts if resume else {})

    import torch

    if not torch.cuda.is_available():
        fsdp_cpu.apply(arguments.fsdp)
    from steps.train.loop import reference
    from steps.train.loop.trainer import PairTrainer

    trainer = PairTrainer(
        arguments, load_base(arguments), tokenizer, train.pairs, config, marker, peft_config=lora_config(arguments)
    )
    cache = None
    if arguments.precompute_ref_log_probs and config.process_index == 0:
        cache = reference.open_cache(arguments, Path(config.output_dir), initial)
    lines, held_out = add_callbacks(trainer, arguments, train.pairs, validation.pairs, cache)
    rows = {split.name: split.counts for split in (train, validation)}
    left = {split.name: split.left for split in (train, validation)}
    sources = Sources(validation.records, left, data_report, initial)
    tracking = track(trainer, arguments, {"rows_hash": rows_hash, "rows": rows}, data_report)
    if resume:
        log.info("continuing from %s", resume.path.name)
    with tracking.run():
        trainer.interruption.listen()
        trainer.train(resume_from_checkpoint=str(resume.path) if resume else None)
        if trainer.interrupted:
            raise trainer.interruption.ended(trainer.state.global_step)
        take_best(trainer, held_out)
        compared = champion.compare(rival, trainer, validation.pairs, held_out.margins) if rival else None
        save.save(output, trainer, tokenizer, lines, held_out, rows, sources, tracking, compared)
    # A rank that leaves while another works can abort in the threads of its process group.
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()


def show_preview(arguments: TrainArguments, rows: int) -> None:
    """Print what the model would be trained on; reads the tokenizer and the training rows, and no weight."""
    from steps.train.model.load import load_tokenizer

    prepare_environment(arguments)
    records = read_records(splits.folder(arguments.train_data, "train"))
    preview.show(records, load_tokenizer(arguments), arguments, rows)


def check_launch(arguments: TrainArguments) -> None:
    """
    Raises:
        StepError: FSDP is asked for in a process that torchrun did not start.
    """
    if arguments.fsdp and "LOCAL_RANK" not in os.environ:
        raise StepError(
            "fsdp: true needs torchrun: torchrun --nproc_per_node N steps/train/train.py …; "
            "for one process without sharding add --fsdp false"
        )


def prepare_environment(arguments: TrainArguments) -> None:
    """Set what libraries read from the environment when they are imported."""
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stdout)
    for noisy in ("httpx", "datasets", "torch.distributed", "accelerate", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # an optional CPU kernel that this project does not use
    # Names that transformers deprecates and trl 1.16 still sets; nothing that a user wrote.
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing. is deprecated", category=FutureWarning)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def checkpoint_folder(arguments: TrainArguments, output: Path) -> Path:
    """Beside the results, or in a job the folder that SageMaker keeps in step with S3."""
    return output / "checkpoints" if arguments.output_dir else contract.root() / "checkpoints"


def trainer_config(arguments: TrainArguments, checkpoints_at: Path) -> DPOConfig:
    """TRL's configuration; making it starts the process group, so it comes before anything collective.

    Raises:
        StepError: this machine or TRL refuses the arguments, such as bf16 on a GPU without it.
    """
    import torch
    from trl import DPOConfig

    taken = set(DPOConfig.__dataclass_fields__) & set(TrainArguments.model_fields)
    own = {"output_dir", "fsdp_config", "fsdp", "trust_remote_code", "save_total_limit", "precompute_ref_log_probs"}
    try:
        return DPOConfig(
            output_dir=str(checkpoints_at),
            **{name: getattr(arguments, name) for name in sorted(taken - own)},
            fsdp=arguments.fsdp or None,
            fsdp_config=arguments.fsdp_config.model_dump() if arguments.fsdp else None,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",  # trackers.Tracking tells them: those of transformers stop a run whose tracker is down
            disable_dropout=False,  # load_base has taken the base's dropout away; TRL would also take the adapter's
            disable_tqdm=True,
            save_strategy="steps",
            save_total_limit=None,  # PairTrainer removes old checkpoints, once the new one is whole
            logging_nan_inf_filter=False,  # StopOnBadFigures is to see them
            eval_strategy="no",  # HeldOutEvaluation does it, each row once
            dataloader_pin_memory=torch.cuda.is_available(),
            log_level="warning",
        )
    except ValueError as error:
        raise StepError(f"the training arguments are refused: {error}") from None


def find_checkpoint(config: DPOConfig, run: str) -> checkpoints.Checkpoint | None:
    """What the first process may continue from, the same for all; on every node, leftovers are removed."""
    from steps.train.runtime import ranks

    folder = Path(config.output_dir)
    if config.local_process_index == 0:
        shutil.rmtree(folder / checkpoints.STAGING, ignore_errors=True)
    return ranks.from_first(checkpoints.newest(folder, run) if config.process_index == 0 else None)


def add_callbacks(
    trainer: PairTrainer,
    arguments: TrainArguments,
    train_pairs: list[Pair],
    validation_pairs: list[Pair],
    cache: Cache | None,
) -> tuple[MetricLines, HeldOutEvaluation]:
    """What happens beside the steps; `cache`: of reference log-probs, on the first rank."""
    from transformers import PrinterCallback

    from steps.train.evaluation.figures import Evaluation
    from steps.train.evaluation.held_out import HeldOut
    from steps.train.loop.callbacks import FirstStepChecks, HeldOutEvaluation, MetricLines
    from steps.train.loop.early_end import StopOnBadFigures, StopOnSignal, StopWithoutGain
    from steps.train.loop.reference import ReferenceLogProbs
    from steps.train.loop.system_figures import SystemFigures

    before = trainer.marker.facts.get("before")
    lines = MetricLines(trainer.marker.facts.setdefault("history", []))
    held_out = HeldOutEvaluation(
        trainer,
        HeldOut(validation_pairs, arguments.per_device_eval_batch_size, arguments.beta),
        arguments.eval_steps,
        Evaluation.from_dict(before) if before else None,
    )
    trainer.remove_callback(PrinterCallback)
    callbacks = [
        FirstStepChecks(trainer),
        *([ReferenceLogProbs(trainer, train_pairs, cache)] if arguments.precompute_ref_log_probs else []),
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


def take_best(trainer: PairTrainer, held_out: HeldOutEvaluation) -> None:
    """With early stopping, put the best checkpoint's adapter in place of the last one's."""
    best = trainer.marker.facts.get("best")
    if not best or best["step"] == trainer.state.global_step:
        return
    adapter.load(trainer.model, checkpoints.place_of(Path(trainer.args.output_dir), best["step"]))
    held_out.evaluate_result()
    log.info("the result is the adapter of step %d, the best of the held-out evaluations", best["step"])


def track(
    trainer: PairTrainer, arguments: TrainArguments, facts: dict[str, Any], data_report: dict[str, Any] | None
) -> Tracking:
    """Let the trackers that the arguments name follow this run; added last, it sees what other callbacks log."""
    from steps.train.tracking import callback as trackers

    if data_report:
        facts |= {"data_hash": data_report["data_hash"]}
    libraries = {f"library.{name}": number for name, number in fingerprint.versions().items()}
    facts |= {"processes": trainer.args.world_size, **libraries}
    tracking = trackers.Tracking(
        arguments, Path(trainer.args.output_dir), trainer.marker.fingerprint,
        first_rank=trainer.args.process_index == 0, facts=facts, report=data_report,
    )  # fmt: skip
    trainer.add_callback(tracking)
    return tracking


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
