"""How a step ends: the reason of its failure, printed once and left where SageMaker reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.shared import contract


@pytest.fixture
def failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    return tmp_path / "output" / "failure"


def test_a_lack_of_memory_is_one_line(failure: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise MemoryError("Unable to allocate 9 GiB\nfor an array")

    assert contract.run(main) == 1
    assert failure.read_text() == (
        "the memory (RAM) does not suffice (MemoryError: Unable to allocate 9 GiB for an array); take a machine or an "
        "instance with more"
    )
    assert capsys.readouterr().err == f"error: {failure.read_text()}\n"


def test_the_first_reason_stays_unless_it_only_tells_of_another_process(failure: Path) -> None:
    contract.write_failure(f"{contract.LOST_ANOTHER} (a)")
    contract.write_failure(f"{contract.LOST_ANOTHER} (b)")
    contract.write_failure("exit code 1", if_none=True)
    assert failure.read_text() == f"{contract.LOST_ANOTHER} (a)"
    contract.write_failure("the disk is full")
    contract.write_failure("another")
    assert failure.read_text() == failure.with_name("message").read_text() == "the disk is full"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (KeyError("x"), "KeyError: 'x'"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_an_error_in_one_line_has_its_type_where_the_words_tell_little(error: Exception, said: str) -> None:
    assert contract.in_one_line(error) == said


def test_a_working_folder_that_was_deleted_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "deleted").mkdir()
    monkeypatch.chdir(tmp_path / "deleted")
    (tmp_path / "deleted").rmdir()
    assert contract.run(lambda: pytest.fail("it began")) == 1
    said = "error: the folder that this command was started in has been deleted; change to another one\n"
    assert capsys.readouterr().err == said
