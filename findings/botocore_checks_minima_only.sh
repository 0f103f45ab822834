#!/usr/bin/env bash
# botocore 1.44.5: the client checks a request against the API model's minima and never against its maxima, patterns or
# enums, though the model has them all.
#
# Expected: a name of 200 underscores (at most 63 characters, letters, digits and hyphens), 101 instances (at most 100)
# and an instance type that does not exist are refused like an empty name and 0 instances are.
# Seen: the first three pass; only an empty name and 0 instances are errors before the request is sent.
# Why it matters: a definition that "validates" with botocore can still fail at the service, after what came before it
# was paid for.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check boto3==1.44.5 botocore==1.44.5 2>/dev/null
cat > show.py <<'PY'
import botocore
import botocore.session
from botocore.validate import ParamValidator

assert botocore.__version__ == "1.44.5"
model = botocore.session.get_session().get_service_model("sagemaker")
shape = model.operation_model("CreateProcessingJob").input_shape


def problems(name="job", count=1, kind="ml.m5.large"):
    request = {
        "ProcessingJobName": name,
        "RoleArn": "arn:aws:iam::111122223333:role/example",
        "AppSpecification": {"ImageUri": "image"},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": count, "InstanceType": kind, "VolumeSizeInGB": 30}
        },
    }
    return ParamValidator().validate(request, shape).generate_report()


cluster = shape.members["ProcessingResources"].members["ClusterConfig"]
print("the model says:", dict(shape.members["ProcessingJobName"].metadata))
print("the model says:", dict(cluster.members["InstanceCount"].metadata))
assert shape.members["ProcessingJobName"].metadata["max"] == 63
assert cluster.members["InstanceCount"].metadata["max"] == 100
assert "ml.nothing" not in cluster.members["InstanceType"].enum
for given in ({"name": ""}, {"count": 0}, {"name": "_" * 200}, {"count": 101}, {"kind": "ml.nothing"}):
    print(given, "->", problems(**given) or "accepted")
assert problems(name="") and problems(count=0)
assert not any((problems(name="_" * 200), problems(count=101), problems(kind="ml.nothing"))), "changed: it is refused"
PY
venv/bin/python show.py
