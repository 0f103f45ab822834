"""Whole executions of small definitions: every job is a real process."""

import json
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.local.executor import create_execution, lines_before, run_execution
from pipeline.local.state import model_packages, records
from pipeline.local.state.store import Store
from pipeline.watching.watch import Progress, State
from tests.pipeline.registered import unexpected

# Each job's code finds its tree as a container's does, through OPT_ML.
WORLD = "import json, os, pathlib, sys; ml = pathlib.Path(os.environ['OPT_ML'])\n"
WRITE = WORLD + "(ml / 'processing/output/o/value.json').write_text(json.dumps({'decision': sys.argv[1]}))"
TRAIN = WORLD + "print('step=1/2 loss=0.7', 'step=2/2 loss=0.5', sep=chr(10)); (ml / 'model/w.bin').write_text('w')"
MODEL = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}


def gated(build, decision, merge="true"):
    """Preprocess, train, gate, then merge or not, as the real pipeline branches."""
    written = build.json_get("Gate", "gate", "decision")
    copy = WORLD + "(ml / 'processing/output/o/m.bin').write_text((ml / 'processing/input/m/w.bin').read_text() + '!')"
    return build.definition(
        build.training("Train", TRAIN),
        build.processing(
            "Gate",
            WRITE,
            {"Get": "Parameters.Decision"},
            inputs={"adapter": MODEL},
            outputs=["o"],
            property_files={"gate": ("o", "value.json")},
        ),
        build.condition(
            "CheckGate",
            written,
            "pass",
            [
                build.condition(
                    "ChooseModel",
                    {"Get": "Parameters.Merge"},
                    "true",
                    [
                        build.processing("Merge", copy, inputs={"m": MODEL}, outputs=["o"]),
                        build.register("RegisterMerged", build.output("Merge", "o"), group="merged"),
                    ],
                    [build.register("RegisterAdapter", MODEL, group="adapters")],
                )
            ],
            [build.fail("RejectModel", build.join("the gate says ", written))],
        ),
        Decision=decision,
        Merge=merge,
    )


def test_the_merge_branch_registers_the_merged_model(build, start, states, root):
    execution = start(gated(build, "pass"))
    assert execution.status == "Succeeded" and execution.failure_reason is None
    assert states(execution) == {
        "Train": "Succeeded",
        "Gate": "Succeeded",
        "CheckGate": "Succeeded",
        "ChooseModel": "Succeeded",
        "Merge": "Succeeded",
        "RegisterMerged": "Succeeded",
        "RegisterAdapter": "Skipped",
        "RejectModel": "Skipped",
    }
    (package,) = model_packages.list_models(root, unexpected)
    model = package["InferenceSpecification"]["Containers"][0]["ModelDataSource"]["S3DataSource"]["S3Uri"]
    assert (Store(root).path(model) / "m.bin").read_text() == "w!"
    assert package["ModelPackageArn"] == "arn:aws:sagemaker:local:000000000000:model-package/merged/1"


def test_the_other_branch_registers_the_adapter(build, start, states, root):
    execution = start(gated(build, "pass"), Merge="false")
    assert states(execution)["Merge"] == states(execution)["RegisterMerged"] == "Skipped"
    assert [package["ModelPackageGroupName"] for package in model_packages.list_models(root, unexpected)] == [
        "adapters"
    ]
    assert execution.step("ChooseModel").properties == {"Outcome": "False"}


def test_a_fail_step_fails_the_execution_with_its_message(build, start, states, root):
    execution = start(gated(build, "fail"))
    assert (execution.status, execution.failure_reason) == ("Failed", "the gate says fail")
    assert states(execution)["RejectModel"] == "Failed" and states(execution)["ChooseModel"] == "Skipped"
    assert model_packages.list_models(root, unexpected) == []


def test_a_failing_job_tells_its_reason_and_keeps_its_log(build, start, states):
    code = WORLD + "print('some words'); (ml / 'output/message').write_text('no rows'); sys.exit(3)"
    execution = start(build.definition(build.processing("P", code), build.processing("Q", "", DependsOn=["P"])))
    assert (execution.status, execution.failure_reason) == ("Failed", "Step P failed: no rows")
    assert states(execution) == {"P": "Failed", "Q": "Pending"}
    assert Path(execution.step("P").log).read_text() == "some words\n"


def test_the_last_lines_of_a_log_do_not_repeat_the_reason(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("reading\nerror: d.csv: 3 rows\n  fix them\n")
    assert lines_before("d.csv: 3 rows\n  fix them", log) == ["reading"]
    assert lines_before("exit code 1", log) == ["reading", "error: d.csv: 3 rows", "  fix them"]


def test_without_a_reason_the_end_of_the_log_is_the_reason(build, start):
    execution = start(build.definition(build.training("T", "raise ValueError('bad beta')")))
    assert execution.step("T").failure_reason == "exit code 1: ValueError: bad beta"


def test_an_unsupported_step_is_refused_before_anything_runs(build, start, root):
    first = build.processing("First", "open('ran', 'w')")
    with pytest.raises(UserError, match="step type Tuning is not supported"):
        start(build.definition(first, {"Name": "Tune", "Type": "Tuning", "Arguments": {}}))
    assert not root.exists()


def test_a_missing_input_fails_the_step_that_needs_it(build, start):
    execution = start(build.definition(build.processing("P", "", inputs={"x": "s3://bucket/none"})))
    assert execution.failure_reason.startswith("Step P failed: s3://bucket/none: nothing there")


def test_a_training_job_finds_the_sagemaker_contract(build, start, root, tmp_path):
    (tmp_path / "rows.txt").write_text("rows")
    Store(root).upload(tmp_path / "rows.txt", "s3://bucket/data/rows.txt")
    code = WORLD + (
        "read = lambda name: json.loads((ml / 'input/config' / name).read_text())\n"
        "out = {'hps': read('hyperparameters.json'), 'channels': read('inputdataconfig.json'),"
        " 'resources': read('resourceconfig.json'), 'environment': dict(os.environ), 'argv': sys.argv[1:],"
        " 'rows': (ml / 'input/data/train/rows.txt').read_text()}\n"
        "(ml / 'model/out.json').write_text(json.dumps(out)); (ml / 'output/data/extra.txt').write_text('extra')\n"
    )
    step = build.training("T", code, {"train": "s3://bucket/data/"})
    step["Arguments"]["AlgorithmSpecification"]["ContainerArguments"] = ["--model", "/opt/ml/model", "s3://b/opt/ml/x"]
    step["Arguments"]["HyperParameters"] = {"beta": build.join({"Get": "Parameters.Beta"})}
    step["Arguments"]["Environment"] = {"DATA": "/opt/ml/input/data"}
    execution = start(build.definition(step, Beta=0.1))
    assert execution.status == "Succeeded", execution.failure_reason
    properties = execution.step("T").properties
    model = properties["ModelArtifacts"]["S3ModelArtifacts"]
    assert model == f"s3://bucket/models/{properties['TrainingJobName']}/output/model/"
    assert Store(root).path(model).parent.joinpath("data/extra.txt").read_text() == "extra"

    seen = json.loads((Store(root).path(model) / "out.json").read_text())
    ml = records.job_folder(root, execution.id, "T") / "ml"
    environment = seen["environment"]
    assert seen["hps"] == {"beta": "0.1"}
    assert seen["rows"] == "rows" and seen["channels"]["train"]["TrainingInputMode"] == "File"
    assert seen["argv"] == ["--model", f"{ml}/model", "s3://b/opt/ml/x"]
    assert (seen["resources"]["hosts"], seen["resources"]["current_host"]) == (["127.0.0.1"], "127.0.0.1")
    assert environment["DATA"] == f"{ml}/input/data"
    assert environment["TRAINING_JOB_NAME"] == properties["TrainingJobName"]
    assert not ml.exists()


def test_a_processing_job_finds_the_registry_of_this_root(build, start, root):
    code = "import os, sys; assert os.path.realpath(os.environ['LOCAL_REGISTRY']) == sys.argv[1]"
    done = start(build.definition(build.processing("P", code, str(model_packages.home(root)))))
    assert done.status == "Succeeded", done.failure_reason


def test_credentials_of_the_shell_do_not_reach_a_job(build, start, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    code = "import os; assert 'AWS_SECRET_ACCESS_KEY' not in os.environ; assert os.environ['HTTPS_PROXY']"
    assert start(build.definition(build.processing("P", code))).status == "Succeeded"


def test_a_secret_is_the_shells_and_one_that_it_lacks_is_said(build, start, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "from the shell")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    code = "import os; assert os.environ['HF_TOKEN'] == 'from the shell'; print([n for n in os.environ if 'ARN' in n])"
    arns = {f"{name}_SECRET_ARN": "arn:aws:secretsmanager:x" for name in ("HF_TOKEN", "WANDB_API_KEY")}
    step = build.processing("P", code)
    step["Arguments"]["Environment"] = arns
    execution = start(build.definition(step))
    assert execution.status == "Succeeded", execution.failure_reason
    said = "WANDB_API_KEY is not set in this shell: the job runs without it\n[]\n"
    assert Path(execution.step("P").log).read_text() == said


def test_compressed_artifacts_are_what_aws_would_store(build, start, root):
    code = WORLD + (
        "(ml / 'model/deep').mkdir(); (ml / 'model/deep/w.bin').write_text('w')\n"
        "(ml / 'model/link').symlink_to(ml / 'model/deep/w.bin'); (ml / 'output/data/log.txt').write_text('x')"
    )
    execution = start(build.definition(build.training("T", code, compression="GZIP")))
    uri = execution.step("T").properties["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri.endswith("/output/model.tar.gz")
    with tarfile.open(Store(root).path(uri)) as tar:
        assert {member.name: member.isfile() for member in tar} == {"deep/w.bin": True, "link": True}
        assert tar.extractfile("link").read() == b"w"
    assert Store(root).exists(uri.replace("model.tar.gz", "output.tar.gz"))


def test_metrics_arrive_live_and_end_up_in_the_properties(build, start):
    events = []
    patterns = {"train:step": r"step=(\d+)", "train:loss": r"loss=(\S+)", "train:other": r"other=(\d+)"}
    execution = start(build.definition(build.training("Train", TRAIN, metrics=patterns)), events.append)
    reported = [event.metrics for event in events if isinstance(event, Progress)]
    assert reported == [{"train:step": 1.0, "train:loss": 0.7}, {"train:step": 2.0, "train:loss": 0.5}]
    final = execution.step("Train").properties["FinalMetricDataList"]
    assert [(entry["MetricName"], entry["Value"]) for entry in final] == [("train:step", 2.0), ("train:loss", 0.5)]
    states = [step.status for event in events if isinstance(event, State) for step in event.steps]
    assert states == ["Pending", "Starting", "Executing", "Succeeded", "Succeeded"]


def test_the_phases_that_a_job_tells_are_told_with_its_metrics_and_end_with_it(build, start):
    events = []
    code = "for line in ('[phase] loading the model', '[phase] steps 3/9', 'loss=0.5'): print(line, flush=True)"
    train = build.training("Train", code, metrics={"train:loss": r"loss=(\S+)"})
    execution = start(build.definition(train), events.append)
    assert [event for event in events if isinstance(event, Progress)] == [
        Progress("Train", "loading the model", {}),
        Progress("Train", "steps", {}, 3, 9),
        Progress("Train", "steps", {"train:loss": 0.5}, 3, 9),
    ]
    assert execution.step("Train").doing is None


def test_a_final_metric_can_decide_a_condition(build, start, states):
    value = {"Get": "Steps.Train.FinalMetricDataList['loss'].Value"}
    train = build.training("Train", TRAIN, metrics={"loss": r"loss=(\S+)"})
    check = build.condition("Check", value, 0.6, [], [build.fail("No", "x")], kind="LessThan")
    assert states(start(build.definition(train, check)))["No"] == "Skipped"


# The first node listens on its own address, the second connects from its own: as torchrun's rendezvous does.
NODE = (
    WORLD
    + """
import socket, time
config = json.loads((ml / "input/config/resourceconfig.json").read_text())
hosts, me = config["hosts"], config["current_host"]
meeting = pathlib.Path(sys.argv[1])
port = meeting / "port"
if me == hosts[0]:
    server = socket.create_server((me, 0))
    (meeting / "beside").write_text(str(server.getsockname()[1]))
    (meeting / "beside").rename(port)
    peer, address = server.accept()
    (ml / "model/said.txt").write_text(f"{peer.recv(9).decode()} from {address[0]}")
else:
    while not port.exists():
        time.sleep(0.05)
    socket.create_connection((hosts[0], int(port.read_text())), source_address=(me, 0)).sendall(b"hello")
    (ml / "model/said.txt").write_text("mine")
    (ml / "model/second.txt").write_text("2")
"""
)


def test_two_nodes_find_each_other_and_the_first_ones_files_win(build, start, root, tmp_path):
    step = build.training("T", NODE, nodes=2)
    step["Arguments"]["AlgorithmSpecification"]["ContainerArguments"] = [str(tmp_path)]
    execution = start(build.definition(step))
    assert execution.status == "Succeeded", execution.failure_reason
    model = Store(root).path(execution.step("T").properties["ModelArtifacts"]["S3ModelArtifacts"])
    assert (model / "said.txt").read_text() == "hello from 127.0.0.2"
    assert (model / "second.txt").read_text() == "2"


def test_a_failing_node_ends_the_others(build, start):
    code = WORLD + (
        "import time\n"
        "world = json.loads((ml / 'input/config/resourceconfig.json').read_text())\n"
        "if world['current_host'] == '127.0.0.2': sys.exit('node two is out of memory')\n"
        "time.sleep(60)"
    )
    execution = start(build.definition(build.training("T", code, nodes=2)))
    assert execution.step("T").ended - execution.step("T").started < timedelta(seconds=20)
    reason = execution.step("T").failure_reason
    assert reason == "node 127.0.0.2: exit code 1: [127.0.0.2] node two is out of memory"


def test_a_job_that_runs_too_long_is_ended(build, start):
    step = build.training(
        "T", "import time; time.sleep(60)", arguments={"StoppingCondition": {"MaxRuntimeInSeconds": 1}}
    )
    execution = start(build.definition(step))
    assert execution.step("T").failure_reason == "it ran longer than its MaxRuntimeInSeconds (1) and was ended"


RESUME = WORLD + (
    "state = ml / 'checkpoints/state'; done = int(state.read_text()) if state.exists() else 0\n"
    "state.write_text(str(done + 1)); print('started at', done)\n"
    "if done == 0: sys.exit('lost the machine')\n"
    "(ml / 'model/steps').write_text(str(done + 1))"
)


def test_running_again_keeps_what_succeeded_and_resumes_from_checkpoints(
    build, start, states, root, repository, tmp_path
):
    count = f"import pathlib; path = pathlib.Path('{tmp_path}/count'); path.open('a').write('x')"
    rendered = build.definition(
        build.processing("First", count),
        build.training("T", RESUME, checkpoints="s3://bucket/checkpoints/run-1/", DependsOn=["First"]),
    )
    failed = start(rendered)
    assert states(failed) == {"First": "Succeeded", "T": "Failed"}
    assert Store(root).path("s3://bucket/checkpoints/run-1/state").read_text() == "1"

    retried = run_execution(root, failed.id, repository=repository)
    assert states(retried) == {"First": "Succeeded", "T": "Succeeded"} and retried.status == "Succeeded"
    assert (tmp_path / "count").read_text() == "x"
    assert retried.step("T").attempts == 2
    log = Path(retried.step("T").log).read_text()
    assert "started at 0\nlost the machine\n=== attempt 2, " in log and log.endswith("started at 1\n")


def test_a_checkpoint_prefix_that_would_take_its_siblings_is_refused(build, start):
    execution = start(build.definition(build.training("T", RESUME, checkpoints="s3://bucket/run-1")))
    assert "must end in '/'" in execution.failure_reason and "run-1 takes run-10" in execution.failure_reason


def test_an_execution_runs_in_one_process_only(build, root):
    execution = create_execution(root, "pipe", build.definition(build.fail("F", "x")), {})
    with records.running(root, execution.id), pytest.raises(UserError, match="is already running"):
        run_execution(root, execution.id)


def test_a_succeeded_execution_is_not_run_again(build, start, root):
    execution = start(build.definition(build.processing("P", "")))
    assert run_execution(root, execution.id) == records.load(root, execution.id)
    assert records.load(root, execution.id).step("P").attempts == 1
