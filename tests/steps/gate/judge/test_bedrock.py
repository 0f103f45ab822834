"""Requests to Bedrock as the API takes them, and its refusals as one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from steps.gate.judge import bedrock
from steps.shared.contract import StepError

MODEL = "eu.anthropic.claude-sonnet-4-20250514-v1:0"


@pytest.fixture
def stubbed() -> Iterator[tuple[Any, Stubber]]:
    here = boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with Stubber(here) as stubber:
        yield here, stubber


def answer(*blocks: dict[str, Any], stop: str = "end_turn", tokens: int = 120) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": stop,
        "usage": {"inputTokens": tokens - 20, "outputTokens": 20, "totalTokens": tokens},
        "metrics": {"latencyMs": 5},
    }


def test_a_question_is_one_turn_at_temperature_zero(stubbed: tuple[Any, Stubber]) -> None:
    here, stubber = stubbed
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm. [[B]]"}}}
    stubber.add_response(
        "converse",
        answer(thought, {"text": "A is better."}, {"text": "[[A]]"}),
        {
            "modelId": MODEL,
            "messages": [{"role": "user", "content": [{"text": "Which?"}]}],
            "inferenceConfig": {"maxTokens": bedrock.MOST_TOKENS, "temperature": 0.0},
        },
    )
    assert bedrock.ask(here, MODEL, "Which?") == bedrock.Reply("A is better.\n[[A]]", "end_turn", 120)
    stubber.assert_no_pending_responses()


def test_a_refusal_is_an_answer_without_text(stubbed: tuple[Any, Stubber]) -> None:
    here, stubber = stubbed
    stubber.add_response("converse", answer(stop="content_filtered"))
    assert bedrock.ask(here, MODEL, "Which?") == bedrock.Reply("", "content_filtered", 120)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDeniedException", ("bedrock:InvokeModel", "JudgeArns", "access to the model in the Bedrock console")),
        ("ResourceNotFoundException", ("list-inference-profiles", "leave out gate.judge")),
        ("ValidationException", ("list-foundation-models", "start anew")),
        ("ThrottlingException", ("Service Quotas", "retry the execution")),
        ("ModelErrorException", ("retry the execution, or leave out gate.judge",)),
    ],
)
def test_a_refused_request_says_what_to_do(stubbed: tuple[Any, Stubber], code: str, words: tuple[str, ...]) -> None:
    here, stubber = stubbed
    stubber.add_client_error("converse", code, "no\nway")
    with pytest.raises(StepError) as error:
        bedrock.ask(here, MODEL, "Which?")
    assert str(error.value).startswith(f"gate.judge: {MODEL}: {code}: no way; ")
    assert all(word in str(error.value) for word in words)


def test_no_way_to_bedrock_is_said_with_the_endpoint_that_is_needed() -> None:
    here = boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    with pytest.raises(StepError, match=r"Bedrock cannot be reached: .*VPC endpoint"):
        bedrock.ask(here, MODEL, "Which?")


def test_the_client_retries_throttled_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    config = bedrock.client().meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 6}
    assert config.connect_timeout == 10
