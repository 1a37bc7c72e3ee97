"""The operator's own metrics of a resource: never older than what is known of it."""

import math

import pytest

GAUGES = (
    "foretide_replicas",
    "foretide_demand",
    "foretide_forecast_peak",
    "foretide_forecast_trusted",
    "foretide_forecast_error_ratio",
    "foretide_lead_time_seconds",
)


@pytest.fixture
def gauges(operator):
    """The gauges that say something of a resource."""

    def go(name="shop"):
        families = operator.telemetry.registry.collect()
        return {
            family.name
            for family in families
            for sample in family.samples
            if family.name in GAUGES and sample.labels["name"] == name
        }

    return go


@pytest.fixture
def metrics(operator):
    """The metrics of a resource for which there are series."""

    def go():
        families = operator.telemetry.registry.collect()
        samples = [sample for family in families for sample in family.samples]
        return {sample.labels["metric"] for sample in samples if "metric" in sample.labels}

    return go


@pytest.fixture
async def measured(cluster, demand, fitter, operator, gauges):
    fitter.foresee(300)
    demand.answer = 250
    await cluster.deployment(replicas=2)
    await cluster.scaler()
    await cluster.deployment("other", replicas=2)
    await cluster.scaler("other", target="other")
    await operator.until(lambda: gauges() == gauges("other") == set(GAUGES))
    return operator


@pytest.mark.parametrize("change", [{"mode": "Paused"}, {"minReplicas": 30}])
async def test_what_is_not_decided_on_has_no_figures(cluster, measured, gauges, change):
    await cluster.edit_scaler(**change)
    await measured.until(lambda: cluster.condition("Ready")[1] in ("Paused", "InvalidSpec"))
    assert gauges() == set()
    assert gauges("other") == set(GAUGES)
    where = {"namespace": "default", "name": "shop"}
    assert measured.sample("foretide_replica_changes_total", direction="up", **where) == 1
    await cluster.edit_scaler(mode="Auto", minReplicas=1)
    await measured.until(lambda: gauges() == set(GAUGES))


async def test_a_target_that_is_gone_has_no_figures(cluster, measured, gauges):
    await cluster.delete("apps/v1/deployments", "shop")
    await measured.until(lambda: cluster.condition("Ready") == ("False", "TargetNotFound"))
    assert gauges() == set()


async def test_a_metric_under_another_name_leaves_no_series_behind(cluster, measured, metrics):
    await cluster.edit_scaler(metrics=[{"name": "rps", "query": "demand", "perReplica": 100}])
    await measured.until(lambda: "rps" in metrics())
    assert metrics() == {"rps", "demand"}  # that of the other resource
    await cluster.delete("foretide.dev/v1alpha1/predictivescalers", "other")
    await measured.until(lambda: len(measured.fleet) == 1)
    assert metrics() == {"rps"}


async def test_the_error_of_a_forecast_ends_with_the_forecast(cluster, fitter, measured):
    where = {"namespace": "default", "name": "shop", "metric": "demand"}
    fitter.refuse("TooLittleHistory")
    other = [{"name": "demand", "query": "other", "perReplica": 100}]
    await cluster.edit_scaler(metrics=other)
    await measured.until(lambda: cluster.status()["observedGeneration"] == 2)
    assert math.isnan(measured.sample("foretide_forecast_error_ratio", **where))
