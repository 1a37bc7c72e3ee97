"""`foretide adopt` against a real API server, which says whether it takes what was made."""

import argparse

import pytest
import yaml

from foretide.operator.commands.adopt import add_parser

QUERY = 'sum(demand_rps{app="rising"})'
BEHAVIOR = {
    "scaleUp": {
        "stabilizationWindowSeconds": 30,
        "policies": [{"type": "Pods", "value": 6, "periodSeconds": 60}],
        "tolerance": "50m",
    },
    "scaleDown": {"selectPolicy": "Min"},
}


def hpa(*metrics, name="shop"):
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "minReplicas": 2,
            "maxReplicas": 30,
            "metrics": list(metrics),
            "behavior": BEHAVIOR,
        },
    }


def external(value="70"):
    target = {"type": "AverageValue", "averageValue": value}
    selector = {"matchLabels": {"app": "shop"}}
    metric = {"name": "requests", "selector": selector}
    return {"type": "External", "external": {"metric": metric, "target": target}}


def resource(name="cpu"):
    target = {"type": "Utilization", "averageUtilization": 65}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


@pytest.fixture
def adopt(sandbox, namespace, capsys):
    """Runs the command; returns its status, its output and what it says to people."""

    def run(*arguments):
        parser = argparse.ArgumentParser(prog="foretide")
        add_parser(parser.add_subparsers())
        where = ("-n", namespace.name, "--kubeconfig", str(sandbox.kubeconfig))
        options = parser.parse_args(["adopt", *arguments, *where])
        status = options.run(options)
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def test_an_hpa_becomes_a_predictivescaler_that_stands_beside_it(namespace, adopt):
    namespace.deployment("shop", 2)
    namespace.apply(hpa(external()))
    status, _, err = adopt("shop", "--apply")
    assert status == 2
    assert "--metric requests='PROMQL'" in err
    assert not namespace.get("pscaler", "shop")
    status, _, err = adopt("shop", "--apply", "--metric", f"requests={QUERY}")
    assert status == 0
    spec = namespace.get("pscaler", "shop")["spec"]
    assert (spec["mode"], spec["minReplicas"], spec["maxReplicas"]) == ("Recommend", 2, 30)
    assert spec["metrics"][0]["query"] == QUERY
    assert spec["behavior"]["scaleUp"]["tolerance"] == 0.05
    assert namespace.get("hpa", "shop")["spec"]["minReplicas"] == 2
    status, _, err = adopt("shop", "--apply", "--metric", f"requests={QUERY}")
    assert status == 2
    assert "exists already" in err


def test_the_way_back_makes_the_hpa_that_was_there(namespace, adopt, wait_for):
    namespace.deployment("shop", 2)
    namespace.apply(hpa(external("33")))
    before = namespace.get("hpa", "shop")["spec"]
    assert adopt("shop", "--apply", "--metric", f"requests={QUERY}", "--name", "ahead")[0] == 0
    namespace.kubectl("delete", "hpa", "shop")
    status, _, err = adopt("--back", "ahead", "--apply")
    assert status == 0
    assert f"kubectl -n {namespace.name} delete pscaler ahead" in err
    assert namespace.get("hpa", "shop")["spec"] == before


def test_what_is_printed_can_be_applied(namespace, adopt):
    namespace.deployment("shop", 2)
    namespace.apply(hpa(external()))
    status, out, err = adopt("hpa/shop", "--metric", f"requests={QUERY}")
    assert status == 0
    namespace.apply(yaml.safe_load(out))
    assert namespace.get("pscaler", "shop")["spec"]["mode"] == "Recommend"
    # What it says to do next can be done.
    commands = [line.strip() for line in err.splitlines() if line.startswith("  kubectl")]
    assert len(commands) == 5


def test_cpu_and_memory_come_along(namespace, adopt):
    namespace.deployment("shop", 2)
    namespace.apply(hpa(resource(), resource("memory")))
    before = namespace.get("hpa", "shop")["spec"]
    assert adopt("shop", "--apply")[0] == 0
    metrics = namespace.get("pscaler", "shop")["spec"]["metrics"]
    assert [metric["resource"] for metric in metrics] == ["cpu", "memory"]
    assert metrics[0]["targetUtilization"] == 0.65
    namespace.kubectl("delete", "hpa", "shop")
    assert adopt("--back", "shop", "--apply")[0] == 0
    assert namespace.get("hpa", "shop")["spec"] == before
