"""try: ask a registered version something, on this machine."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Thread
from typing import Annotated, TextIO

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
from pipeline.errors import UserError
from pipeline.files import ROOT
from pipeline.local.state import conversations
from pipeline.settings.schema import WorkflowFile
from pipeline.versions import served
from pipeline.versions.registry import ModelVersion
from steps.answer.limits import MAX_NEW_TOKENS, NOTE
from steps.shared import typed_yaml
from steps.shared.serving import ADAPTER_FOLDER

MODULE = "steps.answer"

Prompt = Annotated[str, typer.Argument(help="Message of the user.")]
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
    prompt: Prompt,
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
    """Send a prompt to a version on this machine, merged or adapter, with its own chat template and tools."""
    with registry_of(f'try {shlex.quote(version)} "…"', local, local_root, settings, group) as there:
        model = there.find(version)
        words = _files(there, model, base, verify)
    words += [f"--prompt={prompt}", f"--max-new-tokens={max_new_tokens}", f"--temperature={temperature}"]
    words += [f"--system={system}"] if system else []
    words += [f"--tools={tools.resolve()}"] if tools else []
    command = [sys.executable, "-m", MODULE, *words]
    command += ["--json"] if as_json else []
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "exchange.json"
        command += [f"--record={record}"]
        command += [] if as_json else ["--notes-among-words"]
        with nullcontext(subprocess.PIPE) if as_json else _handed_on() as output:
            done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, check=False)
        if done.returncode != 0:
            raise typer.Exit(done.returncode)
        name = typed_yaml.load(settings, WorkflowFile).pipeline_name
        noted = conversations.capture(local_root, name, model.version, json.loads(record.read_text(encoding="utf-8")))
    if as_json:
        print_json(document(model, prompt=prompt, inference_id=noted, **json.loads(done.stdout)))
        return
    here = where(True, settings, local_root)
    say(f"inference id {noted}; what do you think of it: python pipeline.py feedback {noted} --up{here}")


@contextmanager
def _handed_on() -> Iterator[int]:
    """A pipe whose words go to stdout as they come: so it is known when there are none, and then said.

    Notes among them go to stderr, between the words where they were written.

    Raises:
        BrokenPipeError: the reader of stdout has gone, as with `| head`; the answer is awaited all the same.
    """
    gone: list[BrokenPipeError] = []
    reading, writing = os.pipe()

    def hand_on() -> None:
        with open(reading, encoding="utf-8", errors="replace", newline="") as words:
            try:
                _copy(words)
            except BrokenPipeError as error:
                gone.append(error)
                words.read()

    thread = Thread(target=hand_on)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join()
    if gone:
        raise gone[0]


def _copy(words: TextIO) -> None:
    in_note = False
    while piece := words.read(1):  # a program may wait within a line
        if piece == NOTE:
            in_note = True
            continue
        stream = sys.stderr if in_note else sys.stdout
        stream.write(piece)
        stream.flush()
        in_note = in_note and piece != "\n"


def _files(there: Registry, model: ModelVersion, with_base: bool, verify: bool) -> list[str]:
    """The words that tell steps.answer which files to load; what is not here yet is fetched.

    Raises:
        UserError: the package names no model, no variant or no base, or the files are gone or not the registered ones.
    """
    name = f"{model.group} version {model.version}"
    if model.model_uri is None or model.variant not in ("merged", "adapter"):
        raise UserError(
            f"{name}: its package does not say whether it is a merged model or an adapter, and where; "
            f"only versions of this pipeline can be tried: python pipeline.py models{there.options}"
        )
    folder = there.folder(model.model_uri)
    if not served.check_folder(model, folder, there.options, whole=verify):
        say(f"{name} was registered without a hash of its files: that they are what was judged cannot be told")
    words = [f"--model={folder}" if model.variant == "merged" else f"--adapter={folder / ADAPTER_FOLDER}"]
    if model.variant == "merged" and not with_base:
        return words
    base = model.metadata.get("base_model")
    if not base:
        raise UserError(
            f"{name}: its package names no base_model; see the other versions: python pipeline.py models{there.options}"
        )
    if base.startswith("s3://"):
        words.append(f"--base={there.folder(base)}")
    else:
        hub_name, _, revision = base.partition("@")
        words += [f"--base={hub_name}", *([f"--revision={revision}"] if revision else [])]
    return [*words, "--beside"] if with_base else words
