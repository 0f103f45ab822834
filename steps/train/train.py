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

import hashlib
import json
import logging
import os
import shutil
import sys
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Run as a script, this file's folder is first on the path; the packages are found from the folder above `steps`.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from steps import contract
from steps.contract import StepError
from steps.records import Record, read_records
from steps.train import (
    adapter,
    card,
    champion,
    checkpoints,
    curves,
    data,
    figures,
    fsdp_cpu,
    preview,
    registry_card,
    report,
    tracker_settings,
)
from steps.train import arguments as train_arguments
from steps.train.arguments import TrainArguments
from steps.train.facts import collect_facts
from steps.train.report import Sources

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import DPOConfig

    from steps.train.callbacks import HeldOutEvaluation, MetricLines
    from steps.train.reference_cache import Cache
    from steps.train.trackers import Tracking
    from steps.train.trainer import PairTrainer

log = logging.getLogger("train")

# Arguments that change how a run is watched or where it lies, not what comes out of it.
NOT_IN_FINGERPRINT = {
    "output_dir", "train_data", "validation_data", "model_id", "base_model_name", "logging_steps", "eval_steps",
    "save_steps", "save_total_limit", "dataloader_num_workers", "ddp_timeout", "mlflow_uri", "mlflow_experiment_name",
    "wandb_project", "run_name", "merge_weights", "per_device_eval_batch_size",
    "initial_adapter", "ref_log_probs_cache", "champion", "champion_version",
}  # fmt: skip

LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes")


def main(argv: list[str]) -> None:
    argv, preview_rows = preview.take(argv)
    path, overrides = train_arguments.parse(argv)
    overrides = {key: contract.resolve(value) for key, value in overrides.items()}
    arguments = train_arguments.load(path, overrides)
    if preview_rows:
        return show_preview(arguments, preview_rows)
    check_launch(arguments)
    tracker_settings.check(arguments)
    prepare_environment(arguments)

    output = Path(arguments.output_dir) if arguments.output_dir else contract.root() / "model"
    train_records = read_records(folder(arguments.train_data, "train"))
    validation_records = read_records(folder(arguments.validation_data, "validation"))
    data_report = report.of_data(folder(arguments.train_data, "train"))
    from steps.train import initial_adapter
    from steps.train.model import load_base, load_tokenizer, lora_config
    from steps.train.this_machine import run_preflight

    initial = initial_adapter.check(arguments)
    rival = champion.find(arguments)
    tokenizer = load_tokenizer(arguments)
    config = trainer_config(arguments, checkpoint_folder(arguments, output))
    train_pairs, train_left = tokenise(train_records, tokenizer, arguments, config, "train")
    validation_pairs, validation_left = tokenise(validation_records, tokenizer, arguments, config, "validation")
    if config.process_index == 0:
        left_out = {"train": train_left, "validation": validation_left}
        if data.write_left_out(output / data.LEFT_OUT, left_out, arguments.max_length):
            log.warning("every row that was cut or left out: %s", output / data.LEFT_OUT)
    data.require_rows(train_pairs, "train", train_left, arguments.max_length)
    data.require_rows(validation_pairs, "validation", validation_left, arguments.max_length)
    longest = max(pair.tokens for pair in (*train_pairs, *validation_pairs))
    run_preflight(arguments, ranks=config.world_size, rank=config.process_index, rows=len(train_pairs), longest=longest)
    rows_hash = hash_rows(train_pairs, validation_pairs)
    run = fingerprint(arguments, rows_hash, initial)
    resume = find_checkpoint(config, run)
    world = checkpoints.World(config.world_size, arguments.gradient_accumulation_steps)
    if resume:
        world = resume.world.of(config.world_size)
        config.gradient_accumulation_steps = world.accumulation
    marker = checkpoints.Marker(run, world, resume.facts if resume else {})

    import torch

    if not torch.cuda.is_available():
        fsdp_cpu.apply(arguments.fsdp)
    from steps.train import reference
    from steps.train.trainer import PairTrainer

    trainer = PairTrainer(
        arguments, load_base(arguments), tokenizer, train_pairs, config, marker, peft_config=lora_config(arguments)
    )
    cache = None
    if arguments.precompute_ref_log_probs and config.process_index == 0:
        cache = reference.open_cache(arguments, Path(config.output_dir), initial, LIBRARIES)
    lines, held_out = add_callbacks(trainer, arguments, train_pairs, validation_pairs, cache)
    rows = {
        "train": {"given": len(train_records), "used": len(train_pairs), **train_left.counts},
        "validation": {"given": len(validation_records), "used": len(validation_pairs), **validation_left.counts},
    }
    sources = Sources(validation_records, {"train": train_left, "validation": validation_left}, data_report, initial)
    tracking = track(trainer, arguments, {"rows_hash": rows_hash, "rows": rows}, data_report)
    if resume:
        log.info("continuing from %s", resume.path.name)
    with tracking.run():
        trainer.interruption.listen()
        trainer.train(resume_from_checkpoint=str(resume.path) if resume else None)
        if trainer.interrupted:
            raise trainer.interruption.ended(trainer.state.global_step)
        take_best(trainer, held_out)
        compared = champion.compare(rival, trainer, validation_pairs, held_out.margins) if rival else None
        save(output, trainer, tokenizer, lines, held_out, rows, sources, tracking, compared)


def show_preview(arguments: TrainArguments, rows: int) -> None:
    """Print what the model would be trained on; reads the tokenizer and the training rows, and no weight."""
    from steps.train.model import load_tokenizer

    prepare_environment(arguments)
    records = read_records(folder(arguments.train_data, "train"))
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


def folder(named: str | None, channel: str) -> Path:
    """The folder of a split: the argument's, or in a job the channel's.

    Raises:
        StepError: there is no such folder.
    """
    path = Path(named) if named else contract.channel(channel)
    if not path.is_dir():
        raise StepError(f"{channel}_data: {path}: there is no such folder; name one that the Preprocess step wrote")
    return path


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


def tokenise(
    records: list[Record],
    tokenizer: PreTrainedTokenizerBase,
    arguments: TrainArguments,
    config: DPOConfig,
    split: str,
) -> tuple[list[data.Pair], data.Left]:
    """Token ids of a split, and which rows were cut or left out.

    Each process renders its share and all get the whole, so that none waits for another.
    """
    from steps.train import ranks

    share = records[config.process_index :: config.world_size]
    parts = ranks.gather(data.tokenise(share, tokenizer, arguments.max_length, arguments.truncation))
    left = data.Left.of_ranks([other for _, other in parts])
    count = len(parts)
    ordered = [parts[index % count][0][index // count] for index in range(len(records))]
    pairs = [pair for pair in ordered if pair is not None]
    longest = max((pair.tokens for pair in pairs), default=0)
    log.info("%s: %d of %d rows, longest %d tokens", split, len(pairs), len(records), longest)
    for line in left.lines():
        log.warning("%s: %s", split, line)
    return pairs, left


def find_checkpoint(config: DPOConfig, run: str) -> checkpoints.Checkpoint | None:
    """What the first process may continue from, the same for all; on every node, leftovers are removed."""
    from steps.train import ranks

    folder = Path(config.output_dir)
    if config.local_process_index == 0:
        shutil.rmtree(folder / checkpoints.STAGING, ignore_errors=True)
    return ranks.from_first(checkpoints.newest(folder, run) if config.process_index == 0 else None)


def hash_rows(train_pairs: list[data.Pair], validation_pairs: list[data.Pair]) -> str:
    """The hash of the tokens that are trained and evaluated on."""
    rows = hashlib.sha256()
    for pair in [*train_pairs, *validation_pairs]:
        rows.update(json.dumps(asdict(pair)).encode())
    return rows.hexdigest()


def fingerprint(arguments: TrainArguments, rows_hash: str, initial: str | None) -> str:
    """What decides the outcome: the tokens, the model, the hash of the adapter that training starts from, the
    arguments, and this very code."""
    config_file = Path(arguments.model_id) / "config.json"
    base = config_file.read_text() if config_file.is_file() else arguments.model_id
    return checkpoints.fingerprint(
        {
            "rows": rows_hash,
            "base": base,
            "initial_adapter": initial,
            "code": {path.name: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py")},
            "libraries": versions(),
            "arguments": arguments.model_dump(exclude=NOT_IN_FINGERPRINT),
        }
    )


def versions() -> dict[str, str]:
    """The versions of the libraries that decide on a run's figures."""
    return {name: version(name) for name in LIBRARIES}


def add_callbacks(
    trainer: PairTrainer,
    arguments: TrainArguments,
    train_pairs: list[data.Pair],
    validation_pairs: list[data.Pair],
    cache: Cache | None,
) -> tuple[MetricLines, HeldOutEvaluation]:
    """What happens beside the steps; `cache`: of reference log-probs, on the first rank."""
    from transformers import PrinterCallback

    from steps.train.callbacks import FirstStepChecks, HeldOutEvaluation, MetricLines
    from steps.train.evaluation import HeldOut
    from steps.train.figures import Evaluation
    from steps.train.reference import ReferenceLogProbs
    from steps.train.stopping import StopOnBadFigures, StopOnSignal, StopWithoutGain
    from steps.train.system import SystemFigures

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
    from steps.train import trackers

    if data_report:
        facts |= {"data_hash": data_report["data_hash"]}
    libraries = {f"library.{name}": number for name, number in versions().items()}
    facts |= {"processes": trainer.args.world_size, **libraries}
    tracking = trackers.Tracking(
        arguments, Path(trainer.args.output_dir), trainer.marker.fingerprint,
        first_rank=trainer.args.process_index == 0, facts=facts, report=data_report,
    )  # fmt: skip
    trainer.add_callback(tracking)
    return tracking


def save(
    output: Path,
    trainer: PairTrainer,
    tokenizer: PreTrainedTokenizerBase,
    lines: MetricLines,
    held_out: HeldOutEvaluation,
    rows: dict[str, dict[str, int]],
    sources: Sources,
    tracking: Tracking,
    compared: dict[str, Any] | None,
) -> None:
    """Write the results; the manifest comes last and says that the run is whole. `compared`: with the champion."""
    trainer.save_model(str(output))
    if not trainer.args.should_save:
        return
    tokenizer.save_pretrained(output)
    before, after = held_out.before, held_out.after
    evaluation = {
        "rows": after.rows,
        "beta": trainer.arguments.beta,
        "before": before.as_dict(),
        "after": after.as_dict(),
        "tokenised": rows,
        "margins": [row.as_dict() for row in held_out.margins],
        "binary_classification_metrics": figures.model_quality(after),
        "champion": compared,
    }
    contract.write_json(output / "evaluation.json", evaluation)
    history = curves.finite(lines.history)
    contract.write_json(output / "history.json", history)
    arguments = tracker_settings.shown(trainer.arguments)
    report.write(output, evaluation, history, arguments, sources)
    pairs = (
        trainer.args.world_size * trainer.args.per_device_train_batch_size * trainer.args.gradient_accumulation_steps
    )
    training = {"steps": trainer.state.global_step, "pairs": pairs}
    facts = collect_facts(evaluation, arguments, sources, training, versions())
    card.write(output, facts)
    registry_card.write(output, facts)
    tracking.finish(output, evaluation, trainer.state.global_step)
    files = {path.name: contract.sha256(path) for path in sorted(output.iterdir()) if path.is_file()}
    manifest = {
        "steps_planned": trainer.state.max_steps,
        "steps_done": trainer.state.global_step,
        "fingerprint": trainer.marker.fingerprint,
        "arguments": arguments,
        "files": files,
    }
    contract.write_json(output / "manifest.json", manifest)
    print(
        f"held-out reward accuracy {before.reward_accuracy:.3f} -> {after.reward_accuracy:.3f}, "
        f"loss {before.loss:.4f} -> {after.loss:.4f} on {after.rows} rows; adapter in {output}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
