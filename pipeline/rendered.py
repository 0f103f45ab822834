"""A rendered definition, read: its parameters, its steps with the branches they lie in, and what a value refers to.

The one reader of the JSON that SageMaker Pipelines takes, for all that check, draw, compare, price or run it. Judges
nothing: what has the wrong form is read as empty, and every part keeps its JSON (`raw`) for those that judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")
PROPERTY_FILES = ".PropertyFiles."
_STEP_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PATH = re.compile(r"""(?:\.[A-Za-z0-9_-]+|\[\d+\]|\['[^']*'\])*""")
_PATH_PART = re.compile(r"""\.([A-Za-z0-9_-]+)|\[(\d+)\]|\['([^']*)'\]""")

Side = Literal["IfSteps", "ElseSteps"]
SIDES: tuple[Side, ...] = ("IfSteps", "ElseSteps")
Path = tuple[str | int, ...]


class Branch(NamedTuple):
    """One side of a Condition step."""

    condition: str
    side: Side

    @property
    def outcome(self) -> bool:
        """What the condition must come to for the steps of this side to run."""
        return self.side == "IfSteps"


@dataclass(frozen=True)
class Reference:
    """A `{"Get": text}`, such as `Steps.Train.ModelArtifacts.S3ModelArtifacts`.

    Attributes:
        root: what stands before the first dot; Parameters, Execution or Steps where it leads anywhere.
        name: of the parameter, execution variable or step.
        rest: what follows a step's name, as it is written.
    """

    text: str
    root: str
    name: str
    rest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        root, _, rest = text.partition(".")
        name = re.split(r"[.\[]", rest, maxsplit=1)[0] if root == "Steps" else rest
        return cls(text, root, name, rest[len(name) :])

    @property
    def sound(self) -> bool:
        """Whether it is `Parameters.X`, `Execution.X` or `Steps.X.A['b'].C[0]`."""
        if self.root != "Steps":
            return self.root in ("Parameters", "Execution") and self.name != ""
        return bool(_STEP_NAME.fullmatch(self.name) and _PATH.fullmatch(self.rest))

    @property
    def path(self) -> Path:
        """The parts of `rest`: ("A", "b", "C", 0)."""
        parts = _PATH_PART.findall(self.rest)
        return tuple(int(index) if index else member or key for member, index, key in parts)

    @property
    def property_file(self) -> str | None:
        """`gate` of `Steps.Gate.PropertyFiles.gate`, None of any other reference."""
        is_one = self.root == "Steps" and self.rest.startswith(PROPERTY_FILES)
        return self.rest.removeprefix(PROPERTY_FILES) if is_one else None


@dataclass(frozen=True)
class Parameter:
    """A parameter as the definition declares it; `default` is None where it has none."""

    name: str
    type: str
    default: Any
    choices: tuple[Any, ...]
    raw: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One step, wherever it is nested.

    Attributes:
        where: how messages call it: its name, or its place in the JSON where it has none.
        arguments: its own; of a Condition, without the steps in its branches.
        depends_on: the steps that its DependsOn names.
        inside: the branches that it lies in, the outermost first.
        branches: the steps that a Condition leads to, by side; only the sides that are written.
        property_files: name -> {PropertyFileName, OutputName, FilePath}.
        cache: its CacheConfig.
    """

    name: str
    type: str
    where: str
    raw: dict[str, Any]
    arguments: dict[str, Any]
    depends_on: tuple[str, ...] = ()
    inside: tuple[Branch, ...] = ()
    branches: Mapping[Side, tuple[Step, ...]] = field(default_factory=dict)
    property_files: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    cache: Mapping[str, Any] = field(default_factory=dict)

    @property
    def branch(self) -> Branch | None:
        """The innermost branch that it lies in."""
        return self.inside[-1] if self.inside else None

    @property
    def cached(self) -> bool:
        """Whether its results are reused while what its cache key takes in stays the same."""
        return self.cache.get("Enabled") is True

    @cached_property
    def needs(self) -> frozenset[str]:
        """The steps it waits for: those it refers to or depends on, and the Condition that it lies in."""
        condition = {self.branch.condition} if self.branch else set()
        return frozenset(steps_in(self.arguments) | set(self.depends_on) | condition)

    def parting(self, other: Step) -> Branch | None:
        """The branch of `other` that never runs together with this step, which lies in the condition's other branch."""
        own = dict(self.inside)
        return next((branch for branch in other.inside if own.get(branch.condition, branch.side) != branch.side), None)


_Named = TypeVar("_Named", Parameter, Step)


@dataclass(frozen=True)
class Definition:
    """A definition's parameters (of two with one name, the first) and its outermost steps."""

    parameters: Mapping[str, Parameter]
    steps: tuple[Step, ...]

    @cached_property
    def all_steps(self) -> tuple[Step, ...]:
        """Every step; those in the branches of a condition follow it."""
        return tuple(_flattened(self.steps))

    @cached_property
    def by_name(self) -> Mapping[str, Step]:
        """Every step by its name; of two with one name, the first."""
        return _first_of_each(self.all_steps)


def read(definition: Mapping[str, Any]) -> Definition:
    """The parameters and steps of a definition's JSON."""
    parameters = [_parameter(as_dict(raw)) for raw in as_list(definition.get("Parameters"))]
    named = _first_of_each([parameter for parameter in parameters if parameter.name])
    return Definition(named, _steps(definition.get("Steps"), "Steps", ()))


def function_of(value: Any) -> str | None:
    """The function's name where a value is an expression, else None."""
    if isinstance(value, dict) and len(value) == 1:
        (name,) = value
        if name == "Get" or name.startswith("Std:"):
            return str(name)
    return None


def expressions(value: Any) -> Iterator[dict[str, Any]]:
    """Every expression in a value, outermost first."""
    if function_of(value):
        yield value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from expressions(item)


def reference(value: Any) -> Reference | None:
    """What a value refers to where it is itself a Get."""
    return Reference.parse(str(value["Get"])) if function_of(value) == "Get" else None


def references(value: Any) -> Iterator[Reference]:
    """Every Get in a value, those inside other functions too."""
    for expression in expressions(value):
        if found := reference(expression):
            yield found


def steps_in(value: Any) -> set[str]:
    """The names of the steps that a value refers to."""
    return {found.name for found in references(value) if found.root == "Steps"}


def as_dict(value: Any) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def _text(raw: dict[str, Any], member: str) -> str:
    value = raw.get(member)
    return value if isinstance(value, str) else ""


def _parameter(raw: dict[str, Any]) -> Parameter:
    choices = tuple(as_list(raw.get("EnumValues")))
    return Parameter(_text(raw, "Name"), _text(raw, "Type"), raw.get("DefaultValue"), choices, raw)


def _steps(raw_steps: Any, path: str, inside: tuple[Branch, ...]) -> tuple[Step, ...]:
    found = enumerate(as_list(raw_steps))
    return tuple(_step(as_dict(raw), f"{path}[{index}]", inside) for index, raw in found)


def _step(raw: dict[str, Any], place: str, inside: tuple[Branch, ...]) -> Step:
    name, kind, arguments = _text(raw, "Name"), _text(raw, "Type"), as_dict(raw.get("Arguments"))
    sides = [side for side in SIDES if side in arguments] if kind == "Condition" else []
    depends = (entry.get("Step") if isinstance(entry, dict) else entry for entry in as_list(raw.get("DependsOn")))
    files = [as_dict(file) for file in as_list(raw.get("PropertyFiles"))]
    return Step(
        name,
        kind,
        where=name or place,
        raw=raw,
        arguments={member: value for member, value in arguments.items() if member not in sides},
        depends_on=tuple(map(str, depends)),
        inside=inside,
        branches={side: _steps(arguments[side], f"{name}.{side}", (*inside, Branch(name, side))) for side in sides},
        property_files={file["PropertyFileName"]: file for file in files if _text(file, "PropertyFileName")},
        cache=as_dict(raw.get("CacheConfig")),
    )


def _first_of_each(found: Iterable[_Named]) -> dict[str, _Named]:
    """By name, in the order in which the names first appear."""
    by_name: dict[str, _Named] = {}
    for one in found:
        by_name.setdefault(one.name, one)
    return by_name


def _flattened(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        for children in step.branches.values():
            yield from _flattened(children)
