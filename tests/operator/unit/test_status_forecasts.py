"""What status tells of forecasts, and of the figures that they are trusted by."""

import math

import pytest

from foretide.forecasting.demand import Undecided
from foretide.forecasting.lookahead.choosing import Choice, Outcome
from foretide.forecasting.lookahead.plan import Plan
from foretide.operator.conditions import timestamp
from foretide.operator.report import MetricReport
from foretide.operator.status_forecasts import coverage_at, forecasts_status

NOON = 1_790_000_000.0
PLAN = Plan(safety=1.82, slack=0.15, patience=900.0)
NONE = Undecided("NoBetterThanReactive", "no plan would have been better")
GOOD = Choice(0.7, PLAN, Outcome(12.44, 0.0003), Outcome(15.1, 0.0031))


@pytest.fixture
def tell(policy):
    """The one entry for a metric of which so much is known."""

    def make(**known):
        (entry,) = forecasts_status([MetricReport(**known)], policy().metrics, now=NOON)
        return entry

    return make


def test_the_next_peak_is_the_highest_point_still_ahead(tell, policy, forecast):
    entry = tell(horizon=forecast(1_234.5))
    assert entry["nextPeak"] == {"time": timestamp(NOON), "demand": "1234.5", "replicas": 13}
    assert (entry["history"], entry["points"]) == ("14d", 4_032)
    later = NOON + 30 * 86_400
    (entry,) = forecasts_status([MetricReport(forecast())], policy().metrics, now=later)
    assert "nextPeak" not in entry


def test_without_forecasts_there_is_no_list(policy):
    nothing = [MetricReport(), MetricReport()]
    assert forecasts_status(nothing, policy("a", "b").metrics, now=NOON) is None


def test_forecasts_are_told_by_the_names_of_their_metrics(policy, forecast):
    reports = [MetricReport(), MetricReport(horizon=forecast())]
    entries = forecasts_status(reports, policy("a", "b").metrics, now=NOON)
    assert [entry["metric"] for entry in entries] == ["b"]


def test_a_plan_is_told_with_what_the_past_says_of_it_and_of_hpa(tell, lookahead):
    entry = tell(lookahead=lookahead(GOOD), plan=PLAN, excluded=3)
    assert entry == {
        "metric": "demand",
        "history": "14d",
        "points": 20_160,
        "excluded": 3,
        "lookahead": {
            "fittedAt": timestamp(NOON - 120),
            "window": "4m",
            "quantile": 0.98486,
            "coverage": "0.981",
            "slack": "0.15",
            "patience": "15m",
            "expected": {"replicas": "12.44", "lackingPercent": "0.03"},
            "hpa": {"replicas": "15.1", "lackingPercent": "0.31"},
        },
    }


def test_a_quantile_that_was_given_is_not_told_with_the_past_of_another_plan(tell, lookahead):
    told = tell(lookahead=lookahead(GOOD), plan=Plan.at_quantile(0.9, 0.1))["lookahead"]
    assert told["quantile"] == 0.9
    assert "expected" not in told
    assert told["hpa"]["replicas"] == "15.1"


def test_why_there_is_no_plan_is_told_with_what_hpa_would_have_come_to(tell, lookahead):
    bad = Choice(0.7, NONE, None, Outcome(15.1, 0.0))
    told = tell(lookahead=lookahead(bad), plan=NONE)["lookahead"]
    assert told["message"] == NONE.message
    assert told["hpa"] == {"replicas": "15.1", "lackingPercent": "0"}
    assert not {"quantile", "slack", "coverage", "expected"} & told.keys()


def test_a_model_without_a_replay_is_told_too(tell, lookahead):
    told = tell(lookahead=lookahead(coverage=(math.nan,) * 8), plan=PLAN)["lookahead"]
    assert "hpa" not in told
    assert "coverage" not in told


def test_both_forecasts_stand_in_one_entry(tell, lookahead, forecast):
    entry = tell(horizon=forecast(), lookahead=lookahead(GOOD), plan=PLAN)
    assert (entry["model"], entry["quantile"]) == ("test", 0.975)
    assert entry["lookahead"]["slack"] == "0.15"


@pytest.mark.parametrize(
    ("quantile", "covered"), [(0.5, 0.52), (0.9, 0.9), (0.95, 0.94), (0.995, 0.996), (1.0, 0.996)]
)
def test_coverage_is_that_of_the_quantile(lookahead, quantile, covered):
    assert coverage_at(lookahead(), quantile) == pytest.approx(covered)


def test_between_two_quantiles_coverage_is_between_theirs(lookahead):
    assert 0.97 < coverage_at(lookahead(), 0.985) < 0.99
