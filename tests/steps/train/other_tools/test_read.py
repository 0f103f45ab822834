"""Files as they are read: YAML, or the command of a shell script."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steps.shared.contract import StepError
from steps.train.other_tools.read import Given, read

SCRIPT = """\
#!/bin/bash
# trl dpo --beta 9
export NAME=x
accelerate launch --config_file fsdp.yaml trl/scripts/dpo.py \\
    --model_name_or_path Qwen/Qwen3-8B --learning-rate=5e-6 \\
    --loss_type sigmoid sft --loss_weights 1 0.5 --use_peft \\
    --no_gradient_checkpointing --max_steps -1 --run_name 'a b' --seed null
"""


def given_by(folder: Path, text: str) -> Given:
    path = folder / "run.sh"
    path.write_text(text, encoding="utf-8")
    return read(path)


def test_a_command_is_read_from_its_script_without_the_launchers_own_words(tmp_path: Path) -> None:
    found = given_by(tmp_path, SCRIPT)
    assert found.values == {
        "model_name_or_path": "Qwen/Qwen3-8B", "learning_rate": "5e-6", "loss_type": ["sigmoid", "sft"],
        "loss_weights": [1, 0.5], "use_peft": True, "gradient_checkpointing": False, "max_steps": -1,
        "run_name": "a b", "seed": None,
    }  # fmt: skip
    assert set(found.lines.values()) == {4}


@pytest.mark.parametrize("command", ["trl dpo", "llamafactory-cli train", "python dpo.py", "/opt/bin/trl dpo"])
def test_each_trainers_command_is_known(tmp_path: Path, command: str) -> None:
    assert given_by(tmp_path, f"{command} --stage dpo\n").values == {"stage": "dpo"}


def test_yaml_is_read_with_the_line_of_every_key_and_with_numbers_as_keys_below(tmp_path: Path) -> None:
    found = given_by(tmp_path, "# trl dpo --beta 9\na: 1\nmap:\n  3: x\nb: trl dpo --beta 1\n")
    assert found == Given({"a": 1, "map": {3: "x"}, "b": "trl dpo --beta 1"}, {"a": 2, "map": 3, "b": 5})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trl dpo --config dpo.yaml --beta 1\n", "line 1  the command reads --config; name that file after --from"),
        ("llamafactory-cli train dpo.yaml --lora_rank 4\n", "line 1  the command reads dpo.yaml; name that file"),
        ("trl dpo --model_name_or_path $MODEL\n", "--model_name_or_path: holds a variable of the shell"),
        ("trl dpo --beta 1\ntrl dpo --beta 2\n", r"several commands that train \(lines 1 and 2\)"),
        ("a: [", "is not YAML"),
        ("- a\n", "line 1  expected `key: value` lines"),
        ("a: 1\na: 2\n", "line 2  a: stands twice"),
        ("1: 2\n", "line 1  keys must be plain words"),
    ],
)
def test_what_is_neither_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StepError, match=said):
        given_by(tmp_path, text)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="does not exist"):
        read(tmp_path / "none.yaml")
    with pytest.raises(StepError, match="is a folder"):
        read(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StepError, match="is not UTF-8 text"):
        read(tmp_path / "binary")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40) | st.builds("trl dpo --{} {}".format, st.text(max_size=8), st.text(max_size=20)))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "any").write_text(text, encoding="utf-8", errors="replace")
    try:
        found = read(tmp_path / "any")
    except StepError:
        return
    assert found.values.keys() == found.lines.keys()
