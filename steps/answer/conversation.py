"""What is said to the model: the messages, and the tools that it may call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.records import Messages, Tools


def messages(prompt: str, system: str | None) -> Messages:
    """One turn of the user, after the system's where there is one.

    Raises:
        StepError: the prompt is blank.
    """
    if not prompt.strip():
        raise StepError("the prompt is empty; say something to the model")
    spoken: Messages = [{"role": "user", "content": prompt}]
    return [{"role": "system", "content": system}, *spoken] if system else spoken


def read_tools(path: Path) -> Tools:
    """The tools of a JSON file, in the one form that training saw (steps/preprocess/rows/tools.py).

    Raises:
        StepError: the file is missing, is not JSON or declares no tools.
    """
    import orjson

    from steps.preprocess.rows.reasons import InvalidRow
    from steps.preprocess.rows.tools import declare

    given: Any = contract.read_json(path, "the list of tools")
    if not isinstance(given, list):
        raise StepError(f'{path}: must be a JSON list of tools, such as [{{"name": …, "parameters": {{…}}}}]')
    try:
        declared = declare(given)
    except InvalidRow as error:
        raise StepError(f"{path}: not tools: {error}; fix it") from None
    return orjson.loads(declared.text) if declared.text else None
