"""What differs between two definitions, told by parameter and step, as a diff of their sorted, indented JSON.

A step in a branch is compared as a step of its own: a condition is compared by what it asks and by the names of the
steps that it leads to, so that a change deep in a branch is not a change of everything around it. The order of
parameters and steps is left out: it changes nothing but the look of the form. Pure; drawing is for the commands.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.rendered import Step, read

PIPELINE = "pipeline"  # the part for what belongs to no parameter and no step
CONTEXT_LINES = 2
Kind = Literal["added", "removed", "changed"]
_KEY = re.compile(r'\s*"([^"]+)": [\[{]$')


@dataclass(frozen=True)
class Change:
    """One parameter or step that differs.

    Attributes:
        name: the step's name, "parameter NAME", or "pipeline" for role, description, parallelism and tags.
        lines: the diff; each line begins with "+ ", "- ", "  ", or with "@ " and where the lines after it stand.
    """

    name: str
    kind: Kind
    lines: tuple[str, ...]


def compare(
    before: Mapping[str, Any], after: Mapping[str, Any], around: Mapping[str, tuple[Any, Any]] | None = None
) -> list[Change]:
    """The changes from one definition to another: the pipeline's own, parameters, steps; each in its new order.

    Args:
        around: what stands outside the definition: name -> (before, after).
    """
    old, new = _parts(before), _parts(after)
    for name, (was, will_be) in (around or {}).items():
        old[PIPELINE][name], new[PIPELINE][name] = was, will_be
    found = []
    for name in [*new, *(name for name in old if name not in new)]:
        was, is_now = _text(old.get(name)), _text(new.get(name))
        if was != is_now:
            kind: Kind = "added" if name not in old else "removed" if name not in new else "changed"
            found.append(Change(name, kind, tuple(_diff(was, is_now))))
    return found


def counted(changes: Sequence[Change]) -> str:
    """`3 changed: Train, Merge, parameter Beta; 1 added: Check` of a list of changes."""
    parts = []
    for kind in ("changed", "added", "removed"):
        names = [change.name for change in changes if change.kind == kind]
        if names:
            parts.append(f"{len(names)} {kind}: {', '.join(names)}")
    return "; ".join(parts)


def _parts(definition: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    own = {key: value for key, value in definition.items() if key not in ("Parameters", "Steps")}
    found: dict[str, dict[str, Any]] = {PIPELINE: own}
    document = read(definition)
    found |= {f"parameter {name}": parameter.raw for name, parameter in document.parameters.items()}
    found |= {step.name: _own(step) for step in document.all_steps}
    return found


def _own(step: Step) -> dict[str, Any]:
    """A step without the steps in its branches, which stand there by their names."""
    names = {side: [child.name for child in children] for side, children in step.branches.items()}
    return {**step.raw, "Arguments": {**step.arguments, **names}} if names else step.raw


def _text(part: Any) -> list[str]:
    """Indented JSON without the commas at the ends of lines, which change when a neighbour does."""
    if part is None:
        return []
    lines = json.dumps(part, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
    return [line.removesuffix(",") for line in lines]


def _diff(before: list[str], after: list[str]) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        first = next(code for code in group if code[0] != "equal")
        if where := _where(before, first[1]):
            yield f"@ {where}"
        for kind, old_from, old_to, new_from, new_to in group:
            if kind == "equal":
                yield from (f"  {line}" for line in before[old_from:old_to])
                continue
            yield from (f"- {line}" for line in before[old_from:old_to])
            yield from (f"+ {line}" for line in after[new_from:new_to])


def _where(lines: list[str], index: int) -> str:
    """The keys around a line, from the outermost one, such as `Arguments.ResourceConfig`."""
    keys: list[str] = []
    indent = _indent(lines[index]) if index < len(lines) else 0
    if index < len(lines) and lines[index].strip() in ("}", "]"):
        indent += 1  # what is put before a closing bracket stands inside of it
    for line in reversed(lines[:index]):
        if _indent(line) < indent:
            indent = _indent(line)
            if match := _KEY.match(line):
                keys.insert(0, match[1])
    return ".".join(keys)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
