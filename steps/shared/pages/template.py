"""The template engine of the steps' pages: what a page may use, and what everything printed passes.

A page stands alone: no scripts, nothing loaded, and a policy in it that forbids both, since what it shows comes from
people's data. Everything that is printed passes `visible` and the template engine's escaping. How pages look is in
page.css; the parts that they share, in macros.html.jinja.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import orjson

from steps.shared.pages.visible import name, visible

TURNS = 8  # of a conversation: half from its beginning, half from its end
LONGEST_TEXT = 4000  # characters of a text, a tool's schema or a call's arguments
QUOTED_CODE = re.compile("`([^`\n]+)`")


def load(
    folder: Path, template: str, names: Mapping[str, Any] | None = None, others: Mapping[str, Path] | None = None
) -> jinja2.Template:
    """A page. It finds the files of its own folder and the shared ones here.

    Args:
        names: constants for it.
        others: folders whose parts it uses too, by the word before their files' names: `train/x.html.jinja`.
    """
    other = jinja2.PrefixLoader({word: jinja2.FileSystemLoader(place) for word, place in (others or {}).items()})
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader([folder, Path(__file__).parent]), other]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "share": share, "points": points, "name": name, "pretty": pretty}
    environment.filters["quoted"] = quoted
    environment.globals |= dict(names or {})
    return environment.get_template(template)


def _finalize(value: Any) -> Any:
    """What every printed expression passes before it is escaped, but for the markup that the template's macros make."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def number(value: float) -> str:
    return f"{value:,}".removesuffix(".0")


def share(count: float, of: float = 1) -> str:
    """A share in per cent that does not round something to nothing, nor nearly all to all."""
    if not of or not count:
        return "0%"
    part = count / of
    if part < 0.001:
        return "< 0.1%"
    if 0.999 < part < 1:
        return "> 99.9%"
    return f"{part:.1%}".replace(".0%", "%")


def points(change: float) -> str:
    """A change of a share, in percentage points."""
    text = f"{100 * change:+.1f}"
    return text if text.strip("+-0.") else "0"


def pretty(value: Any) -> str:
    """JSON over several lines, or a text as it is, cut where it is very long."""
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text) - LONGEST_TEXT:,} more)"


def quoted(text: str) -> list[tuple[str, bool]]:
    """The parts of a sentence that quotes code between backticks, as a terminal shows it, and whether each is code."""
    return [(part, bool(index % 2)) for index, part in enumerate(QUOTED_CODE.split(text))]


def some_turns(messages: list[Any]) -> dict[str, Any]:
    """A conversation's first turns and its last."""
    if len(messages) <= TURNS:
        return {"first": messages, "left_out": 0, "last": []}
    half = TURNS // 2
    return {"first": messages[:half], "left_out": len(messages) - TURNS, "last": messages[-half:]}
