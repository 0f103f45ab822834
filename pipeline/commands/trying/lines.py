"""A line that a person writes to `try`: something to say to the model, or a command."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import UserError, did_you_mean

MARK = "/"
# Name -> what it takes, and what it does, in the order of the help.
COMMANDS = {
    "help": ("", "show these lines"),
    "base": ("", "put the last question to the base model"),
    "champion": ("", "put the last question to the champion, the newest approved version"),
    "history": ("", "show what was said so far, as the model reads it"),
    "tools": ("FILE.json", "declare the tools of a file; `none` takes them back; alone it lists them"),
    "system": ("TEXT", "set the system message; `none` takes it back; alone it shows it"),
    "result": ("TEXT", "what a called tool gave; when all calls of the answer have theirs, the model goes on"),
    "up": ("REASON", "feedback on the last answer: it is good; the reason may be left out"),
    "down": ("REASON", "feedback on the last answer: it is bad"),
    "correct": ("TEXT", "feedback: what should have been answered; a message with tool_calls as JSON"),
    "undo": ("", "take the last question and its answer back"),
    "reset": ("", "begin anew; the system message and the tools stay"),
    "save": ("FILE.json", "write the conversation into a new file"),
    "quit": ("", "end, as ctrl-D does"),
}
NEED_ARGUMENTS = frozenset(("result", "correct", "save"))


@dataclass(frozen=True)
class Command:
    """
    Attributes:
        argument: what stands after the name, without blanks around it; empty where nothing does.
    """

    name: str
    argument: str


def read(line: str) -> Command | str | None:
    """A command, a text to say, or None of a blank line. What begins with two slashes is a text with one.

    Raises:
        UserError: there is no such command, something is missing or too much, or the line is not UTF-8.
    """
    text = line.strip()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError("this line is not UTF-8; write it in UTF-8") from None
    if not text:
        return None
    if text.startswith(MARK * 2):
        return text[1:]
    if not text.startswith(MARK):
        return text
    name, _, argument = text.removeprefix(MARK).partition(" ")
    return _command(name, argument.strip())


def _command(name: str, argument: str) -> Command:
    if name not in COMMANDS:
        near = did_you_mean(name, COMMANDS).replace("mean ", f"mean {MARK}").replace(", ", f", {MARK}")
        raise UserError(f"{MARK}{name}: there is no such command{near or f'; {MARK}help shows all'} "
                        f"(to say it to the model: {MARK * 2}{name})")  # fmt: skip
    takes = COMMANDS[name][0]
    if argument and not takes:
        raise UserError(f"{MARK}{name} takes nothing after it")
    if name in NEED_ARGUMENTS and not argument:
        raise UserError(f"{MARK}{name} needs {takes}: {COMMANDS[name][1]}")
    return Command(name, argument)


def help_text() -> str:
    """All commands, a line each."""
    heads = {name: f"{MARK}{name} {takes}".rstrip() for name, (takes, _) in COMMANDS.items()}
    width = max(map(len, heads.values()))
    listed = [f"{heads[name]:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join([*listed, "Anything else is said to the model; a backslash at a line's end goes on below."])
