"""Merge takes an adapter only as training wrote it, where training's manifest lies beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steps.merge.fit.adapter import CONFIG, MANIFEST, WEIGHTS, read_adapter, require_as_written
from steps.shared import contract
from steps.shared.contract import StepError


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A folder with the files of one, and the manifest that training writes last."""
    for name in (CONFIG, WEIGHTS, "tokenizer.json", "additional_chat_templates/tools.jinja", "report.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    contract.write_json(tmp_path / MANIFEST, {"files": {name: contract.sha256(path) for name, path in files.items()}})
    return tmp_path


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "tokenizer.json", "additional_chat_templates/tools.jinja"])
def test_a_flipped_bit_is_told_by_its_file(adapter: Path, name: str) -> None:
    require_as_written(adapter)
    file = adapter / name
    written = bytearray(file.read_bytes())
    written[3] ^= 1
    file.write_bytes(written)
    with pytest.raises(StepError) as refused:
        read_adapter(adapter)
    assert str(refused.value) == (
        f"{file}: has not the bytes that training wrote, by manifest.json beside it; copy the folder again, or remove "
        "manifest.json if the change is meant"
    )
    (adapter / MANIFEST).unlink()
    require_as_written(adapter)


def test_a_file_that_is_gone_is_told_and_what_only_people_read_is_not(adapter: Path) -> None:
    (adapter / "report.html").unlink()
    require_as_written(adapter)
    (adapter / "tokenizer.json").unlink()
    with pytest.raises(StepError, match=r"tokenizer.json: is missing: manifest.json beside it names it; copy the"):
        require_as_written(adapter)


@pytest.mark.parametrize("content", [[], {}, {"files": []}, {"files": None}])
def test_a_damaged_manifest_is_one_line(adapter: Path, content: object) -> None:
    (adapter / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(StepError, match=r"manifest.json: has no hashes of files; copy the folder that training wrote"):
        require_as_written(adapter)
