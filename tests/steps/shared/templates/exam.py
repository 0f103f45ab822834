"""The exam that chat templates take: each of them, times every kind of row, as a table that a person can check.

For each template and kind the table says what the loss of the chosen answer covers (`[…]` learned, the rest only read),
or the reason why the row is left out. Templates that make the same of every kind stand together.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import PairText, render_pair
from steps.shared.templates.refused import RowRefused
from steps.shared.templates.token_ids import PairIds, pair_ids
from tests.steps.shared.templates.kinds import KINDS

GOLDEN = Path(__file__).parent / "golden"
Made = tuple[PairText, PairIds] | RowRefused


@cache
def trl_sources() -> dict[str, str]:
    """The templates that TRL ships, by name."""
    import trl

    folder = Path(trl.__file__).parent / "chat_templates"
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))}


@cache
def made(template: ChatTemplate, kind: str) -> Made:
    """A row of a kind as it is trained on, or why it is not."""
    try:
        texts = render_pair(template, *KINDS[kind])
    except RowRefused as error:
        return error
    return texts, pair_ids(template, texts)


def shown(kind: str, found: Made) -> str:
    """A line of the table."""
    if isinstance(found, RowRefused):
        quoted = f" ({found.detail})" if found.detail and found.reason == "template_refused" else ""
        return f"  {kind:<22} {found.reason}{quoted}"
    texts, _ = found
    pieces = "".join(f"[{text}]" if learned else text for text, learned in texts.chosen.pieces)
    notes = "".join(f"  ({note})" for note in texts.notes)
    end = texts.prompt[-30:].replace("\n", "\\n")
    return f"  {kind:<22} …{end} ▸ " + pieces.replace("\n", "\\n") + notes


def table(lines: Mapping[str, list[str]]) -> str:
    """The lines of each template, below its name and those of others that have the same ones."""
    alike: dict[str, list[str]] = {}
    for name, found in lines.items():
        alike.setdefault("\n".join(found), []).append(name)
    return "\n\n".join(f"{', '.join(names)}\n{found}" for found, names in alike.items()) + "\n"


def check_golden(name: str, found: str, request: pytest.FixtureRequest) -> None:
    """The text is that of golden/`name`; with --update-golden it becomes that."""
    file = GOLDEN / name
    if request.config.getoption("--update-golden"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8"), "read the difference, then give --update-golden"


def check_tokens(template: ChatTemplate, kind: str, where: str) -> None:
    """Of a row that trains: its sides differ, and its tokens are its texts, learned ones and all."""
    found = made(template, kind)
    if isinstance(found, RowRefused):
        return
    texts, ids = found
    decode = template.tokenizer.decode
    assert (ids.chosen, ids.chosen_mask) != (ids.rejected, ids.rejected_mask), where
    sides = (texts.chosen, ids.chosen, ids.chosen_mask), (texts.rejected, ids.rejected, ids.rejected_mask)
    for said, tokens, mask in sides:
        assert decode(ids.prompt + tokens) == texts.prompt + said.text, where
        learned = [number for number, on in zip(tokens, mask, strict=True) if on]
        assert decode(learned) == said.learned, where
