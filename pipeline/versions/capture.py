"""What an endpoint keeps of its requests and answers, for the Collect step: SageMaker's data capture.

Both directions, as JSON, below the workflow's own prefix: CAPTURES/version-N/ENDPOINT/VARIANT/yyyy/mm/dd/hh/. A
capture is found by the `InferenceId` that the caller gave to `invoke_endpoint`. Limits: what is streamed to the caller
is not put together by Collect; under load SageMaker captures less than its share (its documentation); not run on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.settings.security import Security
from pipeline.step_kit import network_and_keys

JSON = "application/json"


@dataclass(frozen=True)
class Capture:
    """
    Attributes:
        share: percent of the requests, 1 to 100.
        uri: the workflow's prefix of captures, ending in "/".
    """

    share: int
    uri: str

    def request(self, version: int, security: Security) -> dict[str, Any]:
        """`DataCaptureConfig` of an endpoint configuration of a version."""
        return {
            "EnableCapture": True,
            "InitialSamplingPercentage": self.share,
            "DestinationS3Uri": f"{self.uri}version-{version}",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": [JSON]},
            **network_and_keys.output(security),
        }


def suffix(capture: Capture | None) -> str:
    """What a configuration's name says of capture: configurations that differ have different names."""
    return f"-c{capture.share}" if capture else ""


def facts(config: Mapping[str, Any]) -> tuple[object, ...] | None:
    """Share, place and key of a `DataCaptureConfig`, comparable; None where nothing is captured. The API promises not
    that a key is named as it was given: by id or by ARN."""
    if not config.get("EnableCapture"):
        return None
    key = (config.get("KmsKeyId") or "").rpartition("/")[2]
    return config.get("InitialSamplingPercentage"), config.get("DestinationS3Uri"), key
