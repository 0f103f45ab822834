"""The files of a base model, in S3 and on the hub: what is missing, cut off, or refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.error import HTTPError

import pytest

from pipeline.account_check.context import Context
from pipeline.account_check.subjects import model
from pipeline.account_check.subjects.model import Files

SHARDS = {
    "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"},
    "metadata": {"total_size": 4000},
}
WHOLE = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"chat_template": "x"}',
    "model.safetensors.index.json": json.dumps(SHARDS).encode(),
    "model-1.safetensors": bytes(2100),
    "model-2.safetensors": bytes(2100),
}


def problems(files: Mapping[str, bytes | None]) -> list[str]:
    there = {name: text for name, text in files.items() if text is not None}
    return list(model.problems(Files({name: len(text) for name, text in there.items()}, there.__getitem__)))


def test_a_whole_model_lacks_nothing() -> None:
    assert problems(WHOLE) == []


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", None, "config.json is missing"),
        ("tokenizer.json", None, "no tokenizer"),
        ("tokenizer_config.json", b"{}", "the tokenizer has no chat template"),
        ("model-2.safetensors", None, "1 of 2 shards are missing that model.safetensors.index.json names: model-2"),
        ("model-2.safetensors", b"version https://git-lfs", "only 23 bytes, which is a pointer of Git LFS"),
        ("model-2.safetensors", bytes(1500), "the shards have 3,600 bytes, and model.safetensors.index.json counts"),
    ],
)
def test_what_a_model_lacks_is_named(name: str, content: bytes | None, says: str) -> None:
    found = problems({**WHOLE, name: content})
    assert len(found) == 1 and says in found[0]


def on_the_hub(context: Context, read: Callable[[str], bytes]) -> list[Any]:
    """The quickstart with a model of the hub."""
    values = [one for one in context.definition["Parameters"] if one["Name"] != "ModelUri"]
    values += [
        {"Name": name, "Type": "String", "DefaultValue": value}
        for name, value in {"ModelId": "Qwen/Qwen3-0.6B", "ModelRevision": "main"}.items()
    ]
    changed = replace(context, definition=context.definition | {"Parameters": values}, read=read)
    return [finding for look in model.looks(changed) for finding in look.find()]


def test_a_model_of_the_hub_is_looked_at_by_its_names(context: Context) -> None:
    addresses = []

    def read(address: str) -> bytes:
        addresses.append(address)
        if "/api/" in address:
            names = [name for name in WHOLE if name != "model-2.safetensors"]
            return json.dumps({"siblings": [{"rfilename": name, "size": len(WHOLE[name])} for name in names]}).encode()
        return WHOLE[address.rpartition("/")[2]]

    (found,) = on_the_hub(context, read)
    assert found.level == "error" and found.what.startswith("Qwen/Qwen3-0.6B at main: 1 of 2 shards are missing")
    assert addresses[0] == "https://huggingface.co/api/models/Qwen/Qwen3-0.6B/revision/main?blobs=true"
    assert all("model-" not in address.rpartition("/")[2] for address in addresses)  # no weights are read


@pytest.mark.parametrize(
    ("code", "level", "says"),
    [
        (404, "error", "the hub has no Qwen/Qwen3-0.6B at main"),
        (401, "error", "and the jobs have no token"),
        (403, "error", "and the jobs have no token"),
        (503, "unknown", "the hub answers 503"),
    ],
)
def test_what_the_hub_refuses_is_worded(context: Context, code: int, level: str, says: str) -> None:
    def read(address: str) -> bytes:
        raise HTTPError(address, code, "no", {}, io.BytesIO())  # type: ignore[arg-type]

    (found,) = on_the_hub(context, read)
    assert found.level == level and says in found.what


def test_a_gated_model_needs_a_token_though_its_names_are_shown(context: Context) -> None:
    answer = {"gated": "manual", "siblings": [{"rfilename": "config.json", "size": 2}]}
    (found,) = on_the_hub(context, lambda address: json.dumps(answer).encode())
    assert found.level == "error" and "security.secrets.HF_TOKEN" in found.fix
