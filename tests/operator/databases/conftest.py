"""A real PostgreSQL that listens, what an API server keeps, and a DatabaseAdvisor that ticks."""

import asyncio
import base64
import contextlib
import json
import time
import uuid

import psycopg
import pytest

from foretide.operator.cluster import ClusterError
from foretide.operator.databases.applying import Applier
from foretide.operator.databases.archive import ReportKeeper
from foretide.operator.databases.consulting import Answer
from foretide.operator.databases.member import Member
from foretide.operator.databases.reconcile import AdvisorReconciler
from foretide.operator.databases.targets import resolved
from foretide.operator.databases.watching import Watch
from foretide.operator.settings import SettingsHolder, parse
from foretide.operator.telemetry import Telemetry
from foretide.store.errors import StoreUnavailable
from foretide.store.report_memory import MemoryReports
from sandbox.errors import SandboxError
from sandbox.orders import PASSWORD, SETTINGS, Orders
from sandbox.postgres import running
from sandbox.postgres_binaries import debian


@pytest.fixture(scope="session")
def server():
    try:
        programs = debian()
    except SandboxError as missing:
        pytest.skip(str(missing))
    with running(programs, SETTINGS, listening=True) as it:
        with psycopg.connect(it.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE prepared")
        with psycopg.connect(it.url("prepared"), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            connection.execute("CREATE EXTENSION hypopg")
        yield it


@pytest.fixture
def shop(server):
    """A fresh database of its own."""
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE prepared")
    try:
        yield Orders(server, name)
    finally:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Api:
    """The API server's part that keeps Secrets, and the resources' status."""

    def __init__(self):
        self.secrets, self.status = {}, {}
        self.patches, self.away, self.gone, self.forbidden = [], False, False, False
        self.deaf = False

    def keep(self, name, data):
        self.secrets[name] = {
            key: base64.b64encode(value.encode()).decode() for key, value in data.items()
        }

    async def request(self, method, path, body=None, *, content_type=""):
        if self.away:
            raise ClusterError("ApiUnreachable", "no answer from the API server")
        if "/secrets/" in path:
            return self._secret(path.rpartition("/")[2])
        if self.gone:
            raise ClusterError("NotFound", "no such databaseadvisor", 404)
        if self.deaf:
            raise ClusterError("InternalError", "etcdserver: request timed out", 500)
        assert (method, path.rpartition("/")[2]) == ("PATCH", "status")
        self.patches.append(body["status"])
        _merge(self.status, body["status"])
        return {}

    def _secret(self, name):
        if self.forbidden:
            raise ClusterError("Forbidden", "secrets is forbidden", 403)
        if name not in self.secrets:
            raise ClusterError("NotFound", f"secrets {name!r} not found", 404)
        return {"data": self.secrets[name]}

    def condition(self, kind):
        for it in self.status.get("conditions", []):
            if it["type"] == kind:
                return it["status"], it["reason"], it["message"]
        return None


def _merge(there, patch):
    for key, value in patch.items():
        if value is None:
            there.pop(key, None)
        elif isinstance(value, dict):
            there[key] = there.get(key) or {}
            _merge(there[key], value)
        else:
            there[key] = value


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def password():
    return PASSWORD


@pytest.fixture
def holding(server):
    """Holds a lock on a table of a database for as long as the block runs."""

    @contextlib.contextmanager
    def hold(shop, statement):
        with psycopg.connect(server.url(shop.name)) as connection:
            connection.execute(statement)
            yield connection.info.backend_pid

    return hold


INDEX = {"name": "orders_customer", "table": "public.orders", "size": "1Mi", "statements": ["C"]}
PARTS = {
    "advice": {"at": "2027-01-15T08:00:00Z", "size": "1Mi", "budget": "16Mi", "savedPercent": "90"},
    "counts": {"indexes": 1},
    "indexes": [{**INDEX, "verified": True}],
}


class Store(MemoryReports):
    """A store that may be away."""

    away = False

    async def put(self, report):
        if self.away:
            raise StoreUnavailable("Unreachable", "no answer from the store")
        return await super().put(report)

    async def aclose(self):
        pass


class World:
    """A DatabaseAdvisor, its database, and what a test does with them."""

    def __init__(self, api):
        self.api, self.events, self.asked = api, [], []
        self.now, self.leads = time.time(), True
        self.holder = SettingsHolder(parse(""))
        self.telemetry = Telemetry()
        self.answer = PARTS
        self.watches, self.chosen, self.closer = [], (), ()
        self.store = Store(clock=lambda: self.now)
        self.reconciler = AdvisorReconciler(
            cluster=api,
            settings=self.holder,
            telemetry=self.telemetry,
            announce=lambda body, **event: self.events.append(event),
            may_write=lambda: self.leads,
            think=self.think,
            consult=self.consult,
            resolve=resolved,
            applier=Applier(
                self.holder, lambda: self.leads, resolved, lambda uid: None, lambda: self.now
            ),
            keeper=ReportKeeper(lambda: self.holder.current.store, connect=lambda _: self.store),
            wake=lambda uid: None,
            look_closer=lambda look: (look(1.0), look(2.0)),
            clock=lambda: self.now,
        )
        self.member = None

    async def think(self, size, work, question):
        return work(question)

    def consult(self, question):
        self.asked.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Answer(dict(self.answer), b"{}", self.chosen, 1e9, self.closer)

    def watch(self):
        self.watches.append(Watch(looks=2, pause=0.0, clock=lambda: self.now))
        return self.watches[-1]

    def allow(self, *rules, **settings):
        text = json.dumps({"databases": {"allowed": list(rules)}, **settings})
        assert self.holder.offer(text, origin="test")

    def advisor(self, status=None, generation=1, **spec):
        spec = {"connection": {"secretRef": {"name": "shop"}}, **spec}
        meta = {"uid": "u", "namespace": "shop", "name": "shop", "generation": generation}
        body = {"metadata": meta, "spec": spec, "status": status or {}}
        if self.member is None:
            self.member = Member.from_body(body, self.watch)
        else:
            self.member.update(body)
        return self.member

    def restart(self, **changes):
        """Another operator finds the resource as status says, with these `changes`."""
        spec, status = self.member.body["spec"], {**self.api.status, **changes}
        self.member.rest()
        self.member = None
        return self.advisor(json.loads(json.dumps(status)), **spec)

    async def tick(self, seconds=60.0):
        self.now += seconds
        delay = await self.reconciler.tick(self.member)
        await asyncio.sleep(0)
        for work in (self.member.consulting, self.member.acting, self.member.closer):
            if work is not None:
                await asyncio.wait([work])
        return delay

    def reasons(self):
        return [event["reason"] for event in self.events]


@pytest.fixture
async def world(api, shop):
    it = World(api)
    api.keep("shop", shop.secret)
    it.allow(shop.rule)
    yield it
    if it.member is not None:
        it.member.rest()
