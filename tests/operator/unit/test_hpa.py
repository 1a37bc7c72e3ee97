"""Moving and giving back minimums, against an API server in memory.

Covered: which object is moved, optimistic concurrency, the guard, what a sweep finds. What is
written is in test_hpa_floor.py; the real API server is in tests/e2e/test_hpa_floor.py.
"""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from foretide.forecasting.behavior import Change
from foretide.forecasting.demand import Undecided
from foretide.operator.cluster import ClusterError, WriteConflict
from foretide.operator.hpa import Floor, Holder, holder_of, release, set_floor, sweep
from foretide.operator.hpa_floor import FLOOR, ORIGINAL, OWNER, Kind, Outcome
from foretide.operator.owners import Autoscaler

NOW = 1_790_000_000.0
HPA = Holder(Kind.HPA, "web", "shop")
SCALED_OBJECT = Holder(Kind.SCALED_OBJECT, "web", "queue")
SCALERS = "/apis/foretide.dev/v1alpha1/predictivescalers"


def allowed():
    return True


def forbidden():
    return False


class Api:
    """Objects by path, with versions; `intervene` is called before each write."""

    def __init__(self):
        self.objects, self.kinds, self.requests = {}, set(), []
        self.intervene = lambda path: None

    def put(self, path, body):
        _, group, version, *_, plural, name = [part for part in path.split("/") if part]
        self.kinds.add((f"{group}/{version}", plural))
        meta = {"name": name, "namespace": "web", "resourceVersion": "1", **body["metadata"]}
        self.objects[path] = {**body, "metadata": meta}
        return self.objects[path]

    def hpa(self, name="shop", *, minimum=2, maximum=20, target="shop", **meta):
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
        spec = {"scaleTargetRef": reference, "minReplicas": minimum, "maxReplicas": maximum}
        return self.put(Holder(Kind.HPA, "web", name).path, {"metadata": meta, "spec": spec})

    def scaled_object(self, name="queue", *, target="shop", **meta):
        spec = {"scaleTargetRef": {"name": target}}
        path = Holder(Kind.SCALED_OBJECT, "web", name).path
        return self.put(path, {"metadata": meta, "spec": spec})

    def scaler(self, uid="uid-1", *, target="shop", mode="Auto", actuation="HPAFloor"):
        spec = {
            "mode": mode,
            "actuation": actuation,
            "scaleTargetRef": {"kind": "Deployment", "name": target},
        }
        path = f"/apis/foretide.dev/v1alpha1/namespaces/web/predictivescalers/{uid}"
        self.put(path, {"metadata": {"uid": uid}, "spec": spec})

    async def request(self, method, path, body=None, *, content_type="application/json"):
        self.requests.append((method, path))
        url = urlsplit(path)
        if method == "GET" and "limit" in parse_qs(url.query):
            return self._page(url)
        if path not in self.objects:
            raise ClusterError("NotFound", f"{path} not found", 404)
        if method == "PATCH":
            assert content_type == "application/merge-patch+json"
            self.intervene(path)
            self._patch(self.objects[path], body)
        return self.objects[path]

    def _patch(self, found, body):
        meta = found["metadata"]
        if body["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            raise ClusterError("Conflict", "the object has been modified", 409)
        marks = {**meta.get("annotations", {}), **body["metadata"].get("annotations", {})}
        meta["annotations"] = {key: value for key, value in marks.items() if value is not None}
        found["spec"] |= body.get("spec", {})
        self.touch(found)

    def touch(self, found):
        found["metadata"]["resourceVersion"] = str(int(found["metadata"]["resourceVersion"]) + 1)

    def _page(self, url):
        """Two objects a page."""
        match = re.fullmatch(r"/apis/([^/]+/[^/]+)(?:/namespaces/([^/]+))?/([^/]+)", url.path)
        version, namespace, plural = match.groups()
        if (version, plural) not in self.kinds:
            raise ClusterError("NotFound", "the server could not find the requested resource", 404)
        items = [
            found
            for path, found in self.objects.items()
            if path.startswith(f"/apis/{version}/")
            and f"/{plural}/" in path
            and namespace in (None, found["metadata"]["namespace"])
        ]
        start = int(parse_qs(url.query).get("continue", ["0"])[0])
        rest = str(start + 2) if len(items) > start + 2 else ""
        return {"items": items[start : start + 2], "metadata": {"continue": rest}}

    def writes(self):
        return [path for method, path in self.requests if method != "GET"]


@pytest.fixture
def api():
    return Api()


async def hold(api, floor, holder=HPA, *, owner="uid-1", guard=allowed, now=NOW, **options):
    return await set_floor(api, holder, floor, owner_uid=owner, guard=guard, now=now, **options)


def autoscalers(*names):
    return [Autoscaler(name, f"uid of {name}") for name in names]


def test_the_one_autoscaler_of_the_target_is_the_one_that_is_moved():
    found = holder_of("web", autoscalers("HorizontalPodAutoscaler shop"))
    assert found == HPA
    assert found.path == "/apis/autoscaling/v2/namespaces/web/horizontalpodautoscalers/shop"


def test_a_scaled_object_is_moved_rather_than_the_hpa_that_comes_with_it():
    pair = autoscalers("HorizontalPodAutoscaler keda-hpa-queue", "ScaledObject queue")
    found = holder_of("web", pair)
    assert found == SCALED_OBJECT
    assert found.path == "/apis/keda.sh/v1alpha1/namespaces/web/scaledobjects/queue"


def test_no_autoscaler_is_said_with_what_to_do():
    found = holder_of("web", [])
    assert isinstance(found, Undecided)
    assert found.reason == "NoAutoscaler"
    assert "set actuation to Replicas" in found.message


def test_of_several_autoscalers_none_is_guessed():
    found = holder_of("web", autoscalers("HorizontalPodAutoscaler b", "HorizontalPodAutoscaler a"))
    assert isinstance(found, Undecided)
    assert "a, b" in found.message


async def test_a_floor_is_set_and_released(api):
    body = api.hpa()
    floor = await hold(api, 7)
    assert floor == Floor(HPA, Outcome.HELD, 7, own=2, maximum=20, written=True, before=2)
    assert floor.move(NOW) == Change(NOW, 2, 7)
    assert body["spec"]["minReplicas"] == 7
    assert body["metadata"]["annotations"] == {ORIGINAL: "2", FLOOR: "7", OWNER: "uid-1"}
    assert await release(api, HPA, owner_uid="uid-1", guard=allowed)
    assert body["spec"]["minReplicas"] == 2
    assert body["metadata"]["annotations"] == {}
    assert not await release(api, HPA, owner_uid="uid-1", guard=allowed)


async def test_nothing_is_written_while_nothing_changes(api):
    api.hpa()
    await hold(api, 7)
    floor = await hold(api, 7, now=NOW + 15)
    assert not floor.written
    assert floor.move(NOW) is None
    assert len(api.writes()) == 1


async def test_a_minimum_that_may_not_move_stays_ours_or_its_own(api):
    body = api.hpa()
    floor = await hold(api, 7, may_move=False)
    assert (floor.outcome, floor.minimum, floor.withheld) == (Outcome.UNNEEDED, 2, True)
    await hold(api, 7)
    floor = await hold(api, 9, may_move=False)
    assert (floor.outcome, floor.minimum, floor.own) == (Outcome.HELD, 7, 2)
    assert floor.withheld
    assert not floor.written
    assert body["spec"]["minReplicas"] == 7
    assert not (await hold(api, 7, may_move=False)).withheld  # there is nothing to move


async def test_marks_alone_are_no_move_and_need_no_leave(api):
    body = api.hpa()
    await hold(api, 7)
    for at in (NOW + 15, NOW + 30):  # a tool sets it back, again and again
        body["spec"]["minReplicas"] = 2
        floor = await hold(api, 7, now=at)
    assert (floor.outcome, floor.written) == (Outcome.YIELDED, True)
    assert floor.move(NOW) is None


async def test_a_minimum_that_is_not_given_is_the_usual_one(api):
    api.scaled_object()
    floor = await hold(api, 7, SCALED_OBJECT)
    assert floor.move(NOW) == Change(NOW, 0, 7)
    api.hpa(minimum=None)
    assert (await hold(api, 7)).move(NOW) == Change(NOW, 1, 7)


async def test_a_foreign_hold_is_not_released(api):
    body = api.hpa()
    await hold(api, 7)
    assert not await release(api, HPA, owner_uid="uid-2", guard=allowed)
    assert not await release(api, HPA, owner_uid="", guard=allowed)
    assert body["spec"]["minReplicas"] == 7


async def test_an_hpa_that_keda_has_made_is_left_alone_and_its_scaled_object_moved(api):
    owner = [{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "queue"}]
    hpa = api.hpa(ownerReferences=owner)
    body = api.scaled_object()
    floor = await hold(api, 7)
    assert floor.holder == SCALED_OBJECT
    assert body["spec"]["minReplicaCount"] == 7
    assert hpa["spec"]["minReplicas"] == 2
    assert await release(api, HPA, owner_uid="uid-1", guard=allowed)
    assert body["spec"]["minReplicaCount"] is None


async def test_a_change_that_comes_between_reading_and_writing_is_seen(api):
    body = api.hpa()

    def somebody_else(path):
        api.intervene = lambda path: None
        body["spec"]["minReplicas"] = 9
        api.touch(body)

    api.intervene = somebody_else
    floor = await hold(api, 12)
    assert floor.own == 9
    assert body["metadata"]["annotations"][ORIGINAL] == "9"
    assert len(api.writes()) == 2


async def test_an_object_that_keeps_changing_is_left_for_the_next_time(api):
    body = api.hpa()
    api.intervene = lambda path: api.touch(body)
    with pytest.raises(WriteConflict, match="HorizontalPodAutoscaler shop keeps changing"):
        await hold(api, 7)
    assert body["spec"]["minReplicas"] == 2


async def test_nothing_is_written_once_the_guard_forbids_it(api):
    body = api.hpa()
    with pytest.raises(ClusterError, match="ended meanwhile"):
        await hold(api, 7, guard=forbidden)
    await hold(api, 7)
    with pytest.raises(ClusterError, match="ended meanwhile"):
        await release(api, HPA, owner_uid="uid-1", guard=forbidden)
    assert body["spec"]["minReplicas"] == 7


async def test_an_hpa_that_is_gone_is_an_error_to_hold_and_none_to_release(api):
    with pytest.raises(ClusterError) as raised:
        await hold(api, 7)
    assert raised.value.status == 404
    assert not await release(api, HPA, owner_uid="uid-1", guard=allowed)


async def test_other_errors_are_passed_on(api):
    api.hpa()

    def refuse(path):
        raise ClusterError("Forbidden", "horizontalpodautoscalers is forbidden", 403)

    api.intervene = refuse
    with pytest.raises(ClusterError, match="forbidden"):
        await hold(api, 7)


async def test_a_name_stays_one_part_of_the_path(api):
    with pytest.raises(ClusterError):
        await hold(api, 7, Holder(Kind.HPA, "web", "../../secrets/x"))
    assert api.requests[0][1].endswith("/horizontalpodautoscalers/..%2F..%2Fsecrets%2Fx")


@pytest.mark.parametrize(
    "owner",
    [
        {"uid": "another"},
        {"mode": "Paused"},
        {"mode": "Recommend"},
        {"actuation": "Replicas"},
        {"target": "other"},
    ],
    ids=["gone", "paused", "recommending", "other actuation", "other target"],
)
async def test_a_sweep_restores_what_has_no_acting_owner(api, owner):
    body = api.hpa()
    await hold(api, 7)
    api.scaler(**owner)
    assert await sweep(api, [], guard=allowed) == ["web/shop"]
    assert body["spec"]["minReplicas"] == 2
    assert body["metadata"]["annotations"] == {}


async def test_a_sweep_leaves_what_is_held_alone(api):
    body = api.hpa()
    api.scaler()
    await hold(api, 7)
    assert await sweep(api, ["web"], guard=allowed) == []
    assert body["spec"]["minReplicas"] == 7


async def test_a_sweep_looks_at_every_page_and_namespace_and_at_scaled_objects(api):
    bodies = [api.hpa(f"shop-{number}", target=f"shop-{number}") for number in range(5)]
    for number in range(5):
        await hold(api, 7, Holder(Kind.HPA, "web", f"shop-{number}"), owner=f"uid-{number}")
    scaled_object = api.scaled_object(target="shop-9")
    await hold(api, 7, SCALED_OBJECT, owner="uid-9")
    for number in (1, 3):
        api.scaler(f"uid-{number}", target=f"shop-{number}")
    assert await sweep(api, ["elsewhere"], guard=allowed) == []
    assert len(await sweep(api, ["elsewhere", "web"], guard=allowed)) == 4
    assert [body["spec"]["minReplicas"] for body in bodies] == [2, 7, 2, 7, 2]
    assert scaled_object["spec"]["minReplicaCount"] is None


async def test_a_sweep_takes_no_copy_of_kedas_for_a_hold(api):
    """KEDA copies a ScaledObject's annotations to its HPA."""
    owner = [{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "queue"}]
    marks = {ORIGINAL: "0", FLOOR: "7", OWNER: "uid-1"}
    hpa = api.hpa(minimum=7, ownerReferences=owner, annotations=marks)
    assert await sweep(api, [], guard=allowed) == []
    assert hpa["spec"]["minReplicas"] == 7


async def test_a_sweep_that_finds_nothing_held_asks_for_no_owners(api):
    api.hpa()
    assert await sweep(api, [], guard=allowed) == []
    assert not [path for _, path in api.requests if path.startswith(SCALERS)]


async def test_a_sweep_does_nothing_while_the_guard_forbids_it(api):
    body = api.hpa()
    await hold(api, 7)
    assert await sweep(api, [], guard=forbidden) == []
    assert body["spec"]["minReplicas"] == 7


async def test_what_cannot_be_listed_releases_nothing(api):
    body = api.hpa()
    await hold(api, 7)
    answer = api.request

    async def request(method, path, *rest, **options):
        if path.startswith(SCALERS):
            raise ClusterError("ApiUnreachable", "no answer", 0)
        return await answer(method, path, *rest, **options)

    api.request = request
    with pytest.raises(ClusterError, match="no answer"):
        await sweep(api, [], guard=allowed)
    assert body["spec"]["minReplicas"] == 7


async def test_one_that_cannot_be_released_does_not_keep_the_others_back(api, caplog):
    first, second = api.hpa("a"), api.hpa("b")
    for name in ("a", "b"):
        await hold(api, 7, Holder(Kind.HPA, "web", name))

    def refuse(path):
        if path.endswith("/a"):
            raise ClusterError("Forbidden", "not for you", 403)

    api.intervene = refuse
    assert await sweep(api, [], guard=allowed) == ["web/b"]
    assert (first["spec"]["minReplicas"], second["spec"]["minReplicas"]) == (7, 2)
    assert "web/HorizontalPodAutoscaler a is not released: not for you" in caplog.text


@pytest.mark.parametrize(
    ("floor", "says"),
    [
        (
            Floor(HPA, Outcome.HELD, 7, 2, 20, True),
            "minReplicas of HorizontalPodAutoscaler shop is held at 7 (its own: 2)",
        ),
        (
            Floor(SCALED_OBJECT, Outcome.HELD, 9, None, 9, True),
            "minReplicaCount of ScaledObject queue is held at 9, its maximum (its own: none)",
        ),
        (
            Floor(HPA, Outcome.UNNEEDED, 2, 2, 20, False),
            "minReplicas of HorizontalPodAutoscaler shop is its own: 2",
        ),
    ],
)
def test_a_floor_is_told_in_one_sentence(floor, says):
    assert floor.message == says


def test_who_is_given_way_to_is_told_what_to_do():
    assert "ignore spec.minReplicas" in Floor(HPA, Outcome.YIELDED, 2, 2, 20, True).message
