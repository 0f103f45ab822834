"""How a key of another trainer's file is read: which arguments it becomes, or why it becomes none.

A rule is both what the translation does and the row of the page that explains it (`steps/train/COMING_FROM.md`). Which
name of theirs is which argument here stands in `steps/train/other_names.py` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steps.train.arguments import TrainArguments
from steps.train.other_names import OTHER_NAMES

Whole = Mapping[str, Any]  # all keys of a file
OFF = "is off there, or as here"


@dataclass(frozen=True)
class Written:
    """An argument of the recipe with its value; `note` says what was done to the value, if anything."""

    argument: str
    value: Any
    note: str = ""


@dataclass(frozen=True)
class Left:
    """A key, or a part of its meaning, that the recipe does not carry.

    Args:
        why: the reason, and what to do.
        matters: training would differ, or somebody has to decide; otherwise nothing is lost.
    """

    why: str
    matters: bool = True


Act = Callable[[Any, Whole], Sequence[Written | Left]]


@dataclass(frozen=True)
class Rule:
    """What a key comes to.

    Args:
        becomes: the arguments that it may write.
        says: what changes with it, in a line of the page.
        act: from the key's value, which is never null, and all keys of the file to the outcomes; at least one.
    """

    becomes: tuple[str, ...]
    says: str
    act: Act


@dataclass(frozen=True)
class Tool:
    """Another trainer.

    Args:
        own: keys that only its files have; they tell it from the others.
        rules: by its key.
        families: rules for all keys that begin so.
        defaults: its values, by argument here, for what a file leaves out.
        refuses: why a file is of a kind that no recipe here can do; None where it can.
        remarks: what the file means by leaving something out, and a recipe cannot say.
    """

    name: str
    own: frozenset[str]
    rules: Mapping[str, Rule]
    families: Mapping[str, Rule]
    defaults: Callable[[Whole], Mapping[str, Any]]
    refuses: Callable[[Whole], str | None] = field(default=lambda whole: None)
    remarks: Callable[[Whole], Sequence[Left]] = field(default=lambda whole: ())


def argument_of(key: str) -> str | None:
    """What a key that only differs in its name is called here."""
    return key if key in TrainArguments.model_fields else OTHER_NAMES.get(key)


def plain(*keys: str) -> dict[str, Rule]:
    """Keys whose values mean the same here, under the same or another name.

    Raises:
        KeyError: a key is neither an argument nor in OTHER_NAMES.
    """
    return {key: _plain(argument_of(key) or OTHER_NAMES[key]) for key in keys}


def _plain(argument: str) -> Rule:
    return Rule((argument,), "the same", lambda value, whole: [Written(argument, value)])


def written(argument: str, says: str, value_of: Callable[[Any, Whole], Any] | None = None) -> Rule:
    """A key that becomes one argument; `says` goes into the recipe as a note."""

    def act(value: Any, whole: Whole) -> list[Written | Left]:
        here = value_of(value, whole) if value_of else value
        return [Written(argument, here, says)]

    return Rule((argument,), says, act)


def left(says: str, *without_effect: Any) -> Rule:
    """A key that has no counterpart; with `false`, or one of `without_effect`, nothing is lost."""
    off = (False, "", *without_effect)

    def act(value: Any, whole: Whole) -> list[Written | Left]:
        return [Left(OFF, matters=False) if any(value == one for one in off) else Left(says)]

    return Rule((), says, act)


def needless(says: str) -> Rule:
    """A key that nobody has to care for here."""
    return Rule((), says, lambda value, whole: [Left(says, matters=False)])


def each(rule: Rule, *keys: str) -> dict[str, Rule]:
    """One rule for several keys."""
    return dict.fromkeys(keys, rule)


def number(value: Any) -> float | None:
    """A number, also one that YAML 1.1 reads as text, such as 5e-6; None for anything else and for no finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None


def words(value: Any) -> list[str]:
    """`a, b` or [a, b] as [a, b]; empty for anything else."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return [part.strip() for part in parts if isinstance(part, str) and part.strip()]
