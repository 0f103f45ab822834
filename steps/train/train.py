"""Train a LoRA adapter with DPO on preference pairs (FSDP2 + QLoRA), evaluate it on held-out pairs, save it.

Command:  python steps/train/train.py --config FILE [--key value …]
          python steps/train/train.py --config FILE --preview N: prints N training rows with their loss mask, no more
          python -m steps.train.torchrun --nproc-per-node N steps/train/train.py --config FILE [--key value …]
Inputs:   --config: a YAML recipe (steps/train/arguments.py lists every key; --key value overrides it);
          folders of Parquet from the Preprocess step: --train_data and --validation_data, in a job the channels.
Outputs:  in --output_dir, in a job /opt/ml/model: the adapter, its model cards README.md and
          model_card.json, the tokenizer, evaluation.json, probes.json (a few held-out answers, for a check of a merge),
          answers.jsonl (what base, model and champion said to held-out prompts, the worst first), history.json,
          training.png, report.html and manifest.json, which is written last: without it the run did not finish;
          left_out.jsonl names every row that was cut or left out, and tracking.json what trackers got, where there are.
Limits:   FSDP needs torchrun (`--fsdp false` otherwise); text models with a chat template.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

# Run as a script, this file's folder is first on the path; the packages are found from the folder above `steps`.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from steps.shared import contract, secrets
from steps.shared.contract import StepError
from steps.shared.folders import sole_writer
from steps.shared.libraries.lean import lean
from steps.shared.records import read_records
from steps.shared.signs import phases
from steps.train import arguments as train_arguments
from steps.train.arguments import TrainArguments
from steps.train.evaluation import canary, champion
from steps.train.results import save
from steps.train.rows import preview, splits
from steps.train.run import Run
from steps.train.runtime import gpus, lost_process, machine, out_of_memory
from steps.train.tracking import settings

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
    gpus.require_cuda()
    with lean():  # seconds: only now, as the arguments are sound and what libraries read at import is set
        from steps.train.prepare import output_folder, prepare

    with (
        lost_process.explained(),
        out_of_memory.explained(arguments),
        machine.explained(),
        alone_in(output_folder(arguments)),
    ):
        run = prepare(arguments)
        with run.tracking.run():
            train(run)
            finish(run)
    # A rank that leaves while another works can abort in the threads of its process group.
    run.trainer.accelerator.wait_for_everyone()
    run.trainer.accelerator.end_training()


def alone_in(output: Path) -> AbstractContextManager[None]:
    """Hold the folder of the results: the first rank does, for all."""
    return sole_writer(output, "--output_dir") if os.environ.get("RANK", "0") == "0" else nullcontext()


def train(run: Run) -> None:
    """Take every step, from the start or from a checkpoint.

    Raises:
        StepError: a figure went wrong, or SIGTERM came; checkpoints stay.
    """
    trainer, checkpoint = run.trainer, run.checkpoint
    if checkpoint:
        log.info("continuing from %s", checkpoint.path.name)
    trainer.interruption.listen()
    trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    if trainer.interrupted:
        raise trainer.interruption.ended(trainer.state.global_step)


def finish(run: Run) -> None:
    """Judge the trained adapter, in the form that is served where that can be had, and write the results.

    The adapter is written first: what judges it may take the trained model's place.

    Raises:
        StepError: a result cannot be computed or written.
        Interrupted: a process got SIGTERM; the next start of the run trains no further and judges again.
    """
    from steps.train.answers import ask
    from steps.train.loop.early_end import take_best
    from steps.train.served import evaluate

    phases.tell("saving the adapter")
    take_best(run.trainer, run.held_out)
    run.trainer.save_model(str(run.output))
    served = evaluate.evaluate(run)
    judged: dict[str, Any] = {"served": served.section, "champion": None}
    canaries = canary.ids(run.validation.records)
    if canaries:
        judged["canary"] = canary.section(served.margins, canaries, run.trainer.arguments.beta)
    if run.rival:
        judged["champion"] = champion.compare(run.rival, served.scorer, run.validation.pairs, served.margins, canaries)
    held_out = run.validation
    answers = ask.ask(served.scorer, run.rival, held_out.records, held_out.pairs, run.template, run.trainer.arguments)
    phases.tell("saving the results")
    save.save(run, judged, answers, served.probes)


def show_preview(arguments: TrainArguments, rows: int) -> None:
    """Print what the model would be trained on; reads the tokenizer and the training rows, and no weight."""
    from steps.train.model.load import load_template

    prepare_environment(arguments)
    records = read_records(splits.folder(arguments.train_data, "train"))
    preview.show(records, load_template(arguments), arguments, rows)


def check_launch(arguments: TrainArguments) -> None:
    """
    Raises:
        StepError: FSDP is asked for in a process that torchrun did not start.
    """
    if arguments.fsdp and "LOCAL_RANK" not in os.environ:
        raise StepError(
            "fsdp: true needs torchrun: python -m steps.train.torchrun --nproc-per-node N steps/train/train.py …; "
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


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
