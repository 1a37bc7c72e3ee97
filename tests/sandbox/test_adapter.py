"""What the HPA is answered for what Prometheus answers, without either."""

import json

import httpx
import pytest

from sandbox import SandboxError
from sandbox.adapter import ROOT, parse_selector, respond

METRIC = f"{ROOT}/namespaces/default/demand"


@pytest.fixture
def prometheus():
    def make(result, kind="vector", status=200):
        def handle(request):
            assert request.url.params["query"] == "sum(x)"
            body = {"status": "success", "data": {"resultType": kind, "result": result}}
            return httpx.Response(status, json=body)

        return httpx.Client(transport=httpx.MockTransport(handle), base_url="http://prometheus")

    return make


def ask(client, target=METRIC):
    return respond(target, {"demand": "sum(x)"}, client)


def row(value, **labels):
    return {"metric": {"__name__": "x", **labels}, "value": [0, value]}


def test_a_value_becomes_a_quantity_in_thousandths(prometheus):
    status, body = ask(prometheus([row("12.3456")]))
    assert status == 200
    (item,) = body["items"]
    assert (item["metricName"], item["value"], item["metricLabels"]) == ("demand", "12346m", {})
    assert json.dumps(body)


def test_a_scalar_is_a_value_too(prometheus):
    assert ask(prometheus([0, "3"], kind="scalar"))[1]["items"][0]["value"] == "3000m"


def test_a_selector_chooses_among_the_answers(prometheus):
    rows = [row("1", queue="a"), row("2", queue="b")]
    _, body = ask(prometheus(rows), f"{METRIC}?labelSelector=queue%3Db")
    assert [item["value"] for item in body["items"]] == ["2000m"]


@pytest.mark.parametrize("rows", [[], [row("NaN")], [row("+Inf")]])
def test_no_answer_is_an_error(prometheus, rows):
    status, body = ask(prometheus(rows))
    assert status == 404
    assert (body["kind"], body["reason"]) == ("Status", "NotFound")


def test_a_prometheus_that_fails_is_an_error(prometheus):
    assert ask(prometheus([], status=500))[0] == 503


def test_an_unknown_metric_is_not_found(prometheus):
    assert ask(prometheus([]), f"{ROOT}/namespaces/default/other")[0] == 404


def test_the_metrics_are_listed(prometheus):
    status, body = ask(prometheus([]), ROOT)
    assert status == 200
    assert [resource["name"] for resource in body["resources"]] == ["demand"]


@pytest.mark.parametrize("text", ["a in (b)", "!a", "a!=b", "a"])
def test_other_selectors_than_equality_are_refused(text):
    with pytest.raises(SandboxError, match="only key=value"):
        parse_selector(text)
