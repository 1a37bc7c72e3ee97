from dataclasses import replace

import pytest

from foretide.forecasting.decision import Decision, MetricAnswer, Source
from foretide.forecasting.demand import Unavailable, Undecided
from foretide.forecasting.guards import BY_BUDGET, Guarded
from foretide.forecasting.slo import SloPhase, SloState, SloStep
from foretide.operator import conditions, verdict
from foretide.operator.api.predictivescaler import Actuation, Mode
from foretide.operator.conditions import Condition
from foretide.operator.forecasts import NOT_FITTED_YET
from foretide.operator.hpa import Floor, Holder, holder_of
from foretide.operator.hpa_floor import Kind, Outcome
from foretide.operator.report import EventAhead, EventsReport, MetricReport
from foretide.operator.rollups import StoreState
from foretide.operator.verdict import Circumstances, news, of_decision

ALL = [
    conditions.READY,
    conditions.METRICS,
    conditions.FORECAST,
    conditions.TRUSTED,
    conditions.ACTIVE,
    conditions.LIMITED,
    conditions.CONFLICT,
]
GONE = Unavailable("Unreachable", "nobody answers")
UNTRUSTED = Undecided("TooLittleHistory", "needs 2 days")
DISTRUSTED = Undecided("Distrusted", "it has lately been short")
NO_BETTER = Undecided("NoBetterThanReactive", "no plan would have been better")
NO_ARRIVALS = Undecided("NoArrivalQuery", "give arrivalQuery")
DROP = Undecided("SuddenDrop", "far below what was expected")
NOON = 1_790_000_000.0


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
        assert [condition.type for condition in found][: len(ALL)] == ALL
        assert all(condition.reason and condition.message for condition in found)
        return {c.type: (c.holds, c.reason) for c in found}, {c.type: c.message for c in found}

    return go


def test_when_all_is_well_nothing_is_bad(judge):
    found, _ = judge()
    assert found == {
        "Ready": (True, "Scaling"),
        "MetricsAvailable": (True, "Available"),
        "ForecastAvailable": (True, "Forecasting"),
        "ForecastTrusted": (True, "Trusted"),
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
    found, messages = judge(mode=Mode.RECOMMEND, other_owner="HorizontalPodAutoscaler shop")
    assert found["Ready"] == (True, "Recommending")
    assert found["Conflict"] == (False, "OwnerBeside")
    assert "HorizontalPodAutoscaler shop" in messages["Conflict"]
    assert "before mode Auto, remove one of the two" in messages["Conflict"]


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.RECOMMEND])
def test_an_autoscaler_may_stay_in_charge_where_a_predictivescaler_may_not(judge, mode):
    _, messages = judge(mode=mode, other_owner="ScaledObject shop")
    assert "or set actuation: HPAFloor" in messages["Conflict"]
    _, messages = judge(mode=mode, other_owner="PredictiveScaler shop")
    assert "HPAFloor" not in messages["Conflict"]
    assert "remove one of the two" in messages["Conflict"]


@pytest.mark.parametrize("owner", [None, "HorizontalPodAutoscaler shop"])
def test_a_new_resource_that_only_recommends_is_nothing_to_look_at(target, owner):
    """The default mode, beside the autoscaler that is to be replaced: everybody begins so."""
    found = of_decision(decision(), target(), Circumstances(Mode.RECOMMEND, owner))
    assert news({}, found) == []
    assert news({}, verdict.paused()) == []


def test_an_owner_becomes_news_when_the_mode_becomes_auto(target):
    announced = {}
    owner = "HorizontalPodAutoscaler shop"
    news(announced, of_decision(decision(), target(), Circumstances(Mode.RECOMMEND, owner)))
    found = news(announced, of_decision(decision(), target(), Circumstances(Mode.AUTO, owner)))
    assert ("Conflict", "OtherOwner") in [(one.type, one.reason) for one in found if one.is_bad]


def test_the_kill_switch_is_told_as_the_reason(judge):
    found, _ = judge(kill_switch=True)
    assert found["ScalingActive"] == (False, "KillSwitch")
    assert found["Ready"] == (True, "KillSwitch")


OFF = decision(source=Source.DISABLED, desired=0, proposed=0, current=0, metric=None)


@pytest.mark.parametrize(
    ("made", "circumstances", "reason"),
    [
        (None, {"mode": Mode.RECOMMEND}, "Recommending"),
        (None, {"mode": Mode.RECOMMEND, "kill_switch": True}, "Recommending"),
        (None, {"kill_switch": True}, "KillSwitch"),
        (None, {"kill_switch": True, "actuation": Actuation.HPA_FLOOR}, "KillSwitch"),
        (OFF, {}, "ScalingDisabled"),
    ],
)
def test_who_changes_nothing_does_not_say_that_it_does(judge, made, circumstances, reason):
    found, messages = judge(made, **circumstances)
    assert found["Ready"] == (True, reason)
    assert "changes nothing" in messages["Ready"]
    assert "changes the target" not in messages["Ready"]
    assert "holds up" not in messages["Ready"]


def test_a_change_that_was_refused_is_told_with_the_reason(judge):
    found, messages = judge(failure="deployments is forbidden")
    assert found["Ready"] == found["ScalingActive"] == (False, "ScaleFailed")
    assert "deployments is forbidden" in messages["Ready"]
    assert "deployments is forbidden" in messages["ScalingActive"]


def test_a_target_that_is_off_is_told(judge):
    found, _ = judge(OFF)
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


@pytest.mark.parametrize("why", [DISTRUSTED, NO_BETTER])
def test_a_forecast_that_may_not_act_is_there_all_the_same(judge, why):
    found, messages = judge(decision(answer(untrusted=why), answer("queue")))
    assert found["ForecastAvailable"] == (True, "Forecasting")
    assert found["ForecastTrusted"] == (False, why.reason)
    assert messages["ForecastTrusted"] == f"demand: {why.message} (scaling as HPA meanwhile)"
    assert found["Ready"] == (True, "Scaling")


def test_without_a_forecast_there_is_nothing_to_trust(judge):
    found, _ = judge(decision(answer(untrusted=UNTRUSTED)))
    assert found["ForecastTrusted"] == (None, "NoForecast")


def test_what_is_not_to_be_forecast_is_not_missed(judge):
    found, messages = judge(decision(answer(), answer("queue", untrusted=NO_ARRIVALS)))
    assert found["ForecastAvailable"] == (True, "Forecasting")
    made = decision(answer(untrusted=UNTRUSTED), answer("queue", untrusted=NO_ARRIVALS))
    found, messages = judge(made)
    assert found["ForecastAvailable"] == (False, "TooLittleHistory")
    assert "queue" not in messages["ForecastAvailable"]


def test_forecasts_that_are_switched_off_are_told_but_are_no_bad_news(judge):
    off = Undecided("SwitchedOff", "signals.timeSeries is off")
    found, _ = judge(decision(answer(untrusted=off)))
    assert found["ForecastAvailable"] == (False, "SwitchedOff")
    assert not Condition(conditions.FORECAST, False, "SwitchedOff").is_bad
    assert not Condition(conditions.TRUSTED, False, NO_BETTER.reason).is_bad
    assert Condition(conditions.TRUSTED, False, DISTRUSTED.reason).is_bad


def test_a_drop_that_is_not_followed_is_a_limit(judge):
    found, messages = judge(decision(answer("queue", hold=DROP)))
    assert found["ScalingLimited"] == (True, "SuddenDrop")
    assert messages["ScalingLimited"] == "queue: far below what was expected"


def test_pods_that_have_no_figure_yet_are_no_limit(judge):
    hold = Undecided("PodsWithoutFigure", "2 pods have no figure yet")
    found, _ = judge(decision(answer(hold=hold)))
    assert found["ScalingLimited"] == (False, "WithinLimits")


def test_the_cost_guard_is_a_limit_with_its_reason(judge):
    spent = Guarded(3, BY_BUDGET, "24 of 24 extra pod-hours are spent", NOON)
    made = decision(replace(answer(), wanted=9), clamped_by=(BY_BUDGET,), guard=spent)
    found, messages = judge(made)
    assert found["ScalingLimited"] == (True, BY_BUDGET)
    assert messages["ScalingLimited"] == ("9 wanted, 3 allowed: 24 of 24 extra pod-hours are spent")


@pytest.mark.parametrize(
    ("phase", "limits"),
    [
        (SloPhase.STEPPED, False),
        (SloPhase.OBSERVING, False),
        (SloPhase.WORSE, True),
        (SloPhase.UNKNOWN, True),
        (SloPhase.TAKEN_BACK, True),
        (SloPhase.PAUSED, True),
    ],
)
def test_the_slo_limits_when_it_says_no(judge, phase, limits):
    step = SloStep(5, SloState(), phase, "the SLO is at 0.4")
    made = decision(proposed=2, desired=5, clamped_by=(phase.value,), slo=step)
    found, messages = judge(made)
    assert found["ScalingLimited"] == (limits, phase if limits else "WithinLimits")
    assert not limits or messages["ScalingLimited"] == "2 wanted, 5 allowed: the SLO is at 0.4"


HOLDER = Holder(Kind.HPA, "web", "shop")


@pytest.mark.parametrize(
    ("outcome", "active"),
    [(Outcome.HELD, True), (Outcome.UNNEEDED, True), (Outcome.YIELDED, False)],
)
def test_a_minimum_that_is_held_up_is_told_as_what_it_is(judge, outcome, active):
    floor = Floor(HOLDER, outcome, 5, 2, 20, False)
    found, messages = judge(actuation=Actuation.HPA_FLOOR, floor=floor)
    assert found["ScalingActive"] == (active, f"Floor{outcome}")
    assert messages["ScalingActive"] == floor.message
    assert found["Ready"] == (True, "Scaling" if active else "FloorYielded")
    told = "minimum of the target's autoscaler where more is to come" if active else "is left at 2"
    assert told in messages["Ready"]
    assert "PredictiveScaler" in messages["Conflict"]


def test_without_an_autoscaler_there_is_no_minimum_to_hold(judge):
    found, messages = judge(actuation=Actuation.HPA_FLOOR, floor=holder_of("web", ()))
    assert found["Ready"] == found["ScalingActive"] == (False, "NoAutoscaler")
    assert "create one" in messages["Ready"]


def test_a_minimum_that_was_not_looked_at_is_no_news(judge):
    found, messages = judge(actuation=Actuation.HPA_FLOOR)
    assert found["ScalingActive"] == (True, "Active")
    assert "minimum" in messages["ScalingActive"]


SALE = EventAhead("sale", NOON, NOON + 60, "declared: 3 times the usual demand")


@pytest.mark.parametrize(
    ("events", "holds", "reason", "part"),
    [
        (EventsReport((SALE,)), True, "Known", "two weeks: sale"),
        (EventsReport(), True, "NoneAhead", "no event"),
        (EventsReport((SALE,), ("event x: no such day",)), False, "EventProblems", "no such day"),
    ],
)
def test_events_are_told_with_what_is_wrong_with_them(judge, events, holds, reason, part):
    found, messages = judge(events=events)
    assert found["EventsKnown"] == (holds, reason)
    assert part in messages["EventsKnown"]
    assert found["Ready"] == (True, "Scaling")


def test_effects_that_could_not_be_learned_are_told_beside_what_is_wrong_with_events(judge):
    metrics = [MetricReport(unlearned=Undecided("LearningFailed", "KeyError: 'x'"))]
    found, messages = judge(events=EventsReport((SALE,)), metrics=metrics)
    assert found["EventsKnown"] == (False, "LearningFailed")
    assert "by the last fit: demand: KeyError: 'x'" in messages["EventsKnown"]
    events = EventsReport((SALE,), ("event x: no such day",))
    found, messages = judge(events=events, metrics=metrics)
    assert found["EventsKnown"] == (False, "EventProblems")
    assert "no such day" in messages["EventsKnown"]
    assert "KeyError" in messages["EventsKnown"]


@pytest.mark.parametrize(
    ("state", "holds"),
    [(StoreState("Reachable", "it takes roll-ups"), True), (StoreState("Away", "away"), False)],
)
def test_a_store_that_is_away_is_told_and_stops_nothing(judge, state, holds):
    found, messages = judge(store=state)
    assert found["StoreAvailable"] == (holds, state.reason)
    assert messages["StoreAvailable"].startswith(state.message)
    assert found["Ready"] == (True, "Scaling")


FAILED = Undecided("FitTimeout", "gave up after 180 s")
UNREAD = MetricReport(store_trouble=Undecided("Unreachable", "store: nobody answers"))


def test_a_fit_that_failed_is_told_whether_or_not_an_older_forecast_serves(judge):
    failed = MetricReport(failure=FAILED)
    found, messages = judge(metrics=[failed])
    assert found["ForecastAvailable"] == (True, "RefitFailed")
    assert messages["ForecastAvailable"].endswith("; fitting fails: demand: gave up after 180 s")
    assert not Condition(conditions.FORECAST, True, "RefitFailed").is_bad
    stale = answer(untrusted=Undecided("Stale", "the model was fitted 9 days ago"))
    found, messages = judge(decision(stale), metrics=[failed])
    assert found["ForecastAvailable"] == (False, "Stale")
    assert messages["ForecastAvailable"].endswith("; fitting fails: demand: gave up after 180 s")


def test_a_fit_that_failed_is_told_once_and_only_where_a_forecast_is_wanted(judge):
    _, messages = judge(decision(answer(untrusted=FAILED)), metrics=[MetricReport(failure=FAILED)])
    assert messages["ForecastAvailable"].count("gave up") == 1
    found, _ = judge(
        decision(answer(), answer("queue", untrusted=NO_ARRIVALS)),
        metrics=[MetricReport(), MetricReport(failure=NO_ARRIVALS)],
    )
    assert found["ForecastAvailable"] == (True, "Forecasting")


def test_a_store_that_a_fit_did_without_is_told_whether_or_not_it_takes_roll_ups(judge):
    found, messages = judge(store=StoreState("Reachable", "it takes roll-ups"), metrics=[UNREAD])
    assert found["StoreAvailable"] == (False, "FitWithoutStore")
    assert messages["StoreAvailable"].startswith(
        "it takes roll-ups; the last fit did without it: demand: store: nobody answers"
    )
    found, messages = judge(store=StoreState("DiskFull", "the disk is full"), metrics=[UNREAD])
    assert found["StoreAvailable"] == (False, "DiskFull")
    assert "demand: store: nobody answers" in messages["StoreAvailable"]


def test_what_nobody_asked_for_has_no_condition(judge):
    found, _ = judge(store=StoreState("NotConfigured", "no store is configured"))
    assert "StoreAvailable" not in found
    assert "EventsKnown" not in found


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


LIMITED = Condition("ScalingLimited", True, "TooManyReplicas")
NIGHT = Condition("ScalingLimited", True, "TooFewReplicas")
FREE = Condition("ScalingLimited", False, "WithinLimits")


def test_a_night_at_the_minimum_is_no_news_and_neither_is_the_morning_after(announce):
    assert not NIGHT.is_bad
    assert announce(NIGHT) == announce(FREE) == []
    assert announce(NIGHT) == announce(FREE) == []


def test_a_day_at_the_maximum_is_news_and_its_end_too_whatever_comes_between(announce):
    assert announce(FREE) == []
    assert announce(LIMITED) == [("ScalingLimited", "TooManyReplicas")]
    assert announce(NIGHT) == []
    assert announce(FREE) == [("ScalingLimited", "WithinLimits")]


def test_what_is_unknown_is_no_news_and_forgets_nothing(announce):
    unknown = Condition("Ready", None, "NotFittedYet")
    assert announce(unknown) == []
    announce(BROKEN)
    assert announce(unknown) == []
    assert announce(BROKEN) == []
    assert announce(READY) == [("Ready", "Scaling")]
