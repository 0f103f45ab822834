"""`check --recipe` and the preflight of a workflow, as a user meets them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipeline.preflight import recipe as preflight
from pipeline.settings import workflow as settings
from pipeline.settings.assets import Asset
from steps.train.arguments import TrainArguments
from steps.train.footprint import ask
from steps.train.model import shape as model_shape
from tests.steps.train import models

RECIPE = "configs/recipes/qwen3-8b.yaml"
ON_A10G = ("--recipe", RECIPE, "--instance-type", "ml.g5.12xlarge")

TABLE = """\
Run on 1 x ml.g5.12xlarge
processes                4
pairs an optimizer step  32
optimizer steps          313, of them 32 warm-up
pairs seen               10,000
tokens seen              at most 40,960,000
rows needed              32; 10,000 given

Memory of one GPU at its peak (loading), GiB
base: blocks in NF4                          3.23
base: quantisation constants                 0.10
base: embeddings, LM head, norms             2.32
adapter: float32 weights                     0.16
FSDP: this rank's shards, beside the whole   1.43
fragmentation, 10% of all but the base       0.16
CUDA context                                 0.59
NCCL                                         0.49
sum                                          8.48
A10G has                                    22.03

Phases, GiB
loading                       8.48
evaluation                    5.18
forward, embeddings           7.92
reference pass                6.02
reference, log-probabilities  7.09
backward, log-probabilities   5.85
backward, blocks              5.31
optimizer step                2.79
served form, loading          6.21
served form, embeddings       7.48
served form, evaluation       7.96
answers                       8.21

Fits: 8.5 GiB of 22.0 GiB
Smallest instance type on which it fits: ml.g5.xlarge
Note: judging: about 11% of training's time (held-out rows as served 8%; answers at most 3%, 10 minutes)
configs/recipes/qwen3-8b.yaml: no problems
"""


def config(folder: Path, shape: dict) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(shape))
    return folder


def unpadded(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_a_recipe_that_fits_is_drawn_as_a_table(forked, tmp_path: Path) -> None:
    folder = config(tmp_path / "model", models.QWEN3_8B)
    done = forked("pipeline.py", "check", *ON_A10G, "--model-config", folder, "--rows", "10000")
    assert (done.returncode, done.stderr) == (0, "")
    assert unpadded(done.stdout) == TABLE


def test_a_base_of_another_family_is_counted_from_its_files_where_there_is_no_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = config(tmp_path / "base", {"model_type": "mixtral"})
    shapes = {
        "model.embed_tokens.weight": (1000, 200),
        "model.layers.0.self_attn.q_proj.weight": (300, 200),
        "model.layers.0.block_sparse_moe.experts.0.w1.weight": (700, 200),
        "model.layers.0.block_sparse_moe.experts.1.w1.weight": (700, 200),
        "model.norm.weight": (200,),
    }
    save_file({name: np.zeros(shape, np.float16) for name, shape in shapes.items()}, folder / "model.safetensors")
    monkeypatch.setattr(ask, "find_spec", lambda name: None if name == "torch" else name)
    result = preflight.of_recipe(TrainArguments(model_id=str(folder)), None, 1, None, None)
    assert result.memory is None and result.problems == []
    assert result.unknown == (
        f"{folder}/config.json: model_type mixtral: the shape is known for llama, mistral, qwen2, qwen3 only; "
        "measuring it needs torch, not installed here: pip install '.[local]'"
    )
    assert result.notes[-1] == (
        "the base has 0.00054 billion weights, 52% of them experts; at most 11% become 4-bit, the others stay in "
        "bfloat16; it takes 0.0 GiB a GPU"
    )


def tiny_mixture(folder: Path) -> Path:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 500, "num_experts": 4, "num_experts_per_tok": 2,
             "moe_intermediate_size": 512}  # fmt: skip
    return config(folder, {"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"]} | sizes)


@pytest.mark.families
def test_another_family_is_measured_on_its_code(forked, tmp_path: Path) -> None:
    folder, recipe = tiny_mixture(tmp_path / "base"), tmp_path / "recipe.yaml"
    recipe.write_text(f"model_id: {folder}\n")
    done = forked("pipeline.py", "check", "--recipe", recipe, "--instance-type", "ml.g5.xlarge")
    assert (done.returncode, done.stderr) == (0, "")
    assert "base: all other weights" in done.stdout and "Fits: " in done.stdout
    notes = [line for line in done.stdout.splitlines() if line.startswith("Note: ")]
    assert notes[-1] == "Note: its experts are 90% of the weights; adapters on 100% of them"
    assert done.stdout.endswith(f"{recipe}: no problems\n")


def test_where_memory_was_not_estimated_the_last_line_says_so(forked, tmp_path: Path) -> None:
    folder, recipe = tiny_mixture(tmp_path / "base"), tmp_path / "recipe.yaml"
    recipe.write_text(f"model_id: {folder}\ntrust_remote_code: true\n")
    done = forked("pipeline.py", "check", "--recipe", recipe)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"{recipe}: no problems in what was checked; memory was not estimated\n")


@pytest.mark.families
def test_what_peft_cannot_put_on_another_family_is_a_problem_with_its_line(forked, tmp_path: Path) -> None:
    folder, recipe = tiny_mixture(tmp_path / "base"), tmp_path / "recipe.yaml"
    recipe.write_text(f"model_id: {folder}\nlora_dropout: 0.1\n")
    done = forked("pipeline.py", "check", "--recipe", recipe)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1].startswith("  line 2  lora_dropout: 0.1: peft has no dropout for the experts")


def test_why_a_model_was_not_measured_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_mixture(tmp_path / "base")
    recipe = TrainArguments(model_id=str(folder))
    remote = ask.measure(recipe.model_copy(update={"trust_remote_code": True}), folder)
    assert remote.unknown == "trust_remote_code: true: the code that comes with a model is not run here"

    monkeypatch.setattr(sys, "executable", "false")
    assert ask.measure(recipe, folder).unknown == "measuring it ended with exit code 1: no message"
    patient = tmp_path / "patient"
    patient.write_text("#!/bin/sh\nexec sleep 60\n")
    patient.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(patient))
    monkeypatch.setattr(ask, "LIMIT", 0.5)
    assert ask.measure(recipe, folder).unknown == "measuring it did not end within 0.5 s"


def test_problems_name_their_line_and_the_next_command(forked, tmp_path: Path) -> None:
    folder = config(tmp_path / "model", models.LLAMA_70B)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model_id: m/m\nmax_length: 2048\n\nlabel_smoothing: 0.1\nlora_r: 513\n")
    options = ("--recipe", recipe, "--instance-type", "ml.p4d.24xlarge", "--instance-count", "2")
    done = forked("pipeline.py", "check", *options, "--model-config", folder / "config.json")
    assert done.returncode == 1
    first, *problems, last = done.stderr.splitlines()
    assert first == f"error: {recipe}: 3 problems"
    assert [problem.strip().split(": ")[0] for problem in problems] == [
        "line 4  label_smoothing", "memory", "line 5  lora_r",
    ]  # fmt: skip
    words = " ".join(map(str, options))
    assert last == f"Fix them, then: python pipeline.py check {words} --model-config {folder}/config.json"
    assert "Does not fit: " in done.stdout and "Traceback" not in done.stderr


def test_json_is_one_document_with_bytes(forked, tmp_path: Path) -> None:
    folder = config(tmp_path / "model", models.QWEN3_8B)
    done = forked("pipeline.py", "check", *ON_A10G, "--model-config", folder, "--json")
    document = json.loads(done.stdout)
    assert (document["recipe"], document["problems"]) == (RECIPE, [])
    memory = document["preflight"]["memory"]
    assert memory["fits"] and memory["peak_bytes"] == max(phase["bytes"] for phase in memory["phases"])
    assert all(phase["bytes"] == sum(phase["items"].values()) for phase in memory["phases"])
    assert document["preflight"]["plan"]["pairs_per_step"] == 32


def test_a_recipe_with_mistakes_lists_them(forked, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model_id: m\nbeta: 0\n")
    done = forked("pipeline.py", "check", "--recipe", recipe)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {recipe}: 1 problem\n  line 2  beta: must be greater than 0 (given: 0)\n"
        f"Fix them, then: python pipeline.py check --recipe {recipe}\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--instance-type", "ml.g5.xlarge"], "--instance-type and --instance-count belong to --recipe"),
        (["--recipe", RECIPE, "--settings", "configs/qwen3-8b.yaml"], "--settings and --recipe: name one of them"),
        (["--recipe", RECIPE, "--instance-count", "2"], "--instance-count needs --instance-type"),
        (["--recipe", RECIPE, "--model-config", "nowhere"], "nowhere: the model's configuration is missing"),
    ],
)
def test_options_that_do_not_go_together(forked, options: list[str], message: str) -> None:
    done = forked("pipeline.py", "check", *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("model_id", "where"),
    [("Qwen/Qwen3-8B", "is a hub name"), ("s3://bucket/model/", "lies in S3"), ("no/such/folder", "is no folder")],
)
def test_a_config_that_is_not_at_hand_is_said_to_be_missing(model_id: str, where: str) -> None:
    why = f"{model_id} {where} and its config.json is not at hand; copy that one file and name it: --model-config FILE"
    assert preflight.shape_at_hand(model_id) == (None, why)


def test_a_model_that_is_still_to_be_made_is_said_to_be() -> None:
    why = "no/such/folder is made when an execution starts (make_model: steps.some)"
    assert preflight.shape_at_hand("no/such/folder", None, "steps.some") == (None, why)


def test_a_local_models_config_is_at_hand(tmp_path: Path) -> None:
    folder = config(tmp_path / "model", models.QWEN3_0_6B)
    shape, why = preflight.shape_at_hand(str(folder))
    assert (shape.layers, why) == (28, None)
    _, why = preflight.shape_at_hand("m/m", config(tmp_path / "other", {"model_type": "gpt_oss"}))
    assert "model_type gpt_oss: the shape is known for llama" in why


@pytest.mark.parametrize(
    ("workflow", "shape", "ranks", "peak", "fits"),
    [
        ("qwen3-0.6b", models.QWEN3_0_6B, 1, 3.7, True),
        ("qwen3-8b", models.QWEN3_8B, 4, 8.5, True),
        ("llama3.1-70b", models.LLAMA_70B, 16, 41.2, False),
    ],
)
def test_the_figures_of_the_workflows(
    root: Path, tmp_path: Path, workflow: str, shape: dict, ranks: int, peak: float, fits: bool
) -> None:
    loaded = settings.load(root / "configs" / f"{workflow}.yaml")
    result = preflight.of_workflow(loaded, config(tmp_path / "model", shape), None)
    assert (result.plan.ranks, result.fits) == (ranks, fits)
    assert result.memory.peak.bytes / 2**30 == pytest.approx(peak, abs=0.05)


def test_more_processes_than_gpus_are_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    for name in ("account.yaml", "recipes/qwen3-8b.yaml"):
        (tmp_path / name).write_text((root / "configs" / name).read_text())
    text = (root / "configs" / "qwen3-8b.yaml").read_text()
    assert "  volume_gb: 200\n" in text
    path = tmp_path / "workflow.yaml"
    path.write_text(text.replace("  volume_gb: 200\n", "  volume_gb: 200\n  processes_per_node: 8\n"))
    problems = preflight.of_workflow(settings.load(path), None, None).problems
    assert [str(problem) for problem in problems] == [
        "train.processes_per_node: 8 is above the 4 GPU(s) of ml.g5.12xlarge; write auto"
    ]


def adapter(folder: Path, base: str, rank: int, modules: list[str]) -> Path:
    """What training leaves of an adapter: its configuration and weights, here all 0."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir()
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": 32, "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    tensors = {}
    for name in modules:
        tensors[f"base_model.model.{name}.lora_A.weight"] = np.zeros((rank, 8), np.float32)
        tensors[f"base_model.model.{name}.lora_B.weight"] = np.zeros((8, rank), np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture
def continuing(root: Path, tmp_path: Path) -> Path:
    """The quickstart's settings, continuing from an adapter of rank 8 on q_proj alone, of another base."""
    adapter(tmp_path / "earlier", "owner/other", 8, ["model.layers.0.self_attn.q_proj"])
    path = tmp_path / "workflow.yaml"
    text = (root / "configs" / "quickstart.yaml").read_text()
    for key in ("data: ", "recipe: ", "account: "):
        text = text.replace(f"\n{key}", f"\n{key}{root / 'configs'}/")
    text = text.replace("\nrecipe: ", f"\naccount: {root / 'configs'}/account.yaml\nrecipe: ")
    path.write_text(text.replace("\ntrain:\n", "\ntrain:\n  initial_adapter: earlier\n"))
    return path


def test_an_initial_adapter_is_compared_with_the_recipe_before_anything_is_uploaded(
    forked, continuing: Path, tmp_path: Path
) -> None:
    workflow = settings.load(continuing)
    expected = [
        "lora_r: the adapter has 8, the recipe 16; set lora_r: 8",
        f"model_id: the adapter was trained on owner/other, the recipe's base is {workflow.model_uri}; train from that "
        "base, or where both are the same model say so with base_model_name",
        "adapter_model.safetensors: matrices of rank 8, lora_r is 16",
    ]
    problems = [str(problem) for problem in preflight.of_workflow(workflow, None, None).problems]
    assert problems[:3] == [f"train.initial_adapter: {line}" for line in expected]

    local = ("start", "--local", "--local-root", tmp_path / "state", "--settings", continuing, "--set")
    done = forked("pipeline.py", *local, "LoraR=8")
    assert done.returncode == 1 and not (tmp_path / "state" / "s3").exists()
    first, *lines, _ = done.stderr.splitlines()
    assert first.startswith("error: InitialAdapterUri: ") and lines[0] == f"  {expected[1]}"
    (tmp_path / "earlier" / "adapter_model.safetensors").write_bytes(b"cut")
    assert "is not a whole safetensors file" in forked("pipeline.py", *local, "LoraR=8").stderr


def test_an_initial_adapter_that_fits_is_no_problem_and_its_modules_are_the_models(
    continuing: Path, tmp_path: Path
) -> None:
    shape, base = config(tmp_path / "model", models.LLAMA_BIASED), "s3://bucket/model/"
    modules = list(model_shape.read(shape).modules())[:-1]
    whole = adapter(tmp_path / "whole", base, 16, modules)
    part = adapter(tmp_path / "part", base, 16, modules[:3])
    workflow = settings.load(continuing)
    values = {"ModelUri": base, "InitialAdapterUri": "s3://bucket/adapter/"}
    for folder, said in ((whole, []), (part, ["target_modules: the adapter has 3 modules (k_proj,q_proj,v_proj), "])):
        assets = [Asset(values["InitialAdapterUri"], folder), Asset(base, shape)]
        found = preflight.initial_adapter_problems(workflow, values, assets)
        assert [text[: len(said[0])] for text in found] == said
    assert preflight.initial_adapter_problems(workflow, values, []) == []  # both lie in S3


def test_a_workflow_names_the_recipe_that_a_problem_is_in(forked, root: Path, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    for name in ("account.yaml", "qwen3-8b.yaml"):
        (tmp_path / name).write_text((root / "configs" / name).read_text())
    recipe = tmp_path / "recipes" / "qwen3-8b.yaml"
    recipe.write_text("model_id: m/m\nlabel_smoothing: 0.1\n")
    done = forked("pipeline.py", "check", "--settings", tmp_path / "qwen3-8b.yaml")
    assert done.returncode == 1
    assert f"  {recipe}: line 2  label_smoothing: 0.1 would change nothing" in done.stderr
    assert "Memory not estimated: m/m is a hub name" in done.stdout
