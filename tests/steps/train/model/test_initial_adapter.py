"""Training that continues from an earlier adapter: its model is the reference, on one process and sharded."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.model import initial_adapter
from tests.steps.train.trainers import save_adapter

RECIPE = "configs/recipes/quickstart.yaml"
SIDES = ("chosen", "rejected")
SHORT = {"max_steps": 6, "save_steps": 3, "logging_steps": 1}


@pytest.fixture(scope="module")
def earlier(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the quickstart's model whose answers are far from the base's."""
    folder = tmp_path_factory.mktemp("earlier") / "adapter"
    return save_adapter(tiny_model, folder, r=16, lora_alpha=32, target_modules="all-linear")


@pytest.fixture
def arguments(tiny_model: Path, earlier: Path) -> TrainArguments:
    return TrainArguments(model_id=str(tiny_model), initial_adapter=str(earlier), lora_r=16, lora_alpha=32)


def refusal(arguments: TrainArguments, **changed: object) -> str:
    with pytest.raises(StepError) as caught:
        initial_adapter.check(arguments.model_copy(update=changed))
    return str(caught.value)


def changed_config(earlier: Path, folder: Path, **changes: object) -> str:
    shutil.copytree(earlier, folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return str(folder)


def test_an_adapter_that_fits_is_known_by_its_hash(arguments: TrainArguments, earlier: Path, tmp_path: Path) -> None:
    digest = initial_adapter.check(arguments)
    assert digest == initial_adapter.check(arguments.model_copy(update={"lora_dropout": 0.1}))
    other = changed_config(earlier, tmp_path / "other", lora_dropout=0.5)
    assert digest != initial_adapter.check(arguments.model_copy(update={"initial_adapter": other}))
    assert initial_adapter.check(arguments.model_copy(update={"initial_adapter": None})) is None


def test_every_setting_that_differs_is_named_at_once(
    arguments: TrainArguments, earlier: Path, tiny_model: Path
) -> None:
    message = refusal(
        arguments, lora_r=8, lora_alpha=16.5, use_rslora=True, target_modules=["q_proj"], base_model_name="other"
    )
    kinds = "down_proj,gate_proj,k_proj,o_proj,q_proj,up_proj,v_proj"
    assert message.splitlines() == [
        f"initial_adapter: {earlier} does not fit:",
        "  lora_r: the adapter has 16, the recipe 8; set lora_r: 16",
        "  lora_alpha: the adapter has 32, the recipe 16.5; set lora_alpha: 32",
        "  use_rslora: the adapter has false, the recipe true; set use_rslora: false",
        f"  model_id: the adapter was trained on {tiny_model}, the recipe's base is other; train from that base, or "
        "where both are the same model say so with base_model_name",
        "  adapter_model.safetensors: matrices of rank 16, lora_r is 8",
        f"  target_modules: the adapter has 14 modules ({kinds}), the recipe's target_modules (q_proj) name 2 in the "
        f"model; write target_modules: [{kinds}]",
    ]


def test_what_is_no_plain_lora_is_refused(arguments: TrainArguments, earlier: Path, tmp_path: Path) -> None:
    def said(name: str, **changes: object) -> str:
        return refusal(arguments, initial_adapter=changed_config(earlier, tmp_path / name, **changes)).splitlines()[1]

    assert said("dora", use_dora=True, bias="all") == (
        '  adapter_config.json: bias "all", use_dora true: only plain LoRA can be continued; train a fresh adapter'
    )
    assert said("switch", of_a_later_peft=1) == (
        "  adapter_config.json: of_a_later_peft 1: only plain LoRA can be continued; train a fresh adapter"
    )
    assert said("other", peft_type="IA3") == "  adapter_config.json is not a LoRA adapter's"
    assert said("text", r="16") == (
        "  adapter_config.json: r, lora_alpha and their patterns must be numbers; save the adapter again with peft"
    )


def test_an_adapter_that_lacks_layers_is_not_told_to_name_the_same_modules(
    arguments: TrainArguments, earlier: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(earlier, tmp_path / "half")
    tensors = load_file(folder / "adapter_model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "layers.1.mlp.up_proj" not in name}
    save_file(kept, folder / "adapter_model.safetensors")
    assert refusal(arguments, initial_adapter=str(folder)).splitlines()[1] == (
        "  target_modules: the adapter has 13 modules (down_proj,gate_proj,k_proj,o_proj,q_proj,up_proj,v_proj), the "
        "recipe's target_modules (all-linear) name 14 in the model: it lacks 1, first model.layers.1.mlp.up_proj; it "
        "was not trained by such a recipe: train a fresh adapter"
    )


@pytest.mark.parametrize("start", ["pissa", "olora", "loftq"])
def test_an_adapter_of_an_altered_base_is_refused(
    arguments: TrainArguments, earlier: Path, tmp_path: Path, start: str
) -> None:
    folder = changed_config(earlier, tmp_path / start, init_lora_weights=start)
    assert refusal(arguments, initial_adapter=folder).splitlines() == [
        f"initial_adapter: {folder} does not fit:",
        f'  adapter_config.json: init_lora_weights "{start}": only plain LoRA can be continued; its matrices belong to '
        "an altered base; of PiSSA, OLoRA and CorDA peft's "
        "save_pretrained(path_initial_model_for_weight_conversion=…) makes a plain adapter, or train a fresh adapter",
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(
    arguments: TrainArguments, earlier: Path, tmp_path: Path, value: float
) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(earlier, tmp_path / "broken")
    tensors = load_file(folder / "adapter_model.safetensors")
    name = min(tensors)
    tensors[name][0, 0] = value
    save_file(tensors, folder / "adapter_model.safetensors")
    assert f"1 tensors hold NaN or infinity, first {name}" in refusal(arguments, initial_adapter=str(folder))


def test_a_folder_that_is_no_adapter_is_one_line(arguments: TrainArguments, earlier: Path, tmp_path: Path) -> None:
    assert refusal(arguments, initial_adapter=str(tmp_path / "absent")) == (
        f"initial_adapter: {tmp_path / 'absent'}: there is no such folder; name one that training wrote"
    )
    folder = shutil.copytree(earlier, tmp_path / "half")
    (folder / "adapter_model.safetensors").write_bytes(b"cut")
    assert "is not a whole safetensors file" in refusal(arguments, initial_adapter=str(folder))
    (folder / "adapter_model.safetensors").unlink()
    assert refusal(arguments, initial_adapter=str(folder)).endswith(
        ": adapter_model.safetensors is missing; name the folder that training wrote"
    )


@pytest.fixture(scope="module")
def log_probs(tiny_model: Path, earlier: Path, pairs: Path) -> dict[str, dict[str, list[float]]]:
    """Summed answer log-probabilities of the held-out rows, [chosen, rejected] by id, from peft alone."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from steps.shared.records import read_records
    from steps.shared.templates.chat_template import ChatTemplate
    from steps.train.model.load import load_tokenizer
    from steps.train.rows import tokenise

    tokenizer = load_tokenizer(TrainArguments(model_id=str(tiny_model)))
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    model = PeftModel.from_pretrained(base, str(earlier)).eval()
    rows, _ = tokenise.tokenise(read_records(pairs / "validation"), ChatTemplate(tokenizer), 1024, "cut_prompt")

    def summed(prompt: list[int], answer: list[int], mask: list[int]) -> float:
        ids = torch.tensor([prompt + answer])
        every = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[len(prompt) - 1 :, 0]
        return float((every * torch.tensor(mask)).sum())

    def both(row: tokenise.Pair) -> list[float]:
        sides = ((row.chosen_ids, row.chosen_mask), (row.rejected_ids, row.rejected_mask))
        return [summed(row.prompt_ids, ids, mask) for ids, mask in sides]

    with torch.no_grad():
        adapted = {row.id: both(row) for row in rows}
        with model.disable_adapter():
            return {"adapted": adapted, "base": {row.id: both(row) for row in rows}}


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "bf16", "tolerance"), [(1, "false", 1e-4), (2, "true", 0.02)])
def test_policy_and_reference_begin_as_the_base_with_the_earlier_adapter(
    forked,
    processes: int,
    bf16: str,
    tolerance: float,
    log_probs,
    tiny_model: Path,
    earlier: Path,
    pairs: Path,
    tmp_path: Path,
) -> None:
    given = {
        "model_id": tiny_model, "train_data": pairs / "train", "validation_data": pairs / "validation",
        "output_dir": tmp_path / "out", "initial_adapter": earlier, "fsdp": str(processes > 1).lower(), "max_steps": 1,
        "warmup_steps": 0,
        "bf16": bf16, "load_in_4bit": "false",
    }  # fmt: skip
    words = [word for key, value in given.items() for word in (f"--{key}", value)]
    file = tmp_path / "first.json"
    script = ["tests/steps/train/first_evaluation.py", file, "--config", RECIPE]
    done = forked(*script, *words, ranks=processes if processes > 1 else 0, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text())
    assert len(rows) == len(log_probs["adapted"])
    for row in rows:
        assert [row["chosen"], row["rejected"]] == [row["reference_chosen"], row["reference_rejected"]]

    def distance(expected: dict[str, list[float]]) -> float:
        apart = [abs(row[side] - expected[row["id"]][at]) for row in rows for at, side in enumerate(SIDES)]
        return sum(apart) / len(apart)

    assert distance(log_probs["adapted"]) < tolerance * distance(log_probs["base"])


@pytest.fixture(scope="module")
def continued(train, earlier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short FSDP2 + NF4 run over two processes from the earlier adapter."""
    output = tmp_path_factory.mktemp("continued") / "out"
    done = train(output, 2, **SHORT, initial_adapter=earlier)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


@pytest.mark.slow
def test_sharded_training_begins_at_ln_2_and_saves_the_trained_adapter_alone(continued: Path, earlier: Path) -> None:
    from safetensors.torch import load_file

    history = json.loads((continued / "history.json").read_text())
    assert next(entry for entry in history if "loss" in entry)["loss"] == pytest.approx(math.log(2), abs=1e-6)
    evaluation = json.loads((continued / "evaluation.json").read_text())
    assert evaluation["before"]["ties"] == evaluation["before"]["rows"]
    assert evaluation["after"]["ties"] < evaluation["after"]["rows"]
    start = load_file(earlier / "adapter_model.safetensors")
    for folder in (continued, continued / "checkpoints" / "checkpoint-3"):
        trained = load_file(folder / "adapter_model.safetensors")
        assert trained.keys() == start.keys()
        moved = {name: float((trained[name] - start[name]).abs().max()) for name in start}
        assert all(0 < distance < 0.01 for distance in moved.values())  # near the earlier adapter, and not at it


@pytest.mark.slow
def test_a_resumed_run_ends_bitwise_where_the_whole_one_did(
    continued: Path, train, earlier: Path, tmp_path: Path
) -> None:
    resumed = tmp_path / "resumed"
    shutil.copytree(continued / "checkpoints", resumed / "checkpoints")
    shutil.rmtree(resumed / "checkpoints" / "checkpoint-6")
    moved = shutil.copytree(earlier, tmp_path / "elsewhere")  # the hash counts, and not where it lies
    done = train(resumed, 2, **SHORT, initial_adapter=moved)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continuing from checkpoint-3" in done.stdout
    for name in ("adapter_model.safetensors", "evaluation.json"):
        assert (resumed / name).read_bytes() == (continued / name).read_bytes()


@pytest.mark.slow
def test_a_checkpoint_of_a_run_from_another_adapter_is_not_continued(continued: Path, train, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(continued / "checkpoints", other / "checkpoints")
    done = train(other, 2, **SHORT | {"max_steps": 1, "warmup_steps": 0}, initial_adapter=continued)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it belongs to a run with other data, model or arguments" in done.stdout
    assert "continuing from checkpoint" not in done.stdout


@pytest.mark.slow
def test_one_process_in_nf4_begins_at_ln_2(train, earlier: Path, tmp_path: Path) -> None:
    done = train(tmp_path / "out", 0, **SHORT, fsdp="false", gradient_checkpointing="true", initial_adapter=earlier)
    assert done.returncode == 0, done.stdout + done.stderr
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert next(entry for entry in history if "loss" in entry)["loss"] == pytest.approx(math.log(2), abs=1e-6)
