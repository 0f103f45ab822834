"""What the imports of the training libraries leave out, and that all is as it was afterwards."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import pytest

from steps.shared.libraries.lean import _absent, _distributions_when_asked, _uncompiled, uncollected

# The order in which a training imports them, up to its first step, on the rank that tells no tracker.
TRAIN = """
import gc, importlib.util, sys, torch
compiled = torch.compile
from steps.shared.libraries.lean import UNUSED, lean
with lean():
    from steps.train.prepare import prepare
    import steps.train.loop.trainer
assert {"bitsandbytes", "peft", "transformers", "trl"} <= sys.modules.keys()
loaded = [name for name in (*UNUSED, "mlflow", "matplotlib", "networkx", "sklearn", "torch._inductor.compile_fx")
          if name in sys.modules]
assert loaded == [], loaded
assert all(importlib.util.find_spec(name) for name in ("scipy", "wandb"))
assert torch.compile is compiled and gc.isenabled() and not gc.get_freeze_count()
"""


def test_a_training_imports_nothing_that_no_step_uses(run) -> None:
    done = run("-c", TRAIN, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr


LATER = """
import sys, transformers
from steps.shared.libraries.lean import lean
with lean():
    import transformers.modeling_utils
assert not {"boto3", "wandb"} & sys.modules.keys()
"""


def test_what_transformers_has_looked_for_before_stays(run) -> None:
    done = run("-c", LATER, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "not_yet_loaded.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return "not_yet_loaded"


def test_a_package_is_not_there_meanwhile_and_one_that_is_loaded_stays(package: str) -> None:
    with _absent((package, "json")):
        assert importlib.util.find_spec(package) is None
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(package)
        assert importlib.import_module("json").loads("1") == 1
    assert importlib.import_module(package).__name__ == package
    del sys.modules[package]


def test_all_is_there_again_after_an_import_that_failed(package: str) -> None:
    read = importlib.metadata.packages_distributions
    with pytest.raises(ZeroDivisionError), uncollected(), _absent((package,)), _distributions_when_asked():
        assert 1 / 0
    assert importlib.util.find_spec(package) is not None
    assert importlib.metadata.packages_distributions is read
    assert gc.isenabled()


def test_distributions_are_read_when_one_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[dict[str, list[str]]] = []

    def read() -> dict[str, list[str]]:
        reads.append({"yaml": ["PyYAML"]})
        return reads[-1]

    monkeypatch.setattr(importlib.metadata, "packages_distributions", read)
    with _distributions_when_asked():
        found = importlib.metadata.packages_distributions()
    assert reads == []
    assert found["yaml"] == ["PyYAML"]
    with pytest.raises(KeyError):
        found["no such package"]


def test_where_nothing_was_collected_before_nothing_is_afterwards() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_function_is_handed_back_as_it_is_by_call_and_by_decorator() -> None:
    assert _uncompiled(len) is len
    assert _uncompiled(dynamic=False)(len) is len
