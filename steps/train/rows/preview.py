"""What the model is trained on, in the terminal: rows as decoded text, with the tokens of the loss in colour.

`train.py --preview N` shows N rows spread over the training data, the same ones each time, as `tokenise` makes them:
the chat template's own text with its special tokens. Green is learned towards, red away from, dim is only read. Where
stdout is no terminal, or NO_COLOR is set (https://no-color.org), ⟦ and ⟧ stand around what is learned. Control
characters of the data are shown escaped (\\x1b) and never sent to the terminal; after \\n the line breaks.
"""

from __future__ import annotations

import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from steps.shared.contract import StepError
from steps.shared.records import Record
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import NOTES
from steps.train.arguments import TrainArguments
from steps.train.rows import tokenise
from steps.train.rows.tokenise import TRAINED, Left, Pair

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SWITCH = "--preview"
CHOSEN, REJECTED, CONTEXT, RESET = "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
OPEN, CLOSE = "⟦", "⟧"

# Categories of characters that steer a terminal or turn its text round: control, format, surrogate, line separators.
# Joiners are format characters too, and hold emoji together.
STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = "\u200c\u200d"


def take(argv: Sequence[str]) -> tuple[list[str], int | None]:
    """The command line without `--preview N`, and N; None where it is not given.

    Raises:
        StepError: N is not a number of rows.
    """
    rest = list(argv)
    at = next((index for index, word in enumerate(rest) if word.partition("=")[0] == SWITCH), None)
    if at is None:
        return rest, None
    _, equals, number = rest.pop(at).partition("=")
    if not equals:
        number = rest.pop(at) if at < len(rest) and not rest[at].startswith("--") else ""
    if not (number.isascii() and number.isdigit() and int(number) > 0):
        raise StepError(f"{SWITCH} {escape(number)}: expected the number of rows to show, 1 or more: {SWITCH} 3")
    return rest, int(number)


def show(records: Sequence[Record], template: ChatTemplate, arguments: TrainArguments, rows: int) -> None:
    """Print `rows` of the records as they would be trained on, and what becomes of all of them."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        for record, pair in spread(records, template, arguments, rows):
            print("\n".join(row_lines(record, pair, template.tokenizer, colour=colour)), end="\n\n", flush=True)
        pairs, left = tokenise.tokenise(records, template, arguments.max_length, arguments.truncation)
        print(account(pairs, left), flush=True)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough; the interpreter would flush once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def spread(
    records: Sequence[Record], template: ChatTemplate, arguments: TrainArguments, rows: int
) -> Iterator[tuple[Record, Pair]]:
    """The first row that is used of each of `rows` equal parts of the data; a part without one gives none."""
    parts = min(rows, len(records))
    for part in range(parts):
        for record in records[part * len(records) // parts : (part + 1) * len(records) // parts]:
            pair, _ = tokenise.tokenise_record(record, template, arguments.max_length, arguments.truncation)
            if pair:
                yield record, pair
                break


def row_lines(record: Record, pair: Pair, tokenizer: PreTrainedTokenizerBase, *, colour: bool) -> list[str]:
    """A row: where it comes from, template arguments of its own, its tokens, then prompt, chosen and rejected as the
    model gets them."""
    sides = {"chosen": (pair.chosen_ids, pair.chosen_mask), "rejected": (pair.rejected_ids, pair.rejected_mask)}
    counts = [f"{name} {len(ids)} ({sum(mask)} in the loss)" for name, (ids, mask) in sides.items()]
    place = escape(f"{record.source_file}:{record.source_line}")
    own = record.chat_template_kwargs
    arguments = json.dumps(own, ensure_ascii=False) if own else None
    lines = [
        f"row {escape(record.id)}  {place}  {escape(record.format)}",
        *([f"chat_template_kwargs: {escape(arguments)}"] if arguments else []),
        f"tokens: prompt {len(pair.prompt_ids)}, {', '.join(counts)}",
        "--- prompt",
        painted(spans(tokenizer, pair.prompt_ids, [0] * len(pair.prompt_ids)), CONTEXT, colour=colour),
    ]
    for name, (ids, mask) in sides.items():
        found = spans(tokenizer, pair.prompt_ids + ids, [0] * len(pair.prompt_ids) + mask, start=len(pair.prompt_ids))
        lines += [f"--- {name}", painted(found, CHOSEN if name == "chosen" else REJECTED, colour=colour)]
    return lines


def spans(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], mask: Sequence[int], start: int = 0
) -> list[tuple[bool, str]]:
    """The text of the tokens from `start` on, in runs of tokens that are in the loss (True) or not.

    A token's text depends on those before it (bytes of one character, a leading space), so a run is the difference
    between two decodings from the beginning. A character whose bytes lie on both sides of a border goes to the latter.
    """
    whole = _decode(tokenizer, ids)

    def position(count: int) -> int:
        before = whole if count == len(ids) else _decode(tokenizer, ids[:count])
        return next(
            (at for at, (one, other) in enumerate(zip(before, whole, strict=False)) if one != other), len(before)
        )

    found, at = [], start
    for learned, run in groupby(mask[start:]):
        end = at + len(list(run))
        found.append((bool(learned), whole[position(at) : position(end)]))
        at = end
    return found


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    text = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)  # a list only of several sequences
    return text


def painted(found: Sequence[tuple[bool, str]], learned: str, *, colour: bool) -> str:
    """Runs of text as one, safe to print: in colour a line at a time, so that a pager keeps it, or with marks."""
    if not colour:
        marked = [
            f"{OPEN}{escape(text, OPEN + CLOSE)}{CLOSE}" if on else escape(text, OPEN + CLOSE) for on, text in found
        ]
        return "".join(marked)
    lines = [[_paint(line, learned if on else CONTEXT) for line in escape(text).split("\n")] for on, text in found]
    return "".join("\n".join(run) for run in lines)


def _paint(line: str, code: str) -> str:
    return f"{code}{line}{RESET}" if line else line


def escape(text: str, also: str = "") -> str:
    """The text with everything that steers a terminal, and the characters of `also`, written out as an escape."""
    return "".join(_escaped(one) if _steers(one) or one in also else one for one in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in STEERING and character not in JOINERS


def _escaped(character: str) -> str:
    written = character.encode("unicode_escape").decode("ascii")
    return f"{written}\n" if character == "\n" else written


def account(pairs: Sequence[Pair | None], left: Left) -> str:
    """One line: rows used, how many of them cut or noted, and rows left out by reason."""
    used = sum(pair is not None for pair in pairs)
    reasons = {reason: count for reason, count in left.counts.items() if reason not in TRAINED}
    noted = "".join(f"{reason} {count}, " for reason, count in left.counts.items() if reason in NOTES)
    named = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
    out = f"{sum(reasons.values())} left out" + (f" ({named})" if named else "")
    cut = f"{left.counts['prompt_cut']} of them with their prompt cut"
    return f"train: {used} of {len(pairs)} rows used, {cut}; {noted}{out}"
