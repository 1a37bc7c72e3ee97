import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import Decision, MetricAnswer, Source
from foretide.operator.limits import HOUR, remember, within_hourly_limit
from foretide.operator.settings import ConfigurationError, OperatorSettings, parse

NOON = 1_790_000_000.0

decisions = st.builds(
    Decision,
    desired=st.integers(1, 30),
    proposed=st.integers(1, 30),
    current=st.integers(1, 30),
    source=st.sampled_from([source for source in Source if source is not Source.DISABLED]),
    answers=st.just(()),
    floor=st.integers(0, 30),
)


def asked_for_by_demand(decision):
    return decision.desired > decision.current and (
        decision.source in (Source.REACTIVE, Source.HEADROOM) or decision.floor > decision.current
    )


@given(decisions, st.integers(0, 200), st.integers(1, 100))
def test_a_scale_up_that_demand_asks_for_is_never_delayed(decision, count, limit):
    changes = [Change(NOON - second, 1, 2) for second in range(count)]
    if asked_for_by_demand(decision):
        assert within_hourly_limit(decision, changes, limit, now=NOON)
    else:
        assert within_hourly_limit(decision, changes, limit, now=NOON) == (count < limit)


@given(
    st.lists(st.tuples(decisions, st.floats(1, 900)), max_size=150),
    st.integers(1, 12)
    | st.just(OperatorSettings.model_fields["max_changes_per_hour"].metadata[1].le),
)
def test_what_demand_does_not_ask_for_never_exceeds_the_limit_in_any_hour(ticks, limit):
    now, remembered, made = NOON, (), []
    for decision, pause in ticks:
        now += pause
        if not within_hourly_limit(decision, remembered, limit, now=now):
            continue
        change = Change(now, decision.current, decision.desired)
        remembered = remember(remembered, change, memory=0)
        made.append((now, asked_for_by_demand(decision)))
        if not asked_for_by_demand(decision):
            assert sum(at > now - HOUR for at, _ in made) <= limit


@pytest.mark.parametrize(
    ("predicted", "hpa", "passes"), [(None, 6, True), (None, 5, False), (7, 6, False)]
)
def test_an_event_does_not_delay_what_hpa_would_do_without_a_forecast(predicted, hpa, passes):
    answer = MetricAnswer("demand", 9, Source.EVENT, reactive=4, predicted=predicted, hpa=hpa)
    made = Decision(9, 9, 5, Source.EVENT, (answer,), floor=4)
    changes = [Change(NOON - second, 1, 2) for second in range(10)]
    assert within_hourly_limit(made, changes, 10, now=NOON) is passes


def test_the_highest_limit_that_can_be_set_still_limits():
    limit = parse("maxChangesPerHour: 100").max_changes_per_hour
    with pytest.raises(ConfigurationError, match="maxChangesPerHour"):
        parse("maxChangesPerHour: 101")
    changes = ()
    for second in range(500):
        changes = remember(changes, Change(NOON + second, 1, 2), memory=0)
    idle = Decision(1, 1, 2, Source.FORECAST, ())
    assert not within_hourly_limit(idle, changes, limit, now=NOON + 500)


def test_changes_are_remembered_for_an_hour_at_least():
    old, recent = Change(NOON - HOUR, 1, 2), Change(NOON - HOUR + 1, 2, 3)
    fresh = Change(NOON, 3, 4)
    assert remember((old, recent), fresh, memory=60) == (recent, fresh)


def test_changes_are_remembered_for_as_long_as_a_rule_counts_them():
    old, fresh = Change(NOON - 7_000, 1, 2), Change(NOON, 3, 4)
    assert remember((old,), fresh, memory=7_200) == (old, fresh)


def test_no_more_are_remembered_than_status_may_hold():
    changes = tuple(Change(NOON - 200 + second, 1, 2) for second in range(200))
    kept = remember(changes, Change(NOON, 2, 3), memory=0)
    assert len(kept) == 100
    assert kept[-1].at == NOON
