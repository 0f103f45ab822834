"""The form in which applications say what people think: what it writes is what Collect reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import feedback
from steps.collect.feedback import lines, opinion_of

CALL = {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}
TEXT = st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)
ID = TEXT.filter(str.strip)


@given(
    ID, st.sampled_from([None, *feedback.VERDICTS]), st.one_of(st.none(), TEXT, st.just(CALL)),
    st.one_of(st.none(), TEXT), st.one_of(st.none(), TEXT),
)  # fmt: skip
def test_whatever_it_takes_collect_reads(name: str, verdict: Any, correction: Any, reason: Any, by: Any) -> None:
    if verdict is None and correction is None:
        return
    line = feedback.opinion(name, verdict, correction=correction, reason=reason, by=by)
    read = opinion_of(json.dumps(line).encode(), "a.jsonl", 1)

    assert (read.id, read.by, read.reason) == (name, by, reason)
    assert read.verdict == {"up": 1, "down": -1, None: -1}.get(verdict, verdict)
    assert (read.correction is None) == (correction is None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"inference_id": " "}, "inference_id must be a text of 1 to 256 characters"),
        ({}, "give a verdict or a correction"),
        ({"verdict": "sideways"}, "verdict must be up, down, or a whole number from -2 to 2"),
        ({"verdict": True}, "verdict must be up, down, or a whole number from -2 to 2"),
        ({"verdict": 1.0}, "verdict must be up, down, or a whole number from -2 to 2"),
        ({"correction": "  "}, "correction must not be empty"),
        ({"correction": {"role": "assistant"}}, "correction must be a message with content or tool_calls"),
    ],
)
def test_what_is_no_opinion_is_refused_where_it_is_said(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        feedback.say(tmp_path, **{"inference_id": "a", **given})
    assert str(error.value) == said
    assert list(tmp_path.iterdir()) == []


def test_each_opinion_is_a_file_of_its_day_and_none_is_changed(tmp_path: Path) -> None:
    at = datetime(2026, 11, 29, 23, tzinfo=UTC)
    first = feedback.say(tmp_path, "a", "down", by="ann", at=at)
    second = feedback.say(tmp_path, "a", "up", by="ann", at=at)

    assert first != second and Path(first).parent == tmp_path / "2026/11/29"
    read = [opinion_of(line, file, number) for file, number, line in lines(tmp_path)]
    assert sorted(opinion.verdict for opinion in read) == [-1, 1]


@pytest.mark.usefixtures("aws")
def test_in_a_bucket_it_is_an_object_below_the_prefix_with_the_encryption_that_is_asked_for() -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="said")
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key"}
    uri = feedback.say("s3://said/dpo/feedback/", "a", correction="Lima", client=s3, encryption=encryption)

    assert uri.startswith("s3://said/dpo/feedback/2") and uri.endswith(".jsonl")
    stored = s3.get_object(Bucket="said", Key=uri.removeprefix("s3://said/"))
    assert stored["ServerSideEncryption"] == "aws:kms"
    assert opinion_of(stored["Body"].read(), uri, 1).correction is not None


def test_it_needs_the_standard_library_alone_until_there_is_a_bucket() -> None:
    import ast

    names = [node for node in ast.parse(Path(feedback.__file__).read_text()).body if isinstance(node, ast.ImportFrom)]
    assert {node.module for node in names} == {"__future__", "collections.abc", "datetime", "pathlib", "typing"}
