"""Made-up versions in a local registry, with the files that a run would have left."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.local.state import model_packages
from pipeline.local.state.store import Store
from steps.shared import contract, served_files
from steps.shared.serving import ADAPTER_FOLDER
from tests import judged

GROUP = "dpo-quickstart"
BUCKET = "s3://dpo-bucket/runs"
ANSWERS = "answers.jsonl"
BASE = "s3://dpo-bucket/models/base/"


def unexpected(error: Exception) -> None:
    """Told of a damaged file where none is expected."""
    raise error


def evaluation(margins: Mapping[str, float], beta: float = 0.1) -> dict[str, Any]:
    """An evaluation.json of these margins, its figures computed as training computes them."""
    from steps.train.evaluation.figures import RowMargin, summarise

    rows = [RowMargin(id, margin, 0.0, 0.0, 0.0, 9, 7, "plain", id < "m") for id, margin in margins.items()]
    before = [RowMargin(row.id, 0.0, 0.0, 0.0, 0.0, 9, 7, row.format, row.with_tools) for row in rows]
    return {
        "rows": len(rows),
        "beta": beta,
        "before": summarise(before, beta).as_dict(),
        "after": summarise(rows, beta).as_dict(),
        "margins": [row.as_dict() for row in rows],
    }


def register(
    root: Path,
    margins: Mapping[str, float],
    *,
    variant: str = "adapter",
    group: str = GROUP,
    arguments: Mapping[str, Any] | None = None,
    hashed: bool = True,
    served: Mapping[str, Any] | None = None,
    answers: Sequence[Mapping[str, Any]] | None = None,
    adapter: Path | None = None,
    **metadata: str,
) -> dict[str, Any]:
    """Register a version whose evaluation has these margins, and return its package.

    Args:
        hashed: with the hash of its files' manifest, which versions of an earlier time do not have.
        served: the evaluation's section of the form that is served; older versions have none.
        answers: rows of answers.jsonl, from which the evaluation's section is counted; older versions have none.
        adapter: a folder of a real one, instead of a file of a few letters.
    """
    store = Store(root)
    before = len(list(model_packages.home(root).glob("*/*")))
    run = f"{BUCKET}/run-{group}-{before + 1}"
    own = {"served": dict(served) if served else None, "answers": judged.answers(answers) if answers else None}
    of_run = json.dumps(evaluation(margins) | {name: section for name, section in own.items() if section})
    lines = "".join(f"{json.dumps(row)}\n" for row in answers or [])
    hashes = {ANSWERS: hashlib.sha256(lines.encode()).hexdigest()} if answers else {}
    manifest = {"arguments": dict(arguments or {}), "fingerprint": run, "files": hashes}
    files = {
        f"serving/{ADAPTER_FOLDER}/adapter_model.safetensors": "weights",
        f"serving/{ADAPTER_FOLDER}/evaluation.json": of_run,
        "decision/evaluation.json": of_run,
        f"serving/{ADAPTER_FOLDER}/manifest.json": json.dumps(manifest),
    } | ({f"decision/{ANSWERS}": lines} if answers else {})
    for name, text in files.items():
        path = store.path(f"{run}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    serving = store.path(f"{run}/serving")
    if adapter:
        shutil.copytree(adapter, serving / ADAPTER_FOLDER, dirs_exist_ok=True)
    if hashed:
        served = served_files.facts(serving, list(served_files.paths(serving)))
        contract.write_json(serving / served_files.MANIFEST, served)
        digest = contract.sha256(serving / served_files.MANIFEST)
        metadata |= {served_files.OF_MODEL: digest, served_files.OF_ADAPTER: digest}
    source = {"S3Uri": f"{run}/serving/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    return model_packages.register(
        root,
        {
            "ModelPackageGroupName": group,
            "InferenceSpecification": {
                "Containers": [{"Image": "image:cu130", "ModelDataSource": {"S3DataSource": source}}],
                "SupportedRealtimeInferenceInstanceTypes": ["ml.g5.2xlarge"],
            },
            "ModelMetrics": {"ModelQuality": {"Statistics": {"S3Uri": f"{run}/decision/evaluation.json"}}},
            "CustomerMetadataProperties": {"variant": variant, "base_model": BASE, "data_hash": "8c1f", **metadata},
        },
    )
