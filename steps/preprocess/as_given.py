"""Errors in the words of the command that was run: inside a pipeline, its settings and URIs, not this step's own.

A job of a pipeline is handed folders of its container and options that its definition wrote. Who started the pipeline
knows neither, but set `MaxInvalidFraction`, and gave an S3 URI. SageMaker tells a job its URIs in its configuration; a
local run, whose URIs nobody has seen, also tells from which files of the user's their content came.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from steps.shared import contract
from steps.shared.contract import StepError

VARIABLE = "INPUT_ORIGINS"  # JSON: URI -> the file or folder that it was copied from; of a local run
PARAMETERS = {"input": "InputDataUri", "validation-data": "ValidationDataUri",
              "validation-fraction": "ValidationFraction", "max-invalid-fraction": "MaxInvalidFraction",
              "min-validation-rows": "MinValidationRows"}  # fmt: skip
SETTINGS = "format|tool-calls|near-duplicates|tokenizer|max-tokens|max-characters|baseline"  # below preprocess:
COLUMNS = re.compile(r"--column [\w.]+=\S+(?: --column [\w.]+=\S+)*")
PARAMETER = re.compile(rf"--({'|'.join(PARAMETERS)})\b(?: ([\d.]+(?:e-?\d+)?)\b)?")
SETTING = re.compile(rf"--({SETTINGS})\b")
KEPT_HERE = re.compile(r"\nThe rows and their reasons: \S+$")  # on a disk that AWS takes back with the instance


@contextlib.contextmanager
def as_given() -> Iterator[None]:
    """Tell the step's own errors in the words of the command that was run."""
    try:
        yield
    except StepError as error:
        raise StepError(in_words_of_command(str(error))) from None


def in_words_of_command(text: str) -> str:
    """A message of this step, as it stands where no pipeline runs it."""
    config = contract.root() / "config" / "processingjobconfig.json"
    if not config.is_file():
        return text
    origins = json.loads(os.environ.get(VARIABLE, "{}"))
    inputs = {
        contract.resolve(entry["S3Input"]["LocalPath"]): origins.get(
            entry["S3Input"]["S3Uri"], entry["S3Input"]["S3Uri"]
        )
        for entry in contract.read_json(config, "the job's configuration").get("ProcessingInputs", [])
        if "S3Input" in entry
    }
    if contract.root() == Path("/opt/ml"):
        text = KEPT_HERE.sub("", text)
    return _with_settings(_with_uris(text, inputs))


def _with_uris(text: str, inputs: Mapping[str, str]) -> str:
    for folder, uri in inputs.items():
        name = uri.rstrip("/").rpartition("/")[2]
        if not uri.endswith("/"):  # it may name one object, which lies in the folder
            text = re.sub(rf"{re.escape(f'{folder}/{name}')}(?![\w.-])", _literally(uri), text)
            if os.path.isfile(os.path.join(folder, name)):  # and does, so the folder alone means it too
                text = re.sub(rf"{re.escape(folder)}(?![\w/])", _literally(uri), text)
        text = re.sub(rf"{re.escape(folder)}(?!\w)/?", _literally(f"{uri.rstrip('/')}/"), text)
    return text


def _literally(text: str) -> str:
    """A text as the replacement of a regular expression."""
    return text.replace("\\", r"\\")


def _with_settings(text: str) -> str:
    text = COLUMNS.sub(lambda found: _columns(found[0]), text)
    text = PARAMETER.sub(_parameter, text)
    return SETTING.sub(lambda found: f"preprocess.{found[1].replace('-', '_')} of the settings", text)


def _parameter(option: re.Match[str]) -> str:
    return f"--set {PARAMETERS[option[1]]}={option[2] or 'X'}"


def _columns(options: str) -> str:
    given = (option.partition("=") for option in options.removeprefix("--column ").split(" --column "))
    return f"columns: {{{', '.join(f'{name}: {value}' for name, _, value in given)}}} under preprocess: of the settings"
