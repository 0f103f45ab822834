"""The README files say what the code does: tables are fresh; commands, files, folders and sections in them exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pipeline.verbs import verbs
from tests.paths import ROOT
from tests.readme import FOLDERS, TABLES, rewritten

PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in (".", ".github", "configs", "containers", "pipeline", "steps", "tests")
    for path in sorted((ROOT / folder).glob("*.md" if folder == "." else "**/*.md"))
}
README = PAGES["README.md"]
ROOMS = (
    "steps/train", "steps/preprocess", "steps/collect", "steps/candidates", "steps/merge", "pipeline", "configs",
    "containers",
)  # fmt: skip
each_page = pytest.mark.parametrize("page", PAGES)


def blocks(text: str) -> str:
    """The shell commands of a page, each on one line."""
    return "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_room_with_a_manual_has_it() -> None:
    assert {f"{room}/README.md" for room in ROOMS} <= PAGES.keys()
    assert {".github/CONTRIBUTING.md", ".github/SECURITY.md", ".github/CHANGELOG.md"} <= PAGES.keys()
    for room in ROOMS:
        assert f"]({room}/README.md" in README, room


@pytest.mark.parametrize("page", TABLES)
def test_every_generated_table_is_fresh(page: str) -> None:
    assert rewritten(page) == PAGES[page], "out of date: python -m tests.readme --write"


def test_every_top_level_folder_is_in_the_map() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {Path(line).parts[0] for line in tracked.splitlines() if "/" in line}
    assert top == {*FOLDERS, "pipeline", "steps"}


def test_every_command_in_them_exists_with_its_options() -> None:
    commands = {name: verb.loaded() for name, verb in verbs().items()}
    lines = [line for text in PAGES.values() for line in re.findall(r"^python pipeline\.py (.*)$", blocks(text), re.M)]
    assert len(lines) > 20
    for line in lines:
        verb, *words = line.partition("#")[0].split()
        known = {name for option in commands[verb].params for name in option.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


@each_page
def test_every_link_leads_to_a_file_and_a_section(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if ":" in target:
            continue
        place, _, section = target.partition("#")
        path = ((ROOT / page).parent / place).resolve() if place else ROOT / page
        assert path.exists(), target
        assert not section or section in anchors(path.read_text(encoding="utf-8")), target


@each_page
def test_every_file_and_module_that_is_named_exists(page: str) -> None:
    text = PAGES[page]
    for name in re.findall(r"(?<![\w/.-])(?:configs|containers|findings|pipeline|steps|tests)/[\w./-]*", text):
        assert (ROOT / name.rstrip(".")).exists(), name
    for module in re.findall(r"python -m ((?:steps|tests)[\w.]*\w)", text):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module


def test_every_message_under_troubleshooting_is_one_of_the_code() -> None:
    code = "".join(path.read_text() for side in ("pipeline", "steps") for path in sorted((ROOT / side).rglob("*.py")))
    section = README.partition("## Troubleshooting")[2].partition("\n## ")[0]
    messages = re.findall(r"^\|[^|]+\| ([^|]+) \|", section, re.MULTILINE)[2:]
    pieces = {piece for message in messages for span in re.findall(r"`([^`]+)`", message) for piece in span.split("…")}
    assert len(messages) > 10 and len(pieces) > 20
    missing = {piece for piece in pieces if piece.strip(" .,;:()") not in code}
    assert missing == {"CUDA out of memory"}  # torch's


def test_make_targets_in_them_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {target for text in PAGES.values() for target in re.findall(r"(?:^|`)make ([\w-]+)", text, re.MULTILINE)}
    assert {"run", "test", "fast"} <= named
    for name in named:
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name


def test_the_two_commands_stand_on_the_first_screen() -> None:
    top = "\n".join(README.splitlines()[:40])
    assert "make run" in top and "make test" in top and "registered" in top
