"""Which model a folder holds: by what its files say, wherever they lie, without reading all of the weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from steps.shared.contract import StepError
from steps.shared.weights.identity import BLOCK, BLOCKS, identity, spread


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "modeling.py").write_text("one = 1\n")
    draw = np.random.default_rng(0)
    tensors = {"small": draw.standard_normal(50, np.float32), "large": draw.standard_normal((1024, 512), np.float32)}
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_it_is_the_content_that_counts(model: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(model, tmp_path / "elsewhere")
    (moved / "README.md").write_text("another text")
    assert identity(moved) == identity(model)
    assert sorted(identity(model)) == ["config.json", "model.safetensors", "modeling.py"]


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_tensor_that_was_trained_is_seen(model: Path, name: str) -> None:
    from safetensors.numpy import load_file

    before = identity(model)
    tensors = load_file(model / "model.safetensors")
    save_file(tensors | {name: tensors[name] + np.float32(1e-6)}, model / "model.safetensors")
    assert identity(model)["model.safetensors"] != before["model.safetensors"]


def test_configuration_code_and_names_count(model: Path) -> None:
    from safetensors.numpy import load_file

    before = identity(model)
    (model / "config.json").write_text('{"model_type": "llama", "rope_theta": 1}')
    (model / "modeling.py").write_text("one = 2\n")
    tensors = load_file(model / "model.safetensors")
    save_file({"other" if name == "small" else name: tensor for name, tensor in tensors.items()},
              model / "model.safetensors")  # fmt: skip
    after = identity(model)
    assert all(after[name] != before[name] for name in before)


def test_weights_that_are_not_whole_are_one_line(model: Path) -> None:
    file = model / "model.safetensors"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(StepError) as caught:
        identity(model)
    assert str(caught.value).startswith(f"{file}: is not a whole safetensors file (")
    assert str(caught.value).endswith("; copy or download it again")


@given(st.integers(0, 1 << 34))
def test_blocks_lie_within_a_tensor_and_reach_from_end_to_end(size: int) -> None:
    places = list(spread(size))
    assert len(places) <= BLOCKS
    assert places == sorted(set(places))
    if size:
        assert places[0] == 0
        assert places[-1] < size <= places[-1] + BLOCK
