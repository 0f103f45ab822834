"""A row's own `chat_template_kwargs`: what its chat template is given besides, or instead of, the run's."""

from __future__ import annotations

from typing import Any

import orjson

from steps.preprocess.rows import json_texts
from steps.preprocess.rows.json_values import kind, may_have_lost_digits, refuse_nul
from steps.preprocess.rows.notes import Notes
from steps.preprocess.rows.pairs import Row
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.shared.records import ARGUMENTS, TemplateArguments, canonical
from steps.shared.templates.arguments import fault

IGNORE = f"if they mean nothing: --ignore-field {ARGUMENTS} (ignore_fields)"


def own_arguments(row: Row, run: str, notes: Notes) -> TemplateArguments:
    """The arguments by which a row is rendered otherwise than the run's rows are; None where there are none.

    An argument that is null says nothing (tables fill in nulls), and neither does one that the run has as well.

    Args:
        run: the run's own `chat_template_kwargs`, a JSON object.

    Raises:
        InvalidRow: wrong_type or not_json where the field is no object; unsupported_field where an argument has a name
            that is not a template's to have; nul_byte; duplicate_keys.
    """
    given = _object(row[ARGUMENTS])
    if b"\\u0000" in orjson.dumps(given):
        refuse_nul(given)
    if may_have_lost_digits(given):
        notes.large.append(ARGUMENTS)
    of_run = orjson.loads(run)
    own = {name: value for name, value in given.items() if value is not None and not _same(name, value, of_run)}
    if why := fault(own):
        raise InvalidRow(Reason.UNSUPPORTED_FIELD, f"{ARGUMENTS}: {why}; {IGNORE}")
    return own or None


def _object(value: Any) -> dict[str, Any]:
    if value in (None, "", [], {}):  # null, and an empty cell, list or object, which a table may have in its place
        return {}
    try:
        given = json_texts.loads(value, ARGUMENTS) if isinstance(value, str) else value
    except orjson.JSONDecodeError as error:
        raise InvalidRow(Reason.NOT_JSON, f"{ARGUMENTS} is a text that is not JSON: {error}") from None
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InvalidRow(Reason.WRONG_TYPE, f"{ARGUMENTS} is {kind(given)}; must be an object")
    return given


def _same(name: str, value: Any, run: dict[str, Any]) -> bool:
    """Whether the run has this argument too; by their JSON, since to Python 1 is the same as true."""
    return name in run and canonical(run[name]) == canonical(value)
