"""Code that comes with a model runs only where a recipe asks for it: every loading says so itself.

Where nothing is said, transformers asks on the terminal, and a yes runs the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

LOADERS = ("from_pretrained", "from_config")
WITHOUT_CODE = ("PeftModel", "GenerationConfig", "Tokenizer")  # classes that load no code of a model's
FILES = sorted(path for folder in ("steps", "pipeline") for path in (ROOT / folder).rglob("*.py"))


def loadings(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in LOADERS:
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id in WITHOUT_CODE):
            yield node


def test_there_are_loadings_to_look_at() -> None:
    assert sum(1 for path in FILES for _ in loadings(path)) > 8


@pytest.mark.parametrize("path", [path for path in FILES if list(loadings(path))], ids=lambda path: path.stem)
def test_every_loading_says_whether_a_models_code_may_run(path: Path) -> None:
    for call in loadings(path):
        said = {keyword.arg: keyword.value for keyword in call.keywords}
        assert "trust_remote_code" in said or None in said, f"{path}:{call.lineno}"
        value = said.get("trust_remote_code")
        assert not (isinstance(value, ast.Constant) and value.value is not False), f"{path}:{call.lineno}"
