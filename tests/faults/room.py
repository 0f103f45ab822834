"""One round: a copy of the world with its own root, an execution in it, and what must be true of it afterwards."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pipeline.local.executor import create_execution
from pipeline.local.state.records import Execution
from tests.faults import processes
from tests.faults.processes import PATIENCE, Command, Done, Executor, Fault
from tests.faults.world import GROUP, STEPS, World, results

AFTER = 5.0  # seconds that a job's processes have to end when their executor has
TRACEBACK = "Traceback (most recent call last)"
UNFINISHED = (".incomplete", ".partial", ".tmp")


class Room:
    """A round's folder: `root` is the local root that it may do anything to."""

    def __init__(self, world: World, folder: Path, rng: random.Random, stand_in: str | None = None):
        self.world, self.folder, self.rng, self.stand_in = world, folder, rng, stand_in
        self.root = folder / "local"
        self.notes: list[str] = []
        self.hit = True  # False where the fault met nothing, as a signal that came too late
        self._commands = 0
        folder.mkdir(parents=True)

    def furnish(self) -> None:
        """Copy the world here."""
        shutil.copytree(self.world.root, self.root, symlinks=True)

    def forget(self, first: str) -> None:
        """Have this step and all after it run anew: the cache does not know their results.

        Where it is Train, there are no checkpoints either; else Train goes on from its last one. A version is
        registered anew only for a model that was merged anew.
        """
        later = STEPS[min(STEPS.index(first), STEPS.index("Merge")) :]
        for entry in (self.root / "cache").glob("*.json"):
            if Path(json.loads(entry.read_text())["log"]).parent.name in later:
                entry.unlink()
        if first == "Train":
            for folder in (self.root / "s3").glob("*/*/*/checkpoints"):
                shutil.rmtree(folder)

    def create(self, ranks: int = 1) -> str:
        """Write down an execution like the undisturbed one of so many ranks; returns its id."""
        like = self.world.execution(ranks)
        return create_execution(self.root, like.pipeline_name, self.world.definition(ranks), like.parameters).id

    def launch(self, execution: str, *, real: bool = False) -> Executor:
        """Start its executor; `real`: with jobs that are started anew, as a user's are, instead of forked."""
        log = self.folder / "executor.log"
        return processes.start_executor(self.root, execution, log, None if real else self.stand_in)

    def record(self, execution: str) -> Execution | None:
        """The record as it stands on the disk, None while there is none to read."""
        try:
            return Execution.model_validate_json((self.root / "executions" / execution / "execution.json").read_text())
        except OSError:
            return None

    def reached(self, execution: str, step: str, executor: Executor) -> bool:
        """Wait until a step's turn has come; whether it came."""
        until = time.monotonic() + PATIENCE
        before = STEPS[STEPS.index(step) - 1] if step != STEPS[0] else None
        while executor.poll() is None:
            record = self.record(execution)
            if record and record.pid and (before is None or record.step(before).status == "Succeeded"):
                return True
            if time.monotonic() > until:
                raise Fault(f"{step} was not reached within {PATIENCE:g} s")
            time.sleep(0.005)
        return False

    def ended(self, executor: Executor) -> int:
        """Wait for the executor's end; its exit code."""
        try:
            return executor.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Fault(f"the executor did not end within {PATIENCE:g} s") from None

    def start_command(self, verb: str, *words: str) -> Command:
        """Begin a command on this root."""
        self._commands += 1
        place = self.folder / f"{self._commands:02}-{verb}"
        given = (verb, *words, "--local", "--local-root", str(self.root))
        return Command(given, place, self.stand_in or sys.executable)

    def command(self, verb: str, *words: str, may_fail: bool = True) -> Done:
        """Run a command to its end; a traceback is a fault."""
        done = self.start_command(verb, *words).done()
        self.no_traceback(done)
        if done.code and not may_fail:
            raise Fault(f"{verb} ended with {done.code}: {_end_of(done.text)}")
        if done.code and not done.text.strip():
            raise Fault(f"{verb} ended with {done.code} and said nothing")
        return done

    def no_traceback(self, done: Done) -> None:
        """Raises Fault where a command showed one."""
        if _ends_in_traceback(done.text):
            raise Fault(f"{done.words[0]} shows a traceback: {_end_of(done.text)}")

    def nobody_left(self) -> None:
        """No process of the job lives a few seconds after its executor."""
        until = time.monotonic() + AFTER
        while left := processes.of_root(self.root):
            if time.monotonic() > until:
                said = processes.told(left)
                processes.end(left)
                raise Fault(f"alive {AFTER:g} s after its executor: {said}")
            time.sleep(0.1)

    def tells_the_truth(self, execution: str) -> dict[str, Any]:
        """`status` and `logs` of an execution that nothing runs any more: it has ended, and says how, in words."""
        status = json.loads(self.command("status", execution, "--json", may_fail=False).out)
        if status["status"] not in ("Failed", "Stopped", "Succeeded"):
            raise Fault(f"the execution is {status['status']} and no process runs it")
        running = [step["name"] for step in status["steps"] if step["status"] in ("Starting", "Executing", "Stopping")]
        if running:
            raise Fault(f"{', '.join(running)} runs, says status, and no process does")
        if status["status"] == "Failed" and not status["failure_reason"]:
            raise Fault("the execution failed and status does not say why")
        if TRACEBACK in (status["failure_reason"] or ""):
            raise Fault(f"the reason is a traceback: {_end_of(status['failure_reason'])}")
        self.command("status", execution, may_fail=False)
        logs = self.start_command("logs", execution).done()
        if TRACEBACK in logs.err or (logs.code and not logs.text.strip()):
            raise Fault(f"logs ended with {logs.code}: {_end_of(logs.text)}")
        if _ends_in_traceback((self.folder / "executor.log").read_text(errors="replace")):
            raise Fault("the executor ended in a traceback: executor.log")
        self.notes.append(f"{status['status']}: {(status['failure_reason'] or '')[:100]}")
        return status

    def goes_on(self, execution: str, ranks: int = 1) -> None:
        """`retry` brings it to its end, with the bits of the undisturbed one, registered once."""
        done = self.command("retry", execution)
        if done.code:
            raise Fault(f"retry ended with {done.code}: {_end_of(done.text)}")
        self.is_whole(execution, ranks)

    def is_whole(self, execution: str, ranks: int = 1) -> None:
        """It succeeded, with the right bits, one version, nothing left over, nobody left.

        Where the merged model is another execution's, so is the version: the same one is not registered twice.
        """
        record = self.record(execution)
        if record is None or record.status != "Succeeded":
            raise Fault(f"the execution is {record and record.status}: {record and record.failure_reason}")
        self.nobody_left()
        wanted, found = self.world.results(ranks), results(self.root, execution)
        differing = sorted(name for name in wanted if found.get(name) != wanted[name])
        if differing:
            raise Fault(f"other bits than undisturbed, or none: {', '.join(differing)}")
        versions = []
        for file in (self.root / "registry" / GROUP).glob("*/package.json"):
            if execution in file.read_text(errors="replace"):
                versions.append(file.parent.name)
        named = str(record.step(STEPS[-1]).properties["ModelPackageArn"]).rpartition("/")[2]
        there_before = record.step("Merge").cached and (self.root / "registry" / GROUP / named).is_dir()
        if versions != [named] and not (there_before and not versions):
            raise Fault(f"registered {len(versions)} times: versions {', '.join(versions)}; the step names {named}")
        if left := unfinished(self.root) - unfinished(self.world.root):
            raise Fault(f"left over: {', '.join(sorted(left))}")


def unfinished(root: Path) -> set[str]:
    """The files in store, registry and cache that are named as something half-made."""
    files = (path for part in ("s3", "registry", "cache") for path in (root / part).rglob("*") if path.is_file())
    names = (file.relative_to(root) for file in files)
    return {str(name) for name in names if any(part.endswith(UNFINISHED) for part in name.parts)}


def _ends_in_traceback(text: str) -> bool:
    """Whether a program's own output has one; the lines that it quotes of a job's log are indented."""
    return any(line.startswith(TRACEBACK) for line in text.splitlines())


def _end_of(text: str) -> str:
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-4:])[-500:]
