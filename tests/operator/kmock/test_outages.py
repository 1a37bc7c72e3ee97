"""A metric that cannot be had, or that says nothing but zero."""

import pytest

MINUTE = 60.0
TWO = [{"name": "rps", "query": "rps", "perReplica": 100}, {"query": "jobs", "perReplica": 10}]


@pytest.fixture
async def scaled(cluster, demand, operator):
    """Eight replicas, as demand asks for."""
    await cluster.deployment(replicas=8)
    demand.answer = 400
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
    return operator


@pytest.mark.parametrize(
    "reason",
    [
        "Unreachable",
        "Unauthorized",
        "CredentialsMissing",
        "QueryInvalid",
        "QueryFailed",
        "NotPrometheus",
        "Empty",
        "SeveralSeries",
        "NotANumber",
        "Stale",
    ],
)
async def test_an_outage_of_the_metric_never_scales_down(cluster, clock, demand, scaled, reason):
    demand.lose(reason, "the metric is away")
    await scaled.until(lambda: cluster.condition("MetricsAvailable") == ("False", reason))
    assert cluster.condition("Ready") == ("False", reason)
    assert "the metric is away" in cluster.message("MetricsAvailable")
    for _ in range(3):
        clock.advance(60 * MINUTE)
        await scaled.tick()
    assert cluster.source() == "Held"
    assert cluster.replicas() == 8
    demand.answer = 400
    await scaled.until(lambda: cluster.condition("MetricsAvailable") == ("True", "Available"))
    assert cluster.condition("Ready") == ("True", "Scaling")


async def test_an_outage_and_its_end_are_told_once(cluster, demand, scaled):
    demand.lose("Unreachable", "nobody answers")
    await scaled.until(lambda: cluster.events("Unreachable"))
    await scaled.tick(3)
    told = len(cluster.events("Unreachable"))
    demand.answer = 400
    await scaled.until(lambda: cluster.events("Available"))
    await scaled.tick(3)
    # Once, though MetricsAvailable and Ready both say it.
    assert len(cluster.events("Unreachable")) == told == 1
    assert len(cluster.events("Available")) == 1


async def test_a_forecast_still_adds_replicas_in_an_outage(cluster, clock, demand, fitter, scaled):
    fitter.foresee(1000)
    demand.lose()
    clock.advance(5 * MINUTE)
    await scaled.until(lambda: cluster.replicas() == 10)


async def test_one_of_two_metrics_down_only_keeps_replicas_from_falling(
    cluster, clock, demand, operator
):
    await cluster.deployment(replicas=8)
    demand.answers = {"rps": 560, "jobs": 7}
    await cluster.scaler(metrics=TWO)
    await operator.until(lambda: cluster.status())
    demand.lose()
    demand.answers = {"jobs": 7}
    await operator.until(lambda: cluster.condition("MetricsAvailable") == ("False", "Unreachable"))
    clock.advance(60 * MINUTE)
    await operator.tick(2)
    assert cluster.replicas() == 8
    demand.answers["jobs"] = 84
    await operator.until(lambda: cluster.replicas() == 12)


async def test_an_unknown_source_is_an_outage(cluster, demand, fitter, operator):
    await cluster.deployment(replicas=8)
    await cluster.scaler(metrics=[{"query": "demand", "perReplica": 100, "source": "elsewhere"}])
    await operator.until(
        lambda: cluster.condition("MetricsAvailable") == ("False", "SourceUnknown")
    )
    assert "'elsewhere'" in cluster.message("MetricsAvailable")
    assert cluster.condition("ForecastAvailable") == ("False", "SourceUnknown")
    await operator.tick(2)
    assert cluster.replicas() == 8
    assert not fitter.requests
    operator.configure(sources={"elsewhere": {"url": "http://other.example"}}, killSwitch=True)
    await operator.until(lambda: cluster.condition("MetricsAvailable") == ("True", "Available"))


async def test_a_sudden_zero_is_held_and_then_believed(cluster, clock, demand, scaled):
    demand.answer = 0
    await scaled.until(lambda: cluster.condition("MetricsAvailable") == ("False", "SuddenZero"))
    assert cluster.status()["decision"]["metrics"][0]["zeroSince"] == "2026-03-02T12:00:00Z"
    for _ in range(29):
        clock.advance(MINUTE)
        await scaled.tick()
    assert cluster.replicas() == 8
    assert cluster.source() == "Held"
    for _ in range(7):  # the grace, and then the stabilisation window
        clock.advance(MINUTE)
        await scaled.tick()
    assert cluster.condition("MetricsAvailable") == ("True", "Available")
    assert cluster.replicas() == 1


async def test_a_sudden_zero_that_ends_leaves_no_trace(cluster, clock, demand, scaled):
    demand.answer = 0
    await scaled.until(lambda: cluster.condition("MetricsAvailable") == ("False", "SuddenZero"))
    clock.advance(20 * MINUTE)
    demand.answer = 400
    await scaled.until(lambda: cluster.condition("MetricsAvailable") == ("True", "Available"))
    assert "zeroSince" not in cluster.status()["decision"]["metrics"][0]
    demand.answer = 0
    clock.advance(20 * MINUTE)
    await scaled.until(lambda: cluster.condition("MetricsAvailable") == ("False", "SuddenZero"))
    assert cluster.replicas() == 8


async def test_a_zero_that_the_history_knows_is_believed(cluster, clock, demand, fitter, operator):
    fitter.foresee(10, median=0, zero_hours=(12,))
    await cluster.deployment(replicas=8)
    demand.answer = 0
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("MetricsAvailable") == ("True", "Available"))
    clock.advance(5 * MINUTE + 1)
    await operator.until(lambda: cluster.replicas() == 1)
