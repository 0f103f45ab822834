"""Local files to S3, under keys that follow their content: what is stored is what the key was made of, or nothing.

Every function is handed its client and lets AWS's errors through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from pipeline.aws.errors import described
from pipeline.aws.transferred import transferred
from pipeline.settings.assets import Asset
from pipeline.settings.content import changed, hashes, input_files, key_of, split_uri

MAX_PARTS = 9_000  # S3 takes 10,000
PART_BYTES = 8 * 2**20


def upload_assets(
    s3: Any,
    assets: Iterable[Asset],
    encryption: Mapping[str, str] | None = None,
    far: Callable[[str], None] = lambda text: None,
) -> list[str]:
    """Upload local files, and folders file by file, to their S3 URIs; returns the URIs that were not there yet.

    Keys are content-addressed: an object that exists has this content already and is not touched.

    Args:
        encryption: what S3 is told of the objects' encryption; without it the bucket's default holds.
        far: is told again and again how far the file is that is being uploaded.

    Raises:
        UserError: something cannot be read, or has changed since its key was made.
    """
    uploaded = []
    for asset in sorted(assets, key=lambda asset: asset.uri):
        files = input_files(asset.path)
        uris = {name: f"{asset.uri.rstrip('/')}/{name}" if asset.path.is_dir() else asset.uri for name in files}
        missing = {name for name, uri in uris.items() if not _exists(s3, uri)}
        if not missing:
            continue
        hashed = hashes(files)
        if asset.key is not None and key_of(hashed) != asset.key:
            raise changed(asset.path)
        for name in sorted(missing):
            sent = transferred(name, files[name].stat().st_size, far)
            _upload(s3, files[name], hashed[name], uris[name], dict(encryption or {}), sent)
            uploaded.append(uris[name])
    return uploaded


def _exists(s3: Any, uri: str) -> bool:
    bucket, key = split_uri(uri)
    return described(partial(s3.head_object, Bucket=bucket, Key=key)) is not None


def _upload(
    s3: Any, file: Path, sha256: str, uri: str, encryption: dict[str, str], sent: Callable[[int], None]
) -> None:
    """In parts where it is large; appears whole or not at all."""
    from boto3.s3.transfer import TransferConfig

    bucket, key = split_uri(uri)
    parts = TransferConfig(multipart_chunksize=max(PART_BYTES, file.stat().st_size // MAX_PARTS))
    with open(file, "rb") as stream:
        verified = _Verified(stream, file, sha256)
        s3.upload_fileobj(verified, bucket, key, ExtraArgs=encryption, Config=parts, Callback=sent)


class _Verified:
    """A file that raises at its end where what was read of it is not what its hash says: nothing is stored then."""

    def __init__(self, stream: IO[bytes], path: Path, sha256: str) -> None:
        self._stream, self._path, self._sha256 = stream, path, sha256
        self._digest = hashlib.sha256()

    def read(self, amount: int = -1) -> bytes:
        """The next bytes, fewer than asked for only at the end.

        Raises:
            UserError: the end is reached, and the content is another one.
        """
        data = self._stream.read(amount)
        self._digest.update(data)
        if (amount < 0 or len(data) < amount) and self._digest.hexdigest() != self._sha256:
            raise changed(self._path)
        return data
