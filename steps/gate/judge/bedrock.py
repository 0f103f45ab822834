"""Ask a model of Amazon Bedrock by Converse, which has one form for all of its chat models.

Needs bedrock:InvokeModel on the model, and a way to bedrock-runtime in the job's own region. Limits: only the text of
an answer is kept, no reasoning; a model that takes no temperature refuses, and cannot be a judge here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steps.shared.contract import StepError

MOST_TOKENS = 2048  # of an answer: room for a model that reasons before it writes its three sentences
OFF = "or leave out gate.judge"


@dataclass(frozen=True)
class Reply:
    """
    Attributes:
        stop: why the model stopped, in Bedrock's word: end_turn, max_tokens, content_filtered, …
        tokens: that the model has read and written, which are paid for.
    """

    text: str
    stop: str
    tokens: int


def client() -> Any:
    """A client of the job's own region that retries throttled calls; without a way there it gives up in a minute."""
    import boto3
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": 6}
    return boto3.client("bedrock-runtime", config=Config(retries=retries, connect_timeout=10, read_timeout=120))


def ask(bedrock: Any, model: str, text: str) -> Reply:
    """One question, answered with temperature 0.

    Raises:
        StepError: Bedrock does not answer; says what to do.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = bedrock.converse(
            modelId=model,
            messages=[{"role": "user", "content": [{"text": text}]}],
            inferenceConfig={"maxTokens": MOST_TOKENS, "temperature": 0.0},
        )
    except ClientError as error:
        details = error.response.get("Error", {})
        raise StepError(_refused(model, details.get("Code", ""), details.get("Message") or str(error))) from None
    except BotoCoreError as error:
        raise StepError(_unreached(model, error)) from None
    content = answer.get("output", {}).get("message", {}).get("content", [])
    return Reply(
        text="\n".join(block["text"] for block in content if "text" in block),
        stop=answer["stopReason"],
        tokens=answer["usage"]["totalTokens"],
    )


def _refused(model: str, code: str, message: str) -> str:
    said = f"gate.judge: {model}: {code}: {' '.join(message.split())}"
    if code == "AccessDeniedException":
        return (
            f"{said}; allow bedrock:InvokeModel on it in the job's role (python pipeline.py bootstrap --set "
            f"JudgeArns=ARN), and ask for access to the model in the Bedrock console, {OFF}; then retry the execution"
        )
    if code in ("ResourceNotFoundException", "ValidationException"):
        return (
            f"{said}; name a chat model that Bedrock offers in this region, or its inference profile (aws bedrock "
            f"list-foundation-models, list-inference-profiles), {OFF}; then start anew"
        )
    if code in ("ThrottlingException", "ServiceQuotaExceededException"):
        return f"{said}; ask for a higher quota of the model in Service Quotas, or wait; then retry the execution"
    return f"{said}; retry the execution, {OFF}"


def _unreached(model: str, error: Exception) -> str:
    return (
        f"gate.judge: {model}: Bedrock cannot be reached: {' '.join(str(error).split())}; the job needs credentials "
        f"and a way to bedrock-runtime: in private subnets a VPC endpoint (bootstrap makes one with JudgeArns) or a "
        f"NAT gateway; make one and retry the execution, {OFF}"
    )
