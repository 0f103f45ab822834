"""What a person says about an answer, as a line of the form that the Collect step reads, written where it looks.

For applications: import this module or copy this file. It needs the standard library, and boto3 for S3.

    from feedback import say
    say("s3://bucket/dpo/my-pipeline/feedback/", inference_id, "down", correction="Lima", by="user-7")

`inference_id` is the `InferenceId` that the application gave to `invoke_endpoint`, or the event's id in the capture.
Each opinion is an object of its own, PLACE/yyyy/mm/dd/<random>.jsonl; nothing is ever changed: of several opinions of
one person on one answer the latest counts. Limits: that something was captured under the id is not looked at.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

VERDICTS = ("up", "down", -2, -1, 0, 1, 2)
LONGEST_ID = 256


def opinion(
    inference_id: str,
    verdict: str | int | None = None,
    *,
    correction: str | Mapping[str, Any] | None = None,
    reason: str | None = None,
    by: str | None = None,
    at: datetime | None = None,
) -> dict[str, Any]:
    """One line of feedback.

    Args:
        verdict: up, down, or -2 to 2; may be left out beside a correction, which then counts as down.
        correction: what should have been answered: a text, or a message of the assistant, as with `tool_calls`.
        by: whoever says so, by a name that is always the same.
        at: default: now.

    Raises:
        ValueError: it is no feedback; the message says why.
    """
    if not isinstance(inference_id, str) or not inference_id.strip() or len(inference_id) > LONGEST_ID:
        raise ValueError(f"inference_id must be a text of 1 to {LONGEST_ID} characters")
    if verdict is None and correction is None:
        raise ValueError("give a verdict or a correction")
    if verdict is not None and (isinstance(verdict, bool | float) or verdict not in VERDICTS):
        raise ValueError("verdict must be up, down, or a whole number from -2 to 2")
    if isinstance(correction, str) and not correction.strip():
        raise ValueError("correction must not be empty")
    if isinstance(correction, Mapping) and not (correction.get("content") or correction.get("tool_calls")):
        raise ValueError("correction must be a message with content or tool_calls")
    moment = (at or datetime.now(UTC)).astimezone(UTC).isoformat()
    line = {"inference_id": inference_id, "verdict": verdict, "correction": correction, "reason": reason, "by": by}
    return {**{name: value for name, value in line.items() if value is not None}, "at": moment}


def say(place: str | Path, inference_id: str, verdict: str | int | None = None, **more: Any) -> str:
    """Write one opinion below an S3 prefix (s3://bucket/prefix/) or a folder; returns where it lies.

    Args:
        more: as for `opinion`; and `client`, boto3's for S3, and `encryption`, further arguments of its put_object.

    Raises:
        ValueError: it is no feedback.
    """
    client, encryption = more.pop("client", None), more.pop("encryption", {})
    line = opinion(inference_id, verdict, **more)
    name = f"{line['at'][:10].replace('-', '/')}/{uuid.uuid4().hex}.jsonl"
    body = json.dumps(line, ensure_ascii=False).encode() + b"\n"
    where = f"{str(place).rstrip('/')}/{name}"
    if where.startswith("s3://"):
        _put(where, body, client, encryption)
    else:
        _write(Path(where), body)
    return where


def _put(uri: str, body: bytes, client: Any, encryption: Mapping[str, str]) -> None:
    if client is None:
        import boto3

        client = boto3.client("s3")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    client.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/x-ndjson", **encryption)


def _write(path: Path, body: bytes) -> None:
    """Write beside, then rename: a reader sees the whole line or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_bytes(body)
    os.replace(beside, path)
