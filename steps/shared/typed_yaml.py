"""Read a YAML file into a pydantic model, with every problem named by line, key and fix.

Used by both sides (workflow settings, recipes), so it imports neither torch nor the SageMaker SDK.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from steps.shared.contract import QUOTED, StepError, shortened, special

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]
MOST_BYTES = 2**20
MOST_VALUES = 10_000
DEEPEST = 50  # levels
TOO_DEEP = "is nested too deep"
SHOWN = 50  # problems
STRING, NUMBER = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"
# Names whose values are never shown. An address may hold a password, or a token in its query.
SECRET = re.compile(r"passw|secret|credential|api_?key|access_?key|(?:^|_)token$|uri$|url$", re.IGNORECASE)


class InvalidFile(StepError):
    """A configuration file that does not say what its reader needs; `problems` names each mistake with its place."""

    def __init__(self, path: Path | str, problems: Iterable[str]):
        self.path, self.problems = path, list(problems)
        count = f"{len(self.problems)} problem" + ("s" if len(self.problems) != 1 else "")
        super().__init__("\n".join([f"{path}: {count}", *(f"  {problem}" for problem in self.problems)]))


def load(
    path: Path,
    model: type[Model],
    *,
    overrides: Mapping[str, str] | None = None,
    successors: Mapping[str, str] | None = None,
    other_names: Mapping[str, str] | None = None,
) -> Model:
    """Read `path` as `model`; `overrides` (key -> text, as a command line or a hyperparameter gives it) win.

    Args:
        successors: keys that a library removed, with what to write instead.
        other_names: what other tools call a key, with its name here.

    Raises:
        InvalidFile: the file is missing, is not YAML, or has problems; all of them are named at once.
    """
    values, lines = read_mapping(path)
    for key, text in (overrides or {}).items():
        values[key] = decode(text)
        lines[(key,)] = 0
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidFile(path, _problems(error, model, lines, successors or {}, other_names or {})) from None


def decode(text: str) -> Any:
    """The value behind a hyperparameter's or argument's text.

    SageMaker delivers literals JSON-quoted and pipeline parameters bare; both must mean the same. Text that is a JSON
    string, list or object is decoded; anything else stays text, and the field's type decides what it means.
    """
    if text[:1] in ('"', "[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):  # no JSON, a number of thousands of digits, or nested without end
            return text
    return None if text.strip().lower() in ("none", "null") else text


def key_lines(path: Path) -> dict[str, int]:
    """The line (from 1) of every top-level key.

    Raises:
        InvalidFile: the file is missing or is not YAML.
    """
    _, lines = read_mapping(path)
    return {str(location[0]): line for location, line in lines.items() if len(location) == 1}


def all_key_lines(path: Path) -> dict[str, int]:
    """The line (from 1) of every key, by its dotted name: `train.instance_type`.

    Raises:
        InvalidFile: the file is missing or is not YAML.
    """
    _, lines = read_mapping(path)
    return {".".join(map(str, location)): line for location, line in lines.items()}


def placed(problem: str, line: int | None) -> str:
    """A problem with its line before it, where it has one."""
    return f"line {line}  {problem}" if line else problem


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean x?` for the nearest known key, or an empty string."""
    near = difflib.get_close_matches(word[:QUOTED], list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def read_mapping(path: Path, *, number_keys: bool = False) -> tuple[dict[str, Any], dict[Location, int]]:
    """The file's top-level mapping and the line (from 1) of every key in it, by its location.

    Args:
        number_keys: below the top level a key may be a whole number, as in files of others.

    Raises:
        InvalidFile: the file is missing or is not YAML.
    """
    try:
        root = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
        if root is None:
            return {}, {}
        if not isinstance(root, yaml.MappingNode):
            raise InvalidFile(path, ["line 1  expected `key: value` lines"])
        lines: dict[Location, int] = {}
        _collect_lines(path, root, (), lines, (), {STRING, NUMBER} if number_keys else {STRING})
        return yaml.SafeLoader("").construct_document(root), lines
    except RecursionError:
        raise InvalidFile(path, [TOO_DEEP]) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that is none, such as 2024-13-01
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}  " if mark else ""
        raise InvalidFile(path, [f"{where}is not YAML: {getattr(error, 'problem', None) or error}"]) from None


def _near(path: Path) -> str:
    """The files whose name is nearest to a missing one's: beside it, and where only a name was given in `configs`."""
    beside: dict[str, list[str]] = {}
    named = [] if path.suffix else path.parent.glob("configs/**/*.y*ml")
    for file in sorted({*path.parent.glob("*.y*ml"), *named}):
        beside.setdefault(file.stem, []).append(str(file))
    near = difflib.get_close_matches(path.stem if path.suffix else path.name, list(beside), n=1, cutoff=0.6)
    return f"; did you mean {' or '.join(beside[near[0]])}?" if near else ""


def read_text(path: Path) -> str:
    """The text of a file of settings.

    Raises:
        InvalidFile: it is missing, no file, too large, or no text.
    """
    if found := special(path):
        raise InvalidFile(path, [f"must be a file, not {found}"])
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise InvalidFile(path, [f"is larger than {MOST_BYTES // 2**20} MiB; is it a file of settings?"])
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InvalidFile(path, [f"the file does not exist{_near(path)}"]) from None
    except IsADirectoryError:
        raise InvalidFile(path, ["is a folder; name a YAML file"]) from None
    except UnicodeDecodeError as error:
        raise InvalidFile(path, [f"is not UTF-8 text: {error}"]) from None
    except OSError as error:
        raise InvalidFile(path, [f"cannot be read: {error.strerror or error}"]) from None


def _collect_lines(
    path: Path,
    node: yaml.Node,
    location: Location,
    lines: dict[Location, int],
    above: tuple[int, ...],
    key_tags: set[str],
) -> None:
    """Note where each key and each member of a list stands. An alias stands for all that it repeats, which counts."""
    line = node.start_mark.line + 1
    if id(node) in above:
        raise InvalidFile(path, [f"line {line}  an alias refers to what it stands in"])
    if len(location) > DEEPEST:
        raise InvalidFile(path, [f"line {line}  {TOO_DEEP}: more than {DEEPEST} levels"])
    if len(lines) > MOST_VALUES:
        raise InvalidFile(
            path, [f"line {line}  holds more than {MOST_VALUES:,} values, with those that aliases repeat"]
        )
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag not in (key_tags if location else {STRING}):
                raise InvalidFile(path, [f"line {line}  keys must be plain words"])
            here = (*location, key.value)
            if here in lines:
                said = f"line {line}  {shortened(key.value)}: stands twice (first on line {lines[here]})"
                raise InvalidFile(path, [said])
            lines[here] = line
            _collect_lines(path, value, here, lines, above, key_tags)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*location, index)] = value.start_mark.line + 1
            _collect_lines(path, value, (*location, index), lines, above, key_tags)


def _problems(
    error: ValidationError,
    model: type[BaseModel],
    lines: Mapping[Location, int],
    successors: Mapping[str, str],
    other_names: Mapping[str, str],
) -> list[str]:
    found: dict[str, int] = {}
    details = error.errors(include_url=False)
    for detail in details[:SHOWN]:
        location = tuple(part for part in detail["loc"] if not _is_union_tag(part))
        line = next((lines[location[:end]] for end in range(len(location), 0, -1) if location[:end] in lines), 0)
        name = shortened(".".join(str(part) for part in location))
        found.setdefault(placed(f"{name}: {_explain(detail, location, model, successors, other_names)}", line), line)
    more = [f"and {len(details) - SHOWN} more"] if len(details) > SHOWN else []
    return [*sorted(found, key=lambda problem: found[problem]), *more]


def _is_union_tag(part: str | int) -> bool:
    """Pydantic puts the tried member of a union into the location, such as `list[str]`; users did not write it."""
    return isinstance(part, str) and ("[" in part or part in ("str", "int", "float", "bool", "literal"))


def _explain(
    detail: Mapping[str, Any],
    location: Location,
    model: type[BaseModel],
    successors: Mapping[str, str],
    other_names: Mapping[str, str],
) -> str:
    key = str(location[-1]) if location else ""
    if detail["type"] == "extra_forbidden":
        if key in successors:
            return f"was removed; {successors[key]}"
        if key in other_names:
            return f"unknown key; it is {other_names[key]} here"
        return f"unknown key{suggestion(key, _fields_at(model, location[:-1]))}"
    if detail["type"] == "missing":
        return "is required and missing"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    given = detail.get("input")
    silent = isinstance(given, dict) or not location or any(SECRET.search(str(part)) for part in location)
    shown = "" if silent else f" (given: {shortened(json.dumps(given, default=str))})"
    return f"must be {message}{shown}" if detail["type"] != "value_error" else message


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    for part in location:
        annotation = _keys(model).get(str(part))
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(_keys(model))


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    """The keys that a file may write for this model, with the type behind each."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}
