"""The champion beside the trained adapter: compared is what peft makes of it, and training never knows of it."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.evaluation import champion, log_probs
from steps.train.evaluation.figures import RowMargin, summarise
from steps.train.evaluation.held_out import HeldOut
from steps.train.evaluation.recorded import recorded
from steps.train.model import initial_adapter
from tests.steps.train.trainers import randomise, save_adapter, trainer_here

SHORT = {"max_steps": 6, "save_steps": 3, "logging_steps": 1}
OWN = {"target_modules": "q_proj,k_proj"}  # of the trained adapter; the champion's are others


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of another rank, scale and other modules than those that train, far from the base."""
    folder = tmp_path_factory.mktemp("champion") / "adapter"
    modules = ["q_proj", "down_proj"]
    return save_adapter(tiny_model, folder, r=8, lora_alpha=12, use_rslora=True, target_modules=modules)


@pytest.fixture
def arguments(tiny_model: Path, adapter: Path) -> TrainArguments:
    return TrainArguments(model_id=str(tiny_model), champion=str(adapter), champion_version="3")


def changed(adapter: Path, folder: Path, **changes: object) -> dict[str, str]:
    """The argument that names a copy of the adapter with another configuration."""
    shutil.copytree(adapter, folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return {"champion": str(folder)}


def test_a_job_without_a_champion_in_its_channel_has_none(
    arguments: TrainArguments, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = arguments.model_copy(update={"champion": None})
    assert champion.find(job) is None  # no channel at all, as outside of a job
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    channel = tmp_path / "input" / "data" / "champion"
    channel.mkdir(parents=True)
    (channel / "args.yaml").write_text("the placeholder")
    assert champion.find(job) is None
    shutil.copytree(adapter, channel, dirs_exist_ok=True)
    found = champion.find(job)
    assert (found.folder, found.version, found.reason) == (channel, "3", None)
    assert found.scale == 12 / math.sqrt(8)


def test_training_starts_from_the_champion_where_it_is_asked_to_and_there_is_one(
    arguments: TrainArguments, adapter: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert champion.continued(arguments) is arguments
    asked = arguments.model_copy(update={"continue_from_champion": True, "champion": str(tmp_path)})
    with caplog.at_level("INFO"):
        assert champion.continued(asked).initial_adapter is None  # the folder holds no adapter
        there = champion.continued(asked.model_copy(update={"champion": str(adapter)}))
    assert there.initial_adapter == str(adapter)
    assert "there is no champion yet" in caplog.text and "training goes on from version 3" in caplog.text
    with pytest.raises(StepError) as caught:  # its rank is another
        initial_adapter.check(there)
    first, *_, last = str(caught.value).splitlines()
    assert first == "continue_from_champion: version 3 does not fit:"
    assert last == "Fix the recipe, or train a fresh adapter: --set ContinueFromChampion=false"
    with pytest.raises(ValueError, match="initial_adapter names another adapter to start from"):
        TrainArguments(model_id="m", initial_adapter="a", continue_from_champion=True)


def test_what_cannot_be_compared_is_said_and_stops_nothing(
    arguments: TrainArguments, adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    def reason(**update: object) -> str | None:
        return champion.find(arguments.model_copy(update=update)).reason

    assert reason() is None
    assert reason(base_model_name="owner/other") == f"its base is {tiny_model}, this model's is owner/other"
    assert reason(**changed(adapter, tmp_path / "ia3", peft_type="IA3")) == "it is not a LoRA adapter"
    dora = reason(**changed(adapter, tmp_path / "dora", use_dora=True, bias="all"))
    assert dora == 'its adapter_config.json has bias "all", use_dora true, and only plain LoRA is compared'
    for start in ("pissa", "olora", "loftq", "of_tomorrow"):
        said = reason(**changed(adapter, tmp_path / start, init_lora_weights=start))
        assert said == f'its adapter_config.json has init_lora_weights "{start}", and only plain LoRA is compared'
    broken = reason(**changed(adapter, tmp_path / "text", lora_alpha="12"))
    assert broken == "its adapter_config.json is not whole: r, lora_alpha and their patterns must be numbers"
    other = reason(**changed(adapter, tmp_path / "rank", r=4))
    assert other == "its matrices are of rank 8, its adapter_config.json says r 4"
    revised = changed(adapter, tmp_path / "revised")
    (tmp_path / "revised" / "manifest.json").write_text('{"arguments": {"model_revision": "a1"}}')
    assert reason(**revised) is None
    assert reason(**revised, model_revision="b2") == "its base is of revision a1, this model's of b2"
    section = champion.compare(champion.Champion(adapter, "3", 0.0, dora), None, [], [])
    assert section == {"version": "3", "compared": False, "reason": dora}


def test_a_folder_that_is_no_whole_adapter_is_one_line(
    arguments: TrainArguments, adapter: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    def refusal(folder: Path) -> str:
        with pytest.raises(StepError) as caught:
            champion.find(arguments.model_copy(update={"champion": str(folder)}))
        return str(caught.value)

    assert (
        refusal(tmp_path) == f"champion: {tmp_path}: adapter_config.json is missing; name a folder that training wrote"
    )
    broken = shutil.copytree(adapter, tmp_path / "broken")
    file = broken / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors[min(tensors)][0, 0] = math.nan
    save_file(tensors, file)
    assert refusal(broken).startswith(f"champion: {broken}: adapter_model.safetensors: 1 tensors hold NaN or infinity")
    file.write_bytes(b"cut")
    assert "is not a whole safetensors file" in refusal(broken)
    file.unlink()
    assert refusal(broken).endswith("adapter_model.safetensors is missing; put it back, or reject that version")


def test_the_comparison_is_with_what_peft_makes_of_the_champion(
    arguments: TrainArguments, adapter: Path, tiny_model: Path, pairs: Path, tmp_path: Path
) -> None:
    """In this process: sums row by row as peft alone gives them, then the figures and the paired rows of both."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    trainer = trainer_here(tiny_model, pairs, tmp_path / "checkpoints", 24, target_modules=["q_proj", "k_proj"])
    randomise(trainer)
    rows = trainer.pairs_here
    margins = HeldOut(rows, 4, 0.1).evaluate(trainer)
    found = champion.find(arguments)
    section = champion.compare(found, trainer, rows, margins)
    untouched = log_probs.gathered(trainer, rows, 4, "base", "evaluation")
    assert [untouched[row.id] for row in margins] == [(row.reference_chosen, row.reference_rejected) for row in margins]

    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    trainer.model = trainer.model_wrapped = None
    model = PeftModel.from_pretrained(base, str(adapter)).eval()

    def summed(prompt: list[int], answer: list[int], mask: list[int]) -> float:
        ids = torch.tensor([prompt + answer])
        every = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[len(prompt) - 1 :, 0]
        return float((every * torch.tensor(mask)).sum())

    with torch.no_grad():
        expected = [
            summed(row.prompt_ids, row.chosen_ids, row.chosen_mask)
            - summed(row.prompt_ids, row.rejected_ids, row.rejected_mask)
            - (margin.reference_chosen - margin.reference_rejected)
            for row, margin in zip(rows, margins, strict=True)
        ]
    assert min(map(abs, expected)) > 1e-3  # none near a tie, where rounding would decide
    theirs = [of_margin(row, value) for row, value in zip(margins, expected, strict=True)]
    assert (section["version"], section["compared"], section["source"], section["rows"]) == ("3", True, "evaluated", 24)
    assert section["form"] == "served"  # this trainer's base is not quantised
    for side, of_side in (("candidate", margins), ("champion", theirs)):
        figures = summarise(of_side, 0.1)
        assert section[side] == pytest.approx({name: getattr(figures, name) for name in champion.FIGURES}, abs=1e-5)
    ahead = [(row.margin > 0) - (value > 0) for row, value in zip(margins, expected, strict=True)]
    assert (section["wins"], section["losses"]) == (ahead.count(1), ahead.count(-1))
    assert section["wins"] and section["losses"]


def of_margin(row: RowMargin, value: float) -> RowMargin:
    return RowMargin(row.id, value, 0.0, 0.0, 0.0, row.chosen_tokens, row.rejected_tokens, row.format, row.with_tools)


def test_with_an_initial_adapter_both_are_measured_against_the_base(
    tiny_model: Path, pairs: Path, tmp_path: Path
) -> None:
    """The champion is the very adapter that training starts from: the two are one model, and not the base."""
    make = partial(trainer_here, tiny_model, pairs, tmp_path / "checkpoints", 12, lora_dropout=0)
    earlier = make()
    randomise(earlier)
    earlier.save_model(str(tmp_path / "earlier"))
    trainer = make(initial_adapter=str(tmp_path / "earlier"))
    margins = HeldOut(trainer.pairs_here, 4, 0.1).evaluate(trainer)
    assert {row.margin for row in margins} == {0.0}
    named = trainer.arguments.model_copy(update={"champion": str(tmp_path / "earlier")})
    section = champion.compare(champion.find(named), trainer, trainer.pairs_here, margins)
    assert (section["version"], section["ties"], section["difference"]) == (None, 12, 0.0)
    assert section["candidate"] == pytest.approx(section["champion"], abs=1e-5)
    assert abs(section["candidate"]["reward_margin"]) > 1e-3


def test_an_adapter_that_the_layers_do_not_take_is_not_compared(
    arguments: TrainArguments, adapter: Path, tiny_model: Path, pairs: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    trainer = trainer_here(tiny_model, pairs, tmp_path / "checkpoints", 4)
    folder = shutil.copytree(adapter, tmp_path / "other")
    tensors = load_file(adapter / "adapter_model.safetensors")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    save_file(tensors | {name: tensors[name][:, :-1].clone()}, folder / "adapter_model.safetensors")
    named = arguments.model_copy(update={"champion": str(folder)})
    section = champion.compare(
        champion.find(named), trainer, trainer.pairs_here, HeldOut(trainer.pairs_here, 4, 0.1).evaluate(trainer)
    )
    size = tensors[name].shape[1]
    assert section["reason"] == f"its matrix {name} is [8, {size - 1}], the base's layer has {size} features"
    further = {key.replace("layers.0", "layers.99"): tensor for key, tensor in tensors.items()}
    save_file(further, folder / "adapter_model.safetensors")
    reason = champion.misfit(champion.find(named), trainer.model)
    assert reason.startswith("it has a matrix for model.layers.99.") and reason.endswith("no linear layer of the base")


@pytest.fixture
def known(tmp_path: Path, arguments: TrainArguments) -> tuple[champion.Champion, list[RowMargin]]:
    """A champion that recorded margins 2 and -1, and the rows as another model was evaluated on them."""
    rows = [RowMargin(id, -3.0, -2.0, -3.5, -2.0, 5, 6, "chat", False) for id in ("a", "b", "c")]
    write(tmp_path, arguments, [of_margin(row, value) for row, value in zip(rows, (2.0, -1.0, 0.5), strict=True)])
    return champion.Champion(tmp_path, "3", 1.0, None), rows[:2]


def write(
    folder: Path,
    arguments: TrainArguments,
    rows: list[RowMargin],
    served: list[RowMargin] | None = None,
    **trained: Any,
) -> None:
    evaluation: dict[str, Any] = {"margins": [row.as_dict() for row in rows]}
    if served:
        evaluation["served"] = {"evaluated": True, "margins": [row.as_dict() for row in served]}
    text = json.dumps(evaluation)
    (folder / "evaluation.json").write_text(text)
    files = {"evaluation.json": hashlib.sha256(text.encode()).hexdigest()}
    manifest = {"arguments": arguments.model_dump(mode="json") | trained, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_margins_that_the_champion_recorded_of_these_rows_are_taken(
    known: tuple[champion.Champion, list[RowMargin]], arguments: TrainArguments
) -> None:
    found, rows = known
    taken = recorded(found.folder, arguments, rows)
    assert [(row.id, row.margin) for row in taken] == [("a", 2.0), ("b", -1.0)]
    other = arguments.model_copy(update={"beta": 0.5, "lora_r": 64, "learning_rate": 1e-3, "champion_version": "9"})
    assert recorded(found.folder, other, rows) == taken


@pytest.mark.parametrize(
    "trained",
    [{"initial_adapter": "/earlier"}, {"max_length": 64}, {"truncation": "cut_prompt"}, {"load_in_4bit": False},
     {"bf16": False}, {"model_revision": "abc"}],
    ids=str,
)  # fmt: skip
def test_margins_of_other_arguments_or_another_reference_are_not(
    known: tuple[champion.Champion, list[RowMargin]], arguments: TrainArguments, trained: dict[str, Any]
) -> None:
    found, rows = known
    write(found.folder, arguments, rows, **trained)
    assert recorded(found.folder, arguments, rows) is None


def test_margins_of_the_form_that_is_compared_are_taken_and_no_others(
    known: tuple[champion.Champion, list[RowMargin]], arguments: TrainArguments
) -> None:
    found, rows = known
    unquantised = arguments.model_copy(update={"load_in_4bit": False})  # as the scorer of the served form has it
    assert recorded(found.folder, unquantised, rows) is None  # it was not evaluated as served
    served = [of_margin(row, value) for row, value in zip(rows, (1.5, -0.5), strict=True)]
    write(found.folder, arguments, [of_margin(row, 2.0) for row in rows], served)
    assert [row.margin for row in recorded(found.folder, unquantised, rows) or []] == [1.5, -0.5]
    assert [row.margin for row in recorded(found.folder, arguments, rows) or []] == [2.0, 2.0]
    write(found.folder, unquantised, [of_margin(row, 2.0) for row in rows])  # it trained in the form that is served
    assert [row.margin for row in recorded(found.folder, unquantised, rows) or []] == [2.0, 2.0]
    assert recorded(found.folder, arguments, rows) is None
    write(found.folder, arguments, rows, served, bf16=False)
    assert recorded(found.folder, unquantised, rows) is None
    write(found.folder, arguments, rows, served, bnb_4bit_use_double_quant=False)  # no part of the unquantised base
    assert recorded(found.folder, unquantised, rows) is not None


def test_margins_of_other_rows_or_in_a_changed_file_are_not(
    known: tuple[champion.Champion, list[RowMargin]], arguments: TrainArguments
) -> None:
    found, rows = known
    new = RowMargin("new", -3.0, -2.0, -3.5, -2.0, 5, 6, "chat", False)
    cut = RowMargin("a", -3.0, -2.0, -3.5, -2.0, 4, 6, "chat", False)
    assert recorded(found.folder, arguments, [*rows, new]) is None
    assert recorded(found.folder, arguments, [cut]) is None
    evaluation = found.folder / "evaluation.json"
    evaluation.write_text(evaluation.read_text() + " ")
    assert recorded(found.folder, arguments, rows) is None
    evaluation.unlink()
    assert recorded(found.folder, arguments, rows) is None


@pytest.mark.slow
def test_sharded_training_with_a_champion_is_bitwise_what_it_is_without(
    train, adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """FSDP2 + NF4 on two ranks: without, with one, and a finished run that is asked for a comparison afterwards."""
    plain, beside = tmp_path / "plain", tmp_path / "beside"
    for output, given in ((plain, {}), (beside, {"champion": adapter, "champion_version": "3"})):
        done = train(output, 2, **SHORT, **OWN, **given)
        assert done.returncode == 0, done.stdout + done.stderr
    for name in (
        "adapter_model.safetensors",
        "adapter_config.json",
        "checkpoints/checkpoint-3/adapter_model.safetensors",
    ):
        assert (plain / name).read_bytes() == (beside / name).read_bytes(), name
    alone, compared = (json.loads((output / "evaluation.json").read_text()) for output in (plain, beside))
    section = compared.pop("champion")
    assert alone.pop("champion") is None and alone == compared
    assert (section["version"], section["source"], section["rows"]) == ("3", "evaluated", alone["rows"])
    after = alone["after"]
    assert section["candidate"] == {name: after[name] for name in champion.FIGURES}
    assert section["champion"]["reward_margin"] != after["reward_margin"]
    assert section["difference"] == pytest.approx(after["reward_accuracy"] - section["champion"]["reward_accuracy"])
    page = (beside / "report.html").read_text()
    assert "The champion, version 3, is what this model would replace." in page

    later = tmp_path / "later"
    shutil.copytree(plain / "checkpoints", later / "checkpoints")
    done = train(later, 2, **SHORT, **OWN, champion=plain)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continuing from checkpoint-6" in done.stdout
    assert (later / "adapter_model.safetensors").read_bytes() == (plain / "adapter_model.safetensors").read_bytes()
    section = json.loads((later / "evaluation.json").read_text())["champion"]
    assert (section["source"], section["difference"], section["ties"]) == ("recorded", 0.0, alone["rows"])
    assert section["candidate"] == pytest.approx(section["champion"])
