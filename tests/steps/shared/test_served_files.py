"""A folder against the hash of its manifest: whatever is changed, added or taken away is found and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.shared import contract, served_files
from steps.shared.served_files import MANIFEST, FilesDiffer


@pytest.fixture
def served(tmp_path: Path) -> tuple[Path, str]:
    """A folder, and its manifest's hash."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "sub" / "weights").write_text("weights")
    contract.write_json(tmp_path / MANIFEST, served_files.facts(tmp_path, list(served_files.paths(tmp_path))))
    return tmp_path, contract.sha256(tmp_path / MANIFEST)


def test_what_a_desktop_leaves_in_a_folder_is_no_difference(served: tuple[Path, str]) -> None:
    (served[0] / "sub" / ".DS_Store").write_bytes(b"x")
    served_files.check_folder(*served, whole=True)


@pytest.mark.parametrize("whole", [True, False])
def test_an_untouched_folder_is_what_was_registered(served: tuple[Path, str], whole: bool) -> None:
    served_files.check_folder(*served, whole=whole)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("sub/weights", "weight", "sub/weights has 6 bytes, the registered one has 7"),
        ("sub/weights", None, "sub/weights is missing"),
        ("model.py", "", "model.py was not there when the version was registered (a file too many: remove it)"),
        (MANIFEST, "{}", "manifest.json has another content than the registered one"),
        (MANIFEST, None, "manifest.json is missing"),
    ],
)
def test_what_differs_is_named(served: tuple[Path, str], name: str, content: str | None, said: str) -> None:
    folder, digest = served
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(FilesDiffer) as error:
        served_files.check_folder(folder, digest, whole=False)
    assert str(error.value) == said


def test_a_content_of_the_same_size_is_found_where_every_file_is_read(served: tuple[Path, str]) -> None:
    folder, digest = served
    (folder / "sub" / "weights").write_text("WEIGHTS")
    served_files.check_folder(folder, digest, whole=False)
    with pytest.raises(FilesDiffer, match="sub/weights has another content than the registered one"):
        served_files.check_folder(folder, digest, whole=True)
