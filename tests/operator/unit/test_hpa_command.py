"""`foretide adopt`, with the API server in memory."""

import argparse
import json

import pytest
import yaml

from foretide.operator import cluster
from foretide.operator.cluster import ClusterError
from foretide.operator.commands.adopt import add_parser

QUERY = "sum(rate(requests_total[2m]))"
HPAS = "/apis/autoscaling/v2/namespaces/web/horizontalpodautoscalers"
SCALED_OBJECTS = "/apis/keda.sh/v1alpha1/namespaces/web/scaledobjects"
SCALERS = "/apis/foretide.dev/v1alpha1/namespaces/web/predictivescalers"


class Api:
    """What there is, by path; and what was created."""

    def __init__(self):
        self.objects, self.created, self.closed = {}, [], False
        self.refuse = None

    def put(self, path, spec, **meta):
        name = path.rpartition("/")[2]
        meta = {"name": name, "namespace": "web", "resourceVersion": "1", "uid": name, **meta}
        self.objects[path] = {"metadata": meta, "spec": spec}

    async def request(self, method, path, body=None, *, content_type="application/json"):
        if self.refuse:
            raise self.refuse
        if method == "POST":
            if f"{path}/{body['metadata']['name']}" in self.objects:
                raise ClusterError("AlreadyExists", "already exists", 409)
            self.created.append((path, body))
            return body
        assert method == "GET"
        if path in (HPAS, SCALED_OBJECTS, SCALERS):
            return {"items": self.there(path)}
        if path not in self.objects:
            raise ClusterError("NotFound", "not found", 404)
        return self.objects[path]

    def there(self, path):
        there = [body for at, body in self.objects.items() if at.rpartition("/")[0] == path]
        if not there and path == SCALED_OBJECTS:  # KEDA is not installed
            raise ClusterError("NotFound", "not found", 404)
        return there

    def close(self):
        self.closed = True


@pytest.fixture
def api(monkeypatch):
    made = Api()
    monkeypatch.setattr(cluster, "load_client", lambda kubeconfig: None)
    monkeypatch.setattr(cluster, "KubernetesCluster", lambda client, threads: made)
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    target = {"type": "Utilization", "averageUtilization": 60}
    made.put(
        f"{HPAS}/shop",
        {
            "scaleTargetRef": reference,
            "minReplicas": 2,
            "maxReplicas": 9,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    )
    return made


@pytest.fixture
def run(capsys):
    """Runs `foretide adopt`; returns its status, its output and what it says to people."""

    def call(*arguments, namespace="web"):
        parser = argparse.ArgumentParser(prog="foretide")
        add_parser(parser.add_subparsers())
        options = parser.parse_args(["adopt", *arguments, "-n", namespace])
        status = options.run(options)
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


def put_keda(api):
    trigger = {"type": "prometheus", "metadata": {"query": QUERY, "threshold": "70"}}
    spec = {"scaleTargetRef": {"name": "shop"}, "minReplicaCount": 1, "triggers": [trigger]}
    api.put(f"{SCALED_OBJECTS}/queue", spec)
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "queue"}
    api.put(f"{HPAS}/keda-hpa-queue", {"maxReplicas": 100}, ownerReferences=[owner])


def test_it_prints_yaml_and_says_what_to_do_next(api, run):
    status, out, err = run("shop")
    assert status == 0
    document = yaml.safe_load(out)
    assert document["kind"] == "PredictiveScaler"
    assert document["spec"]["mode"] == "Recommend"
    assert "printed, not created" in err
    assert "kubectl -n web get pscaler shop -o wide" in err
    assert '"actuation":"HPAFloor"' in err
    assert "kubectl -n web delete horizontalpodautoscaler shop" in err
    assert api.created == []
    assert api.closed


def test_it_prints_json_too(api, run):
    assert json.loads(run("hpa/shop", "-o", "json")[1])["kind"] == "PredictiveScaler"


def test_it_creates_and_prints_nothing_unless_asked(api, run):
    status, out, err = run("shop", "--apply", "--name", "shop-ahead")
    assert (status, out) == (0, "")
    ((path, body),) = api.created
    assert path == SCALERS
    assert body["metadata"]["name"] == "shop-ahead"
    assert "PredictiveScaler shop-ahead is created" in err
    assert run("shop", "--apply", "-o", "yaml")[1] != ""


def test_what_exists_is_left_as_it_is(api, run):
    api.put(f"{SCALERS}/shop", {})
    status, _, err = run("shop", "--apply")
    assert status == 2
    assert "PredictiveScaler shop exists already and is left as it is" in err


@pytest.mark.parametrize("name", ["keda-hpa-queue", "hpa/keda-hpa-queue", "queue", "so/queue"])
def test_the_scaled_object_behind_an_hpa_is_what_is_adopted(api, run, name):
    put_keda(api)
    status, out, err = run(name)
    assert status == 0
    document = yaml.safe_load(out)
    assert document["metadata"]["name"] == "queue"
    assert document["spec"]["metrics"][0]["query"] == QUERY
    assert "delete scaledobject queue" in err


def put_hpa(api, name, target):
    spec = {**api.objects[f"{HPAS}/shop"]["spec"]}
    spec["scaleTargetRef"] = {**spec["scaleTargetRef"], "name": target}
    api.put(f"{HPAS}/{name}", spec)


def test_an_autoscaler_is_found_by_what_it_scales(api, run):
    put_hpa(api, "web-hpa", "web")
    status, out, err = run("web")
    assert status == 0
    assert yaml.safe_load(out)["spec"]["scaleTargetRef"]["name"] == "web"
    assert "web is taken for HorizontalPodAutoscaler web-hpa, which scales Deployment web" in err
    assert run("hpa/web")[0] == 0
    status, _, err = run("so/web")
    assert status == 2
    assert "there is no ScaledObject web in namespace web, and no other one either" in err


def test_the_hpa_that_keda_makes_is_not_found_beside_its_scaled_object(api, run):
    put_keda(api)
    del api.objects[f"{HPAS}/shop"]
    spec = api.objects[f"{SCALED_OBJECTS}/queue"]["spec"]
    api.objects[f"{HPAS}/keda-hpa-queue"]["spec"]["scaleTargetRef"] = spec["scaleTargetRef"]
    status, out, err = run("shop")
    assert status == 0
    assert yaml.safe_load(out)["metadata"]["name"] == "queue"
    assert "shop is taken for ScaledObject queue, which scales Deployment shop" in err


def test_where_none_can_be_meant_those_that_exist_are_named(api, run):
    put_hpa(api, "one", "web")
    put_hpa(api, "two", "web")
    status, _, err = run("web")
    assert status == 2
    assert "several scale what has this name" in err
    assert "HorizontalPodAutoscaler one, HorizontalPodAutoscaler two" in err
    status, _, err = run("gone")
    assert status == 2
    assert "none that scales what has this name; there is: HorizontalPodAutoscaler shop," in err
    for number in range(12):
        put_hpa(api, f"more-{number}", "more")
    assert "and others" in run("gone")[2]


def test_how_long_pods_take_is_carried_into_the_manifest(api, run):
    status, out, err = run("shop", "--lead-time", "90s")
    assert status == 0
    assert yaml.safe_load(out)["spec"]["forecast"] == {"leadTime": "90s"}
    assert "--lead-time" not in err
    assert "say how long new pods take to become ready with --lead-time" in run("shop")[2]


def test_what_is_missing_is_listed_with_what_to_give(api, run):
    put_keda(api)
    spec = api.objects[f"{SCALED_OBJECTS}/queue"]["spec"]
    spec["triggers"] = [{"type": "kafka", "metadata": {}}, {"type": "cron", "metadata": {}}]
    status, out, err = run("queue")
    assert (status, out) == (2, "")
    first, second = err.splitlines()[1:]
    assert "--metric s0-kafka='PROMQL' --per-replica s0-kafka=QUANTITY" in first
    assert "--skip s1-cron" in second
    given = ("--metric", f"s0-kafka={QUERY}", "--per-replica", "s0-kafka=500m", "--skip", "s1-cron")
    status, out, _ = run("queue", *given)
    assert status == 0
    (metric,) = yaml.safe_load(out)["spec"]["metrics"]
    assert (metric["query"], metric["perReplica"]) == (QUERY, "0.5")


def test_back_prints_the_hpa(api, run):
    run("shop", "--apply")
    ((_, body),) = api.created
    api.objects[f"{SCALERS}/shop"] = body
    status, out, err = run("--back", "shop")
    assert status == 0
    document = yaml.safe_load(out)
    assert document["kind"] == "HorizontalPodAutoscaler"
    assert document["spec"] == api.objects[f"{HPAS}/shop"]["spec"]
    assert "kubectl -n web delete pscaler shop" in err
    status, _, err = run("--back", "shop", "--apply")
    assert status == 2
    assert "HorizontalPodAutoscaler shop exists already" in err
    assert run("--back", "pscaler/shop", "--apply", "--name", "shop-again")[0] == 0
    assert api.created[-1][0] == HPAS


def test_back_creates_no_hpa_that_could_not_work(api, run):
    metric = {"name": "load", "query": QUERY, "perReplica": "100"}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    spec = {"scaleTargetRef": reference, "maxReplicas": 9, "metrics": [metric]}
    api.put(f"{SCALERS}/shop", spec)
    status, _, err = run("--back", "shop", "--apply")
    assert status == 2
    assert "an adapter has to serve the external metric load" in err
    status, _, err = run("--back", "shop", "--apply", "--keda", "http://prometheus:9090")
    assert status == 0
    assert api.created[-1][0] == SCALED_OBJECTS
    assert "ScaledObject shop is created" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gone"], "no HorizontalPodAutoscaler or ScaledObject gone in namespace web"),
        (["so/shop"], "no ScaledObject shop in namespace web"),
        (["--back", "gone"], "no PredictiveScaler gone in namespace web"),
        (["deployment/shop"], "'deployment' is no kind that can be taken: horizontalpod"),
        (["--back", "hpa/shop"], "'hpa' is no kind that can be taken: predictivescaler, pscaler"),
        (["../shop"], "'..' is no kind"),
        (["Shop"], "'Shop' is not a name"),
        (["shop", "--name", "a/b"], "'a/b' is not a name"),
        (["shop", "--target-utilization", "70"], "--target-utilization is a share"),
        (["shop", "--metric", "cpu"], "--metric 'cpu' is not NAME=VALUE"),
        (["shop", "--metric", f"other={QUERY}"], "has no metric other; it has: cpu"),
        (["shop", "--per-replica", "cpu=many"], "'many' is not a quantity"),
        (["shop", "--lead-time", "soon"], "--lead-time: 'soon' is not a duration"),
        (["shop", "--lead-time", "9h"], "of 4h at the most"),
        (["--back", "shop", "--lead-time", "90s"], "--lead-time means nothing with --back"),
        (["shop", "--keda", "http://x"], "--keda belongs to --back"),
        (["--back", "shop", "--skip", "x"], "mean nothing with --back"),
        (["--back", "shop", "--keda", "http://u:p@x"], "--keda must hold no password"),
    ],
)
def test_mistakes_are_told_in_one_sentence(api, run, arguments, says):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_a_cluster_that_does_not_answer_is_told(api, run):
    api.refuse = ClusterError("ApiUnreachable", "no answer from https://x: connection refused")
    assert run("shop")[2] == "foretide: no answer from https://x: connection refused\n"


def test_the_help_shows_examples(capsys):
    parser = argparse.ArgumentParser(prog="foretide")
    add_parser(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["adopt", "--help"])
    shown = capsys.readouterr().out
    assert "Nothing is deleted" in shown
    assert "foretide adopt --back shop -n web" in shown
