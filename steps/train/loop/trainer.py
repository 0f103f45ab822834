"""TRL's DPO trainer over tokenised pairs: explicit loss masks, adapter-only checkpoints, checks of the first step."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import transformers
from accelerate.utils import save_fsdp_optimizer
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.utils.data import DataLoader, Dataset
from transformers.trainer import SCHEDULER_NAME
from trl import DPOConfig, DPOTrainer
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import use_adapter

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.evaluation.scorer import Weights
from steps.train.loop import checkpoints, ties
from steps.train.loop.collator import PairCollator
from steps.train.metrics import throughput
from steps.train.model import adapter, initial_adapter
from steps.train.model.adapter import base_of
from steps.train.model.blocks import sharded_classes
from steps.train.model.load import compute_dtype
from steps.train.model.router import router_loss_weight, silence_router
from steps.train.rows.tokenise import Pair, as_dataset
from steps.train.runtime import nodes, ranks
from steps.train.runtime.interruption import Interruption
from steps.train.shared_prompts import batches
from steps.train.shared_prompts import model as packed_model

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NON_MODEL_INPUTS = ("completion_mask",)
LN2_TOLERANCE = 1e-3


def rounding(arguments: TrainArguments) -> float:
    """Tolerance in nats for a token's log-probability when its row is computed in another batch, 3 sigma.

    In bfloat16 a logit of 16 to 32 is a multiple of 1/8.
    """
    return 0.1 if arguments.bf16 else 1e-4


class PairTrainer(DPOTrainer):
    """DPO on `Pair`s. Differs from TRL's trainer:

    - rows arrive tokenised, none is dropped or truncated here;
    - adapter weights train, and their gradients are summed, in float32, whatever the base is stored in;
    - under FSDP log-probabilities stay float32: accelerate's policy would round the model's outputs to bfloat16, in
      which ln 2 is 0.6914;
    - a checkpoint holds the adapter and the optimizer, never the frozen base; it is written beside its place, on the
      first node alone, and older ones are removed when it is whole;
    - with `precompute_ref_log_probs` the reference comes from the collator's table, which `ReferenceLogProbs` fills in;
    - with `share_prompts` a batch is computed as one row in which a prompt stands once (`shared_prompts.row`); where
      packed rows decide which pairs go together (`shared_prompts.batches`), an optimizer step is one item of the
      loader;
    - a tie counts one half in the training's reward accuracy, as in the held-out one;
    - SIGTERM ends it between two steps, with a checkpoint;
    - the first loss must be ln 2 where theory says so: otherwise the reference is not the model training starts from,
      which is the base, or with `initial_adapter` the base with that adapter.
    """

    model: PeftModel
    args: DPOConfig
    data_collator: PairCollator

    def __init__(
        self,
        arguments: TrainArguments,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train_pairs: Sequence[Pair],
        config: DPOConfig,
        marker: checkpoints.Marker,
        peft_config: LoraConfig,
    ):
        self.attention = model.config._attn_implementation  # of whole sequences
        packs = packed_model.shares_prompts(arguments, model)
        if router_loss_weight(arguments, model.config) == 0:
            silence_router(model.config)
        self.pairs_per_step = (
            config.world_size * config.per_device_train_batch_size * config.gradient_accumulation_steps
        )
        self.steps = self._own_steps(arguments, train_pairs, config)
        if self.steps:
            config.gradient_accumulation_steps = 1  # a step's forward passes are in `training_step`
        collator = PairCollator(tokenizer.pad_token_id, packs=packs)
        super().__init__(
            model=initial_adapter.wrap(model, peft_config) if arguments.initial_adapter else model,
            args=config,
            processing_class=tokenizer,
            train_dataset=as_dataset(train_pairs),
            data_collator=collator,
            peft_config=None if arguments.initial_adapter else peft_config,
        )
        if packs:
            packed_model.take_packed(base_of(self.model), arguments)
        self.longest_pair = max(train_pairs, key=lambda pair: pair.tokens)
        if arguments.precompute_ref_log_probs:
            # For TRL's loss; its own precomputing is never asked for. NaN until ReferenceLogProbs fills it in.
            self.precompute_ref_logps = True
            collator.reference = torch.full((len(train_pairs), 2), math.nan)
        self.arguments, self.marker = arguments, marker
        self.interruption, self.interrupted = Interruption(), False
        self.first_loss_is_due = True
        self.counter = throughput.Counter()
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        if arguments.initial_adapter:
            initial_adapter.load(self.model, Path(arguments.initial_adapter))
        if self.is_fsdp_enabled:
            plugin = self.accelerator.state.fsdp_plugin
            if arguments.fsdp_config.auto_wrap_policy == "TRANSFORMER_BASED_WRAP":
                plugin.transformer_cls_names_to_wrap = sharded_classes(arguments, model)
            plugin.mixed_precision_policy = MixedPrecisionPolicy(
                param_dtype=compute_dtype(arguments), reduce_dtype=torch.float32, output_dtype=None
            )

    def _own_steps(self, arguments: TrainArguments, pairs: Sequence[Pair], config: DPOConfig) -> batches.Steps | None:
        if not (arguments.grouped or arguments.token_budget):
            return None
        order = batches.Order(
            self.pairs_per_step, config.per_device_train_batch_size, arguments.token_budget,
            arguments.grouped, arguments.seed, config.world_size,
        )  # fmt: skip
        return batches.Steps(pairs, order, config.process_index)

    @property
    def folder(self) -> Path:
        """Where the checkpoints are."""
        assert self.args.output_dir is not None  # transformers itself names a folder where none is given
        return Path(self.args.output_dir)

    def get_train_dataloader(self) -> DataLoader:
        if self.steps is None:
            return super().get_train_dataloader()
        return DataLoader(
            cast("Dataset[Any]", self.steps),  # by its methods, without torch as its base
            collate_fn=batches.StepCollator(self.data_collator),
            num_workers=self.args.dataloader_num_workers, pin_memory=self.args.dataloader_pin_memory,
        )  # fmt: skip

    def training_step(self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """The loss of a batch, or the sum over a step's batches with their shares; a scalar, detached."""
        if self.steps is None:
            return super().training_step(model, inputs, num_items_in_batch)
        losses = []
        for number, batch in enumerate(inputs, 1):
            # Gradients of the ranks are added up once a step, as transformers does with accumulated ones.
            with contextlib.nullcontext() if number == len(inputs) else self.accelerator.no_sync(model):
                losses.append(super().training_step(model, batch, num_items_in_batch))
        return torch.stack(losses).sum()

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        columns = ["prompt_ids", "chosen_ids", "chosen_mask", "rejected_ids", "rejected_mask", "row"]
        self._signature_columns = columns  # type: ignore[assignment]  # transformers starts with None, without a type

    def compute_loss(
        self, model: torch.nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss of the collator's batch, a scalar, times the batch's `share` of its step; with `return_outputs`
        a tuple of it and the model's outputs."""
        if self.model.training:
            self.counter.add(inputs)
        share = inputs.pop("share", None)
        with ties.gathered(self.accelerator) as seen:
            result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        accuracies = self._metrics["train" if self.model.training else "eval"]["rewards/accuracies"]
        accuracies[-1] += ties.share_of_ties(seen) / 2
        if self.first_loss_is_due and self.model.training:
            self.first_loss_is_due = False
            self._check_first_loss(self._without_router(result[0] if return_outputs else result), inputs)
        return result if share is None else result * share

    def _without_router(self, loss: torch.Tensor) -> float:
        """DPO's own term of the loss that was just computed; with a router's loss the mean over all ranks, which is
        how TRL keeps that one. All ranks must call it together."""
        if not self.aux_loss_enabled:
            return float(loss.detach())
        mean = float(self.accelerator.gather_for_metrics(loss.detach()).mean())
        return mean - self.router_aux_loss_coef * self._metrics["train"]["aux_loss"][-1]

    def _check_first_loss(self, loss: float, inputs: Any) -> None:
        if not math.isfinite(loss):
            raise StepError(f"the first loss is {loss}; check bf16, the model's weights and max_length")
        fresh = self.state.global_step == 0
        standard = self.arguments.loss_type == ["sigmoid"] and self.arguments.label_smoothing == 0
        weight = self.arguments.loss_weights[0] if self.arguments.loss_weights else 1.0
        expected, tolerance = weight * math.log(2), LN2_TOLERANCE
        if self.arguments.precompute_ref_log_probs:
            # The reference was computed in other batches: the roundings of all tokens add up as their root.
            margin = rounding(self.arguments) * math.sqrt(inputs["completion_mask"].sum())
            tolerance += self.arguments.beta / 2 * margin / len(inputs["ref_chosen_logps"])
        if fresh and standard and abs(loss - expected) > weight * tolerance:
            said = "ln 2 = 0.6931" if weight == 1 else f"{weight:g} * ln 2 = {expected:.4f} (loss_weights)"
            raise StepError(
                f"the first loss is {loss:.4f} and must be {said}: before the first step policy and reference "
                "are the same model, so the reference log-probabilities are wrong; do not trust this run"
            )

    def interrupt(self, control: transformers.TrainerControl) -> None:
        """End the training at the end of this step, with a checkpoint and without results."""
        self.interrupted = control.should_save = control.should_training_stop = True

    def summed_log_probs(self, batch: Sequence[Pair], weights: Weights) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed answer log-probabilities of the chosen and of the rejected side in nats, each float32 [pairs].

        Args:
            weights: the reference is the base, or with `initial_adapter` the base with that. Under FSDP all ranks must
                call this together, with as many batches each.
        """
        rows = [vars(pair) for pair in batch]
        inputs = self._prepare_inputs(self.data_collator(rows))
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        model_inputs = {name: value for name, value in inputs.items() if name not in NON_MODEL_INPUTS}
        model = self.accelerator.unwrap_model(self.model)
        assert not isinstance(self.args.gradient_checkpointing_kwargs, str)  # parsed where it was text
        initial = weights == "reference" and adapter.REFERENCE in model.peft_config
        with (
            contextlib.nullcontext()
            if weights == "trained"
            else use_adapter(model, adapter_name=adapter.REFERENCE if initial else None),
            disable_gradient_checkpointing(base_of(self.model), self.args.gradient_checkpointing_kwargs),
            self.accelerator.autocast(),
        ):
            outputs = self.model_wrapped(**model_inputs, use_cache=False, labels=labels, fused_lm_head=True)
        chosen, rejected = outputs.log_probs.float().sum(dim=1).chunk(2, dim=0)
        return chosen, rejected

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the adapter alone. All ranks must call it together."""
        state = adapter.gather(self.model)
        folder = Path(output_dir) if output_dir else self.folder
        model = self.accelerator.unwrap_model(self.model)
        base = self.arguments.base_model_name or self.arguments.model_id
        ranks.done_by_first(lambda: adapter.save(state, model, folder, base))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        # Without the model file that stock FSDP saving adds: with tied embeddings it holds the whole lm_head.
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        plugin = self.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, self.accelerator, self.optimizer, self.model, output_dir)
        if self.args.should_save:
            assert self.lr_scheduler is not None  # made before the first step
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        adapter.load(self.model if model is None else model, Path(resume_from_checkpoint))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # Past TRL's own override, which writes a model card on the way.
        with ranks.failing_together():
            transformers.Trainer._save_checkpoint(self, model, trial)
        folder, step, run = self.folder, self.state.global_step, self.marker.fingerprint
        staged = checkpoints.place_of(folder / checkpoints.STAGING, step)
        if self.args.world_size > 1:
            nodes.collect(staged, f"rng_state_{self.args.process_index}.pth")  # as transformers names it
        ranks.done_by_first(lambda: self._publish(staged, checkpoints.place_of(folder, step)))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_local_main_process:  # what another node had to add to the checkpoint is in it now
            shutil.rmtree(staged, ignore_errors=True)
            with contextlib.suppress(OSError):  # not empty: what that is, the next start tells
                staged.parent.rmdir()
        old: list[str] = []
        if self.args.should_save:
            best = self.marker.facts.get("best", {}).get("step")
            old = checkpoints.outdated(folder, run, self.arguments.save_total_limit, best)
        old = ranks.from_first(old)
        if self.accelerator.is_local_main_process:
            checkpoints.remove(folder, old)

    def _publish(self, staged: Path, place: Path) -> None:
        self.marker.write(staged)
        checkpoints.publish(staged, place)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.steps:
            self.steps.set_epoch(kwargs["epoch"])
        # Continuing from the checkpoint of the last step, transformers would take one more.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.folder / checkpoints.STAGING)
