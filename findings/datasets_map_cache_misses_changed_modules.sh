#!/usr/bin/env bash
# datasets 5.2.0: Dataset.map takes its result from the cache after the code of an imported function was changed.
#
# Expected: the cache's key includes a hash of the function, so that changed code runs again, as it does where the
# function stands in the script itself.
# Seen: with `from prepare import clean` and `map(clean)`, a second process after an edit of prepare.py gets the first
# version's rows; the same edit of a function in the script gives new rows. Imported functions are hashed by their name.
# Why it matters: a fix to a cleaning step in a package has no effect on the data that are trained on, and the log says
# nothing.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==25.0.1 2>/dev/null
printf '{"text": "some"}\n' > rows.jsonl
cat > show.py <<'PY'
import datasets
from prepare import clean

assert datasets.__version__ == "5.2.0"


def here(row):
    return {"text": row["text"] + " EDIT"}


data = datasets.load_dataset("json", data_files="rows.jsonl", split="train")
assert clean({"text": ""}) == {"text": " EDIT"}  # this process has the code of today
print("imported:", data.map(clean)["text"][0], "| in the script:", data.map(here)["text"][0])
PY
printf 'def clean(row):\n    return {"text": row["text"] + " EDIT"}\n' > prepare.py
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf" HF_DATASETS_DISABLE_PROGRESS_BARS=1 PYTHONDONTWRITEBYTECODE=1
sed -i 's/EDIT/first version/; s/EDIT/first version/' show.py prepare.py
before=$(venv/bin/python show.py 2>/dev/null)
sed -i 's/first version/second version/' show.py prepare.py
after=$(venv/bin/python show.py 2>/dev/null)
echo "$before"
echo "$after"
[ "$before" = "imported: some first version | in the script: some first version" ]
[ "$after" = "imported: some first version | in the script: some second version" ] \
  || { echo "changed: the edited module is noticed"; exit 1; }
