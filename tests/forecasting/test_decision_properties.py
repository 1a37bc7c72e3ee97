"""What no policy, behavior, memory or metric can take from a decision."""

import math

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
from foretide.forecasting.explanation import explain
from foretide.forecasting.forecast import Forecast

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
memories = st.builds(
    Memory,
    st.lists(st.builds(lambda age, n: Recommendation(NOW - age, n), ages, counts), max_size=3).map(
        tuple
    ),
    st.lists(
        st.builds(lambda age, a, b: Change(NOW - age, a, b), ages, counts, counts), max_size=3
    ).map(tuple),
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
        least, most, metrics, draw(st.sampled_from([0.0, 60.0, 300.0])), draw(behaviors)
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
    assert after.recommendations[-1] == Recommendation(NOW, decision.proposed)
