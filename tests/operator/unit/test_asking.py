"""What fits are asked for, and how far ahead they must look."""

import pytest

from foretide.forecasting.events.model import EventCalendar
from foretide.operator.api.predictivescaler import PredictiveScalerSpec
from foretide.operator.asking import Need, need_of, remembered, request_of, stored_metric
from foretide.operator.observing import metric_lag
from foretide.operator.scaler import Scaler
from foretide.operator.settings import parse

DAY = 86_400.0
STORE = "store: {url: http://store, tokenFile: /run/token}"


@pytest.fixture
def scaler(spec):
    def make(**changes):
        meta = {"uid": "u", "namespace": "web", "name": "shop", "generation": 1}
        return Scaler.from_body({"metadata": meta, "spec": spec(**changes)}, 1e9)

    return make


@pytest.fixture
def ask(scaler, fit_request):
    """The request for a resource's only metric."""

    def go(window=195.0, **changes):
        one = scaler(**changes)
        policy = one.policy_now(180.0)
        need = need_of(
            one,
            one.spec.metrics[0],
            policy.metrics[0],
            policy,
            fit_request().source,
            EventCalendar(),
            window,
        )
        return request_of(one.spec, need, now=7.0) if isinstance(need, Need) else need

    return go


def test_the_model_looks_ahead_for_whole_minutes(ask):
    need = ask(window=195.0).lookahead
    assert (need.window, need.lead) == (4, 3)
    assert ask(window=240.0).lookahead.window == 4


def test_a_range_that_fades_lengthens_the_window_of_the_replay(ask):
    metric = {"query": "sum(rate(requests[9m]))", "perReplica": 100}
    assert ask(metrics=[metric]).lookahead.stabilization == 10


@pytest.mark.parametrize(
    ("engine", "horizon", "looks"),
    [("Auto", "Auto", True), ("Lookahead", "", True), ("MSTL", "MSTL", False)],
)
def test_each_engine_gets_what_it_makes(ask, engine, horizon, looks):
    request = ask(forecast={"engine": engine})
    assert (request.engine, request.lookahead is not None) == (horizon, looks)


def test_a_curve_counts_for_what_one_replica_carries(ask):
    curve = [{"replicas": 1, "load": 100}, {"replicas": 10, "load": 800}]
    assert ask(metrics=[{"query": "q", "loadCurve": curve}]).lookahead.per_replica == 100


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signals": {"timeSeries": False}}, "SwitchedOff"),
        ({"metrics": [{"type": "Resource", "resource": "memory"}]}, "NoHistoryQuery"),
        ({"metrics": [{"type": "Resource", "resource": "cpu"}]}, "RequestsUnknown"),
    ],
)
def test_where_no_fit_is_to_be_made_it_says_why(ask, changes, reason):
    assert ask(**changes).reason == reason


def test_a_source_that_nobody_declared_is_named(scaler):
    one = scaler()
    policy = one.policy_now(180.0)
    need = need_of(
        one, one.spec.metrics[0], policy.metrics[0], policy, None, EventCalendar(), 195.0
    )
    assert "no Prometheus source named 'default'" in need.message


def test_only_a_store_remembers_more_than_a_year(spec):
    one = PredictiveScalerSpec.model_validate(spec())
    assert remembered(one, parse("")) == 14 * DAY
    assert remembered(one, parse(STORE)) == 400 * DAY


def test_in_the_store_a_metric_has_a_key_of_its_own(scaler):
    one = scaler()
    metric = one.spec.metrics[0]
    assert stored_metric(parse(""), one, "demand", metric, "q") is None
    keys = {stored_metric(parse(STORE), one, "demand", metric, query).key for query in ("q", "p")}
    assert len(keys) == 2
    assert {(key.namespace, key.name, key.metric) for key in keys} == {("web", "shop", "demand")}


@pytest.mark.parametrize(
    ("query", "lag"), [("sum(up)", 0), ("sum(rate(x[1m]))", 30), ("sum(rate(x[1h]))", 60)]
)
def test_a_rate_shows_demand_late(spec, query, lag):
    metric = {"query": query, "perReplica": 1}
    assert metric_lag(PredictiveScalerSpec.model_validate(spec(metrics=[metric]))) == lag
