"""Which commit a hub model's revision is at this moment.

A branch such as `main` moves, and a tag can be moved: two jobs of an execution that ask one after the other may get
different weights, and the word alone does not say later which they were. So the execution's first job asks once, and
all that load the model get the commit. It fetches the file that Train reads first, so that a wrong name, a wrong
revision and a gated model without a token are found here, before anything long has run.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from steps.shared import contract, hub
from steps.shared.contract import StepError

COMMIT = re.compile("[0-9a-f]{40}")
CONFIG = "config.json"


def commit_of(name: str, revision: str) -> str:
    """The commit, 40 hexadecimal digits; a revision that is one already is returned as it is, and nobody is asked.

    With HF_HUB_OFFLINE, which only a local run has, it is what the cache of this machine has under the revision.

    Raises:
        StepError: the hub does not answer, does not know the model or the revision, or does not give it to this job.
    """
    if COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE and (silent := hub.no_answer(name, revision)):
        raise _unknown(name, revision, f"{silent}, then start again, or name a commit as ModelRevision")
    with tempfile.TemporaryDirectory() as empty:  # the library answers from a cache where the hub does not answer
        folder = _snapshot(name, revision, None if constants.HF_HUB_OFFLINE else empty)
        if not (folder / CONFIG).is_file():
            raise _unknown(name, revision, f"it has no {CONFIG}, so it is no model for transformers; check ModelId")
        return folder.name


def _snapshot(name: str, revision: str, cache: str | None) -> Path:
    from huggingface_hub import snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        return Path(
            snapshot_download(name, revision=revision, cache_dir=cache, endpoint=endpoint, allow_patterns=CONFIG)
        )
    except Exception as error:  # the hub's own, and those of its HTTP library: a proxy that refuses, SOCKS without help
        raise _unknown(name, revision, _reason(error)) from None


def _reason(error: Exception) -> str:
    """Why, in a sentence and what to do; the library's own first line of a refusal is its number alone."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    token = "(security.secrets.HF_TOKEN of the account's settings; on this machine HF_TOKEN)"
    if isinstance(error, GatedRepoError):
        return f"it is gated; ask for access on its page, and give a token that has it {token}"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no such model, or it is private; check ModelId, or give a token that may read it {token}"
    if isinstance(error, RevisionNotFoundError):
        return "it has no such branch, tag or commit; check ModelRevision"
    fix = "check ModelId, ModelRevision and the network (a proxy?), then start again, or name a commit as ModelRevision"
    return f"{contract.first_line(error).rstrip('.')}; {fix}"


def _unknown(name: str, revision: str, reason: str) -> StepError:
    return StepError(f"{name} (revision {revision}): the hub did not say which commit that is: {reason}")
