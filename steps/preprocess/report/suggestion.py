"""Which of a row's fields may be prompt, chosen and rejected, by their names."""

from __future__ import annotations

import re

import orjson

KEY = re.compile(r'"((?:[^"\\]|\\.){1,80})"\s*:')
WORDS = {
    "prompt": "prompt question query instruction input user_input user request text ask problem",
    "chosen": "chosen good better best preferred accepted accept winner win positive pos correct desired",
    "rejected": "rejected bad worse worst dispreferred rejected reject loser lose negative neg incorrect undesired",
}
ENDINGS = re.compile(r"_?(?:answer|response|completion|output|text|reply|message|sample)s?$")


def suggested_columns(raw: str) -> dict[str, str]:
    """The fields of a row that the layouts' own may be, in the form of `--column`; empty unless all three are found.

    Args:
        raw: the row as it stands in its file, its end perhaps cut off.
    """
    names = _names(raw)
    found: dict[str, str] = {}
    for field, words in WORDS.items():
        fits = [name for word in words.split() for name in names if word in (_plain(name), _stem(name))]
        if not fits:
            return {}
        found[field] = fits[0]
    others = {field: name for field, name in found.items() if field != name}
    return others if len(set(found.values())) == len(found) else {}


def _names(raw: str) -> list[str]:
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return list(dict.fromkeys(KEY.findall(raw)))  # of inner objects too, behind the row's own
    return list(row) if isinstance(row, dict) else []


def _plain(name: str) -> str:
    """A name as it is compared: without case, and with one kind of separator."""
    return re.sub(r"[\W_]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)).strip("_").lower()


def _stem(name: str) -> str:
    return ENDINGS.sub("", _plain(name))
