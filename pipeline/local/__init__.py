"""Runs a rendered definition on this machine, without AWS, Docker or the SageMaker SDK.

Reads the JSON that is upserted and nothing else: `plan` orders its steps, `executor` runs them one at a time, `store`
stands in for S3, `registry` for the model registry. State lives in one folder, the root:

    s3/BUCKET/KEY                     objects
    executions/ID/execution.json      what happened; beside it jobs/STEP/log.txt
    registry/GROUP/VERSION/           model packages
    mlflow.db, mlartifacts/           trainings, as MLflow tracks them
    cache/                            what step caching remembers
"""
