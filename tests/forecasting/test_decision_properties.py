"""What no policy, behavior, memory or metric can take from a decision."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.behavior import (
    Behavior,
    Change,
    PolicyType,
    RatePolicy,
    Recommendation,
    Rules,
    Select,
    limit_rate,
    stabilize,
)
from foretide.forecasting.decision import (
    Memory,
    MetricObservation,
    MetricPolicy,
    Observation,
    ScalingPolicy,
    decide,
)
from foretide.forecasting.demand import Awaited, Reading, Unavailable, Undecided
from foretide.forecasting.events.model import EventOutlook
from foretide.forecasting.explanation import explain
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.guards import CostPolicy, Spending

NOW = 1_700_000_000.0

counts = st.integers(1, 60)
ages = st.floats(0, 700)
demands = st.floats(0, 1000)
shares = st.floats(0, 0.5)
rate_policies = st.builds(
    RatePolicy, st.sampled_from(PolicyType), st.integers(1, 200), st.floats(1, 600)
)
rules = st.builds(
    Rules,
    stabilization=st.sampled_from([0.0, 60.0, 300.0]),
    policies=st.lists(rate_policies, max_size=2).map(tuple),
    select=st.sampled_from(Select),
    tolerance=shares,
)
behaviors = st.just(Behavior()) | st.builds(Behavior, up=rules, down=rules)
costs = st.builds(CostPolicy, st.none() | st.integers(0, 20), st.none() | st.floats(0.1, 50.0))
spendings = st.builds(
    lambda hours, extra, exhausted, hpa: Spending(
        int(NOW // 3600) - len(hours) + 1, tuple(hours), NOW - 15, extra, exhausted, hpa
    ),
    st.lists(st.floats(-60, 60), max_size=3),
    st.integers(-20, 60),
    st.booleans(),
    st.none() | counts,
)
memories = st.builds(
    Memory,
    st.lists(st.builds(lambda age, n: Recommendation(NOW - age, n), ages, counts), max_size=3).map(
        tuple
    ),
    st.lists(
        st.builds(lambda age, a, b: Change(NOW - age, a, b), ages, counts, counts), max_size=3
    ).map(tuple),
    spendings,
)
readings = st.builds(Reading, demands, st.just(NOW))
outages = st.just(Unavailable("Unreachable", "no answer"))
no_forecasts = st.sampled_from(
    [
        Undecided("TooLittleHistory", "too little"),
        Awaited("Awaited", "on its way"),
        Awaited("Awaited", "late", overdue=True),
    ]
)
forecasts = no_forecasts | st.builds(
    lambda upper, start, valid: Forecast(
        model="Test",
        start=start,
        step=60.0,
        upper=tuple(upper),
        median=tuple(upper),
        quantile=0.9,
        fitted_at=start,
        valid_until=valid,
        history_seconds=1.0,
        history_points=1,
    ),
    st.lists(demands, min_size=1, max_size=8),
    st.sampled_from([NOW - 120, NOW, NOW + 60]),
    st.sampled_from([NOW - 1, NOW + 600]),
)


DROP = Undecided("SuddenDrop", "far below what was expected")
AWAITED = Awaited("Awaited", "on its way")


def sight(demand, level, *, awaited, hold, event):
    """What a metric shows at a time: demand (None in an outage), a forecast and an event."""

    def seen(now):
        forecast = AWAITED
        if not awaited:
            forecast = Forecast(
                model="Test",
                start=now,
                step=60.0,
                upper=(level,) * 5,
                median=(level,) * 5,
                quantile=0.9,
                fitted_at=now,
                valid_until=now + 300,
                history_seconds=1.0,
                history_points=1,
            )
        return MetricObservation(
            Unavailable("Unreachable", "no answer") if demand is None else Reading(demand, now),
            forecast,
            event=EventOutlook(min_replicas=event),
            hold=DROP if hold else None,
        )

    return seen


levels = st.floats(0, 1_000)
sights = st.builds(
    sight,
    st.none() | levels,
    levels,
    awaited=st.booleans(),
    hold=st.booleans(),
    event=st.sampled_from([0, 0, 80]),
)
troubles = st.one_of(
    st.builds(
        sight, st.none(), levels, awaited=st.booleans(), hold=st.just(False), event=st.just(0)
    ),
    st.builds(sight, levels, levels, awaited=st.just(True), hold=st.booleans(), event=st.just(0)),
    st.builds(sight, levels, levels, awaited=st.just(False), hold=st.just(True), event=st.just(0)),
)


@st.composite
def situations(draw, demand=readings | outages):
    """Observation, policy and memory that fit together."""
    least, most = sorted((draw(counts), draw(counts)))
    size = draw(st.integers(1, 3))
    metrics = tuple(
        MetricPolicy(f"metric-{i}", draw(st.floats(0.1, 100)), draw(st.floats(0.1, 1)))
        for i in range(size)
    )
    policy = ScalingPolicy(
        least,
        most,
        metrics,
        draw(st.sampled_from([0.0, 60.0, 300.0])),
        draw(behaviors),
        draw(costs),
    )
    seen = tuple(MetricObservation(draw(demand), draw(forecasts)) for _ in range(size))
    return Observation(draw(counts), seen), policy, draw(memories)


def clamped(proposed, observation, policy, memory):
    """The clamps alone: what is left of a proposal."""
    current, behavior = observation.replicas, policy.behavior
    stable = stabilize(
        proposed, current=current, recent=memory.recommendations, behavior=behavior, now=NOW
    )
    return limit_rate(
        stable.replicas,
        current=current,
        changes=memory.changes,
        behavior=behavior,
        min_replicas=policy.min_replicas,
        max_replicas=policy.max_replicas,
        now=NOW,
    ).replicas


@given(situations())
def test_no_forecast_takes_the_replicas_below_what_demand_needs(situation):
    observation, policy, memory = situation
    needed = max(
        (
            math.ceil(seen.demand.value / metric.per_replica * (1 - 1e-9))
            for seen, metric in zip(observation.metrics, policy.metrics, strict=True)
            if isinstance(seen.demand, Reading)
        ),
        default=0,
    )
    decision = decide(observation, policy, memory, now=NOW)
    assert decision.floor == needed
    assert decision.proposed >= needed
    assert decision.desired >= clamped(needed, observation, policy, memory)


@given(situations())
def test_the_replicas_are_always_within_minimum_and_maximum(situation):
    observation, policy, memory = situation
    desired = decide(observation, policy, memory, now=NOW).desired
    assert policy.min_replicas <= desired <= policy.max_replicas


@given(situations(), st.data())
def test_an_outage_never_scales_down_unless_the_maximum_forces_it(situation, data):
    observation, policy, memory = situation
    metrics = list(observation.metrics)
    broken = data.draw(st.integers(0, len(metrics) - 1))
    metrics[broken] = MetricObservation(data.draw(outages), metrics[broken].forecast)
    decision = decide(Observation(observation.replicas, tuple(metrics)), policy, memory, now=NOW)
    assert decision.held
    assert decision.desired >= min(observation.replicas, policy.max_replicas)


@given(situations(demand=readings), st.sampled_from(["held", "awaited"]), st.data())
def test_what_is_held_or_awaited_never_scales_down_unless_the_maximum_forces_it(
    situation, kind, data
):
    observation, policy, memory = situation
    metrics = list(observation.metrics)
    kept = data.draw(st.integers(0, len(metrics) - 1))
    change = {"hold": DROP} if kind == "held" else {"forecast": AWAITED}
    metrics[kept] = replace(metrics[kept], **change)
    decision = decide(Observation(observation.replicas, tuple(metrics)), policy, memory, now=NOW)
    assert decision.desired >= min(observation.replicas, policy.max_replicas)


@given(st.lists(st.lists(troubles, min_size=2, max_size=2), min_size=2, max_size=30), costs, counts)
def test_however_long_a_trouble_lasts_no_guard_takes_replicas_away(ticks, cost, replicas):
    """Each metric is in trouble at each tick: unavailable, held or awaited."""
    metrics = (MetricPolicy("a", 10.0), MetricPolicy("b", 10.0))
    policy = ScalingPolicy(1, 1_000, metrics, 120.0, cost=cost)
    memory, now = Memory.starting_at(replicas, NOW), NOW
    for seen in ticks:
        observation = Observation(replicas, tuple(one(now) for one in seen))
        decision = decide(observation, policy, memory, now=now)
        assert decision.desired >= replicas
        memory, replicas = memory.after(decision, policy.behavior, now), decision.desired
        now += 240.0


@given(
    st.lists(st.lists(sights, min_size=2, max_size=2), min_size=1, max_size=30),
    st.integers(0, 10),
    st.integers(1, 30),
    counts,
)
def test_no_more_is_ever_added_than_the_guard_allows(ticks, most, least, replicas):
    """Neither at once nor bit by bit, be there an answer of HPA's or not."""
    metrics = (MetricPolicy("a", 10.0), MetricPolicy("b", 10.0))
    policy = ScalingPolicy(least, 1_000, metrics, 120.0, cost=CostPolicy(most))
    memory, now, hpa = Memory.starting_at(replicas, NOW), NOW, replicas
    for seen in ticks:
        observation = Observation(replicas, tuple(one(now) for one in seen))
        decision = decide(observation, policy, memory, now=now)
        # HPA takes nothing away while a metric is out, and asks for what the others need.
        hpa = max(hpa if decision.held else 0, decision.hpa or 0, least)
        assert decision.proposed <= max(hpa + most, replicas)
        memory, replicas = memory.after(decision, policy.behavior, now), decision.desired
        now += 15.0


@given(situations(demand=readings), st.data())
def test_more_demand_never_gives_fewer_replicas(situation, data):
    observation, policy, memory = situation
    metrics = list(observation.metrics)
    grown = data.draw(st.integers(0, len(metrics) - 1))
    more = metrics[grown].demand.value + data.draw(demands)
    metrics[grown] = MetricObservation(Reading(more, NOW), metrics[grown].forecast)
    less = decide(observation, policy, memory, now=NOW)
    after = decide(Observation(observation.replicas, tuple(metrics)), policy, memory, now=NOW)
    assert less.proposed <= after.proposed
    assert less.desired <= after.desired


@given(situations(), st.booleans())
def test_every_decision_can_be_explained(situation, switched_off):
    observation, policy, memory = situation
    if switched_off:
        observation = Observation(0, observation.metrics)
    decision = decide(observation, policy, memory, now=NOW)
    text = explain(decision, policy)
    assert text.strip()
    assert "None" not in text
    assert "nan" not in text


@given(situations())
def test_a_decision_that_was_clamped_says_by_what(situation):
    observation, policy, memory = situation
    decision = decide(observation, policy, memory, now=NOW)
    assert decision.clamped_by or decision.desired == decision.proposed


@given(situations())
def test_memory_never_outgrows_its_windows(situation):
    observation, policy, memory = situation
    decision = decide(observation, policy, memory, now=NOW)
    after = memory.after(decision, policy.behavior, NOW)
    oldest = NOW - policy.behavior.longest_memory
    assert all(past.at > oldest or past.at == NOW for past in after.recommendations)
    last = Recommendation(NOW, decision.proposed, foreseen=decision.foreseen)
    assert after.recommendations[-1] == last
