"""The files of a base model, in S3 and on the hub: what is missing, cut off, or refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from pipeline.account_check.context import Context
from pipeline.account_check.finding import Finding
from pipeline.account_check.subjects import model, model_files
from pipeline.account_check.subjects.model_files import Files

SHARDS = {
    "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"},
    "metadata": {"total_size": 4000},
}


def index(**changed: Any) -> bytes:
    """The index of the shards with other members."""
    return json.dumps(SHARDS | changed).encode()


WHOLE = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"chat_template": "x"}',
    "model.safetensors.index.json": json.dumps(SHARDS).encode(),
    "model-1.safetensors": bytes(2100),
    "model-2.safetensors": bytes(2100),
}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["total_size", "a"]), inner),
    max_leaves=5,
)


def problems(files: Mapping[str, bytes | None]) -> list[str]:
    there = {name: text for name, text in files.items() if text is not None}
    return [f"{one.level}: {one.what}" for one in found_in(there)]


def found_in(there: Mapping[str, bytes]) -> list[Finding]:
    return list(model_files.problems(Files({name: len(text) for name, text in there.items()}, there.__getitem__)))


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
        ("model-2.safetensors", b"", "error: model-2.safetensors: only 0 bytes"),
        ("model-2.safetensors", bytes(1500), "warning: the shards have 3,600 bytes, and model.safetensors.index.json"),
        (
            model_files.INDEX,
            index(metadata=None),
            f"error: {model_files.INDEX}: metadata must be an object, and is null",
        ),
        (
            model_files.INDEX,
            index(metadata={"total_size": "4000"}),
            "warning: model.safetensors.index.json: metadata.total_s",
        ),
        (
            model_files.INDEX,
            index(weight_map=["a"]),
            "weight_map must be an object of tensors and their files, and is a list",
        ),
        (
            model_files.INDEX,
            index(weight_map={"a": None}),
            "error: model.safetensors.index.json: weight_map.a must be a file",
        ),
        (model_files.INDEX, index()[:-9], f"error: {model_files.INDEX} is no JSON, as if an upload was cut off: "),
        (model_files.INDEX, b"[]", f"error: {model_files.INDEX} must hold a JSON object, and holds a list"),
        ("tokenizer_config.json", b"{", "error: tokenizer_config.json is no JSON"),
    ],
)
def test_what_a_model_lacks_is_named(name: str, content: bytes | None, says: str) -> None:
    found = problems({**WHOLE, name: content})
    assert len(found) == 1 and says in found[0]


@given(st.dictionaries(st.sampled_from(["weight_map", "metadata", "x"]), JSON))
def test_no_index_ends_the_check(content: dict[str, Any]) -> None:
    assert all(one.what for one in found_in({**WHOLE, model_files.INDEX: json.dumps(content).encode()}))


def test_a_listing_of_very_many_objects_is_cut(
    context: Context, stubs: Callable[[str], Stubber], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "MOST_OBJECTS", 2)
    entries = [{"Key": f"models/tiny/{name}", "Size": 1} for name in "abc"]
    page = {"Contents": entries, "IsTruncated": True, "NextContinuationToken": "2"}
    stubs("s3").add_response("list_objects_v2", page)  # a second page would fail: it has no answer
    (look,) = model.looks(context)
    (found,) = look.find()
    assert found.level == "unknown" and "more than 2 objects lie under s3://" in found.what


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
