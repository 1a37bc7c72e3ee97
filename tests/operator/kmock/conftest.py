"""The whole operator in the test's own process, against kmock instead of a cluster.

Real: kopf, the handlers, the fleet, the reconciler, the official Kubernetes client and HTTP.
Doubles stand at our own doors only: demand (`demand`), fitting (`fitter`) and the clock (`clock`).
Ticks come when a test asks for them, so that nothing here waits for time to pass.
"""

import asyncio
import contextlib
import datetime
import itertools
import ssl
import time

import aiohttp.web
import attrs
import kmock
import kopf
import kubernetes
import pytest
import urllib3
import yaml

from foretide.forecasting.demand import Reading, Unavailable, Undecided, ZeroKnowledge
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.worker import NOT_WANTED, FitReport
from foretide.operator.assembly import assemble
from foretide.operator.cluster import KubernetesCluster
from foretide.operator.fleet import Fleet
from foretide.operator.forecasts import Forecasts
from foretide.operator.handlers import build_registry, post_event
from foretide.operator.reconcile import Reconciler
from foretide.operator.resource_metrics import MemoryResourceMetrics
from foretide.operator.rollups import RollupSender
from foretide.operator.settings import SettingsHolder, parse
from foretide.operator.sources import Sources
from foretide.operator.telemetry import Telemetry
from foretide.store.errors import StoreRefused, StoreUnavailable
from foretide.store.memory import MemoryRollups

NAMESPACE = "default"
SCALERS = "foretide.dev/v1alpha1/predictivescalers"
HPAS = "autoscaling/v2/horizontalpodautoscalers"
SCALED_OBJECTS = "keda.sh/v1alpha1/scaledobjects"
WATCHED = {
    SCALERS: "PredictiveScaler",
    HPAS: "HorizontalPodAutoscaler",
    "apiextensions.k8s.io/v1/customresourcedefinitions": "CustomResourceDefinition",
    "v1/namespaces": "Namespace",
    "v1/configmaps": "ConfigMap",
    "v1/events": "Event",
    "v1/pods": "Pod",
    "apps/v1/deployments": "Deployment",
    "apps/v1/daemonsets": "DaemonSet",
    "coordination.k8s.io/v1/leases": "Lease",
}
VERBS = {"create", "delete", "get", "list", "patch", "update", "watch"}
NOON = datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.UTC).timestamp()


class Remembering(kmock.RawHandler):
    """Kmock holds each request against the filters of all its answers, which takes longer than to
    answer. Here these are kmock's own, and go by the action or by the path.
    """

    __slots__ = ()
    chosen = {}

    async def _handle(self, request):
        of_objects = request.resource is not None and request.resource.plural is not None
        kind = request.method, request.action if of_objects else request.url.path
        if kind not in self.chosen:
            # The first one is the last resort.
            places = (*range(1, len(self._payloads)), 0)
            found = (place for place in places if request in self._payloads[place]._source)
            self.chosen[kind] = next(found)
        return await self._payloads[self.chosen[kind]](request)


class ApiServer(kmock.KubernetesEmulator, Remembering):
    """Kmock's emulator with what it lacks and Foretide relies on.

    Versions and generations of objects, the scale subresource, label selectors, PUT, generated
    names. A function in `interventions` sees each request first and may answer it.
    """

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.versions = itertools.count(1)
        self.record = []
        self.interventions = []
        for resource, kind in WATCHED.items():
            self.declare(resource, kind)
        self.resources["apps/v1/deployments"].subresources.add("scale")

    def declare(self, resource, kind):
        self.resources[resource] = {"kind": kind, "namespaced": True, "verbs": VERBS}

    def find(self, resource, name, namespace=NAMESPACE):
        """The object as a plain dict, None when there is none."""
        key = (kmock.resource(resource), namespace, name)
        if key not in self.objects or self.objects[key].deleted:
            return None
        return self.objects[key].raw

    def all(self, resource):
        wanted = kmock.resource(resource)
        return [obj.raw for (res, _, _), obj in self.objects.items() if res == wanted and obj]

    async def break_watch(self, resource):
        """End all watches of a resource the way an API server does that has forgotten too much."""
        gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "metadata": {}}}
        await self._buses[kmock.resource(resource)].put(gone)

    async def _handle(self, request):
        # Kmock looks for a request among all earlier ones, for each answer that it might give.
        self.record.append(request)
        try:
            return await self._answer(request)
        finally:
            self._requests.remove(request)

    async def _answer(self, request):
        for intervene in list(self.interventions):
            answer = await intervene(request)
            if answer is not None:
                return answer
        if request.subresource == "scale":
            return await self._scale(request)
        if request.action == kmock.action.LIST and "labelSelector" in request.params:
            return self._select(request)
        if request.method in (kmock.method.POST, kmock.method.PATCH, kmock.method.PUT):
            return await self._write(request)
        return await super()._handle(request)

    async def _write(self, request, **changes):
        """Let kmock carry out a request that is not quite the one that came."""
        if request.method == kmock.method.PUT:
            changes["action"] = kmock.action.UPDATE
        altered = attrs.evolve(request, **changes)
        altered = attrs.evolve(altered, data=self._stamp(altered))
        # Kmock answers only what it has on record.
        place = self._requests.index(request)
        self._requests[place] = altered
        try:
            return await super()._handle(altered)
        finally:
            self._requests[place] = request

    def _stamp(self, request):
        """The body with the metadata that an API server would put there."""
        data = dict(request.data)
        meta = {**data.get("metadata", {}), "resourceVersion": str(next(self.versions))}
        if request.action == kmock.action.CREATE:
            number = meta["resourceVersion"]
            if "generateName" in meta:
                meta["name"] = f"{meta['generateName']}{number}"
            meta = {"uid": f"uid-{number}", "generation": 1, **meta}
            meta.setdefault("creationTimestamp", f"2026-03-01T00:00:{int(number) % 60:02d}Z")
        elif "spec" in data and request.subresource is None:
            before = self.objects[request.resource, request.namespace, request.name]
            meta["generation"] = before["metadata"]["generation"] + 1
        return {**data, "metadata": meta}

    async def _scale(self, request):
        resource = request.resource
        before = self.find(resource, request.name, request.namespace)
        if before is None:
            raise kmock.KubernetesObjectNotFoundError()
        if request.method == kmock.method.PATCH:
            version = request.data["metadata"]["resourceVersion"]
            if version != before["metadata"]["resourceVersion"]:
                raise kmock.KubernetesError(409, "Conflict", "the object has been modified")
            change = {"spec": {"replicas": request.data["spec"]["replicas"]}}
            await self._write(request, subresource=None, data=change)
        after = self.find(resource, request.name, request.namespace)
        return aiohttp.web.json_response(
            {
                "apiVersion": "autoscaling/v1",
                "kind": "Scale",
                "metadata": after["metadata"],
                "spec": {"replicas": after["spec"]["replicas"]},
                "status": {"selector": f"app={request.name}"},
            }
        )

    def _select(self, request):
        labels = dict(pair.split("=") for pair in request.params["labelSelector"].split(","))
        items = [
            obj
            for obj in self.all(request.resource)
            if obj["metadata"]["namespace"] == request.namespace
            and labels.items() <= obj["metadata"].get("labels", {}).items()
        ]
        return aiohttp.web.json_response({"metadata": {}, "items": items})

    async def _serve_watch(self, request):
        # Kmock's own takes its mark after the first objects are sent, and so misses what changes
        # meanwhile.
        bus = self._buses[request.resource]
        mark = await bus.mark()
        yield b""
        for obj in self.all(request.resource):
            yield {"type": "ADDED", "object": obj}
        async for event in bus.stream(since=mark):
            yield event


class Cluster:
    """What a user, or a controller of Kubernetes, does with the cluster."""

    def __init__(self, api):
        self.api = api

    async def create(self, resource, name, body=None, **meta):
        group, _, plural = resource.rpartition("/")
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        info = self.api.resources[resource]
        data = {
            "apiVersion": group,
            "kind": info.kind,
            "metadata": {"name": name, "namespace": NAMESPACE, **meta},
            **(body or {}),
        }
        await self._send("post", f"{root}/namespaces/{NAMESPACE}/{plural}", json=data)

    async def edit(self, resource, name, change):
        await self._send("patch", self._path(resource, name), json=change)

    async def delete(self, resource, name):
        await self._send("delete", self._path(resource, name))

    async def deployment(self, name="shop", *, replicas=2):
        spec = {"replicas": replicas}
        await self.create("apps/v1/deployments", name, {"spec": spec})

    async def scale(self, replicas, name="shop"):
        """Somebody else changes the replicas."""
        await self.edit("apps/v1/deployments", name, {"spec": {"replicas": replicas}})

    async def scaler(self, name="shop", *, target="shop", mode="Auto", meta=None, **spec):
        """A PredictiveScaler: 100 a replica, or 50 while there is no forecast.

        It goes by the forecast of the hours ahead; engine Auto makes it go by the coming maximum.
        """
        hourly = {"engine": "Prophet", "refitEvery": "1h", "horizon": "6h"}
        spec = {
            "scaleTargetRef": {"kind": "Deployment", "name": target},
            "minReplicas": 1,
            "maxReplicas": 20,
            "metrics": [{"query": "demand", "perReplica": 100, "targetUtilization": 0.5}],
            **({"mode": mode} if mode else {}),
            **spec,
            "forecast": {**hourly, **spec.get("forecast", {})},
        }
        await self.create(SCALERS, name, {"spec": spec}, **(meta or {}))

    async def edit_scaler(self, name="shop", **spec):
        await self.edit(SCALERS, name, {"spec": spec})

    async def started_pod(self, name, *, created, seconds, app="shop"):
        """A pod that was created at a time (Unix seconds) and became ready so much later."""
        moments = [
            datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for at in (created, created + 1, created + seconds)
        ]
        status = {
            "startTime": moments[1],
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": moments[1]},
                {"type": "Ready", "status": "True", "lastTransitionTime": moments[2]},
            ],
        }
        meta = {"labels": {"app": app}, "creationTimestamp": moments[0]}
        await self.create("v1/pods", name, {"status": status}, **meta)

    async def pod(self, name, *, app="shop", deleting=False, **conditions):
        """A pod; conditions by type, as status or (status, reason)."""
        pairs = {
            kind: value if isinstance(value, tuple) else (value, "")
            for kind, value in conditions.items()
        }
        status = {
            "conditions": [
                {"type": kind, "status": status, "reason": reason}
                for kind, (status, reason) in pairs.items()
            ]
        }
        meta = {"deletionTimestamp": "2026-03-02T11:59:00Z"} if deleting else {}
        await self.create("v1/pods", name, {"status": status}, labels={"app": app}, **meta)

    async def hpa(self, name="shop-hpa", *, target="shop", minimum=2, maximum=15):
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
        spec = {"scaleTargetRef": reference, "minReplicas": minimum, "maxReplicas": maximum}
        await self.create(HPAS, name, {"spec": spec})

    def minimum(self, name="shop-hpa"):
        """The minimum of an HPA."""
        return self.api.find(HPAS, name)["spec"]["minReplicas"]

    def replicas(self, name="shop"):
        return self.api.find("apps/v1/deployments", name)["spec"]["replicas"]

    def resource(self, name="shop"):
        return self.api.find(SCALERS, name)

    def status(self, name="shop"):
        return (self.resource(name) or {}).get("status") or {}

    def source(self, name="shop"):
        """Which signal the decision in status comes from."""
        return (self.status(name).get("decision") or {}).get("source")

    def condition(self, kind, name="shop"):
        """A condition's status and reason."""
        for condition in self.status(name).get("conditions") or ():
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        return None

    def message(self, kind, name="shop"):
        found = [c for c in self.status(name).get("conditions") or () if c["type"] == kind]
        return found[0]["message"] if found else None

    def metric(self, position=0, name="shop"):
        """What the decision in status says of a metric."""
        return self.status(name)["decision"]["metrics"][position]

    def events(self, reason):
        """Messages of the Kubernetes Events of that reason."""
        return [
            event["message"] for event in self.api.all("v1/events") if event["reason"] == reason
        ]

    def writes(self, ending=""):
        """The operator's own writes so far, to paths with that ending."""
        return [
            request
            for request in self.api.record
            if request.headers.get("User-Agent") == "foretide"
            and request.method != kmock.method.GET
            and request.url.path.endswith(ending)
        ]

    def intervene(self, method, ending, *actions):
        """Let each action in turn answer, or precede, one request to a path with that ending.

        An action is a status to refuse with, or a coroutine function that does something first.
        """
        left = list(actions)

        async def intervention(request):
            by_us = request.headers.get("User-Agent") == "foretide"
            matches = request.method == method and request.url.path.endswith(ending)
            if not (by_us and matches and left):
                return None
            action = left.pop(0)
            if callable(action):
                return await action()
            return aiohttp.web.json_response({"message": f"refused with {action}"}, status=action)

        self.api.interventions.append(intervention)
        return left

    async def _send(self, method, path, **kwargs):
        async with self.api.request(method, path, **kwargs) as response:
            assert response.status < 300, await response.text()

    @staticmethod
    def _path(resource, name):
        group, _, plural = resource.rpartition("/")
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        return f"{root}/namespaces/{NAMESPACE}/{plural}/{name}"


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds


class Demand:
    """A metric source that answers what it is told to: a number, or a refusal, by query."""

    def __init__(self):
        self.answer = 100.0
        self.answers = {}

    def lose(self, reason="Unreachable", message="nobody answers"):
        self.answer = Unavailable(reason, message)

    async def demand_now(self, query, *, now, stale_after):
        answer = self.answers.get(query, self.answer)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Unavailable) else Reading(float(answer), now)


class Fitter:
    """A fitter that answers at once, unless it is told to take its time (`gate`)."""

    def __init__(self):
        self.requests = []
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._result = Undecided("TooLittleHistory", "needs 2 days of history, has 5 h")
        self._models, self._changes = [], {}

    def refuse(self, reason, message="no"):
        self._result = Undecided(reason, message)

    def foresee(self, upper, *, median=None, valid_for=6 * 3600.0, zero_hours=()):
        """From now on forecast `upper` for six hours, in steps of five minutes.

        With a median there is a lower band, too, at half of it.
        """
        self._result = (upper, upper if median is None else median, valid_for, zero_hours)

    def look_ahead(self, *answers, **changes):
        """From now on answer with these models of the coming maximum, the last one for ever."""
        self._models, self._changes = list(answers), changes

    async def fit(self, ask, *, first=False):
        request = ask()
        self.requests.append(request)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        horizon = self._horizon(request)
        if self._models:
            model = self._models.pop(0) if len(self._models) > 1 else self._models[0]
            model = model(request) if callable(model) else model
        elif isinstance(horizon, Undecided):
            model = horizon
        else:
            model = NOT_WANTED
        zeros = horizon.zeros if isinstance(horizon, Forecast) else ZeroKnowledge()
        changes = {"zeros": zeros, "cpu_seconds": 0.5, **self._changes}
        return FitReport(horizon, 0.1, 1.0, lookahead=model, **changes)

    def _horizon(self, request):
        if isinstance(self._result, Undecided):
            return self._result
        upper, median, valid_for, zero_hours = self._result
        return Forecast(
            model="test",
            start=request.now - 300,
            step=300.0,
            upper=(float(upper),) * 73,
            median=(float(median),) * 73,
            quantile=request.quantile,
            fitted_at=request.now,
            valid_until=request.now + valid_for,
            history_seconds=14 * 86_400.0,
            history_points=4_032,
            lower=() if median == upper else (float(median) / 2,) * 73,
            zeros=ZeroKnowledge(frozenset(zero_hours)),
        )


class Store(MemoryRollups):
    """The store in memory; `away` makes it unreachable, `refuses` turns roll-ups down."""

    away = False
    refuses = False

    async def write(self, batch):
        if self.away:
            raise StoreUnavailable("Unreachable", "cannot reach the store")
        if self.refuses:
            raise StoreRefused("BadValue", "no such demand")
        return await super().write(batch)

    async def aclose(self):
        pass


class CountingReconciler(Reconciler):
    """Tells a test which ticks have begun and ended."""

    begun, ended, names = {}, {}, {}

    async def tick(self, scaler):
        self.names[scaler.uid] = scaler.name
        self.begun[scaler.uid] = self.begun.get(scaler.uid, 0) + 1
        try:
            await super().tick(scaler)
        finally:
            self.ended[scaler.uid] = self.ended.get(scaler.uid, 0) + 1


class PlainConnection(kopf.ConnectionInfo):
    """Kopf loads the system's certificates even for HTTP, which takes longer than most tests."""

    def as_ssl_context(self):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Everything:
    def __contains__(self, thing):
        return True


class Operator:
    """An operator as `run.py` puts it together, with the doubles in place."""

    def __init__(self, api, demand, fitter, clock, resources, rollups, **settings):
        self.document = {
            "sources": {"default": {"url": "http://prometheus.example"}},
            "syncPeriod": "10m",
            **settings,
        }
        self.settings = SettingsHolder(parse(yaml.safe_dump(self.document)))
        self.telemetry = Telemetry()
        self.leads = True
        self.fleet = Fleet()
        self.forecasts = Forecasts(fitter, on_report=self.telemetry.observe_fit)
        self._url = str(api.url).rstrip("/")
        configuration = kubernetes.client.Configuration(host=self._url)
        configuration.retries = urllib3.Retry(total=0)
        self._client = kubernetes.client.ApiClient(configuration)
        self.cluster = KubernetesCluster(self._client, threads=2)
        self.reconciler = assemble(
            CountingReconciler,
            fleet=self.fleet,
            cluster=self.cluster,
            sources=Sources(self.settings, connect=lambda source: demand),
            forecasts=self.forecasts,
            settings=self.settings,
            telemetry=self.telemetry,
            rollups=RollupSender(
                lambda: self.settings.current.store, connect=lambda it: rollups, clock=clock
            ),
            resources=resources,
            post_event=post_event,
            may_write=lambda: self.leads,
            clock=clock,
        )
        for counted in (CountingReconciler.begun, CountingReconciler.ended):
            counted.clear()
        registry = build_registry(self.fleet)
        kopf.on.login(registry=registry)(self._login)
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._task = asyncio.create_task(self._run(registry))

    async def _run(self, registry):
        # As `kopf.operator()` does, which takes all tasks younger than itself for its own, though:
        # it would end by cancelling the test and the API server.
        tasks = await kopf.spawn_tasks(
            registry=registry,
            standalone=True,
            clusterwide=True,
            ready_flag=self._ready,
            stop_flag=self._stop,
        )
        await kopf.run_tasks(tasks, ignored=Everything())

    def _login(self, **_):
        return PlainConnection(server=self._url)

    async def ready(self):
        await asyncio.wait_for(self._ready.wait(), 5)
        return self

    async def stop(self):
        self._stop.set()
        await asyncio.wait_for(self._task, 5)
        self.cluster.close()
        self._client.rest_client.pool_manager.clear()

    def configure(self, **settings):
        """Put another configuration in force, as a change of the file does."""
        self.document.update(settings)
        if self.settings.offer(yaml.safe_dump(self.document), origin="the test"):
            self.fleet.wake_all()

    async def tick(self, times=1):
        """Have every resource decided on anew, that often, from the start of a tick to its end."""
        begun, ended = CountingReconciler.begun, CountingReconciler.ended
        for _ in range(times):
            due = {uid: begun.get(uid, 0) + 1 for uid in self.uids()}
            self.fleet.wake_all()
            deadline = time.monotonic() + 30
            while any(ended.get(uid, 0) < due.get(uid, 0) for uid in self.uids()):
                assert time.monotonic() < deadline, "ticks have stopped"
                await asyncio.sleep(0.002)

    async def until(self, condition, timeout=30.0):
        """Tick until the condition holds, and let ticks under way come to their end."""
        deadline = time.monotonic() + timeout
        while not (answer := condition()):
            assert time.monotonic() < deadline, f"not within {timeout:g} s"
            await self.tick()
            await asyncio.sleep(0.005)
        counts = CountingReconciler
        while any(counts.ended.get(uid, 0) < counts.begun.get(uid, 0) for uid in self.uids()):
            assert time.monotonic() < deadline, f"a tick took more than {timeout:g} s"
            await asyncio.sleep(0.002)
        return answer

    def ticks(self, name):
        """How many ticks of the resource have begun."""
        return sum(
            begun
            for uid, begun in CountingReconciler.begun.items()
            if CountingReconciler.names[uid] == name
        )

    def uids(self):
        return list(self.fleet._members)

    def figure(self, source, name="shop"):
        """Replicas by the last tick; status is only written when there is news."""
        labels = {"namespace": NAMESPACE, "name": name, "source": source}
        return self.sample("foretide_replicas", **labels)

    def sample(self, metric, /, **labels):
        """The value of one of the operator's own metrics."""
        return self.telemetry.registry.get_sample_value(metric, labels)


@pytest.fixture
def serve_api():
    """Serves an API server in the current event loop, for as long as one is in the context."""

    @contextlib.asynccontextmanager
    async def serve():
        async with ApiServer() as api, kmock.Server(api):
            yield Cluster(api)

    return serve


@pytest.fixture
async def api(serve_api):
    async with serve_api() as cluster:
        yield cluster.api


@pytest.fixture
def cluster(api):
    return Cluster(api)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def demand():
    return Demand()


@pytest.fixture
async def fitter():
    return Fitter()


@pytest.fixture
def resources():
    """What pods use, by namespace and selector."""
    return MemoryResourceMetrics()


@pytest.fixture
def store(clock):
    """The store, where the configuration names one."""
    return Store(clock=clock)


@pytest.fixture
async def start(api, demand, fitter, clock, resources, store):
    """Starts an operator; all that are left at the end of the test are stopped."""
    started = []

    async def start(**options):
        started.append(Operator(api, demand, fitter, clock, resources, store, **options))
        return await started[-1].ready()

    yield start
    for operator in started:
        if not operator._task.done():
            await operator.stop()


@pytest.fixture
async def operator(start):
    return await start()
