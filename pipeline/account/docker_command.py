"""The docker command as this project calls it: what it answers, and what its absence means to a user.

Limits: the CLI, in its own configuration (DOCKER_HOST, contexts); builds use nothing that only BuildKit has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from pipeline.errors import UserError
from pipeline.watching import beat

PROGRAM = "docker"
ENGINE_SECONDS = 30
# A record of the build beside the image would make what is pushed an index of images, which SageMaker refuses. As a
# variable, for a docker without BuildKit knows no --provenance and needs none.
ONE_IMAGE = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


def require_engine(command: str) -> None:
    """
    Args:
        command: what to run again once there is an engine.

    Raises:
        UserError: there is no docker program, or no engine that answers it.
    """
    words = [PROGRAM, "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=ENGINE_SECONDS)
    except FileNotFoundError:
        raise UserError(f"docker: there is no such program here; install Docker Engine, then: {command}") from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"docker: the engine did not answer within {ENGINE_SECONDS} s; restart it, then: {command}"
        ) from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(
            f"docker: no engine answers ({said}); start it (systemctl start docker), or name its socket in "
            f"DOCKER_HOST, then: {command}"
        )


def run(words: Sequence[str], command: str, stdin: str | None = None) -> None:
    """Run `docker words…`; what it prints goes to stderr.

    Args:
        command: what to run again once its cause is fixed.
        stdin: what it reads; never shown.

    Raises:
        UserError: it failed.
    """
    environment = os.environ | ONE_IMAGE
    with beat.hold("docker"):  # it shows itself how far it is
        done = subprocess.run(
            [PROGRAM, *words], input=stdin, stdout=sys.stderr, text=True, check=False, env=environment
        )
    if done.returncode != 0:
        raise UserError(
            f"docker {words[0]} failed with exit code {done.returncode}; its output is above; fix it, then: {command}"
        )


def inspect(reference: str, template: str) -> str | None:
    """What an image of this engine says of itself, as a Go template words it; None where there is no such image."""
    words = [PROGRAM, "image", "inspect", "--format", template, reference]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def digests(reference: str) -> list[str] | None:
    """An image's names by digest in registries (NAME@sha256:…); none of one that was made here, None without it."""
    found = inspect(reference, "{{json .RepoDigests}}")
    return None if found is None else [str(name) for name in json.loads(found) or ()]
