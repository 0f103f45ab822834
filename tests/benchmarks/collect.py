"""How fast Collect joins captures with feedback, and how much memory it takes, against pandas' join in one process.

    python -m tests.benchmarks.collect [--captures 1000000] [--feedback 100000] [--repeats 1]

Captures of 2 KB each in SageMaker's form, in the files of 40 hours; every tenth is spoken of once: a third of these
corrected, the others up or down, four to a prompt. The peer reads the same files with orjson into pandas' frames,
merges them by id, parses request and answer of what is left, and writes a row for each correction: the join alone,
without opinions, opposite verdicts, states and checks of messages. Both run once before, to have the files in memory.

Prints a line a way: seconds (best of the repeats), MB/s, peak memory of all its processes (largest of the repeats).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import orjson

from tests.benchmarks.processes import measure

HOURS, PER_PROMPT = 40, 4
FILL = "The quick brown fox jumps over the lazy dog while the weather in Lima is fine. " * 7
PANDAS = """
import sys, orjson, pandas as pd
from pathlib import Path
def lines(folder):
    for path in sorted(Path(folder).rglob("*.jsonl")):
        with open(path, "rb") as file:
            yield from file
rows = []
for line in lines(sys.argv[1]):
    value = orjson.loads(line)
    data = value["captureData"]
    rows.append((value["eventMetadata"]["inferenceId"], data["endpointInput"]["data"], data["endpointOutput"]["data"]))
captures = pd.DataFrame(rows, columns=["inference_id", "asked", "answered"])
feedback = pd.DataFrame([orjson.loads(line) for line in lines(sys.argv[2])])
joined = captures.merge(feedback, on="inference_id")
corrected = joined[joined["correction"].notna()]
with open(sys.argv[3], "wb") as file:
    for row in corrected.itertuples():
        prompt = orjson.loads(row.asked)["messages"]
        answer = orjson.loads(row.answered)["choices"][0]["message"]
        file.write(orjson.dumps({"prompt": prompt, "chosen": row.correction, "rejected": answer}) + b"\\n")
"""


def generate(folder: Path, captures: int, feedback: int) -> int:
    """Write both; returns the captures' bytes."""
    every, size = captures // feedback, 0
    (folder / "feedback").mkdir()
    said = open(folder / "feedback" / "said.jsonl", "wb")  # noqa: SIM115
    with said:
        for hour in range(HOURS):
            path = folder / f"captures/version-1/chat/AllTraffic/2026/11/{1 + hour // 24:02}/{hour % 24:02}/00.jsonl"
            path.parent.mkdir(parents=True)
            with open(path, "wb") as file:
                for number in range(hour * captures // HOURS, (hour + 1) * captures // HOURS):
                    size += file.write(_capture(number, number // every // PER_PROMPT))
                    if number % every == 0:
                        said.write(_opinion(number, number // every))
    return size


def _capture(number: int, asks: int) -> bytes:
    prompt = f"{asks} {FILL}"
    asked = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 256}
    message = {"role": "assistant", "content": f"Answer {number}. {FILL}"}
    answered = {
        "id": "chatcmpl",
        "model": "lmi",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    about = {"eventId": f"event-{number}", "inferenceId": f"id-{number}", "inferenceTime": "2026-11-01T00:00:00Z"}
    data = {"endpointInput": _half("INPUT", asked), "endpointOutput": _half("OUTPUT", answered)}
    line = {"captureData": data, "eventMetadata": about, "eventVersion": "0"}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _half(mode: str, body: dict) -> dict:
    return {"observedContentType": "application/json", "mode": mode, "data": json.dumps(body), "encoding": "JSON"}


def _opinion(number: int, count: int) -> bytes:
    line = {"inference_id": f"id-{number}", "by": f"person-{count % 997}", "at": "2026-11-02T00:00:00Z"}
    line |= {"correction": f"Better {number}. {FILL}"} if count % 3 == 0 else {"verdict": ("up", "down")[count % 2]}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=int, default=1_000_000)
    parser.add_argument("--feedback", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = generate(folder, asked.captures, asked.feedback)
        print(f"{os.cpu_count()} cores; {asked.captures:,} captures, {size / 1e6:,.0f} MB", flush=True)
        given, said = str(folder / "captures"), str(folder / "feedback")
        ours = [sys.executable, "-m", "steps.collect", "--captures", given, "--feedback", said, "--output"]
        ways = {
            "collect": [*ours, str(folder / "out")],
            "pandas": [sys.executable, "-c", PANDAS, given, said, str(folder / "pandas.jsonl")],
        }
        measured: dict[str, list[tuple[float, int]]] = {way: [] for way in ways}
        for _ in range(asked.repeats + 1):
            for way, command in ways.items():
                measured[way].append(measure(command))
        for way, of_way in measured.items():
            best, peak = min(seconds for seconds, _ in of_way[1:]), max(memory for _, memory in of_way)
            print(f"{way:<8} {best:6.1f} s  {size / best / 1e6:5.0f} MB/s  {peak / 1e6:5.0f} MB", flush=True)
        print(json.dumps(json.loads((folder / "out/report/report.json").read_text())["pairs"]))


if __name__ == "__main__":
    main()
