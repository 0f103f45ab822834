"""A translation in words: the recipe with a comment at every line, and the report on what it does not say."""

from __future__ import annotations

import shlex
from pathlib import Path

import yaml

from steps.shared.contract import shortened
from steps.shared.pages import visible
from steps.train.arguments import TrainArguments
from steps.train.other_tools.translate import LeftKey, Line, Translation

DIFFERS = "Not in it, and it changes the training or needs a decision"
NEEDLESS = "Not in it, and nothing is lost"


def recipe(translation: Translation, path: Path) -> str:
    """The recipe's text; `steps.train.arguments.load` reads it."""
    head = [
        f"# From {_name(path)}, a file of {translation.tool}: python pipeline.py recipe --from {_word(path)}",
        *_pairs(translation),
    ]
    body = [_line(line) for line in translation.lines]
    tail = [f"# {DIFFERS}:", *(f"#   {told(left)}" for left in translation.differs)] if translation.differs else []
    return "\n".join([*head, *body, *(["", *tail] if tail else [])]) + "\n"


def report(translation: Translation, path: Path) -> str:
    """What became of the file's keys: those that matter a line each, the others by their reason."""
    lines = [f"{_name(path)}: a file of {translation.tool}, {len(translation.translated)} of {translation.keys} keys "
             "are in the recipe"]  # fmt: skip
    if translation.differs:
        lines += [f"{DIFFERS}:", *(f"  {told(left)}" for left in translation.differs)]
    reasons: dict[str, list[str]] = {}
    for left in translation.needless:
        reasons.setdefault(visible.visible(left.left.why), []).append(_key(left))
    if reasons:
        lines += [f"{NEEDLESS}:", *(f"  {', '.join(keys)}: {why}" for why, keys in reasons.items())]
    return "\n".join(lines)


def told(left: LeftKey) -> str:
    """`line 3  key: why`, on one line."""
    if left.key is None:
        return left.left.why
    return f"line {left.line}  {_key(left)}: {visible.visible(left.left.why)}"


def _pairs(translation: Translation) -> list[str]:
    """The one figure that depends on the number of GPUs, there and here."""
    fields = TrainArguments.model_fields
    values = {line.argument: line.value for line in translation.lines}
    pairs, passes = (
        values.get(name, fields[name].default)
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
    )
    return [
        f"# An optimizer step takes {pairs} x {passes} pairs from each GPU, as there; with another number of GPUs than",
        "# there change gradient_accumulation_steps.",
    ]


def _line(line: Line) -> str:
    value = int(line.value) if isinstance(line.value, float) and line.value.is_integer() else line.value
    if isinstance(value, list | dict):
        dumped = f"{line.argument}: {yaml.safe_dump(value, default_flow_style=True, width=10**9)}"
    else:
        dumped = yaml.safe_dump({line.argument: value}, width=10**9)
    return f"{dumped.rstrip()}  # {visible.name(line.source)}"


def _key(left: LeftKey) -> str:
    return visible.name(shortened(left.key or ""))


def _name(path: Path) -> str:
    return visible.name(str(path))


def _word(path: Path) -> str:
    return visible.name(shlex.quote(str(path)))
