"""S3 on a folder: `s3://bucket/key` is ROOT/s3/bucket/key.

Listing by prefix is S3's: a prefix without a trailing `/` also matches its siblings (`run-1` takes `run-10`), because a
definition that suffers from that on AWS must suffer from it here. Limits: an object and a "folder" cannot share a name
(`a` and `a/b`), no versions, no metadata, one machine.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import sync, write_text
from pipeline.settings.content import changed, hashes, input_files, key_of, relative_files, split_uri
from steps.shared.disks import naming

_NO_COPY_RANGE = (  # from one file system to another, or one that cannot
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EPERM,
)


class Store:
    """The objects of one local root. Every object appears whole: written in `staging`, synced, then renamed."""

    def __init__(self, root: Path) -> None:
        self.folder = root.resolve() / "s3"
        self._staging = root.resolve() / "staging"
        self._origins = root.resolve() / "origins"

    def note_origin(self, uri: str, path: Path) -> None:
        """Remember from which file or folder of the user's a URI's content came last, for messages."""
        write_text(self._origin(uri), f"{path.resolve()}{'/' * path.is_dir()}")

    def origin(self, uri: str) -> str | None:
        """What `note_origin` was told; a folder ends in "/"."""
        file = self._origin(uri)
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def _origin(self, uri: str) -> Path:
        return self._origins / hashlib.sha256(uri.encode()).hexdigest()

    def path(self, uri: str) -> Path:
        """Where an object, or the folder of a prefix, lies on disk.

        Raises:
            UserError: not an S3 URI, or a key that leaves its bucket.
        """
        bucket, key = split_uri(uri)
        return self.folder / bucket / key

    def objects(self, uri: str) -> list[tuple[str, Path]]:
        """(name below the prefix, file) of every object whose key starts with the URI's key, in the order of keys."""
        bucket, key = split_uri(uri)
        exact = self.folder / bucket / key
        if key and not key.endswith("/") and exact.is_file():
            return [(exact.name, exact), *self._below(bucket, key, without=exact)]
        return self._below(bucket, key)

    def exists(self, uri: str) -> bool:
        """Whether there is an object of that key, or any object below that prefix."""
        return bool(self.objects(uri))

    def sizes(self, uri: str) -> dict[str, int]:
        """The bytes of the object of that key, or of each one in its folder, by name; unlike `objects` no siblings."""
        path = self.path(uri)
        here = [(path.name, path)] if path.is_file() else self.objects(f"{uri.rstrip('/')}/")
        return {name: file.stat().st_size for name, file in here}

    def upload(self, source: Path, uri: str, key: str | None = None) -> None:
        """Copy a file to that key, or a folder's files below that prefix. The source stays untouched.

        A folder that is new to the store appears whole: a key that exists is a key whose content is complete.

        Args:
            key: the content key that the copy must have.

        Raises:
            UserError: nothing is there, it cannot be read, or it has another content by now; nothing is stored then.
        """
        final, beside = self.path(uri), self._staging / uuid.uuid4().hex
        try:
            files = input_files(source)
            copies = {name: beside / name for name in files}
            for name, file in files.items():
                _copy(file, beside / name)
            if key is not None and key_of(hashes(copies)) != key:
                raise changed(source)
            for copy in copies.values():
                sync(copy)
            if source.is_file() or final.exists():
                for name, copy in copies.items():
                    self._put(copy, self._target(uri, name, source), move=True)
                return
            final.parent.mkdir(parents=True, exist_ok=True)
            os.rename(beside, final)
        except OSError:
            if not final.exists():  # otherwise another process stored the same content first
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def put(self, file: Path, uri: str) -> None:
        """Copy one file to that key.

        Raises:
            FileNotFoundError: there is no such file any more.
        """
        self._put(file, self.path(uri), move=False)

    def delete(self, uri: str) -> None:
        """Remove the object of that key, if there is one."""
        self.path(uri).unlink(missing_ok=True)

    def take(self, source: Path, uri: str) -> None:
        """As `upload`, for what a job leaves behind: the files move, so that a large model needs its space once."""
        home = source.resolve()
        files = {source.name: source} if source.is_file() else relative_files(source)
        for name, file in files.items():
            own = file.resolve().is_relative_to(home)  # what a link points to elsewhere is not the job's to move
            self._put(file, self._target(uri, name, source), move=own and not file.is_symlink())

    def download(self, uri: str, folder: Path) -> int:
        """Place every object of the prefix below a folder, and say how many there were.

        Raises:
            UserError: nothing matches.
        """
        objects = self.objects(uri)
        if not objects:
            raise UserError(f"{uri}: nothing there (looked in {self.path(uri)})")
        for name, file in objects:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _place(file, target)
        return len(objects)

    def _below(self, bucket: str, key: str, without: Path | None = None) -> list[tuple[str, Path]]:
        parent, _, start = key.rpartition("/")
        base = self.folder / bucket / parent
        if not base.is_dir():
            return []
        found: list[Path] = []
        for child in base.iterdir():
            if child.name.startswith(start) and child != without:
                found += [child] if child.is_file() else relative_files(child).values()
        relative = sorted(path.relative_to(base).as_posix() for path in found)
        return [(name[len(start) :].lstrip("/"), base / name) for name in relative]

    def _target(self, uri: str, name: str, source: Path) -> Path:
        return self.path(uri if source.is_file() else f"{uri.rstrip('/')}/{name}")

    def _put(self, file: Path, target: Path, *, move: bool) -> None:
        if target.is_dir():
            raise UserError(f"{target}: a folder of objects lies where the object {file.name} should go")
        beside = self._staging / uuid.uuid4().hex
        if move:
            beside = file
        else:
            _copy(file, beside)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.chmod(beside, 0o444)  # an object is replaced, never modified
            sync(beside)
            _replace(beside, target)
        except OSError as error:
            raise UserError(f"{target}: cannot store the object: {error.strerror}") from error


def _replace(beside: Path, target: Path) -> None:
    """Move a whole file to its place, also where the store is a file system of its own."""
    try:
        os.replace(beside, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        there = target.parent / f".{uuid.uuid4().hex}"
        try:
            shutil.copy(beside, there)
            sync(there)
            os.replace(there, target)
        finally:
            there.unlink(missing_ok=True)
        beside.unlink()


def _copy(source: Path, target: Path) -> None:
    """Copy a file; where the file system can, the copy shares the source's blocks until one of them is changed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with naming(target), open(source, "rb") as read, open(target, "wb") as write:
        left = os.fstat(read.fileno()).st_size
        try:
            while left and (copied := os.copy_file_range(read.fileno(), write.fileno(), left)):
                left -= copied
        except AttributeError:  # only Linux has it
            pass
        except OSError as error:
            if error.errno not in _NO_COPY_RANGE:
                raise
    if left:
        with naming(target):
            shutil.copyfile(source, target)


def _place(source: Path, target: Path) -> None:
    """Give a job an object of the store that it may read and cannot spoil.

    A hard link costs nothing, however large the model, but shares the bytes: a job that opened its input for writing
    would rewrite the store. The link is therefore read-only, which holds against everyone but root: root gets a copy,
    which says that it is read-only too.
    """
    if os.geteuid() != 0:
        try:
            os.chmod(source, 0o444)
            os.link(source, target)
            return
        except OSError:
            pass  # another file system, or one without links
    _copy(source, target)
    os.chmod(target, 0o444)
