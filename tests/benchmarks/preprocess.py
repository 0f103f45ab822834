"""How fast Preprocess is, and how much memory it takes, against two peers on the same file in the same run.

    python -m tests.benchmarks.preprocess [--rows FILE.jsonl] [--megabytes 200 2000] [--repeats 3]

The file repeats the rows of --rows. Each repetition is made distinct, in its prompts and in its tools' descriptions, so
that no row is a duplicate of another and tools repeat as often as they do in the sample. Then one row in 200 is written
twice, one in 1,000 again far behind, and one in 200 damaged. Peers:

- `datasets`: `load_dataset("json")`, a `map` with a process a core to the same records (tools in JSON-schema form,
  calls as tool calls: checked row by row on --rows), `to_parquet`. It neither validates nor looks for duplicates nor
  splits.
- `parse`: orjson over the same lines, in one process, and nothing else: what no converter can beat on one core.

Prints a line a size and way: seconds (best of the repeats), MB/s, peak memory of all its processes together (largest
of the repeats). The ways take turns, since the speed of a shared machine changes from minute to minute.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import orjson
import pyarrow.parquet as pq

from tests.benchmarks.processes import measure
from tests.paths import ROOT

DEFAULT_ROWS = ROOT / "steps" / "quickstart" / "preferences.jsonl"
PARSE = """
import sys, orjson
for line in open(sys.argv[1], "rb"):
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
"""
DATASETS = """
import json, os, re, sys
import datasets
from datasets import load_dataset
TYPES = {"dict": "object", "list": "array", "tuple": "array", "str": "string", "int": "integer", "float": "number",
         "bool": "boolean", "any": None}
CALLS = re.compile(r"<TOOLCALL>(.*?)</TOOLCALL>", re.DOTALL)
rows = load_dataset("json", data_files=sys.argv[1], split="train", cache_dir=sys.argv[2])
first = next(iter(rows))
prompt, chosen, rejected = (next(n for n in names if n in first) for names in (
    ("messages", "prompt"), ("chosen_response", "chosen"), ("rejected_response", "rejected")))
def schema(value):
    value = dict(value)
    if isinstance(value.get("type"), str):
        value["type"] = TYPES.get(value["type"], value["type"])
        if value["type"] is None:
            del value["type"]
    if isinstance(value.get("properties"), dict):
        value["properties"] = {name: schema(inner) for name, inner in value["properties"].items()}
    if isinstance(value.get("items"), dict):
        value["items"] = schema(value["items"])
    return value
def tool(text):
    given = json.loads(text) if isinstance(text, str) else text
    function = {"name": given["name"], "description": given.get("description") or ""}
    function["parameters"] = {"type": "object", **schema(given.get("parameters") or {"properties": {}})}
    return {"type": "function", "function": function}
def message(turn):
    if turn["role"] != "assistant" or "<TOOLCALL>" not in turn["content"]:
        return {"role": turn["role"], "content": turn["content"]}
    calls = [call for found in CALLS.findall(turn["content"]) for call in json.loads(found)]
    calls = [{"type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}} for c in calls]
    return {"role": "assistant", "content": CALLS.sub("", turn["content"]).strip(), "tool_calls": calls}
def messages(value, role):
    if isinstance(value, str):
        value = {"role": role, "content": value}
    return json.dumps([message(turn) for turn in (value if isinstance(value, list) else [value])])
def convert(row):
    tools = [tool(given) for given in row.get("tools") or []]
    return {"prompt": messages(row[prompt], "user"), "chosen": messages(row[chosen], "assistant"),
            "rejected": messages(row[rejected], "assistant"), "tools": json.dumps(tools) if tools else None}
rows = rows.map(convert, remove_columns=rows.column_names, num_proc=len(os.sched_getaffinity(0)))
rows.to_parquet(sys.argv[3])
"""


def generate(sample: Path, target: Path, megabytes: int, damaged: bool) -> int:
    """Write the file and return its bytes."""
    rows = [orjson.loads(line) for line in sample.read_bytes().splitlines()]
    rng = random.Random(0)
    earlier: list[bytes] = []
    written, copy = 0, 0
    with open(target, "wb") as file:
        while written < megabytes * 10**6:
            for row in rows:
                line = orjson.dumps(_distinct(row, copy)) + b"\n"
                if damaged and rng.random() < 1 / 200:
                    line = line[: len(line) // 2] + b"\n"
                elif rng.random() < 1 / 200:
                    line *= 2
                elif rng.random() < 1 / 1000:
                    earlier.append(line)
                    line += rng.choice(earlier)
                written += file.write(line)
            copy += 1
    return written


def _distinct(row: dict, copy: int) -> dict:
    row = dict(row)
    for name in ("prompt", "messages"):
        asked = row.get(name)
        if isinstance(asked, str):
            row[name] = f"{asked} (case {copy})"
        elif isinstance(asked, list):
            row[name] = [*asked[:-1], {**asked[-1], "content": f"{asked[-1]['content']} (case {copy})"}]
    if isinstance(row.get("tools"), list):
        row["tools"] = [
            tool.replace('"description": "', f'"description": "({copy}) ', 1) if isinstance(tool, str) else tool
            for tool in row["tools"]
        ]
    return row


def commands(data: Path, scratch: Path, clean: Path) -> dict[str, list[str]]:
    """The ways to be measured; `clean` is the data without damage, which is all that `datasets` can read."""
    python = sys.executable
    return {
        "preprocess": [python, "-m", "steps.preprocess", "--input", str(data), "--output", str(scratch / "preprocess")],
        "datasets": [python, "-c", DATASETS, str(clean), str(scratch / "cache"), str(scratch / "datasets.parquet")],
        "parse": [python, "-c", PARSE, str(data)],
    }


def check_same(rows: Path) -> int:
    """Check that both converters make the same records of a file; returns of how many, which are those that stay."""
    with tempfile.TemporaryDirectory() as folder:
        ways = commands(rows, Path(folder), rows)
        for name in ("preprocess", "datasets"):
            measure(ways[name])
        theirs = {record(row) for row in pq.read_table(Path(folder, "datasets.parquet")).to_pylist()}
        ours = [pq.read_table(Path(folder, "preprocess", side)).to_pylist() for side in ("train", "validation")]
    kept = [record(row) for side in ours for row in side]
    different = [row for row in kept if row not in theirs]
    if different:
        raise SystemExit(f"{rows}: datasets made no such record: {different[0]}")
    return len(kept)


def record(row: dict) -> str:
    return json.dumps([json.loads(row[name] or "null") for name in ("prompt", "chosen", "rejected", "tools")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=DEFAULT_ROWS)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("preprocess", "datasets", "parse"), action="append")
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores; rows of {asked.rows.name}", flush=True)
    if not asked.only:
        print(f"{check_same(asked.rows):,} records are the same in preprocess and datasets", flush=True)
    for megabytes in asked.megabytes:
        with tempfile.TemporaryDirectory() as folder:
            data, clean, scratch = Path(folder, "data.jsonl"), Path(folder, "clean.jsonl"), Path(folder, "scratch")
            size = generate(asked.rows, data, megabytes, damaged=True)
            generate(asked.rows, clean, megabytes, damaged=False)
            ways = commands(data, scratch, clean)
            measured: dict[str, list[tuple[float, int]]] = {name: [] for name in asked.only or ways}
            for _ in range(asked.repeats):
                for name, of_way in measured.items():
                    shutil.rmtree(scratch, ignore_errors=True)
                    scratch.mkdir()
                    of_way.append(measure(ways[name]))
                    if name == "preprocess":
                        report = json.loads((scratch / "preprocess" / "report" / "report.json").read_text())
            for name, of_way in measured.items():
                best, peak = min(seconds for seconds, _ in of_way), max(memory for _, memory in of_way)
                rate, memory = size / best / 1e6, peak / 1e6
                print(f"{megabytes:>6} MB  {name:<10} {best:7.2f} s  {rate:6.0f} MB/s  {memory:6.0f} MB", flush=True)
                if name == "preprocess":
                    print(f"           {report['rows']}", flush=True)


if __name__ == "__main__":
    main()
