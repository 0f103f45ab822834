"""What a merge leaves behind: a whole model, or nothing that looks like one; and that a run goes on where one ended."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from steps.merge.__main__ import main
from steps.merge.fit.adapter import read_adapter
from steps.merge.fit.base import open_base
from steps.merge.write.journal import Journal, identity
from steps.shared.contract import StepError
from steps.shared.folders import sole_writer

SHARDS = "12KB"


@pytest.fixture
def base(make_base) -> Path:
    return make_base(max_shard_size=SHARDS)


@pytest.fixture
def adapter(make_adapter, base) -> Path:
    return make_adapter(base)


def words(base: Path, adapter: Path, output: Path) -> list[str]:
    return ["--base", str(base), "--adapter", str(adapter), "--output", str(output), "--check-logits", "never"]


def failure(base: Path, adapter: Path, output: Path) -> str:
    with pytest.raises(StepError) as failed:
        main(words(base, adapter, output))
    return str(failed.value)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def test_a_second_merge_into_the_same_folder_is_refused(base, adapter, tmp_path) -> None:
    with sole_writer(tmp_path / "out"):
        said = failure(base, adapter, tmp_path / "out")
    assert said == (
        f"{tmp_path / 'out'}: another run writes there now; wait until it has ended, or give another --output"
    )
    main(words(base, adapter, tmp_path / "out"))


@pytest.mark.parametrize("culprit", ["base", "untouched", "adapter", "sum"])
def test_nan_and_infinity_are_never_written(make_base, make_adapter, tmp_path, culprit) -> None:
    base = make_base(dtype=torch.float16)
    adapter = make_adapter(base)
    name = "model.layers.0.self_attn.q_proj"
    files = {"base": base / "model.safetensors", "adapter": adapter / "adapter_model.safetensors"}
    which, tensor, value = {
        "base": ("base", f"{name}.weight", float("nan")),
        "untouched": ("base", "model.norm.weight", float("-inf")),
        "adapter": ("adapter", f"base_model.model.{name}.lora_A.weight", float("inf")),
        "sum": ("adapter", f"base_model.model.{name}.lora_A.weight", 1e7),
    }[culprit]
    tensors = load_file(files[which])
    tensors[tensor].fill_(value)
    save_file(tensors, files[which], metadata={"format": "pt"})
    gives, again = "merging gives NaN or infinity: ", "; train again with a lower learning_rate"
    where, said = {
        "base": (f"{name}.weight", "holds NaN or infinity already in the base; copy or download the base again"),
        "untouched": (tensor, "holds NaN or infinity already in the base; copy or download the base again"),
        "adapter": (f"{name}.weight", f"{gives}its adapter matrices hold them{again}"),
        "sum": (f"{name}.weight", f"{gives}the sum is too large for torch.float16{again}"),
    }[culprit]
    assert failure(base, adapter, tmp_path / "out") == f"{files['base']}: {where}: {said}"
    assert not (tmp_path / "out").exists()


def test_a_disk_without_room_is_found_before_writing(base, adapter, tmp_path) -> None:
    size = shutil.disk_usage(tmp_path).free + 2**30
    header = json.dumps({"huge": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    shard = base / "huge.safetensors"
    with open(shard, "wb") as file:  # sparse: it takes no room
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    index = base / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    index.write_text(json.dumps({"weight_map": content["weight_map"] | {"huge": shard.name}}))
    said = (
        rf"{tmp_path}/out: the merged model needs (\d+\.\d\d) GB, (\d+\.\d\d) GB are free there; "
        r"make room or give another --output \(in a pipeline: a larger volume_gb for the merge\)"
    )
    needs, free = map(float, re.fullmatch(said, failure(base, adapter, tmp_path / "out")).groups())
    assert needs == pytest.approx(size / 1e9, abs=0.01) and free < needs
    assert not (tmp_path / "out").exists()


LIMITED = """\
import os, resource, runpy, sys
sys.path.insert(0, os.getcwd())
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), before[1]))
try:
    runpy.run_module("steps.merge", run_name="__main__", alter_sys=True)
finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)  # coverage writes a file when the process ends
"""


def test_a_disk_that_fills_up_leaves_finished_shards_and_the_next_run_goes_on(
    base, adapter, tmp_path, capsys, forked
) -> None:
    out, sizes = tmp_path / "out", [path.stat().st_size for path in sorted(base.glob("*.safetensors"))]
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)

    def fill_up(limit: int) -> str:  # the kernel refuses to let a file grow further, as a full disk does
        done = forked(script, limit, *words(base, adapter, out), OPT_ML="/nonexistent")
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        return done.stderr

    failed = f"error: {out}: writing the merged model failed ([Errno 27] File too large); "
    assert fill_up(min(sizes) - 1) == f"{failed}nothing is left of it: fix that and run again\n"
    assert not out.exists()
    assert fill_up(max(sizes) - 1) == (
        f"{failed}its finished shards are kept, and the same command goes on from them: fix that and run again\n"
    )
    finished = sizes.index(max(sizes))
    assert [path.name for path in out.iterdir()] == [".incomplete"]
    assert len(list((out / ".incomplete").iterdir())) == finished + 1  # and the journal
    main(words(base, adapter, out))
    said = f"continuing: {finished} of {len(sizes)} weight files are finished, and verified\n"
    assert capsys.readouterr().out.startswith(said)
    main(words(base, adapter, tmp_path / "at once"))
    assert hashes(out) == hashes(tmp_path / "at once")


def test_an_output_that_holds_something_is_not_touched(base, adapter, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    said = f"{out}: is not empty: it holds notes.txt; give another --output, or empty it first"
    assert failure(base, adapter, out) == said
    (out / ".incomplete").mkdir()
    assert failure(base, adapter, out) == said
    assert sorted(path.name for path in out.iterdir()) == [".incomplete", "notes.txt"]
    assert failure(base, adapter, out / "notes.txt") == f"{out}/notes.txt: is not a folder; give another --output"


def test_a_killed_merge_leaves_nothing_that_looks_whole_and_goes_on(make_base, make_adapter, merge, tmp_path) -> None:
    base = make_base(max_shard_size="20MB", vocab_size=100_000, hidden_size=128)  # two large shards, then small ones
    adapter = make_adapter(base)
    out = tmp_path / "out"
    out.mkdir()  # as SageMaker does
    process = subprocess.Popen([sys.executable, "-m", "steps.merge", *words(base, adapter, out)])
    while not (out / ".incomplete" / "journal.json").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert [path.name for path in out.iterdir()] == [".incomplete"]
    assert not (out / ".incomplete" / "manifest.json").exists()
    shards = len(list(base.glob("*.safetensors")))
    finished = json.loads((out / ".incomplete" / "journal.json").read_text())["shards"]
    assert 1 <= len(finished) < shards
    before = {name: (out / ".incomplete" / name).stat().st_mtime_ns for name in finished}

    done = merge(base, adapter)
    assert (done.returncode, done.stderr) == (0, "")
    said = f"continuing: {len(finished)} of {shards} weight files are finished, and verified\n"
    assert done.stdout.startswith(said)
    assert {name: (out / name).stat().st_mtime_ns for name in finished} == before
    names = {path.name for path in base.iterdir()} | {"manifest.json"}
    assert {path.name for path in out.iterdir()} == names
    main(words(base, adapter, tmp_path / "at once"))
    assert hashes(out) == hashes(tmp_path / "at once")


def test_a_run_that_was_killed_while_it_published_goes_on(base, adapter, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    main(words(base, adapter, out))
    whole, shards = hashes(out), sorted(path.name for path in base.glob("*.safetensors"))
    journal = Journal(out / ".incomplete", identity(open_base(str(base), None), read_adapter(adapter)))
    for name in shards:
        journal.record(name, whole[name])
    for name in ("config.json", "manifest.json"):  # these were still to come
        (out / name).rename(out / ".incomplete" / name)
    capsys.readouterr()
    main(words(base, adapter, out))
    said = capsys.readouterr().out
    assert said.startswith(f"continuing: {len(shards)} of {len(shards)} weight files are finished, and verified\n")
    assert hashes(out) == whole and not (out / ".incomplete").exists()


def test_a_shard_counts_as_finished_only_for_the_same_merge_and_with_its_hash(
    base, adapter, make_adapter, tmp_path, capsys
) -> None:
    main(words(base, adapter, tmp_path / "whole"))
    staging = tmp_path / "out" / ".incomplete"
    who = identity(open_base(str(base), None), read_adapter(adapter))
    first, second = sorted((tmp_path / "whole").glob("*.safetensors"))[:2]
    for path in (first, second):
        staging.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, staging)
    journal = Journal(staging, who)
    for path in (first, second):
        journal.record(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    content = bytearray(second.read_bytes())
    content[-1] ^= 1
    (staging / second.name).write_bytes(content)
    again = Journal(staging, who)
    assert not again.recall() and list(again.finished) == [first.name]

    other = make_adapter(base, "other", r=2)
    assert Journal(staging, identity(open_base(str(base), None), read_adapter(other))).recall()
    capsys.readouterr()
    main(words(base, other, tmp_path / "out"))
    said = f"starting over: the interrupted merge in {tmp_path}/out finished nothing of this base and adapter\n"
    assert capsys.readouterr().out.startswith(said)
    main(words(base, other, tmp_path / "other whole"))
    assert hashes(tmp_path / "out") == hashes(tmp_path / "other whole")
