"""Reads a file of another trainer: YAML, or a shell script with its command (`trl dpo --key value …`)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from steps.shared import typed_yaml
from steps.shared.contract import StepError, shortened

# The words before a trainer's own arguments; what stands before them is the launcher's.
COMMANDS = (("trl", "dpo"), ("llamafactory-cli", "train"), ("axolotl", "train"))
SCRIPT = "dpo.py"
NEAR = re.compile(r"dpo|train")  # what any of them holds


@dataclass(frozen=True)
class Given:
    """All keys of a file, in its order, and the line (from 1) of each."""

    values: Mapping[str, Any]
    lines: Mapping[str, int]


def read(path: Path) -> Given:
    """Read `path`.

    Raises:
        InvalidFile: it is missing, cannot be read, or is neither YAML nor a command; with the line.
        StepError: its command does not say its arguments itself, or there are several.
    """
    commands = _commands(typed_yaml.read_text(path))
    if len(commands) > 1:
        lines = " and ".join(str(line) for line, _ in commands)
        raise StepError(f"{path}: holds several commands that train (lines {lines}); keep one of them in a copy")
    if commands:
        line, words = commands[0]
        values = _arguments(path, line, words)
        return Given(values, dict.fromkeys(values, line))
    values, places = typed_yaml.read_mapping(path, number_keys=True)
    return Given(values, {str(place[0]): line for place, line in places.items() if len(place) == 1})


def _commands(text: str) -> list[tuple[int, list[str]]]:
    """The line and the arguments of each command that trains; a comment is none."""
    found = []
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        start, joined = number, lines[number]
        while joined.rstrip().endswith("\\") and number + 1 < len(lines):
            number += 1
            joined = f"{joined.rstrip()[:-1]} {lines[number]}"
        number += 1
        if "--" in joined and NEAR.search(joined) and (words := _after_command(joined)) is not None:
            found.append((start + 1, words))
    return found


def _after_command(line: str) -> list[str] | None:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a quote that does not close: YAML, as a rule
        return None
    if words and words[0].endswith(":"):  # a key of YAML, whose value is a command
        return None
    for index, word in enumerate(words):
        if word.rpartition("/")[2].endswith(SCRIPT) or (index and (Path(words[index - 1]).name, word) in COMMANDS):
            return words[index + 1 :]
    return None


def _arguments(path: Path, line: int, words: Sequence[str]) -> dict[str, Any]:
    """`--key value`, `--key=value`, `--key a b`, `--key` (true) and `--no_key` (false); the last of a key counts."""
    values: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise StepError(f"{path}: line {line}  the command reads {shortened(word)}; name that file after --from")
        key, equals, value = word[2:].partition("=")
        key = key.replace("-", "_")
        given = [value] if equals else []
        while not equals and rest and not rest[0].startswith("--"):
            given.append(rest.pop(0))
        if key == "config":
            raise StepError(f"{path}: line {line}  the command reads --config; name that file after --from")
        if any("$" in one for one in given):
            raise StepError(f"{path}: line {line}  --{key}: holds a variable of the shell; write its value in a copy")
        if not given and key.startswith("no_"):
            values[key.removeprefix("no_")] = False
        else:
            values[key] = True if not given else _value(given[0]) if len(given) == 1 else [_value(one) for one in given]
    return values


def _value(text: str) -> Any:
    """A number, true, false, null, or the text itself: as YAML reads it."""
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    return found if found is None or isinstance(found, bool | int | float) else text
