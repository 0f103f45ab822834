"""The fingerprint follows the code that decides a training's result, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Set
from functools import cache
from pathlib import Path

import pytest

from steps.train.arguments import TrainArguments
from steps.train.loop import fingerprint
from steps.train.loop.fingerprint import DECIDES
from tests.paths import ROOT
from tests.structure import imports, sources

# Modules, and rooms with all that is in them, whose code does not decide the result of a training, and why.
DO_NOT_DECIDE = {
    "steps.shared.contract": "reads and writes files, and words errors; what it read enters by value",
    "steps.shared.disks": "words errors of a disk",
    "steps.shared.experts": "counts weights for the log and the report",
    "steps.shared.folders": "lists and locks folders",
    "steps.shared.hub": "tells a hub's name from a folder, refuses a silent hub; which model it is enters by value",
    "steps.shared.lora_settings": "refuses an adapter, or does nothing",
    "steps.shared.model_folder": "refuses a folder, and names the files that are copied when the training is over",
    "steps.shared.pages": "draws pages when the training is over",
    "steps.shared.records": "the rows' tokens enter by value",
    "steps.shared.weights.safetensors_file": "reads headers for checks; the weights enter by value",
    "steps.shared.calls": "reads answers when the training is over",
    "steps.shared.secrets": "fetches keys of services",
    "steps.shared.serving": "says what serves the model when the training is over",
    "steps.shared.signs": "tells what the training does",
    "steps.shared.statistics": "says how sure a figure is",
    "steps.shared.templates": "makes the rows' tokens, which enter by value",
    "steps.shared.typed_yaml": "the arguments enter by value",
    "steps.shared.weights.whole_names": "words a refusal",
    "steps.train.answers": "asks and judges when the training is over",
    "steps.train.arguments": "enters by value",
    "steps.train.evaluation.canary": "figures when the training is over",
    "steps.train.evaluation.champion": "compares when the training is over; the adapter to continue enters by value",
    "steps.train.evaluation.paired": "compares when the training is over",
    "steps.train.evaluation.recorded": "reads margins when the training is over",
    "steps.train.evaluation.scorer": "has types alone",
    "steps.train.footprint": "serves estimates",
    "steps.train.loop.fingerprint": "is what the fingerprint is made from",
    "steps.train.loop.first_step": "stops a run, or does nothing",
    "steps.train.loop.metric_lines": "prints",
    "steps.train.loop.moment": "enters by the rows' tokens",
    "steps.train.loop.system_figures": "measures",
    "steps.train.metrics": "counts, measures and prints",
    "steps.shared.weights.identity": "enters by value",
    "steps.train.model.coverage": "counts weights for the log and the report",
    "steps.train.model.processors_template": "refuses a run, or warns",
    "steps.train.model.shape": "serves checks and estimates",
    "steps.train.model.whole": "refuses a run, or does nothing",
    "steps.shared.libraries": "leaves out of the imports what no step uses",
    "steps.train.origin": "tells where a run comes from, for its page and cards",
    "steps.train.other_names": "words a refusal",
    "steps.train.preflight": "refuses a run, or does nothing",
    "steps.train.results": "writes when the training is over",
    "steps.train.rows.preview": "prints",
    "steps.train.rows.reversed": "counts rows for the report",
    "steps.train.rows.splits": "the rows' tokens enter by value, in their order",
    "steps.train.run": "has fields alone",
    "steps.train.runtime.lost_process": "words an error",
    "steps.train.runtime.machine": "words an error",
    "steps.train.runtime.out_of_memory": "words an error",
    "steps.train.runtime.gpus": "counts GPUs, or ends the run",
    "steps.train.runtime.interruption": "says when a run ends that another continues",
    "steps.train.served": "evaluates when the training is over",
    "steps.train.tracking": "tells trackers",
    "steps.train.train": "calls the three parts in their order",
}
PAGE = "steps.train.results.page"


@cache
def reached(start: str) -> frozenset[str]:
    """Every module that `start` imports, directly or through others, and itself; packages left out."""
    graph = imports(sources("steps"))
    found, waiting = set(), [start]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += graph[module]
    return frozenset(module for module in found if not (ROOT / module.replace(".", "/")).is_dir())


def undecided(modules: Set[str]) -> list[str]:
    """Modules that stand in neither of the two lists, or in both."""

    def stands_in(module: str) -> int:
        does_not = any(module == name or module.startswith(f"{name}.") for name in DO_NOT_DECIDE)
        return (module in DECIDES) + does_not

    return sorted(module for module in modules if stands_in(module) != 1)


def test_of_every_module_of_a_training_it_is_said_whether_it_decides_the_result() -> None:
    modules = reached("steps.train.train")
    assert len(modules) > 50
    assert undecided(modules) == []
    assert undecided(modules | {"steps.train.loop.new"}) == ["steps.train.loop.new"]


def test_the_lists_name_only_what_a_training_reaches() -> None:
    modules = reached("steps.train.train")
    assert set(DECIDES) <= modules and len(set(DECIDES)) == len(DECIDES)
    for name in DO_NOT_DECIDE:
        assert any(module == name or module.startswith(f"{name}.") for module in modules), name


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code that a training reaches, from which the fingerprint is made."""
    for module in reached("steps.train.train"):
        file = f"{module.replace('.', '/')}.py"
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    monkeypatch.setattr(fingerprint, "CHECKOUT", tmp_path)
    return tmp_path


def of_run() -> str:
    return fingerprint.of_run(TrainArguments(model_id="Qwen/Qwen3-8B"), "rows", None)


def change(checkout: Path, module: str) -> None:
    with open(checkout / f"{module.replace('.', '/')}.py", "a", encoding="utf-8") as file:
        file.write("# changed\n")


@pytest.mark.parametrize("module", DECIDES)
def test_another_text_of_a_deciding_module_is_another_run(checkout: Path, module: str) -> None:
    before = of_run()
    change(checkout, module)
    assert of_run() != before


def test_another_text_of_what_does_not_decide_is_the_same_run(checkout: Path) -> None:
    before = of_run()
    others = reached("steps.train.train") - set(DECIDES)
    assert {PAGE, "steps.train.tracking.callback", "steps.train.metrics.lines"} < others
    for module in others:
        change(checkout, module)
    assert of_run() == before
