"""The variables that a job finds: those that SageMaker sets, and those of the image's Dockerfile.

Nothing in the images makes SM_* variables: these come from the SageMaker training toolkit, which a job that names its
own entrypoint does not start. Credentials come from an address that the platform names, as in every container of AWS.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import ROOT
from pipeline.settings.content import code_key

NOBODY = "http://127.0.0.1:1/credentials"  # no one listens there: a call of AWS ends at once, and says why
REGION = "us-east-1"  # where the image lies in no registry of AWS
_REGISTRY = re.compile(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/")
# The checkout is what the image has at /opt/program; it is compiled anew after each change, the image once, and has a
# version of its own.
_OF_THE_FILES = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "CODE_VERSION")


@dataclass(frozen=True)
class Aws:
    """What stands for AWS in an execution: where its jobs' calls go, and who gives them credentials."""

    endpoint: str
    credentials: str


def of_the_platform(image: str, aws: Aws | None) -> dict[str, str]:
    """What SageMaker sets in every job; a Training job has its name and ARN too."""
    found = {"AWS_REGION": region(image), "AWS_CONTAINER_CREDENTIALS_FULL_URI": aws.credentials if aws else NOBODY}
    return found | ({"AWS_ENDPOINT_URL": aws.endpoint} if aws else {})


def region(image: str) -> str:
    """The region that an image lies in, which is that of the jobs."""
    found = _REGISTRY.match(image)
    return found[1] if found else REGION


def of_the_code(repository: Path) -> dict[str, str]:
    """What the image of a training says of the code in it, of that in this checkout."""
    return {"CODE_VERSION": code_key(repository / "steps")}


def of_the_image(name: str, scratch: Path, containers: Path = ROOT / "containers") -> dict[str, str]:
    """The ENV of an image's Dockerfile; what lies in /tmp there lies in `scratch` here."""
    text = (containers / name / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    words = [word for line in text.splitlines() if line.startswith("ENV ") for word in shlex.split(line[len("ENV ") :])]
    variables = dict(word.split("=", 1) for word in words)
    return {
        key: f"{scratch}{value.removeprefix('/tmp')}" if value.startswith("/tmp/") else value
        for key, value in variables.items()
        if key not in _OF_THE_FILES
    }
