"""What an HTML page consists of, and what holds for every page of the steps."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "br", "rect", "line", "polyline", "circle"}
FORBIDDEN = {"script", "img", "link", "iframe", "object", "embed", "form", "base", "image", "use", "a:href"}
LOADING = {"src", "srcset", "data", "action", "poster", "background", "xlink:href", "ping"}


class Document(HTMLParser):
    """What a page consists of; fails where tags do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._text: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(key, value or "") for key, value in attributes]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        assert tag in VOID

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self._open):
            self._text.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._text).split())


def require_whole(html: str) -> None:
    """The page closes what it opens, loads nothing, runs nothing, and forbids both."""
    assert html.lstrip().lower().startswith("<!doctype html>")
    found = Document(html)
    assert not FORBIDDEN & set(found.tags)
    keys = {key for key, _ in found.attributes}
    assert not LOADING & keys
    assert not [key for key in keys if key.startswith("on")]
    assert all(value.startswith("#") for key, value in found.attributes if key == "href")
    assert "url(" not in html.split("</style>")[0]
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert ("content", policy) in found.attributes


def require_targets(html: str) -> None:
    """Every link and label of the page leads somewhere in it."""
    attributes = Document(html).attributes
    ids = [value for key, value in attributes if key == "id"]
    assert len(ids) == len(set(ids))
    wanted = [value.removeprefix("#") for key, value in attributes if key in ("href", "aria-labelledby")]
    assert set(wanted) <= set(ids)
