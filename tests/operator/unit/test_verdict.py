import pytest

from foretide.forecasting.decision import Decision, MetricAnswer, Source
from foretide.forecasting.demand import Unavailable, Undecided
from foretide.operator import conditions, verdict
from foretide.operator.api.predictivescaler import Mode
from foretide.operator.conditions import Condition
from foretide.operator.forecasts import NOT_FITTED_YET
from foretide.operator.verdict import Circumstances, news, of_decision

ALL = [
    conditions.READY,
    conditions.METRICS,
    conditions.FORECAST,
    conditions.ACTIVE,
    conditions.LIMITED,
    conditions.CONFLICT,
]
GONE = Unavailable("Unreachable", "nobody answers")
UNTRUSTED = Undecided("TooLittleHistory", "needs 2 days")


def answer(name="demand", **changes):
    return MetricAnswer(name, 3, Source.FORECAST, demand=250.0, reactive=3, **changes)


def decision(*answers, **changes):
    values = {"desired": 3, "proposed": 3, "current": 3, "source": Source.FORECAST, "metric": 0}
    return Decision(answers=answers or (answer(),), **{**values, **changes})


@pytest.fixture
def judge(target):
    def go(made=None, mode=Mode.AUTO, unschedulable=0, **circumstances):
        found = of_decision(
            made or decision(),
            target(unschedulable=unschedulable),
            Circumstances(mode, **circumstances),
        )
        assert [condition.type for condition in found] == ALL
        assert all(condition.reason and condition.message for condition in found)
        return {c.type: (c.holds, c.reason) for c in found}, {c.type: c.message for c in found}

    return go


def test_when_all_is_well_nothing_is_bad(judge):
    found, _ = judge()
    assert found == {
        "Ready": (True, "Scaling"),
        "MetricsAvailable": (True, "Available"),
        "ForecastAvailable": (True, "Forecasting"),
        "ScalingActive": (True, "Active"),
        "ScalingLimited": (False, "WithinLimits"),
        "Conflict": (False, "SoleOwner"),
    }


def test_recommending_is_ready_but_not_active(judge):
    found, messages = judge(mode=Mode.RECOMMEND)
    assert found["Ready"] == (True, "Recommending")
    assert found["ScalingActive"] == (False, "Recommend")
    assert "set mode to Auto" in messages["ScalingActive"]


def test_another_owner_makes_auto_not_ready(judge):
    found, messages = judge(other_owner="HorizontalPodAutoscaler shop")
    assert found["Ready"] == found["ScalingActive"] == (False, "Conflict")
    assert found["Conflict"] == (True, "OtherOwner")
    assert all("HorizontalPodAutoscaler shop" in messages[kind] for kind in ("Ready", "Conflict"))


def test_another_owner_does_not_matter_to_a_recommendation_but_is_told(judge):
    found, _ = judge(mode=Mode.RECOMMEND, other_owner="HorizontalPodAutoscaler shop")
    assert found["Ready"] == (True, "Recommending")
    assert found["Conflict"] == (True, "OtherOwner")


def test_the_kill_switch_is_told_as_the_reason(judge):
    found, _ = judge(kill_switch=True)
    assert found["ScalingActive"] == (False, "KillSwitch")
    assert found["Ready"][0] is True


def test_a_change_that_was_refused_is_told_with_the_reason(judge):
    found, messages = judge(failure="deployments is forbidden")
    assert found["Ready"] == found["ScalingActive"] == (False, "ScaleFailed")
    assert "deployments is forbidden" in messages["Ready"]
    assert "deployments is forbidden" in messages["ScalingActive"]


def test_a_target_that_is_off_is_told(judge):
    found, _ = judge(
        decision(source=Source.DISABLED, desired=0, proposed=0, current=0, metric=None)
    )
    assert found["ScalingActive"] == (False, "ScalingDisabled")


def test_a_missing_metric_is_told_by_its_name(judge):
    made = decision(answer(), answer("queue", unavailable=GONE), answer("jobs", unavailable=GONE))
    found, messages = judge(made)
    assert found["Ready"] == found["MetricsAvailable"] == (False, "Unreachable")
    assert "queue: nobody answers; jobs: nobody answers" in messages["MetricsAvailable"]
    assert "demand" not in messages["MetricsAvailable"]


def test_a_forecast_that_is_not_trusted_leaves_it_ready(judge):
    found, messages = judge(decision(answer(untrusted=UNTRUSTED), answer("queue")))
    assert found["ForecastAvailable"] == (False, "TooLittleHistory")
    assert "demand: needs 2 days" in messages["ForecastAvailable"]
    assert found["Ready"] == (True, "Scaling")


def test_a_first_forecast_under_way_is_unknown(judge):
    found, _ = judge(decision(answer(untrusted=NOT_FITTED_YET)))
    assert found["ForecastAvailable"] == (None, NOT_FITTED_YET.reason)


def test_the_hourly_limit_is_told_before_all_other_limits(judge):
    made = decision(clamped_by=("TooManyReplicas",))
    found, _ = judge(made, over_limit=True, unschedulable=2)
    assert found["ScalingLimited"] == (True, "TooManyChanges")


def test_pods_without_a_node_are_counted(judge):
    found, messages = judge(unschedulable=2)
    assert found["ScalingLimited"] == (True, "NoRoomOnNodes")
    assert messages["ScalingLimited"].startswith("2 pods")


@pytest.mark.parametrize(
    "clamp", ["TooManyReplicas", "TooFewReplicas", "ScaleUpLimit", "ScaleDownLimit"]
)
def test_the_last_clamp_is_told_with_its_figures(judge, clamp):
    made = decision(proposed=9, desired=5, clamped_by=("ScaleUpStabilized", clamp))
    found, messages = judge(made)
    assert found["ScalingLimited"] == (True, clamp)
    assert messages["ScalingLimited"] == "9 wanted, 5 allowed"


@pytest.mark.parametrize("clamp", ["ScaleUpStabilized", "ScaleDownStabilized"])
def test_stabilisation_is_no_limit(judge, clamp):
    found, _ = judge(decision(clamped_by=(clamp,)))
    assert found["ScalingLimited"] == (False, "WithinLimits")


def test_without_a_decision_it_is_neither_ready_nor_active():
    found = verdict.without_decision("TargetNotFound", "Deployment shop does not exist")
    assert [(c.type, c.holds, c.reason) for c in found] == [
        ("Ready", False, "TargetNotFound"),
        ("ScalingActive", False, "TargetNotFound"),
    ]


def test_paused_is_what_was_asked_for():
    assert [(c.type, c.holds, c.reason) for c in verdict.paused()] == [
        ("Ready", True, "Paused"),
        ("ScalingActive", False, "Paused"),
    ]


@pytest.fixture
def announce():
    announced = {}

    def go(*found):
        return [(c.type, c.reason) for c in news(announced, found)]

    return go


READY = Condition("Ready", True, "Scaling")
BROKEN = Condition("Ready", False, "Unreachable")
CONFLICT = Condition("Conflict", True, "OtherOwner")
ALONE = Condition("Conflict", False, "SoleOwner")


def test_what_is_good_from_the_start_is_no_news(announce):
    assert announce(READY, ALONE) == []


def test_what_is_bad_is_news_once(announce):
    assert announce(BROKEN, CONFLICT) == [("Ready", "Unreachable"), ("Conflict", "OtherOwner")]
    assert announce(BROKEN, CONFLICT) == []


def test_another_reason_to_be_bad_is_news(announce):
    announce(BROKEN)
    assert announce(Condition("Ready", False, "Stale")) == [("Ready", "Stale")]


def test_a_recovery_is_news_once(announce):
    announce(BROKEN, CONFLICT)
    assert announce(READY, ALONE) == [("Ready", "Scaling"), ("Conflict", "SoleOwner")]
    assert announce(READY, ALONE) == []


def test_another_reason_to_be_good_is_no_news(announce):
    announce(READY)
    assert announce(Condition("Ready", True, "Recommending")) == []


def test_what_is_unknown_is_no_news_and_forgets_nothing(announce):
    unknown = Condition("Ready", None, "NotFittedYet")
    assert announce(unknown) == []
    announce(BROKEN)
    assert announce(unknown) == []
    assert announce(BROKEN) == []
    assert announce(READY) == [("Ready", "Scaling")]
