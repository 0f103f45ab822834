#!/usr/bin/env bash
# datasets 5.2.0 with pyarrow 25.0.1: load_dataset("json") turns a text column into timestamps where every value looks
# like an ISO 8601 date.
#
# Expected: `chosen` and `rejected` are JSON strings, so they are strings afterwards.
# Seen: both are `timestamp[s]`, and the rows hold datetime objects: the answer "2024-01-01" becomes midnight of that
# day, and an offset such as "Z" is gone. One more row whose answer is other text keeps the column a string.
# Why it matters: preference data about dates ("When was …? Answer with the date only.") changes in silence, and whether
# it does depends on the other rows of the file.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==25.0.1 2>/dev/null
cat > show.py <<'PY'
import datetime
import json

import datasets
import pyarrow

assert (datasets.__version__, pyarrow.__version__) == ("5.2.0", "25.0.1")
dates = [
    {"prompt": "When did it open?", "chosen": "2024-01-01", "rejected": "2024-01-02"},
    {"prompt": "When did it close?", "chosen": "2024-02-01", "rejected": "2024-02-02T10:00:00Z"},
]
words = [{"prompt": "Where?", "chosen": "In Lisbon", "rejected": "No idea"}]


def load(name, rows):
    with open(f"{name}.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return datasets.load_dataset("json", data_files=f"{name}.jsonl", split="train", cache_dir=f"cache-{name}")


alone, mixed = load("dates", dates), load("mixed", dates + words)
print("dates alone:    ", {name: str(kind.dtype) for name, kind in alone.features.items()}, alone[1]["rejected"])
print("with other text:", {name: str(kind.dtype) for name, kind in mixed.features.items()}, mixed[1]["rejected"])
assert alone.features["chosen"].dtype == "timestamp[s]", "changed: dates stay text now"
assert alone[0]["chosen"] == datetime.datetime(2024, 1, 1) and alone[1]["rejected"].tzinfo is None
assert mixed[0]["chosen"] == "2024-01-01" and mixed[1]["rejected"] == "2024-02-02T10:00:00Z"
PY
HF_HUB_OFFLINE=1 HF_HOME="$work/hf" HF_DATASETS_DISABLE_PROGRESS_BARS=1 venv/bin/python show.py
