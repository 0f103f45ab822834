"""The tables of the README files, generated from the code that they describe.

`python -m tests.readme --write` rewrites them; `tests/test_readme.py` fails when one is out of date. A table stands
between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.parameters.declared import Parameter, parameters
from pipeline.settings import workflow as settings
from pipeline.settings.candidates import Candidates
from pipeline.settings.collect import Collect
from pipeline.settings.schema import Preprocess
from pipeline.settings.section import Section
from pipeline.settings.security import Secrets, Security
from pipeline.verbs import verbs
from steps.candidates.states import State
from steps.collect.states import CaptureState, FeedbackState
from steps.preprocess.layouts.formats import FORMATS
from steps.preprocess.rows.reasons import Reason
from steps.train.arguments import FsdpConfig, TrainArguments
from steps.train.other_tools.axolotl import AXOLOTL
from steps.train.other_tools.common import FAMILIES, TRAINER
from steps.train.other_tools.llama_factory import LLAMA_FACTORY
from steps.train.other_tools.rules import Rule, Tool
from steps.train.other_tools.trl import TRL
from tests.paths import ROOT
from tests.pipeline.workflows import NO_WORKFLOWS

# What the top-level folders that are no Python package, or whose package has no line of its own, are for.
FOLDERS = {
    "configs": "Settings: the AWS account, one file for each workflow, recipes, the CloudFormation template.",
    "containers": "The Docker images of the jobs: a Dockerfile and locked requirements each.",
    "tests": "The tests, in the same folders as the code that they test; benchmarks; sample data.",
    "findings": "Scripts that show a surprising behaviour of a library that this project uses.",
    ".ci": "What continuous integration runs.",
    ".github": "How to contribute, how to report a security problem, what changed.",
}
STEPS_IN_ORDER = ("champion", "collect", "candidates", "preprocess", "train", "gate", "merge", "register")


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


def section_settings(section: type[Section]) -> list[str]:
    rows = [f"| `{name}` | {_default(field.get_default(call_default_factory=True))} | {field.description} |"
            for name, field in section.model_fields.items()]  # fmt: skip
    return ["| setting | default | meaning |", "|---|---|---|", *rows]


def _states(kind: str, states: type[CaptureState] | type[FeedbackState] | type[State]) -> list[str]:
    return [f"| {kind} is | where |", "|---|---|", *(f"| `{state}` | {state.meaning} |" for state in states)]


def security_settings() -> list[str]:
    rows = [f"| `{name}` | {_default(field.get_default(call_default_factory=True))} | {field.description} |"
            for name, field in Security.model_fields.items() if name != "secrets"]  # fmt: skip
    return ["| setting | default | meaning |", "|---|---|---|", *rows]


def secret_variables() -> list[str]:
    rows = [f"| `{name}` | {field.description} |" for name, field in Secrets.model_fields.items()]
    return ["| variable | used |", "|---|---|", *rows]


def commands() -> list[str]:
    rows = [f"| `{name}` | {verb.help} |" for name, verb in verbs().items()]
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
            f"| [`{path.stem}`]({path.name}) | {workflow.recipe.model_id} | "
            f"{train.instance_count} x {train.instance_type}{spot} | [recipe]({workflow.settings.recipe}) |"
        )
    return ["| workflow | base model | training instance | recipe |", "|---|---|---|---|", *rows]


def parameter_table() -> list[str]:
    workflow = settings.load(ROOT / "configs" / "qwen3-8b.yaml")
    local = settings.load(settings.DEFAULT_SETTINGS)
    found = {entry.name: entry for entry in [*parameters(local), *parameters(workflow)]}
    rows = [f"| `{entry.name}` | {_kind(entry)} | {entry.help} |" for entry in found.values()]
    return ["| parameter | type | meaning |", "|---|---|---|", *rows]


def _kind(entry: Parameter) -> str:
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


def keys_of(tool: Tool) -> list[str]:
    """What the tool has besides the keys that all three share."""
    own = {key: rule for key, rule in tool.rules.items() if TRAINER.get(key) is not rule}
    return _key_table(own, {key: rule for key, rule in tool.families.items() if FAMILIES.get(key) is not rule})


def shared_keys() -> list[str]:
    return _key_table(TRAINER, FAMILIES)


def _key_table(rules: Mapping[str, Rule], families: Mapping[str, Rule]) -> list[str]:
    """A row for all keys that come to the same: first what becomes an argument, in the arguments' order."""
    order = list(TrainArguments.model_fields)
    named = [*rules.items(), *((f"{prefix}…", rule) for prefix, rule in families.items())]
    rows: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for key, rule in named:
        rows.setdefault((rule.becomes, rule.says), []).append(f"`{key}`")
    placed = sorted(rows, key=lambda row: order.index(row[0][0]) if row[0] else len(order))
    return ["| there | here | what changes, or what to do |", "|---|---|---|", *(
        f"| {', '.join(rows[becomes, says])} | {', '.join(f'`{name}`' for name in becomes) or '-'} | {says} |"
        for becomes, says in placed
    )]  # fmt: skip


def _default(value: object) -> str:
    if repr(value) == "PydanticUndefined":
        return "required"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def folders() -> list[str]:
    packages = sorted([*(ROOT / "steps").rglob("__init__.py"), *(ROOT / "pipeline").rglob("__init__.py")], key=_place)
    rows = [f"| `{path.parent.relative_to(ROOT)}/` | {_purpose(path)} |" for path in packages]
    rows += [f"| `{name}/` | {purpose} |" for name, purpose in FOLDERS.items()]
    return ["| folder | what it is for |", "|---|---|", *rows]


def _place(package: Path) -> tuple[bool, int, str]:
    """Steps before the definition side, and the steps in running order before what serves them."""
    side, *rest = package.parent.relative_to(ROOT).parts
    step = rest[0] if rest else ""
    known = STEPS_IN_ORDER.index(step) if step in STEPS_IN_ORDER else len(STEPS_IN_ORDER) if step else -1
    return side != "steps", known, str(package.parent)


def _purpose(package: Path) -> str:
    return " ".join((ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or "").split())


Table = Callable[[], list[str]]
TABLES: Mapping[str, Mapping[str, Table]] = {
    "README.md": {"folders": folders},
    "configs/README.md": {
        "workflows": workflows,
        "parameters": parameter_table,
        "security": security_settings,
        "secrets": secret_variables,
    },
    "pipeline/README.md": {"commands": commands},
    "steps/preprocess/README.md": {"layouts": layouts, "reasons": reasons, "preprocess": preprocess_settings},
    "steps/collect/README.md": {
        "captures": lambda: _states("a capture", CaptureState),
        "feedback": lambda: _states("a line of feedback", FeedbackState),
        "collect": lambda: section_settings(Collect),
    },
    "steps/candidates/README.md": {
        "states": lambda: _states("a line of prompts", State),
        "candidates": lambda: section_settings(Candidates),
    },
    "steps/train/README.md": {"arguments": argument_table},
    "steps/train/COMING_FROM.md": {
        "trl": lambda: keys_of(TRL),
        "axolotl": lambda: keys_of(AXOLOTL),
        "llama-factory": lambda: keys_of(LLAMA_FACTORY),
        "shared": shared_keys,
    },
}


def rewritten(name: str) -> str:
    """One README with every table as the code has it now.

    Raises:
        ValueError: a table has no place in the file.
    """
    text = (ROOT / name).read_text(encoding="utf-8")
    for table, lines in TABLES[name].items():
        block = re.compile(rf"(<!-- {table} -->\n).*?(<!-- /{table} -->)", re.DOTALL)
        if not block.search(text):
            raise ValueError(f"{name} has no table {table}")
        fresh = "\n".join(lines())
        text = block.sub(lambda match, fresh=fresh: f"{match[1]}{fresh}\n{match[2]}", text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="rewrite the files instead of printing them")
    write = parser.parse_args().write
    for name in TABLES:
        if write:
            (ROOT / name).write_text(rewritten(name), encoding="utf-8")
        else:
            print(rewritten(name), end="")


if __name__ == "__main__":
    main()
