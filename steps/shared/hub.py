"""The hub of models: one rule for telling its names from folders, and whether it answers at all.

The second is asked before the hub's library asks for a model: that waits without a limit for a hub that takes a
connection and says nothing. Shared by the definition and the containers; imports the library late.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from threading import Thread
from urllib.parse import quote

from steps.shared.contract import StepError, first_line

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)  # owner/name
NAME_LIMIT = 96  # the hub's, in characters
SECONDS = 10.0  # for an answer, whatever it is, the connection and the name's look-up included
FIX = "check the network and the proxy"


def is_hub_name(model: str) -> bool:
    """Whether `model` names a model of the hub (`owner/name`); a folder of that name wins."""
    return not Path(model).is_dir() and _NAME.fullmatch(model) is not None


def name_problem(name: str) -> str | None:
    """Why the hub can have no model of this name; None where it can."""
    if _NAME.fullmatch(name) and len(name) <= NAME_LIMIT:
        return None
    return f"{name!r} is no name of a hub model: owner/name, of letters, digits, `.`, `_`, `-`, at most {NAME_LIMIT}"


def no_answer(name: str, revision: str | None = None) -> str | None:
    """Why the hub cannot be asked for a model, within SECONDS; None where it answers, were it that there is none.

    Asked by the library's own way, with its proxies and certificates; one that it does not
    trust is its to tell.
    """
    from huggingface_hub import constants

    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    said: list[str | None] = []
    asking = Thread(target=lambda: said.append(_asked(endpoint, name, revision or "main")), daemon=True)
    asking.start()  # of its own, for to look up a name has no limit of time
    asking.join(SECONDS + 1)
    reason = said[0] if said else f"no answer within {SECONDS:g} s"
    return None if reason is None else f"{endpoint} cannot be reached ({reason}); {FIX}"


def _asked(endpoint: str, name: str, revision: str) -> str | None:
    """By the kinds of its HTTP library's errors, whose package has another name in each version (httpx, httpx2)."""
    from huggingface_hub.utils import get_session

    try:
        get_session().head(f"{endpoint}/api/models/{name}/revision/{quote(revision, safe='')}", timeout=SECONDS)
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if "TimeoutException" in kinds:
            return f"no answer within {SECONDS:g} s"
        if "ConnectError" in kinds and "CERTIFICATE" not in str(error):
            return first_line(error)
    return None  # any answer, and a proxy that refuses, a cut answer, a setting that it does not take: its to tell


def require(name: str, revision: str | None = None) -> bool:
    """Whether the hub answers; where it does not, this machine's cache has the model, which is printed.

    Raises:
        StepError: the hub does not answer, and the cache has no such model.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if constants.HF_HUB_OFFLINE:
        return False
    reason = no_answer(name, revision)
    if reason is None:
        return True
    if not isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
        raise StepError(f"{name}: the hub {reason}, or name a folder that has the model")
    print(f"{name}: the hub {reason}; taken from this machine's cache", flush=True)
    return False
