"""How many rows of each template are trained on rightly, here and by TRL; TRL's right ones must be right here too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import prompt_ids
from steps.shared.templates.refused import RowRefused
from tests.steps.shared.templates.exam import made
from tests.steps.shared.templates.judge import Tokens, by_trl, faults
from tests.steps.shared.templates.kinds import KINDS

COLUMNS = ("trl right", "trl wrong", "trl raises", "right", "wrong", "left out")
Unlike = tuple[object, ...]


def count_right(templates: Mapping[str, ChatTemplate]) -> tuple[str, list[Unlike]]:
    """The counts as a table, and each case that is wrong here, or right in TRL and not the same here."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in templates}
    why: Counter[str] = Counter()
    unlike: list[Unlike] = []
    for name, template in templates.items():
        for kind in KINDS:
            trl = by_trl(template, kind)
            theirs = faults(template, kind, trl) if trl else []
            why.update(set(theirs))
            counts[name][f"trl {'raises' if trl is None else 'wrong' if theirs else 'right'}"] += 1
            verdict, problems = _ours(template, kind, None if theirs else trl)
            counts[name][verdict] += 1
            unlike += [(name, kind, *problems)] if problems else []
    return _table(counts, why), unlike


def _ours(template: ChatTemplate, kind: str, right: Tokens | None) -> tuple[str, list[str]]:
    """What becomes of a row here, and what is wrong with that; `right` is what TRL makes of it, if it is right."""
    found = made(template, kind)
    if isinstance(found, RowRefused):
        return "left out", [found.reason] if right else []
    ids, asked = found[1], template.tokenizer.decode(prompt_ids(template, KINDS[kind][0], KINDS[kind][3]))
    own = Tokens(asked, ids.prompt, (ids.chosen, ids.chosen_mask), (ids.rejected, ids.rejected_mask))
    problems = faults(template, kind, own)
    if problems:
        return "wrong", problems
    return "right", ["other tokens than TRL's"] if right and right.tokens != own.tokens else []


def _table(counts: dict[str, Counter[str]], why: Counter[str]) -> str:
    rows = {**counts, "all": sum(counts.values(), Counter())}
    lines = [f"{'':<33}" + "".join(f"{name:>11}" for name in COLUMNS)]
    lines += [f"{name:<33}" + "".join(f"{row[column]:>11}" for column in COLUMNS) for name, row in rows.items()]
    reasons = [f"{count:>5}  {reason}" for reason, count in why.most_common()]
    return "\n".join([*lines, "", "why rows of TRL are wrong (several reasons may be true of one):", *reasons]) + "\n"
