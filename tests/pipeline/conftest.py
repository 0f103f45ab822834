"""A SageMaker of moto's, for the tests that ask for it, and a folder of their own for what commands keep."""

from __future__ import annotations

import functools

import boto3
import pytest
from botocore.loaders import JSONFileLoader
from botocore.stub import Stubber
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from pipeline.aws.client import session
from pipeline.definition import kept


@pytest.fixture(autouse=True)
def own_session():
    """A session keeps credentials and an endpoint, which other tests have others of."""
    session.cache_clear()


@pytest.fixture(autouse=True, scope="session")
def services_read_once():
    """Each session of boto3's reads its description of a service, megabytes of JSON; here the first one does."""
    read = functools.cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda self, path: read(path))
        yield


@pytest.fixture(autouse=True, scope="session")
def own_renders(tmp_path_factory):
    """What a test replaces must not come back from a file: definitions are not kept among the user's."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "LOCAL_ROOT", folder)
        patch.setattr(kept, "FOLDER", folder / "rendered")
        yield


@pytest.fixture(scope="module")
def aws():
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield


@pytest.fixture(scope="module")
def client(aws):
    return boto3.client("sagemaker")  # takes a while to make, so all tests share it


@pytest.fixture
def sagemaker(client):
    get_backend("sagemaker")[DEFAULT_ACCOUNT_ID]["us-east-1"].reset()
    return client


@pytest.fixture
def stub(sagemaker):
    with Stubber(sagemaker) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()
