"""What a run may cost at most: from the rendered definition, the parameters, and the user's prices."""

import json

import pytest

from pipeline.commands.shared.cost import require_below, sentence
from pipeline.errors import UserError
from pipeline.parameters.values import resolve_parameters
from pipeline.preflight import costs
from pipeline.preflight.costs import JobUse
from pipeline.rendered import read
from steps.shared.typed_yaml import InvalidFile
from tests.paths import GOLDEN

GOLDEN = json.loads((GOLDEN / "qwen3-8b.json").read_text())
PRICES = {"ml.m5.2xlarge": 0.5, "ml.t3.medium": 0.05, "ml.g5.12xlarge": 7.0, "ml.r5.2xlarge": 0.6}


def usage(prices=None, **values):
    return costs.usage(GOLDEN, resolve_parameters(GOLDEN, values), prices)


def test_every_job_counts_with_its_longest_run():
    merged = usage(MergeWeights="true")
    assert merged.jobs == (
        JobUse("Champion", "ml.t3.medium", 1, 1.0),
        JobUse("Preprocess", "ml.m5.2xlarge", 1, 2.0),
        JobUse("Train", "ml.g5.12xlarge", 1, 24.0, spot=True),
        JobUse("Gate", "ml.t3.medium", 1, 1.0),
        JobUse("Merge", "ml.r5.2xlarge", 1, 6.0),
    )
    assert merged.dollars is None


def test_a_branch_that_the_parameters_rule_out_costs_nothing():
    assert [job.step for job in usage(MergeWeights="false").jobs] == ["Champion", "Preprocess", "Train", "Gate"]


def test_parameters_change_the_bound():
    # 2 h x 0.5 + 2 x 1 h x 0.05 + 24 h x 7 x 3
    dear = usage(PRICES, MergeWeights="false", TrainInstanceCount="3")
    assert dear.dollars == pytest.approx(1.0 + 0.1 + 504.0)
    with pytest.raises(UserError) as caught:
        require_below(dear, 500, "python pipeline.py start")
    assert str(caught.value) == (
        "this run may cost up to $505.10, more than --max-cost 500; most of it is Train: 3 x ml.g5.12xlarge, spot for "
        "at most 24 h, $504.00; choose another instance (--set TrainInstanceType=…) or a lower max_runtime_hours (then "
        "upsert), then: python pipeline.py start"
    )
    require_below(dear, 505.1, "python pipeline.py start")
    assert sentence(dear) == "at most $505.10 for 76.0 instance-hours (on-demand, without storage)"


def test_a_warm_pool_is_paid_after_the_job():
    definition = json.loads(json.dumps(GOLDEN))
    train = read(definition).by_name["Train"].raw
    train["Arguments"]["ResourceConfig"]["KeepAlivePeriodInSeconds"] = 1800
    values = resolve_parameters(definition, {"TrainInstanceCount": "2"})
    job = next(job for job in costs.usage(definition, values, PRICES).jobs if job.step == "Train")
    assert (job.instance_hours, job.dollars) == (49.0, 343.0)


def test_a_type_without_a_price_is_named_and_refused_only_where_a_limit_is_set():
    found = usage(PRICES, TrainInstanceType="ml.g5.48xlarge")
    line = "the price table has none for ml.g5.48xlarge; add a line like `ml.g5.48xlarge: 1.23` (dollars an hour)"
    assert (found.dollars, sentence(found)) == (None, f"cost not known: {line}")
    with pytest.raises(UserError) as caught:
        require_below(found, 5, "python pipeline.py start")
    assert str(caught.value) == f"--max-cost: {line}, then: python pipeline.py start"


def test_a_limit_without_prices_says_how_to_give_them():
    with pytest.raises(UserError, match=r"--max-cost needs prices: .*--prices FILE.*then: python pipeline\.py start$"):
        require_below(usage(), 5, "python pipeline.py start")


def test_a_price_table_is_read_with_its_mistakes_named(tmp_path):
    table = tmp_path / "prices.yaml"
    table.write_text("# us-east-1\nml.g5.2xlarge: 1.52\nml.m5.xlarge: 0.23\n")
    assert costs.load_prices(table) == {"ml.g5.2xlarge": 1.52, "ml.m5.xlarge": 0.23}
    table.write_text("g5.2xlarge: 1.52\nml.m5.xlarge: -1\nml.m5.large: much\n")
    with pytest.raises(InvalidFile) as caught:
        costs.load_prices(table)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "line 1  g5.2xlarge",
        "line 2  ml.m5.xlarge",
        "line 3  ml.m5.large",
    ]
