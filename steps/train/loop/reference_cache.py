"""Reference log-probabilities on disk, for restarts and for later runs of the same model on some of the same rows.

Rows are known by a hash of their tokens and loss masks, which is also all that the tokenizer has to do with their
values. What else decides them is the key: the model's configuration and weights (`model.identity`), the initial
adapter, quantisation, precision, attention, sharding, device and library versions. The batch in which a row was
computed is not part of it: padding changes a sum by rounding only.

A key has numbered files, `KEY-00001.safetensors` and on, each written beside its place and linked into it once, never
changed, with a checksum. If several files have a row, the lowest number counts. So runs can share the folder at any
time, a run that continues finds the very values that it began with, and what a run adds is there for the others.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared import contract
from steps.shared.contract import StepError
from steps.train.evaluation.scorer import Sums

if TYPE_CHECKING:
    import numpy as np

    from steps.train.rows.tokenise import Pair

log = logging.getLogger(__name__)

FOLDER = "ref-log-probs"  # inside the checkpoints' folder, where none is named
FORMAT = 1  # of the files, and of how the values are computed


def row_hash(pair: Pair) -> bytes:
    """SHA-256 of what the log-probabilities of a pair depend on: 32 bytes."""
    parts = [pair.prompt_ids, pair.chosen_ids, pair.chosen_mask, pair.rejected_ids, pair.rejected_mask]
    return hashlib.sha256(json.dumps(parts).encode()).digest()


class Damaged(Exception):
    """A file of the cache that does not hold what was written; the text says what is wrong."""


class Cache:
    """The values of one key in a folder, float32. One process of a run uses it."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]):
        """
        Args:
            facts: what decides the values besides the rows; plain data.

        Raises:
            StepError: the folder cannot be made.
        """
        self.folder = folder
        self.facts = json.dumps({"format": FORMAT, **facts}, sort_keys=True)
        self.key = hashlib.sha256(self.facts.encode()).hexdigest()[:16]
        self._parts: dict[int, dict[bytes, Sums]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from None

    def read(self) -> dict[bytes, Sums]:
        """The values of every row that is known. A damaged file is named in the log and passed over.

        Raises:
            StepError: a file cannot be read.
        """
        for path in self.folder.glob(f"{self.key}-*.safetensors"):
            digits = path.stem.rpartition("-")[2]
            if digits.isdigit() and int(digits) not in self._parts:
                self._parts[int(digits)] = self._read(path)
        known: dict[bytes, Sums] = {}
        for number in sorted(self._parts, reverse=True):
            known |= self._parts[number]
        return known

    def add(self, computed: Mapping[bytes, Sums]) -> dict[bytes, Sums]:
        """Keep the values of rows, and return those that count for them: another run's, where it was the first.

        Raises:
            StepError: they cannot be written.
        """
        while True:
            known = self.read()
            new = {row: sums for row, sums in computed.items() if row not in known}
            if not new or self._publish(max(self._parts, default=0) + 1, new):
                return {row: known.get(row, sums) for row, sums in computed.items()}

    def _place(self, number: int) -> Path:
        return self.folder / f"{self.key}-{number:05d}.safetensors"

    def _read(self, path: Path) -> dict[bytes, Sums]:
        try:
            return _decode(path.read_bytes())
        except OSError as error:
            raise self._unusable(error) from None
        except Damaged as error:
            log.warning("%s is passed over: %s; its rows are computed anew, and it can be removed", path, error)
            return {}

    def _publish(self, number: int, values: Mapping[bytes, Sums]) -> bool:
        """Whether the values stand under the number now; another run may have taken it meanwhile."""
        beside = self.folder / f".{uuid.uuid4().hex}.tmp"
        try:
            beside.write_bytes(_encode(values, self.facts))
            os.link(beside, self._place(number))
        except FileExistsError:
            return False
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            beside.unlink(missing_ok=True)
        return True

    def _unusable(self, error: OSError) -> StepError:
        return StepError(
            f"ref_log_probs_cache: {self.folder}: {contract.first_line(error)}; name a folder that can be read and "
            "written, on a file system with hard links"
        )


def _encode(values: Mapping[bytes, Sums], facts: str) -> bytes:
    import numpy as np
    from safetensors.numpy import save

    rows = np.frombuffer(b"".join(values), dtype=np.uint8).reshape(-1, 32)
    log_probs = np.array(list(values.values()), dtype=np.float32)
    tensors: dict[str, np.ndarray] = {"rows": rows, "log_probs": log_probs, "checksum": _checksum(rows, log_probs)}
    return save(tensors, metadata={"key": facts})


def _decode(content: bytes) -> dict[bytes, Sums]:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
        rows, log_probs, checksum = (tensors[name] for name in ("rows", "log_probs", "checksum"))
    except (SafetensorError, KeyError) as error:
        raise Damaged(f"it cannot be read ({contract.first_line(error)})") from None
    shaped = rows.shape == (len(log_probs), 32) and log_probs.shape == (len(log_probs), 2)
    if checksum.tobytes() != _checksum(rows, log_probs).tobytes() or not shaped or log_probs.dtype != np.float32:
        raise Damaged("it has not the bytes that were written")
    pairs = ((float(chosen), float(rejected)) for chosen, rejected in log_probs)
    return dict(zip((row.tobytes() for row in rows), pairs, strict=True))


def _checksum(rows: np.ndarray, log_probs: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.frombuffer(hashlib.sha256(rows.tobytes() + log_probs.tobytes()).digest(), dtype=np.uint8)
