"""From the keys of another trainer's file to the arguments of a recipe; every key is translated, named, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steps.shared.contract import StepError, shortened
from steps.shared.pages import visible
from steps.train.arguments import SUCCESSORS, TrainArguments
from steps.train.other_tools.axolotl import AXOLOTL
from steps.train.other_tools.llama_factory import LLAMA_FACTORY
from steps.train.other_tools.read import Given
from steps.train.other_tools.rules import Left, Rule, Tool, Written, argument_of, plain
from steps.train.other_tools.trl import TRL

TOOLS = (TRL, AXOLOTL, LLAMA_FACTORY)
NAMES = "TRL, axolotl or LLaMA-Factory"
MODELS = {"model_name_or_path", "base_model"}  # what they call `model_id`
SHOWN = 4  # keys that a message quotes
UNKNOWN = "is not known here; if the training depends on it, look at steps/train/README.md#arguments"
# Without these a recipe would train something else, so that a value which does not fit ends the translation.
VITAL = {"model_id": "the base model", "loss_type": "the loss"}


@dataclass(frozen=True)
class Line:
    """A line of the recipe: an argument, its value, and where that comes from."""

    argument: str
    value: Any
    source: str


@dataclass(frozen=True)
class LeftKey:
    """A key that was not carried over, or a part of its meaning; `key` is None for what the file leaves out."""

    key: str | None
    line: int
    left: Left


@dataclass(frozen=True)
class Translation:
    """What a file comes to: a recipe that loads, and all that it does not say."""

    tool: str
    lines: tuple[Line, ...]
    left: tuple[LeftKey, ...]
    keys: int  # of the file
    translated: frozenset[str]  # those that are in the recipe

    @property
    def differs(self) -> list[LeftKey]:
        """What changes the training, or needs a decision."""
        return [left for left in self.left if left.left.matters]

    @property
    def needless(self) -> list[LeftKey]:
        """What nobody has to care for."""
        return [left for left in self.left if not left.left.matters]


@dataclass
class _Argument:
    keys: list[str]
    value: Any
    note: str = ""


def translate(given: Given, path: Path) -> Translation:
    """Translate what stands in `path`.

    Raises:
        StepError: it is of none of the three trainers or of several, names no model, or trains by what no recipe can.
    """
    tool = tool_of(given.values, path)
    if why := tool.refuses(given.values):
        raise StepError(f"{path}: this file of {tool.name} cannot become a recipe: {why}")
    found: dict[str, _Argument] = {}
    left: list[LeftKey] = []
    for key, value in given.values.items():
        for outcome in _outcomes(tool, key, value, given.values):
            refused = outcome if isinstance(outcome, Left) else _take(found, key, outcome)
            if refused:
                left.append(LeftKey(key, given.lines.get(key, 0), refused))
    left += [LeftKey(None, 0, remark) for remark in tool.remarks(given.values)]
    if "model_id" not in found:
        raise StepError(f"{path}: names no model; add one to a copy of it ({_model_key(tool)}: NAME)")
    defaults = _defaults(tool, given.values)
    arguments = _fitting(path, found, defaults, given, left)
    return Translation(
        tool.name,
        tuple(_lines(arguments, found, defaults, given, tool)),
        tuple(left),
        len(given.values),
        frozenset(key for argument in found.values() for key in argument.keys),
    )


def tool_of(values: Mapping[str, Any], path: Path) -> Tool:
    """Whose file it is, by keys that only one of them has.

    Raises:
        StepError: nobody's, or that of several; also a recipe of this project.
    """
    if not values:
        raise StepError(f"{path}: is empty; name a file of {NAMES}")
    marks = {tool.name: [key for key in values if key in tool.own] for tool in TOOLS}
    fitting = [tool for tool in TOOLS if marks[tool.name]]
    if "model_id" in values and not MODELS & values.keys():
        raise StepError(f"{path}: is a recipe of this project already; python pipeline.py check --recipe reads it")
    if not fitting and "model_name_or_path" in values:  # all other keys are transformers' own
        return TRL
    if not fitting:
        raise StepError(f"{path}: is no file of {NAMES}: none of its keys is theirs alone{_some(list(values))}")
    if len(fitting) > 1:
        each = "; ".join(f"{tool.name}{_some(marks[tool.name])}" for tool in fitting)
        raise StepError(f"{path}: has keys of several trainers: {each}; keep those of one of them in a copy")
    return fitting[0]


def rule_of(tool: Tool, key: str) -> Rule | None:
    """The rule for a key: its own, that of an argument with this or another known name, or that of its family."""
    if key in tool.rules:
        return tool.rules[key]
    if argument_of(key):
        return plain(key)[key]
    return next((rule for prefix, rule in tool.families.items() if key.startswith(prefix)), None)


def _outcomes(tool: Tool, key: str, value: Any, whole: Mapping[str, Any]) -> list[Written | Left]:
    if value is None:
        return [Left("has no value there", matters=False)]
    if rule := rule_of(tool, key):
        return list(rule.act(value, whole))
    if key in SUCCESSORS:
        return [Left(SUCCESSORS[key], matters=not SUCCESSORS[key].startswith("leave it out"))]
    return [Left(UNKNOWN)]


def _take(found: dict[str, _Argument], key: str, written: Written) -> Left | None:
    """Note an argument; what another key has said otherwise before is left, and told."""
    before = found.setdefault(written.argument, _Argument([], written.value, written.note))
    if before.keys and before.value != written.value:
        return Left(f"{written.argument} comes from {before.keys[0]} here, which says otherwise")
    before.keys.append(key)
    return None


def _defaults(tool: Tool, whole: Mapping[str, Any]) -> dict[str, Any]:
    """The tool's own values for what the file leaves out, where they are others than here."""
    said = {name for key, value in whole.items() if value is not None and (rule := rule_of(tool, key))
            for name in rule.becomes}  # fmt: skip
    fields = TrainArguments.model_fields
    return {
        name: value for name, value in tool.defaults(whole).items()
        if name not in said and value != fields[name].get_default(call_default_factory=True)
    }  # fmt: skip


def _fitting(
    path: Path, found: dict[str, _Argument], defaults: dict[str, Any], given: Given, left: list[LeftKey]
) -> TrainArguments:
    """The arguments, without those whose values do not fit; these move from `found` to `left`."""
    while True:
        values = {**defaults, **{name: argument.value for name, argument in found.items()}}
        try:
            return TrainArguments.model_validate(values)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
        message = detail["msg"].removeprefix("Value error, ")
        name = str(detail["loc"][0]) if detail["loc"] else message.partition(":")[0]
        if name == "label_smoothing" and name not in found:  # of the loss that needs it
            name = "loss_type"
        if name in VITAL or name not in {**defaults, **found}:
            source = " and ".join(found[name].keys) if name in found else name
            raise StepError(f"{path}: {source}: no recipe can have it ({VITAL.get(name, name)}): {message}")
        argument = found.pop(name, None)
        if argument is None:
            defaults.pop(name)
        for key in argument.keys if argument else ():
            left.append(LeftKey(key, given.lines.get(key, 0), Left(f"does not fit {name} here: {_lowered(message)}")))


def _lines(
    arguments: TrainArguments, found: Mapping[str, _Argument], defaults: Mapping[str, Any], given: Given, tool: Tool
) -> list[Line]:
    values = arguments.model_dump(mode="json", exclude_unset=True)
    lines = []
    for name in TrainArguments.model_fields:
        if name in found:
            lines.append(Line(name, values[name], _source(name, found[name], given)))
        elif name in defaults:
            lines.append(Line(name, values[name], f"{tool.name}'s default"))
    return lines


def _source(name: str, argument: _Argument, given: Given) -> str:
    """`line 3: base_model; what was done`."""
    keys = [visible.name(shortened(key)) for key in argument.keys]
    lines = sorted({given.lines[key] for key in argument.keys if key in given.lines})
    place = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
    told = "" if keys == [name] else f": {', '.join(keys)}"
    return f"{place}{told}{f'; {argument.note}' if argument.note else ''}"


def _model_key(tool: Tool) -> str:
    return next(key for key, rule in tool.rules.items() if rule.becomes == ("model_id",))


def _some(keys: list[str]) -> str:
    shown = ", ".join(visible.name(shortened(key)) for key in keys[:SHOWN])
    return f" ({shown}{', …' if len(keys) > SHOWN else ''})"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]
