"""Write the quickstart's preference data: when to call a function, when to ask back, when to decline.

    python -m steps.quickstart.preferences --output FILE

A row is one conversation, the tools it may use, the right behaviour (chosen) and a wrong one (rejected):

- everything is there: call; wrong are asking for what was said, declining, and a call with a value that nobody said,
- an argument is missing: ask for it; wrong are calling with a made-up value and declining,
- no tool fits: decline; wrong are calling an unrelated tool and asking for that tool's argument.

Each behaviour is right as often as it is wrong, so none is better by itself: only the conversation tells. In two of
eight pairs a right call stands against one with another value. Without these, DPO unlearns to copy: all other wrong
calls have names of the question in them too.
Text and values come from `catalogue.py`; the same seed always gives the same bytes.

Made easy on purpose, so that a tiny model learns it in a minute: a missing argument is named vaguely ("on some day")
instead of left out, and what no tool serves is outside the catalogue.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from steps.quickstart.catalogue import TOOLS, UNSERVED, Slot, Tool, Value
from steps.shared import contract

ROWS_PER_PAIR = 99
SEED = 20
FOLLOW_UPS = 0.1  # share of the served conversations in which the person answers a question before

CALL, MISCALL, ASK, DECLINE = "call", "miscall", "ask", "decline"
PAIRS = (
    (CALL, ASK), (CALL, DECLINE), (CALL, MISCALL), (CALL, MISCALL),
    (ASK, CALL), (ASK, DECLINE), (DECLINE, CALL), (DECLINE, ASK),
)  # fmt: skip

OPENERS = ("", "", "Hi! ", "Hello. ", "Good evening. ", "One more thing. ", "Quick one. ")
CLOSERS = (".", ".", ", please.", ". Thanks!", ". Thank you.", ", if you can.")
UNSERVED_OPENERS = ("Please {}", "I want you to {}", "Could you {} for me", "I need you to {}", "Go and {}")
ASK_OPENERS = ("", "Sure. ", "Happy to help. ", "Of course. ")
DECLINES = (
    "Sorry, I can't {} with the tools I have.",
    "I'm afraid I have no tool to {}.",
    "None of my tools can {}.",
    "Unfortunately, I'm not able to {} here.",
)

Message = dict[str, str]


@dataclass(frozen=True)
class Scene:
    """A conversation up to the answer, with what each of the three behaviours would say next."""

    offered: tuple[Tool, ...]
    messages: tuple[Message, ...]
    answers: dict[str, str]


def say(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def request(rng: random.Random, tool: Tool, values: dict[str, Value]) -> str:
    """A person's request that names exactly the slots in `values`."""
    words = {s.name: " " + (s.phrase.format(values[s.name]) if s.name in values else s.vague) for s in tool.slots}
    asked = rng.choice(tool.requests).format(**words)
    return rng.choice(OPENERS) + asked + ("" if asked.endswith("?") else rng.choice(CLOSERS))


def draw(rng: random.Random, tool: Tool) -> dict[str, Value]:
    """A value for each slot; a journey does not end where it starts."""
    values: dict[str, Value] = {}
    for slot in tool.slots:
        values[slot.name] = rng.choice([value for value in slot.values if value not in values.values()])
    return values


def call(tool: Tool, values: dict[str, Value]) -> str:
    calls = [{"name": tool.name, "arguments": values}]
    return f"<TOOLCALL>{json.dumps(calls, ensure_ascii=False)}</TOOLCALL>"


def mistaken(rng: random.Random, tool: Tool, values: dict[str, Value]) -> dict[str, Value]:
    """The same values but for one, which nobody said."""
    slot = rng.choice(tool.slots)
    return values | {slot.name: rng.choice([value for value in slot.values if value not in values.values()])}


def ask(rng: random.Random, slot: Slot) -> str:
    return rng.choice(ASK_OPENERS) + rng.choice(slot.questions)


def decline(rng: random.Random, action: str) -> str:
    return rng.choice(DECLINES).format(action)


def offer(rng: random.Random, *tools: Tool) -> tuple[Tool, ...]:
    return tuple(rng.sample(tools, len(tools)))


def served(rng: random.Random, missing: bool) -> Scene:
    """A request that an offered tool serves, with all its arguments or without one of them."""
    tool = rng.choice(TOOLS)
    values = draw(rng, tool)
    slot = rng.choice(tool.slots)
    known = {name: value for name, value in values.items() if not (missing and name == slot.name)}
    others = [other for other in TOOLS if other is not tool]
    offered = offer(rng, tool, *rng.sample(others, rng.randint(0, 1)))
    late = rng.choice([other for other in tool.slots if other.name in known])
    messages: tuple[Message, ...]
    if rng.random() < FOLLOW_UPS:
        early = {name: value for name, value in known.items() if name != late.name}
        reply = rng.choice(("{}.", "{}, please.", "Let's say {}.", "Make it {}."))
        messages = (
            say("user", request(rng, tool, early)),
            say("assistant", ask(rng, late)),
            say("user", capitalised(reply.format(late.phrase.format(known[late.name])))),
        )
    else:
        messages = (say("user", request(rng, tool, known)),)
    answers = {
        CALL: call(tool, values),
        MISCALL: call(tool, mistaken(rng, tool, values)),
        ASK: ask(rng, slot),
        DECLINE: decline(rng, tool.action),
    }
    return Scene(offered, messages, answers)


def unserved(rng: random.Random) -> Scene:
    """A request that no tool serves; a wrong answer reaches for an offered one all the same."""
    asked, action = rng.choice(UNSERVED)
    text = rng.choice(OPENERS) + rng.choice(UNSERVED_OPENERS).format(asked) + rng.choice(CLOSERS)
    offered = tuple(rng.sample(TOOLS, rng.randint(1, 2)))
    tool = rng.choice(offered)
    answers = {CALL: call(tool, draw(rng, tool)), ASK: ask(rng, rng.choice(tool.slots)), DECLINE: decline(rng, action)}
    return Scene(offered, (say("user", text),), answers)


def scene(rng: random.Random, right: str) -> Scene:
    return unserved(rng) if right == DECLINE else served(rng, missing=right == ASK)


def rows() -> list[dict[str, object]]:
    """The whole sample, shuffled; no two rows share a prompt."""
    rng = random.Random(SEED)
    sample: dict[str, dict[str, object]] = {}
    for right, wrong in PAIRS:
        wanted = len(sample) + ROWS_PER_PAIR
        while len(sample) < wanted:
            drawn = scene(rng, right)
            prompt = {
                "tools": [json.dumps(tool.schema(), ensure_ascii=False) for tool in drawn.offered],
                "messages": list(drawn.messages),
            }
            answers = {
                "chosen_response": say("assistant", drawn.answers[right]),
                "rejected_response": say("assistant", drawn.answers[wrong]),
            }
            sample.setdefault(json.dumps(prompt, sort_keys=True), prompt | answers)
    shuffled = list(sample.values())
    rng.shuffle(shuffled)
    return shuffled


def text() -> str:
    """The data set as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="file to write (JSON Lines)")
    output: Path = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_name(output.name + ".tmp")
    beside.write_text(text(), encoding="utf-8")
    os.replace(beside, output)
    print(f"{output}: {len(rows())} preference pairs")


if __name__ == "__main__":
    sys.exit(contract.run(main))
