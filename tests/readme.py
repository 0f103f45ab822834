"""The README's tables, generated from the code that they describe.

`python -m tests.readme --write` rewrites them; `tests/test_readme.py` fails when one is stale. A table stands between
`<!-- NAME -->` and `<!-- /NAME -->`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any

import typer

from pipeline.cli import app
from pipeline.parameters.declared import parameters
from pipeline.settings import workflow as settings
from pipeline.settings.schema import Preprocess
from pipeline.settings.security import Secrets, Security
from steps.preprocess.layouts.formats import FORMATS
from steps.preprocess.rows.reasons import Reason
from steps.train.arguments import FsdpConfig, TrainArguments
from tests.paths import ROOT
from tests.pipeline.workflows import NO_WORKFLOWS

README = ROOT / "README.md"


def layouts() -> list[str]:
    rows = [f"| `{layout.name}` | {layout.description} |" for layout in FORMATS]
    return ["| layout | fields |", "|---|---|", *rows]


def reasons() -> list[str]:
    rows = [f"| `{reason}` | {reason.meaning} |" for reason in Reason]
    return ["| code | the row is quarantined because |", "|---|---|", *rows]


def preprocess_settings() -> list[str]:
    fields = Preprocess.model_fields.items()
    rows = [f"| `{name}` | {_default(field.get_default(call_default_factory=True))} | {field.description} |"
            for name, field in fields if field.description]  # fmt: skip
    return ["| setting | default | meaning |", "|---|---|---|", *rows]


def security_settings() -> list[str]:
    rows = [f"| `{name}` | {_default(field.get_default(call_default_factory=True))} | {field.description} |"
            for name, field in Security.model_fields.items() if name != "secrets"]  # fmt: skip
    return ["| setting | default | meaning |", "|---|---|---|", *rows]


def secret_variables() -> list[str]:
    rows = [f"| `{name}` | {field.description} |" for name, field in Secrets.model_fields.items()]
    return ["| variable | used |", "|---|---|", *rows]


def commands() -> list[str]:
    verbs = typer.main.get_command(app).commands
    rows = [f"| `{name}` | {(command.help or '').splitlines()[0]} |" for name, command in verbs.items()]
    return ["| command | what it does |", "|---|---|", *rows]


def workflows() -> list[str]:
    rows = []
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        if path.stem in NO_WORKFLOWS:
            continue
        workflow = settings.load(path)
        train = workflow.settings.train
        spot = ", spot" if train.spot else ""
        rows.append(
            f"| [`{path.stem}`](configs/{path.name}) | {workflow.recipe.model_id} | "
            f"{train.instance_count} x {train.instance_type}{spot} | [recipe](configs/{workflow.settings.recipe}) |"
        )
    return ["| workflow | base model | training instance | recipe |", "|---|---|---|---|", *rows]


def parameter_table() -> list[str]:
    workflow = settings.load(ROOT / "configs" / "qwen3-8b.yaml")
    local = settings.load(settings.DEFAULT_SETTINGS)
    found = {entry.name: entry for entry in [*parameters(local), *parameters(workflow)]}
    rows = [f"| `{entry.name}` | {_kind(entry)} | {entry.help} |" for entry in found.values()]
    return ["| parameter | type | meaning |", "|---|---|---|", *rows]


def _kind(entry: Any) -> str:
    return f"one of {len(entry.choices)}" if len(entry.choices) > 3 else " or ".join(entry.choices) or entry.kind


def argument_table() -> list[str]:
    rows = []
    for name, field in TrainArguments.model_fields.items():
        if name == "fsdp_config":
            rows += [
                f"| `fsdp_config.{inner}` | {_default(field.default)} | {field.description} |"
                for inner, field in FsdpConfig.model_fields.items()
            ]
            continue
        rows.append(f"| `{name}` | {_default(field.default)} | {field.description} |")
    return ["| argument | default | meaning |", "|---|---|---|", *rows]


def _default(value: Any) -> str:
    if repr(value) == "PydanticUndefined":
        return "required"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


TABLES: dict[str, Callable[[], list[str]]] = {
    "layouts": layouts,
    "reasons": reasons,
    "preprocess": preprocess_settings,
    "security": security_settings,
    "secrets": secret_variables,
    "commands": commands,
    "workflows": workflows,
    "parameters": parameter_table,
    "arguments": argument_table,
}


def rewritten(text: str) -> str:
    """The README with every table as the code has it now."""
    for name, table in TABLES.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not block.search(text):
            raise ValueError(f"README.md has no table {name}")
        lines = "\n".join(table())
        text = block.sub(lambda match, lines=lines: f"{match[1]}{lines}\n{match[2]}", text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="rewrite README.md instead of printing it")
    text = rewritten(README.read_text(encoding="utf-8"))
    if parser.parse_args().write:
        README.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
