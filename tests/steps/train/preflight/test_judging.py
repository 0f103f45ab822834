"""What judges at the end beside training: its memory, when it is left out, and its share of the time."""

from __future__ import annotations

from typing import Any

import pytest

from steps.train.arguments import TrainArguments, load
from steps.train.model import shape as model_shape
from steps.train.model.shape import ModelShape
from steps.train.preflight import judging_time
from steps.train.preflight.instances import A10G
from steps.train.preflight.judging import with_judging, without_estimate
from steps.train.preflight.memory import estimate
from steps.train.preflight.preflight import MEMORY, on_instances, preflight
from steps.train.preflight.totals import plan
from tests.paths import ROOT
from tests.steps.train import models
from tests.steps.train.preflight.test_memory import SMALL

BESIDE = "fragmentation", "CUDA context", "NCCL"
QWEN3_8B = model_shape.shape(models.QWEN3_8B)


def recipe(**changes: Any) -> TrainArguments:
    return load(ROOT / "configs" / "recipes" / "qwen3-8b.yaml").model_copy(update=changes)


def phases(arguments: TrainArguments, shape: ModelShape = QWEN3_8B, ranks: int = 4) -> dict[str, dict[str, int]]:
    """The items of the phases behind training's own."""
    whole = with_judging(arguments, shape, ranks=ranks).whole
    own = estimate(arguments, shape, ranks=ranks)
    assert whole.phases[: len(own.phases)] == own.phases
    more = whole.phases[len(own.phases) :]
    return {
        phase.name: {one.name: one.bytes for one in phase.items if not one.name.startswith(BESIDE)} for phase in more
    }


def test_the_served_form_of_a_small_model_is_what_the_hand_computes() -> None:
    small = TrainArguments(model_id="m", lora_r=2, max_length=16, per_device_train_batch_size=1, evaluate_served="true")
    found = phases(small, SMALL, ranks=2)
    held = {
        "base: blocks in bfloat16": 2 * 288 // 2,
        "base: embeddings, LM head, norms": 2 * (2 * 40 + 4 + 2 * 8) // 2,
        "adapter: float32 weights": 4 * 256 // 2,
    }
    assert found["served form, loading"] == held | {"FSDP: what is being sharded, whole": 2 * (144 + 8)}
    assert found["served form, embeddings"] == held | {"FSDP: embeddings gathered": 2 * 2 * 40}
    assert held.items() <= found["served form, evaluation"].items()
    answers = found["answers"]
    assert held.items() <= answers.items()
    # 32 tokens: of each layer a key and a value of 2 elements in 2 bytes, below a checkpoint's 4 elements and the mask.
    assert answers["answers: keys and values"] == 32 * 2 * (2 * 2 * 2)
    assert answers["answers: logits"] == 32 * 10 * 4


def test_eight_billion_weights_on_four_small_gpus_are_judged_as_served_within_what_training_takes() -> None:
    found = with_judging(recipe(), QWEN3_8B, ranks=4, gpu=A10G)
    assert found.unserved is None
    assert found.whole.peak.name == "loading"  # training's own
    assert "served form, evaluation" in {phase.name for phase in found.whole.phases}


def test_what_needs_more_than_training_is_left_out_with_both_figures_and_only_by_auto() -> None:
    found = with_judging(recipe(), QWEN3_8B, ranks=1, gpu=A10G)
    own = estimate(recipe(), QWEN3_8B, ranks=1).peak.bytes
    assert found.unserved == (
        "evaluate_served: auto: the unquantised base would take 18.3 GiB a process (served form, evaluation), "
        "training's own peak is 9.3 GiB; evaluate_served: true asks for it all the same"
    )
    assert found.whole.peak.bytes == own and "served form, evaluation" not in {one.name for one in found.whole.phases}
    asked = with_judging(recipe(evaluate_served="true"), QWEN3_8B, ranks=1, gpu=A10G)
    assert (asked.unserved, asked.whole.peak.name) == (None, "served form, evaluation")


def test_what_is_asked_for_and_does_not_fit_is_a_problem_as_of_training() -> None:
    asked = recipe(evaluate_served="true", model_id="m")
    shape = model_shape.shape(models.QWEN3_8B | {"num_hidden_layers": 60})
    result = preflight(asked, on_instances("ml.g5.xlarge"), shape)
    (problem,) = (one for one in result.problems if one.key == MEMORY)
    assert "(served form, evaluation), A10G has 22.0 GiB" in str(problem)
    left = preflight(recipe(), on_instances("ml.g5.xlarge"), shape)
    assert not [one for one in left.problems if one.key == MEMORY]
    assert any(note.startswith("the held-out rows are judged on the base in NF4 alone: ") for note in left.notes)
    assert left.as_dict()["not_evaluated_as_served"] == left.unserved


def test_where_memory_is_not_known_auto_evaluates_nothing_as_served() -> None:
    said = "evaluate_served: auto: the memory that it takes is not known (its family); evaluate_served: true asks"
    assert str(without_estimate(recipe(), "its family")).startswith(said)
    assert without_estimate(recipe(evaluate_served="true"), "its family") is None
    assert without_estimate(recipe(evaluate_served="false"), "its family") == "evaluate_served: false"
    assert without_estimate(recipe(load_in_4bit=False, evaluate_served="false"), "its family") is None
    assert preflight(recipe(), on_instances("ml.g5.xlarge"), None, unknown="its family").unserved


@pytest.mark.parametrize(
    "changes", [{}, {"gradient_checkpointing": False}, {"precompute_ref_log_probs": True}], ids=str
)
def test_an_unquantised_training_is_served_as_it_is(changes: dict[str, Any]) -> None:
    found = phases(recipe(load_in_4bit=False, evaluate_served="false", **changes))
    assert list(found) == ["answers"]
    assert phases(recipe(load_in_4bit=False, evaluate_answers=0, **changes)) == {}


def test_answers_take_no_more_for_keys_and_values_than_training_for_its_backward_pass() -> None:
    """With as many heads for keys as for queries they would take twice as much for as many tokens."""
    wide = model_shape.shape(models.QWEN3_8B | {"num_key_value_heads": 32})
    found = phases(recipe(evaluate_served="false"), wide)["answers"]["answers: keys and values"]
    saved = sum(
        item.bytes
        for phase in estimate(recipe(), wide, ranks=4).phases
        for item in phase.items
        if phase.name == "backward, blocks" and item.name in ("attention mask", "activations: a checkpoint a block")
    )
    assert found == saved


def test_judging_ten_thousand_pairs_with_eight_billion_weights_takes_at_most_15_percent() -> None:
    arguments, four = recipe(), plan(recipe(), 4, 10_000)
    served = judging_time.served_share(arguments, four, 10_000 / 9)
    answers = judging_time.answers_share(arguments, four, QWEN3_8B, "NVIDIA A10G")
    assert served == pytest.approx(3 * 2 / 9 / 8)
    seconds = 10_000 * 4096 * 8 * QWEN3_8B.linear / (0.4 * 70e12 * 4)
    assert answers == pytest.approx(600 / seconds)
    assert served + answers < 0.15
    (note,) = judging_time.notes(arguments, four, QWEN3_8B, None, "NVIDIA A10G")
    assert note == (
        "judging: about 11% of training's time (held-out rows as served 8%; answers at most 3%, 10 minutes)"
    )


def test_what_is_not_judged_takes_no_time_and_what_is_not_known_is_not_told() -> None:
    four = plan(recipe(), 4, 10_000)
    assert judging_time.notes(recipe(evaluate_answers=0), four, QWEN3_8B, "why", "A10G") == [
        "the held-out rows are judged on the base in NF4 alone: why"
    ]
    assert judging_time.notes(recipe(), plan(recipe(), 4), QWEN3_8B, None, "A10G") == []  # no rows are known
    (note,) = judging_time.notes(recipe(), four, QWEN3_8B, None, None, held_out=3_000)
    assert note == "judging: about 22% of training's time (held-out rows as served 22%)"
    assert judging_time.notes(recipe(load_in_4bit=False), four, QWEN3_8B, None, None) == []
