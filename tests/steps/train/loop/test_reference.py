"""Precomputed reference log-probabilities: the same training without the reference's forward pass."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from steps.shared.contract import StepError
from steps.train.arguments import LossType, TrainArguments
from tests.steps.train.trainers import RECIPE_HERE, ROWS, randomise, trainer_here

# Nats of a row's sum in float32 between batches; and what becomes of it in the adapter, of the length of what was
# trained. Measured: 2e-6, and 9e-6 after 6 steps of AdamW, which divides by small gradients.
SUM_TOLERANCE, ADAPTER_TOLERANCE = 1e-4, 1e-4

pytestmark = pytest.mark.usefixtures("one_thread")
Make = Callable[..., Any]


@pytest.fixture
def make(tiny_model: Path, pairs: Path, tmp_path: Path) -> Make:
    """`make(key=value, …)`: a trainer in this process."""
    return partial(trainer_here, tiny_model, pairs, tmp_path / "checkpoints")


def precompute(trainer: Any, cache: Path, initial: str | None = None) -> Any:
    """Let the trainer precompute, as before its first step; the callback that did it."""
    from steps.train.loop.reference import ReferenceLogProbs, open_cache

    arguments = trainer.arguments.model_copy(update={"ref_log_probs_cache": str(cache)})
    callback = ReferenceLogProbs(trainer, trainer.pairs_here, open_cache(arguments, cache, initial))
    callback.on_train_begin(trainer.args, trainer.state, trainer.control)
    return callback


def sizes(cache: Path) -> list[int]:
    """Rows in each file of the cache, in their order."""
    from safetensors.numpy import load_file

    return [len(load_file(path)["rows"]) for path in sorted(cache.glob("*.safetensors"))]


def norm(weights: Iterable[Any]) -> float:
    return math.sqrt(sum(float(weight.detach().square().sum()) for weight in weights))


def batch_of(trainer: Any, count: int) -> dict[str, Any]:
    rows = [trainer.train_dataset[index] for index in range(count)]
    return trainer._prepare_inputs(trainer.data_collator(rows))


def test_every_loss_of_trl_is_the_same_with_precomputed_sums(make: Make, tmp_path: Path) -> None:
    trainer = make(label_smoothing=0.1, loss_type=["robust"], lora_dropout=0)
    precompute(trainer, tmp_path / "cache")
    randomise(trainer)
    trainer.first_loss_is_due = False
    inputs, losses = batch_of(trainer, 6), {}
    for trainer.precompute_ref_logps in (False, True):
        for loss in get_args(LossType):
            trainer.loss_types, trainer.loss_weights = [loss], [1.0]
            losses.setdefault(loss, []).append(float(trainer.compute_loss(trainer.model, dict(inputs)).detach()))
    assert len(losses) == 15
    for loss, (computed, precomputed) in losses.items():
        assert precomputed == pytest.approx(computed, rel=1e-5, abs=1e-5), loss


def test_training_ends_in_the_same_adapter_and_a_step_has_one_forward_pass(make: Make, tmp_path: Path) -> None:
    from steps.train.loop.reference import ReferenceLogProbs

    adapters, passes = [], []
    for on in (False, True):
        trainer = make(precompute_ref_log_probs=on)
        if on:
            trainer.add_callback(ReferenceLogProbs(trainer, trainer.pairs_here, precompute(make(), tmp_path).cache))
        count = [0]
        forward = trainer.model.get_base_model().forward

        def counted(*given: Any, forward: Any = forward, count: list[int] = count, **named: Any) -> Any:
            count[0] += 1
            return forward(*given, **named)

        trainer.model.get_base_model().forward = counted
        trainer.train()
        passes.append(count[0])
        adapters.append({name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad})
    micro_batches = 6 * 2
    assert passes == [2 * micro_batches, micro_batches + 1]  # and one to look whether the values are the model's
    moved = norm(weight for name, weight in adapters[0].items() if "lora_B" in name)  # which begins as 0
    apart = norm(adapters[0][name] - weight for name, weight in adapters[1].items())
    assert moved > 0.05
    assert apart < ADAPTER_TOLERANCE * moved


def test_more_data_computes_only_the_new_rows_and_keeps_the_known_bits(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steps.train.loop import reference

    monkeypatch.setattr(reference, "PART", 20)
    few, more = make(rows=30), make(rows=ROWS)
    first, second = precompute(few, tmp_path), precompute(more, tmp_path)
    assert first.cache.key == second.cache.key
    assert sizes(tmp_path) == [20, 10, ROWS - 30]
    known, table = few.data_collator.reference, more.data_collator.reference
    assert table[:30].equal(known)
    assert table.isfinite().all()
    alone = [more.summed_log_probs([pair], "reference") for pair in more.pairs_here]
    for row, (chosen, rejected) in zip(table, alone, strict=True):
        assert row.tolist() == pytest.approx([float(chosen), float(rejected)], abs=SUM_TOLERANCE)


def test_an_interrupted_computation_goes_on_and_has_the_bits_of_a_whole_one(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steps.train.loop import reference
    from steps.train.runtime.interruption import Interrupted

    monkeypatch.setattr(reference, "PART", 16)
    whole, trainer = make(), make()
    precompute(whole, tmp_path / "whole")
    answers = iter([False] * 5 + [True])  # 4 batches are a part
    monkeypatch.setattr(trainer.interruption, "requested", lambda _: next(answers))
    with pytest.raises(Interrupted) as caught:
        precompute(trainer, tmp_path / "cache")
    assert str(caught.value) == (
        "stopped by SIGTERM before the first step; the reference log-probs of 16 rows are kept"
    )
    trainer = make()
    precompute(trainer, tmp_path / "cache")
    assert sizes(tmp_path / "cache") == [16, 16, 16]
    assert trainer.data_collator.reference.equal(whole.data_collator.reference)


def test_values_of_other_weights_are_refused(make: Make, tmp_path: Path) -> None:
    from steps.train.loop.reference_cache import Cache

    trainer = make()
    cache = precompute(trainer, tmp_path / "cache").cache
    wrong = Cache(tmp_path / "wrong", json.loads(cache.facts))
    assert wrong.key == cache.key
    wrong.add({row: (chosen - 1, rejected - 1) for row, (chosen, rejected) in cache.read().items()})
    with pytest.raises(StepError) as caught:
        precompute(trainer, tmp_path / "wrong")
    assert str(caught.value).startswith(f"ref_log_probs_cache: the values in {tmp_path / 'wrong'} are 0.0")
    assert str(caught.value).endswith(
        " nats a token from this model's: they are of other weights; name another folder, or empty this one"
    )


def test_a_reference_that_gives_no_number_is_an_error_and_nothing_is_kept(make: Make, tmp_path: Path) -> None:
    trainer = make(rows=5)
    weight = trainer.model.get_base_model().model.norm.weight
    weight.data.fill_(math.nan)
    first = min(pair.id for pair in trainer.pairs_here)
    with pytest.raises(StepError) as caught:
        precompute(trainer, tmp_path)
    assert str(caught.value) == (
        "the reference gives 5 of 5 training rows a log-probability that is not finite, "
        f"first row {first}; check bf16 and the model's weights"
    )
    assert list(tmp_path.glob("*.safetensors")) == []


@pytest.mark.parametrize("off", [0.0, 3.0])
def test_the_first_loss_tells_a_wrong_reference(make: Make, tmp_path: Path, off: float) -> None:
    trainer = make(lora_dropout=0)
    precompute(trainer, tmp_path)
    trainer.data_collator.reference[:, 0] += off
    if off == 0:
        loss = trainer.compute_loss(trainer.model.train(), batch_of(trainer, 4))
        assert float(loss.detach()) == pytest.approx(math.log(2), abs=1e-5)
        return
    with pytest.raises(StepError, match=r"the first loss is 0\.8.* must be ln 2"):
        trainer.compute_loss(trainer.model.train(), batch_of(trainer, 4))


def test_the_initial_adapter_is_the_reference(make: Make, tmp_path: Path) -> None:
    earlier = make(lora_dropout=0)
    precompute(earlier, tmp_path / "cache")
    randomise(earlier)
    earlier.save_model(str(tmp_path / "earlier"))
    adapted = [earlier.summed_log_probs([pair], "trained")[0] for pair in earlier.pairs_here]
    trainer = make(initial_adapter=str(tmp_path / "earlier"), lora_dropout=0)
    one = precompute(trainer, tmp_path / "cache", initial="hash of the adapter").cache
    chosen = trainer.data_collator.reference[:, 0]
    assert chosen.tolist() == pytest.approx([float(value) for value in adapted], abs=SUM_TOLERANCE)
    assert (chosen - earlier.data_collator.reference[:, 0]).abs().min() > 100 * SUM_TOLERANCE
    assert len({path.name.partition("-")[0] for path in one.folder.iterdir()}) == 2  # a key of its own
    loss = trainer.compute_loss(trainer.model.train(), batch_of(trainer, 4))
    assert float(loss.detach()) == pytest.approx(math.log(2), abs=1e-5)


def test_quantisation_precision_and_sharding_have_keys_of_their_own(tiny_model: Path, tmp_path: Path) -> None:
    from steps.train.loop.reference import open_cache

    def key(**changes: Any) -> str:
        arguments = TrainArguments(model_id=str(tiny_model), **RECIPE_HERE | changes)
        return open_cache(arguments, tmp_path, None).key

    changed = [{"bf16": True}, {"load_in_4bit": True}, {"fsdp": True}, {"attn_implementation": "eager"}]
    changed.append({"load_in_4bit": True, "bnb_4bit_use_double_quant": False})
    assert len({key(), *(key(**change) for change in changed)}) == 6
    same = [{"beta": 0.5}, {"learning_rate": 1e-5}, {"bnb_4bit_use_double_quant": False}, {"lora_r": 8}, {"seed": 7}]
    assert {key(**change) for change in same} == {key()}


@pytest.mark.slow
def test_two_ranks_that_shard_resume_bitwise_from_the_checkpoint_and_the_cache(
    train, pairs: Path, tmp_path: Path
) -> None:
    import pyarrow.parquet

    for split in ("train", "validation"):
        (file,) = (pairs / split).glob("*.parquet")
        (tmp_path / split).mkdir()
        rows = pyarrow.parquet.read_table(file)[:65]
        pyarrow.parquet.write_table(rows, tmp_path / split / file.name)
    given = {
        "train_data": tmp_path / "train", "validation_data": tmp_path / "validation", "max_steps": 6, "save_steps": 3,
        "logging_steps": 1, "lora_dropout": 0.1, "precompute_ref_log_probs": True,
    }  # fmt: skip
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    done = train(whole, 2, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reference log-probs: 65 of 65 rows computed, " in done.stdout
    history = json.loads((whole / "history.json").read_text())
    assert next(entry for entry in history if "loss" in entry)["loss"] == pytest.approx(math.log(2), abs=1e-4)
    evaluation = json.loads((whole / "evaluation.json").read_text())
    assert evaluation["before"]["ties"] == evaluation["before"]["rows"] == len(rows)
    (kept,) = (whole / "checkpoints" / "ref-log-probs").iterdir()

    shutil.copytree(whole / "checkpoints", resumed / "checkpoints")
    shutil.rmtree(resumed / "checkpoints" / "checkpoint-6")
    done = train(resumed, 2, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continuing from checkpoint-3" in done.stdout
    assert f"reference log-probs: 65 of 65 rows known in {resumed}/checkpoints/ref-log-probs" in done.stdout
    assert "rows computed, " not in done.stdout
    for name in ("adapter_model.safetensors", "evaluation.json"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
    assert [path.name for path in (resumed / "checkpoints" / "ref-log-probs").iterdir()] == [kept.name]
