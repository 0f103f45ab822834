"""What the account test may start and cost, and whether it runs at all: told before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.preflight.costs import JobUse, Usage, load_prices
from tests.account import own_settings, test_account
from tests.account.limits import ALLOWED, PRICES, STARTS, Bound, bound, require_small
from tests.account.test_account import question, refusal
from tests.paths import ROOT

ENABLED = {"DPO_ACCOUNT_TEST": "1"}


@pytest.fixture(scope="module")
def account_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("configs") / "account.yaml"
    path.write_text((ROOT / "configs" / "account.yaml").read_text().replace("111122223333", "123456789012"))
    return path


@pytest.fixture(scope="module")
def written(account_file: Path) -> tuple[Path, Path]:
    return own_settings.write(account_file.parent / "own", "dpo-account-test-1", account_file)


@pytest.fixture(scope="module")
def most(written: tuple[Path, Path]) -> Bound:
    return bound(*written)


def test_every_job_of_every_execution_is_bounded_and_priced(most: Bound) -> None:
    assert most.executions.keys() == {start.name for start in STARTS}
    # 4 jobs of 15 minutes on ml.m5.large and one of 30 on ml.m5.xlarge; without Merge; with the job that registers
    assert most.executions["first"] == pytest.approx(4 * 0.25 * 0.115 + 0.5 * 0.23)
    assert most.executions["adapter"] == pytest.approx(3 * 0.25 * 0.115 + 0.5 * 0.23)
    assert most.executions["by-job"] == pytest.approx(4 * 0.25 * 0.115 + 0.5 * 0.23 + 0.115)
    assert most.dollars == pytest.approx(sum(most.executions.values())) and most.dollars < 2
    assert load_prices(PRICES).keys() == ALLOWED


def test_the_question_names_each_execution_and_the_most_that_it_may_cost(most: Bound) -> None:
    text = question("dpo-account-test-1", most, "123456789012")
    assert "account 123456789012" in text and f"${most.dollars:.2f}" in text
    assert all(start.name in text and start.why in text for start in STARTS)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (JobUse("Train", "ml.g5.xlarge", 1, 0.5), "Train: ml.g5.xlarge: the account test runs on ml.m5.large"),
        (JobUse("Train", "ml.m5.large", 2, 0.5), "Train: 2 instances for 0.5 h"),
        (JobUse("Train", "ml.m5.large", 1, 2.0), "Train: 1 instances for 2 h"),
        (JobUse("Train", "ml.m5.large", 1, 0.5, warm_hours=0.5), r"\(0.5 h kept warm\)"),
    ],
)
def test_other_instances_several_of_them_and_long_jobs_are_refused(job: JobUse, said: str) -> None:
    with pytest.raises(UserError, match=said):
        require_small(Usage((job,)))


def test_an_instance_that_slips_into_the_settings_is_refused_before_the_question(
    account_file: Path, tmp_path: Path
) -> None:
    by_step, by_job = own_settings.write(tmp_path, "dpo-account-test-1", account_file)
    settings = yaml.safe_load(by_step.read_text())
    settings["train"]["instance_type"] = "ml.p4d.24xlarge"
    by_step.write_text(yaml.safe_dump(settings))
    prices = tmp_path / "prices.yaml"  # which has a price for it: it is refused all the same
    prices.write_text("ml.m5.large: 1\nml.m5.xlarge: 1\nml.p4d.24xlarge: 0.01\n")
    account = yaml.safe_load((tmp_path / "account.yaml").read_text())
    (tmp_path / "account.yaml").write_text(yaml.safe_dump(account | {"prices": str(prices)}))
    with pytest.raises(UserError, match=r"^Train: ml\.p4d\.24xlarge: the account test runs on "):
        bound(by_step, by_job)


def test_what_the_account_pays_is_taken_where_it_is_known(account_file: Path, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("ml.m5.large: 0.5\nml.m5.xlarge: 100\n")
    account = yaml.safe_load(account_file.read_text()) | {"prices": "prices.yaml"}
    (tmp_path / "account.yaml").write_text(yaml.safe_dump(account))
    by_step, by_job = own_settings.write(tmp_path / "own", "dpo-account-test-1", tmp_path / "account.yaml")
    with pytest.raises(UserError, match=r"could cost \$404\.38; it is made for \$4\.00 at most"):
        bound(by_step, by_job)


def test_the_example_account_is_refused_with_the_fix() -> None:
    with pytest.raises(UserError, match="still names the example account 111122223333; write your own values there"):
        own_settings.account_of(ROOT / "configs" / "account.yaml")


def test_a_name_starts_as_the_stack_names_its_things() -> None:
    role = "arn:aws:iam::123456789012:role/{}"
    assert own_settings.new_name({"role_arn": role.format("ours-pipeline-execution")}).startswith("ours-account-test-")
    first, second = (own_settings.new_name({"role_arn": role.format("another")}) for _ in range(2))
    assert first.startswith("dpo-account-test-") and first != second
    assert max(len(first), len(second)) <= 63  # of a model package group


@pytest.mark.parametrize(
    ("variables", "credentials", "terminal", "said"),
    [
        ({}, True, True, "it runs in your AWS account and costs"),
        (ENABLED, False, True, "there are no AWS credentials"),
        (ENABLED, True, False, "nobody can be asked here"),
        (ENABLED, True, True, ""),
        (ENABLED | {"DPO_ACCOUNT_TEST_YES": "1"}, True, False, ""),
    ],
)
def test_it_says_in_words_why_it_does_not_run(
    variables: dict[str, str], credentials: bool, terminal: bool, said: str
) -> None:
    reason = refusal(variables, credentials, terminal)
    assert reason.startswith(said) and bool(reason) == bool(said)
    assert not reason or reason.endswith("DPO_ACCOUNT_TEST=1 make account-test")


def test_a_command_is_shown_as_it_goes_and_its_answer_kept_however_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An answer longer than a pipe holds must not stop the command while its stderr is being read."""
    program = "import sys; print('x' * 1_000_000); print(sys.argv[1:], file=sys.stderr); sys.exit(3)"
    (tmp_path / "pipeline.py").write_text(program)
    monkeypatch.setattr(test_account, "ROOT", tmp_path)
    done = test_account.run_command(["status", "--json"])
    assert (done.returncode, len(done.stdout), done.stderr) == (3, 1_000_001, "['status', '--json']\n")
    assert capfd.readouterr().out == done.stderr
