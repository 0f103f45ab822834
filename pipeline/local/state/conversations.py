"""What was asked and answered on this machine, and what people said of it: ROOT/captures and ROOT/feedback.

`try` leaves each answer as a line in the form of SageMaker's data capture, in the same folders; `feedback --local` an
opinion. A local run of a workflow with `collect:` finds both where its definition looks in S3: the store has links
there. Limits: answers stay until their folder is deleted.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files import write_text
from pipeline.local.state.store import Store
from pipeline.texts import now

CAPTURES, FEEDBACK = "captures", "feedback"
SHOWN = 3  # ids in a message


def captures(root: Path, pipeline: str) -> Path:
    """Where answers of a pipeline's versions lie."""
    return root / CAPTURES / pipeline


def feedback(root: Path, pipeline: str) -> Path:
    """Where opinions on them lie."""
    return root / FEEDBACK / pipeline


def capture(root: Path, pipeline: str, version: int, exchange: Mapping[str, Any]) -> str:
    """Leave a request and its reply as an endpoint's data capture would; returns the id by which it is spoken of."""
    moment, name = now(), uuid.uuid4().hex
    hour = moment.strftime("%Y/%m/%d/%H")
    line = {
        "captureData": {
            "endpointInput": _half("INPUT", exchange["request"]),
            "endpointOutput": _half("OUTPUT", exchange["reply"]),
        },
        "eventMetadata": {
            "eventId": str(uuid.uuid4()),
            "inferenceId": name,
            "inferenceTime": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "eventVersion": "0",
    }
    path = captures(root, pipeline) / f"version-{version}" / "try" / "local" / hour / f"{name}.jsonl"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text(path, json.dumps(line, ensure_ascii=False) + "\n")
    return name


def _half(mode: str, body: Any) -> dict[str, str]:
    text = json.dumps(body, ensure_ascii=False)
    return {"observedContentType": "application/json", "mode": mode, "data": text, "encoding": "JSON"}


def require_captured(root: Path, pipeline: str, inference_id: str) -> None:
    """
    Raises:
        UserError: `try` left no answer under that id here.
    """
    files = sorted(captures(root, pipeline).glob("*/*/*/*/*/*/*/*.jsonl"), key=lambda path: path.stat().st_mtime)
    names = [path.stem for path in files]
    if inference_id in names:
        return
    newest = f"the newest are {', '.join(names[: -SHOWN - 1 : -1])}" if names else "nothing was asked yet"
    raise UserError(
        f"{inference_id}: no answer of {pipeline} lies under that id in {captures(root, pipeline)}; {newest}; `try` "
        "prints an id with each answer"
    )


def link(root: Path, pipeline: str, captures_uri: str, feedback_uri: str) -> None:
    """Let the store have both folders where a pipeline's definition looks for them."""
    store = Store(root)
    for folder, uri in ((captures(root, pipeline), captures_uri), (feedback(root, pipeline), feedback_uri)):
        place = store.path(uri.rstrip("/"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(folder.resolve(), target_is_directory=True)
