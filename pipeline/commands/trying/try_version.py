"""try: ask a registered version something, or converse with it, on this machine."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.shared.model_registry import Group, Registry, Version, document, registry_of
from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Local,
    LocalRoot,
    Settings,
    print_json,
    say,
    where,
)
from pipeline.commands.trying import sources
from pipeline.commands.trying.conversation import Conversation
from pipeline.commands.trying.handed_on import handed_on
from pipeline.commands.trying.kept import Kept
from pipeline.commands.trying.model_words import of_version, of_version_beside_its_base
from pipeline.commands.trying.session import Manner, Session
from pipeline.commands.trying.speaker import MODULE
from pipeline.commands.trying.voices import Voices
from pipeline.files import ROOT
from pipeline.settings.schema import WorkflowFile
from pipeline.watching import beat
from steps.answer.conversation import read_tools
from steps.answer.limits import MAX_NEW_TOKENS
from steps.shared import typed_yaml

Prompt = Annotated[
    str | None,
    typer.Argument(
        help="Message of the user; without one a conversation: what is typed, or each line of stdin.",
        show_default=False,
    ),
]
System = Annotated[str | None, typer.Option("--system", help="System message before the prompt.", show_default=False)]
Tools = Annotated[
    Path | None,
    typer.Option("--tools", metavar="FILE.json", help="List of tools that it may call.", show_default=False),
]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longest answer.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0, help="0: always the most likely token.")]
Verify = Annotated[bool, typer.Option("--verify", help="Read every file first, to see that it is what was registered.")]
Base = Annotated[bool, typer.Option("--base", help="Let the base model answer too.")]


def try_version(
    version: Version,
    prompt: Prompt = None,
    system: System = None,
    tools: Tools = None,
    max_new_tokens: MaxNewTokens = MAX_NEW_TOKENS,
    temperature: Temperature = 0.0,
    base: Base = False,
    verify: Verify = False,
    group: Group = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Send a prompt to a version on this machine, or without one converse with it; merged or adapter."""
    name = typed_yaml.load(settings, WorkflowFile).pipeline_name
    is_typed = sources.is_typed()
    read = None if prompt is not None or is_typed else sources.piped()
    declared = read_tools(tools) if tools and prompt is None else None
    verb = f"try {shlex.quote(version)}" + (' "…"' if prompt is not None else "")

    def registry() -> AbstractContextManager[Registry]:
        return registry_of(verb, local, local_root, settings, group)

    with registry() as there:
        model = there.find(version)
        files = of_version_beside_its_base if base and prompt is not None else of_version
        words = files(there, model, verify=verify)
    kept = Kept(local_root, name, model.version)
    if prompt is None:
        manner = Manner(max_new_tokens, temperature, base, as_json, is_typed)
        with Voices(registry, model, words, verify=verify) as voices:
            session = Session(voices, Conversation(system, declared), kept, manner)
            _converse(session, read, local_root, f"{model.group} version {model.version}")
        return
    words += [f"--prompt={prompt}", f"--max-new-tokens={max_new_tokens}", f"--temperature={temperature}"]
    words += [f"--system={system}"] if system else []
    words += [f"--tools={tools.resolve()}"] if tools else []
    noted, output = _ask_once(words, kept, as_json)
    if as_json:
        print_json(document(model, prompt=prompt, inference_id=noted, **json.loads(output)))
        return
    here = where(True, settings, local_root)
    say(f"inference id {noted}; what do you think of it: python pipeline.py feedback {noted} --up{here}")


def _ask_once(words: list[str], kept: Kept, as_json: bool) -> tuple[str, bytes]:
    """Let a process answer one prompt; the inference id, and with JSON what the process wrote.

    Raises:
        typer.Exit: it could not; the process has said why.
    """
    command = [sys.executable, "-m", MODULE, *words]
    command += ["--json" if as_json else "--notes-among-words"]
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "exchange.json"
        command += [f"--record={record}"]
        with nullcontext(subprocess.PIPE) if as_json else handed_on() as output:
            done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, check=False)
        if done.returncode != 0:
            raise typer.Exit(done.returncode)
        return kept.answer(json.loads(record.read_text(encoding="utf-8"))), done.stdout


def _converse(session: Session, read: Callable[[], str] | None, root: Path, name: str) -> None:
    """
    Args:
        read: what reads the lines of a pipe; None at a terminal.

    Raises:
        typer.Exit: of a pipe, not every line could be taken.
    """
    if read is not None:
        if not sources.run(session.take, read, is_typed=False):
            raise typer.Exit(1)
        return
    say(f"{name}; /help shows the commands, ctrl-C ends an answer, ctrl-D the session")
    with beat.hold("a conversation"), sources.typed(root) as read:
        sources.run(session.take, read, is_typed=True)
