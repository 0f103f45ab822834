"""Checkpoints of a Training job, as SageMaker keeps them: a copy for each node, filled when the job starts.

While the job runs, and once more when its processes have ended, what is new or different in a node's copy goes to S3,
and what a node deleted is deleted there. What lands in S3 after the start reaches no node: each sees its own files.
Limits: while the job runs a file is taken once it has stayed the same between two looks; the service may also take a
half-written one. Nothing is compared by content, only by size and time. Unlike on AWS, a job waits for one that uses
the same checkpoints.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pipeline.errors import UserError
from pipeline.local.jobs.job import Job, JobStopped, local_path
from pipeline.local.plan.support import ML_ROOT
from pipeline.local.state.store import Store
from pipeline.settings.content import relative_files

LOOK_SECONDS = 0.25
LOCKS = "locks"
Facts = tuple[int, int]  # size in bytes, time of change in nanoseconds


class Checkpoints:
    """The nodes' copies of one S3 prefix."""

    def __init__(self, store: Store, uri: str, copies: Sequence[Path]) -> None:
        self._store, self._uri, self._copies = store, uri, copies
        self._seen: list[dict[str, Facts]] = []
        self._stored: list[dict[str, Facts]] = []
        self.all_stored = False  # whether the job has ended, and S3 has what its nodes had then

    def fill(self) -> None:
        """Give every node what S3 has; an empty folder where it has nothing."""
        for folder in self._copies:
            folder.mkdir(parents=True)
            for name, file in self._store.objects(self._uri):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / name)  # the node's own: it may write over it
        self._stored = [_facts(folder) for folder in self._copies]
        self._seen = [dict(stored) for stored in self._stored]

    def store(self, *, ended: bool) -> None:
        """Bring S3 up to date; `ended`: the processes are over, and every file is whole.

        Raises:
            UserError: an object cannot be stored.
        """
        now = [_facts(folder) for folder in self._copies]
        for folder, seen, stored, facts in zip(self._copies, self._seen, self._stored, now, strict=True):
            for name, fact in facts.items():
                if fact != stored.get(name) and (ended or fact == seen.get(name)):
                    with contextlib.suppress(FileNotFoundError):  # deleted since the look, as the next one will see
                        self._store.put(folder / name, f"{self._uri}{name}")
                        stored[name] = fact
            for name in stored.keys() - facts.keys():
                del stored[name]
                if not any(name in others for others in now):
                    self._store.delete(f"{self._uri}{name}")
        self._seen = now

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Fill the copies, store what is new while the context lasts, and all of it at its end, however it ends."""
        self.fill()
        over = threading.Event()

        def follow() -> None:
            with contextlib.suppress(UserError, OSError):  # such as a full disk: the last look meets it too, and tells
                while not over.wait(LOOK_SECONDS):
                    self.store(ended=False)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.store(ended=True)
            self.all_stored = True


@contextlib.contextmanager
def checkpoints(store: Store, config: Mapping[str, Any] | None, trees: Sequence[Path]) -> Iterator[None]:
    """The checkpoints of a request's CheckpointConfig in the nodes' trees while the job runs; nothing without one.

    Raises:
        UserError: the prefix would take in other runs' checkpoints, or an object cannot be stored.
    """
    if not config:
        yield
        return
    uri = config["S3Uri"]
    if not uri.endswith("/"):
        name = uri.rpartition("/")[2]
        raise UserError(
            f"CheckpointConfig.S3Uri {uri}: must end in '/': without it AWS also restores the checkpoints of "
            f"every run whose prefix starts the same ({name} takes {name}0)"
        )
    for tree in trees:
        _ended(tree).unlink(missing_ok=True)
    copies = Checkpoints(store, uri, [_place(config, tree) for tree in trees])
    try:
        with copies.kept():
            yield
    finally:
        for tree in trees if copies.all_stored else ():
            _ended(tree).touch()


@contextlib.contextmanager
def sole_user(
    job: Job, config: Mapping[str, Any] | None, tell: Callable[[str], None] = lambda line: None
) -> Iterator[None]:
    """Hold a request's checkpoints: a job of another execution that uses the same ones waits here until it may go on
    from them.

    Args:
        tell: hears, once, for whom it waits.

    Raises:
        JobStopped: someone asked to stop meanwhile.
    """
    if not config:
        yield
        return
    file = job.store.folder.parent / LOCKS / hashlib.sha256(config["S3Uri"].encode()).hexdigest()
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a+", encoding="utf-8") as held:
        said = False
        while not _locked(held):
            if job.stop.count:
                raise JobStopped
            if not said:
                whom = file.read_text(encoding="utf-8") or "another job"
                tell(f"waiting for {whom}, which uses the same checkpoints ({config['S3Uri']})")
                said = True
            time.sleep(LOOK_SECONDS)
        held.truncate(0)
        held.write(job.name)
        held.flush()
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def rescue(store: Store, config: Mapping[str, Any] | None, trees: Sequence[Path]) -> None:
    """Store what an earlier attempt left in these trees when its executor was killed, and nobody followed it any more.

    SageMaker lives on when a job ends, whatever ended it, and would have stored it.
    """
    if not config or not config["S3Uri"].endswith("/"):
        return
    for tree in trees:
        if _ended(tree).exists():
            continue  # its executor stored what there was, and others may have deleted some of it since
        for name, file in relative_files(_place(config, tree)).items():
            uri = f"{config['S3Uri']}{name}"
            stored = store.path(uri)
            if not stored.is_file() or stored.stat().st_mtime_ns < file.stat().st_mtime_ns:
                store.put(file, uri)


def _ended(tree: Path) -> Path:
    """The mark that the executor saw a node's job to its end, and stored its checkpoints."""
    return tree.with_name(f"stored-{tree.name}")


def _place(config: Mapping[str, Any], tree: Path) -> Path:
    return local_path(config.get("LocalPath", f"{ML_ROOT}/checkpoints"), tree)


def _facts(folder: Path) -> dict[str, Facts]:
    """Size and time of every file; one that is deleted meanwhile is not there."""
    found = {}
    for name, file in relative_files(folder).items():
        with contextlib.suppress(FileNotFoundError):
            facts = file.stat()
            found[name] = (facts.st_size, facts.st_mtime_ns)
    return found
