"""A base of which training's manifest says that it is the one it loaded is not loaded once more to be checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from steps.merge.fit import as_trained
from steps.merge.fit.as_trained import changed_since_training, require_sound
from steps.merge.fit.base import open_base
from steps.shared.contract import StepError
from steps.shared.weights.identity import identity


@pytest.fixture
def trained(make_base, tmp_path: Path) -> tuple[Path, Path]:
    """A base, and the folder of an adapter that was trained on it."""
    base, adapter = make_base(max_shard_size="20KB"), tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "manifest.json").write_text(json.dumps({"files": {}, "base": identity(base)}))
    return base, adapter


def change(base: Path) -> str:
    """Change one weight of the base's last shard, and nothing in its header; the shard's name."""
    shard = sorted(base.glob("*.safetensors"))[-1]
    tensors = load_file(shard)
    next(iter(tensors.values())).view(-1)[0] = 7.0
    save_file(tensors, shard, metadata={"format": "pt"})
    return shard.name


def test_the_trained_base_is_not_loaded_again(trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    base, adapter = trained
    monkeypatch.setattr(as_trained, "require_all_tensors", lambda _: pytest.fail("loaded"))
    assert require_sound(open_base(str(base), None), adapter) is True


def test_a_base_that_changed_is_checked_and_what_changed_is_said(trained: tuple[Path, Path], capsys) -> None:
    base, adapter = trained
    changed = change(base)
    assert require_sound(open_base(str(base), None), adapter) is False
    assert capsys.readouterr().out == (
        f"note: {base} is not as training loaded it: 1 of its files have other bytes or names, first {changed}; if "
        "that is not meant, give the base that the adapter was trained on\n"
    )


def test_a_base_that_changed_and_is_not_whole_is_refused(trained: tuple[Path, Path]) -> None:
    base, adapter = trained
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"intermediate_size": 24}))
    assert changed_since_training(open_base(str(base), None), adapter) == ["config.json"]
    with pytest.raises(StepError, match=r"its weights and its config\.json do not fit"):
        require_sound(open_base(str(base), None), adapter)


@pytest.mark.parametrize("manifest", [None, "[]", "{}", '{"base": "org/name"}'])
def test_where_nothing_tells_the_base_is_checked(trained: tuple[Path, Path], manifest: str | None, monkeypatch) -> None:
    base, adapter = trained
    (adapter / "manifest.json").unlink()
    if manifest:
        (adapter / "manifest.json").write_text(manifest)
    checked: list[str] = []
    monkeypatch.setattr(as_trained, "require_all_tensors", lambda base: checked.append(base.name))
    assert require_sound(open_base(str(base), None), adapter) is None
    assert require_sound(open_base(str(base), None)) is None
    assert checked == [str(base), str(base)]


def test_a_manifest_that_is_not_json_is_an_error(trained: tuple[Path, Path]) -> None:
    base, adapter = trained
    (adapter / "manifest.json").write_text("{")
    with pytest.raises(StepError, match=r"manifest\.json"):
        require_sound(open_base(str(base), None), adapter)


def test_the_trained_base_needs_no_transformers(trained: tuple[Path, Path], run) -> None:
    base, adapter = trained
    program = (
        "import sys; from pathlib import Path; from steps.merge.fit.as_trained import require_sound;"
        "from steps.merge.fit.base import open_base; require_sound(open_base(sys.argv[1], None), Path(sys.argv[2]));"
        "sys.exit(f'imported {found}' if (found := {'torch', 'transformers'} & sys.modules.keys()) else 0)"
    )
    done = run("-c", program, base, adapter)
    assert done.returncode == 0, done.stderr
