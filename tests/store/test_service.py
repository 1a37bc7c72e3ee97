"""The HTTP API, over a real socket, with the real clients."""

import asyncio
import contextlib
import gzip
import json
import logging
import math
import os

import httpx
import numpy as np
import pytest
from aiohttp import web

from foretide.forecasting.series import Series
from foretide.operator.rollups import RollupSender
from foretide.operator.store_settings import StoreSettings
from foretide.operator.stored_demand import StoredDemand
from foretide.store import wire
from foretide.store.client import StoreAddress, StoreClient, SyncStoreClient
from foretide.store.errors import StoreRefused, StoreUnavailable
from foretide.store.memory import MemoryRollups
from foretide.store.rollups import STEP, Columns, Rollup
from foretide.store.service import Service, Token

TOKEN = "correct-horse-battery"
DAY = 86_400


class Broken(MemoryRollups):
    """A store whose database is away, or worse."""

    error = StoreUnavailable("DiskFull", "the store's disk is full: enlarge its volume")

    async def write(self, batch):
        raise self.error

    async def ping(self):
        raise self.error


@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


@pytest.fixture
async def serve(token_file):
    """Serves roll-ups on a free port; returns the URL."""
    runners = []

    async def start(rollups, ping=None):
        async def fine():
            pass

        service = Service(rollups, Token(token_file), ping or fine)
        runner = web.AppRunner(service.application(), access_log=None)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def url(serve, now):
    return await serve(MemoryRollups(clock=lambda: now))


@pytest.fixture
async def client(url, token_file):
    client = StoreClient(StoreAddress(url, token_file))
    yield client
    await client.aclose()


@pytest.fixture
async def http(url):
    """Plain HTTP, with the token. To load certificates all the same would take the most time."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(verify=False, base_url=url, headers=headers) as http:
        yield http


@pytest.fixture
def block(now):
    """A series in a request."""

    def make(**changes):
        start = int(now) - STEP
        return {
            **{"namespace": "web", "name": "shop", "metric": "requests", "fingerprint": "0"},
            **{"start": [start], "samples": [20], "mean": [5], "max": [10], "last": [None]},
            **changes,
        }

    return make


async def test_the_client_does_what_the_store_itself_does(client, key, columns, now):
    batch = {key(): columns(10, 20, 30), key("cart"): columns(5)}
    assert await client.write(batch) == (4, 4)
    assert await client.write(batch) == (4, 0)
    assert list(await client.read(key(), now - DAY, now)) == list(columns(10, 20, 30))
    assert list(await client.read(key("nobody"), now - DAY, now)) == []
    found = await client.series("web")
    assert [(info.key, info.first) for info in found] == [
        (key("cart"), now - STEP),
        (key(), now - 3 * STEP),
    ]
    assert await client.delete("web", "shop") == 1
    assert [info.key for info in await client.series()] == [key("cart")]


async def test_what_is_not_known_stays_unknown_over_http(client, key, now):
    gap = [
        Rollup(int(now) - 5 * STEP, 1, math.nan, 2.0, math.nan),
        Rollup(int(now) - STEP, 20, 1.0, 3.0, 0.0),
    ]
    await client.write({key(): Columns.of(gap)})
    assert repr(list(await client.read(key(), 0, now))) == repr(gap)
    (_, last) = await client.read(key(), 0, now, peaks_only=True)
    assert last.max == 3.0
    assert math.isnan(last.mean)


@pytest.mark.slow
async def test_years_are_read_in_parts(client, key, now):
    days = [
        Rollup(int(now) - place * DAY, 20, 1.0, float(place), 1.0) for place in range(1000, 0, -1)
    ]
    await client.write({key(): Columns.of(days)})
    assert list(await client.read(key(), now - 1000 * DAY, now)) == days
    assert list(await client.read(key(), 0, now)) == days


async def test_large_batches_are_written_in_parts(client, key, columns, now, monkeypatch):
    monkeypatch.setattr(wire, "LARGEST_BATCH", 10)
    written = {key(): columns(*range(1, 26)), key("cart"): columns(1), key("x"): columns(1, 2, 3)}
    assert await client.write(written) == (29, 29)
    for one, expected in written.items():
        assert list(await client.read(one, now - DAY, now)) == list(expected)


async def test_the_client_for_worker_processes_does_the_same(url, token_file, key, columns, now):
    def work():
        with SyncStoreClient(StoreAddress(url, token_file)) as client:
            written = client.write({key(): columns(10, 20)})
            return written, client.read(key(), now - DAY, now)

    written, found = await asyncio.to_thread(work)
    assert written == (2, 2)
    assert list(found) == list(columns(10, 20))


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", f"bearer {TOKEN}", f"Basic {TOKEN}", TOKEN, "Bearer nonsense"],
)
async def test_without_the_token_nothing_is_told(url, block, header):
    headers = {} if header is None else {"Authorization": header}
    async with httpx.AsyncClient(verify=False, base_url=url, headers=headers) as http:
        for method, path in (
            ("GET", "/v1/series"),
            ("POST", "/v1/rollups"),
            ("DELETE", "/v1/series?namespace=web&name=shop"),
            ("GET", "/v1/nothing"),
            ("GET", "/"),
        ):
            answer = await http.request(method, path, json={"series": [block()]})
            assert answer.status_code == 401
            assert answer.json()["error"]["reason"] == "Unauthorized"
            assert TOKEN not in answer.text


async def test_a_token_that_is_replaced_counts_at_once(
    client, url, token_file, key, columns, tmp_path
):
    token_file.write_text("another-and-longer-token")
    assert await client.write({key(): columns(1)}) == (1, 1)
    old = tmp_path / "old"
    old.write_text(TOKEN)
    other = StoreClient(StoreAddress(url, old))
    with pytest.raises(StoreUnavailable, match="refuses the token") as found:
        await other.series()
    assert found.value.reason == "Unauthorized"
    await other.aclose()


async def test_a_token_that_cannot_be_read_locks_everybody_out(http, url, token_file):
    token_file.write_text("short")
    answer = await http.get("/v1/series")
    assert answer.status_code == 503
    assert "shorter than 16 characters" in answer.json()["error"]["message"]
    token_file.unlink()
    for path in ("/v1/series", "/readyz"):
        answer = await http.get(path)
        assert answer.json()["error"]["reason"] == "TokenMissing"
    assert (await http.get("/healthz")).status_code == 200


async def test_a_write_can_be_made_by_hand(http, block, now):
    answer = await http.post("/v1/rollups", json={"series": [block()]})
    assert (answer.status_code, answer.json()) == (200, {"received": 1, "changed": 1})
    where = {"namespace": "web", "name": "shop", "metric": "requests", "fingerprint": "0"}
    answer = await http.get("/v1/rollups", params={**where, "start": now - DAY, "end": now})
    assert answer.json() == {
        "start": now - STEP,
        "step": 300,
        "samples": [20],
        "max": [10],
        "mean": [5],
        "last": [None],
    }


async def test_bodies_may_be_compressed(http, block):
    body = gzip.compress(json.dumps({"series": [block()]}).encode())
    answer = await http.post("/v1/rollups", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.json() == {"received": 1, "changed": 1}


def nothing(block):
    return b""


def half(block):
    return json.dumps({"series": [block()]}).encode()[:-5]


BAD = {
    "no JSON": (nothing, "Malformed", "JSON"),
    "half a body": (half, "Malformed", "JSON"),
    "a list": (lambda block: [block()], "Malformed", "body"),
    "unknown field": (lambda block: {"series": [block(color=1)]}, "Malformed", "series.0.color"),
    "text": (lambda block: {"series": [block(max=["10"])]}, "Malformed", "series.0.max.0"),
    "true": (lambda block: {"series": [block(samples=[True])]}, "Malformed", "series.0.samples.0"),
    "null": (lambda block: {"series": [block(max=[None])]}, "Malformed", "series.0.max.0"),
    "NaN": (lambda block: {"series": [block(max=[math.nan])]}, "Malformed", "finite number"),
    "infinite": (lambda block: {"series": [block(mean=[math.inf])]}, "Malformed", "finite number"),
    "negative": (lambda block: {"series": [block(max=[-1])]}, "BadValue", "max is -1"),
    "lengths": (lambda block: {"series": [block(max=[1, 2])]}, "Malformed", "differ in length"),
    "twice": (lambda block: {"series": [block(), block()]}, "Malformed", "there twice"),
    "no name": (lambda block: {"series": [block(name="")]}, "Malformed", "series.0.name"),
    "long name": (lambda block: {"series": [block(name="x" * 300)]}, "Malformed", "series.0.name"),
    "milliseconds": (
        lambda block: {"series": [block(start=[1_790_000_000_000])]},
        "BadTime",
        "looks like milliseconds",
    ),
    "fraction": (lambda block: {"series": [block(start=[1.5])]}, "Malformed", "series.0.start.0"),
    "future": (lambda block: {"series": [block(start=[1_890_000_000])]}, "InFuture", "clocks"),
    "huge number": (
        lambda block: {"series": [block(start=[10**30])]},
        "BadTime",
        "looks like milliseconds",
    ),
}


@pytest.mark.parametrize(("make", "reason", "said"), BAD.values(), ids=BAD)
async def test_a_bad_batch_is_refused_with_what_is_wrong_and_changes_nothing(
    http, block, make, reason, said
):
    body = make(block)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await http.post("/v1/rollups", content=content)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["reason"] == reason
    assert said in error["message"]
    assert (await http.get("/v1/series")).json() == {"series": []}


async def test_of_many_mistakes_the_first_are_told(http, block):
    answer = await http.post("/v1/rollups", json={"series": [block(max=["x"] * 5000)]})
    message = answer.json()["error"]["message"]
    assert "and 4997 more" in message
    assert len(message) < 1000


async def test_a_batch_that_is_too_large_is_refused_with_the_limit(http, block):
    many = 50_001
    columns = {name: [1] * many for name in ("samples", "mean", "max", "last")}
    start = [1_600_000_200 + place * STEP for place in range(many)]
    answer = await http.post("/v1/rollups", json={"series": [block(start=start, **columns)]})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "TooLarge")
    answer = await http.post("/v1/rollups", content=b" " * (16 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "TooLarge")
    assert "50000 roll-ups" in answer.json()["error"]["message"]


async def test_a_bomb_of_compressed_blanks_is_refused(http):
    body = gzip.compress(b" " * (20 * 1024 * 1024))
    answer = await http.post("/v1/rollups", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"namespace": ""}, "the parameter namespace is missing"),
        ({"fingerprint": ""}, "the parameter fingerprint is missing"),
        ({"start": "yesterday"}, "start is not a number"),
        ({"end": "nan"}, "finite"),
        ({"end": "1790000000000"}, "milliseconds"),
        ({"start": "0"}, "read 400 days at once at most"),
        ({"columns": "min"}, "columns is max, or left out"),
    ],
)
async def test_a_bad_question_is_refused_with_what_is_wrong(http, now, params, said):
    good = {"namespace": "a", "name": "b", "metric": "c", "fingerprint": "0"}
    good |= {"start": str(now - DAY), "end": str(now)}
    answer = await http.get("/v1/rollups", params={**good, **params})
    assert answer.status_code in (400, 413)
    assert said in answer.json()["error"]["message"]


async def test_a_deletion_names_its_resource(http, block):
    await http.post("/v1/rollups", json={"series": [block()]})
    answer = await http.delete("/v1/series", params={"namespace": "web"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "Malformed")
    answer = await http.delete("/v1/series", params={"namespace": "web", "name": "shop"})
    assert answer.json() == {"deleted": 1}


async def test_what_there_is_not_is_said_as_json(http):
    for method, path, status in (("GET", "/v2", 404), ("PUT", "/v1/rollups", 405)):
        answer = await http.request(method, path)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]


async def test_trouble_of_the_database_reaches_the_client_as_such(
    serve, token_file, key, columns, caplog
):
    broken = Broken()
    url = await serve(broken, broken.ping)
    client = StoreClient(StoreAddress(url, token_file))
    with pytest.raises(StoreUnavailable, match="disk is full") as found:
        await client.write({key(): columns(1)})
    assert found.value.reason == "DiskFull"
    assert "disk is full" in caplog.text
    async with httpx.AsyncClient(verify=False, base_url=url) as http:
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert (await http.get("/healthz")).text == "ok\n"
    await client.aclose()


async def test_a_mistake_of_ours_is_no_end_and_tells_no_secret(serve, token_file, key, columns):
    broken = Broken()
    broken.error = ZeroDivisionError("secret")
    client = StoreClient(StoreAddress(await serve(broken), token_file))
    logging.getLogger("foretide.store.service").disabled = True
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, logging.getLogger("foretide.store.service"), "disabled", False)
        with pytest.raises(StoreUnavailable, match="its log says why"):
            await client.write({key(): columns(1)})
    assert await client.series() == []
    await client.aclose()


async def test_metrics_need_no_token_and_count(http, url, block):
    await http.post("/v1/rollups", json={"series": [block()]})
    await http.request("PROPFIND", "/v1/rollups")
    async with httpx.AsyncClient(verify=False, base_url=url) as anybody:
        text = (await anybody.get("/metrics")).text
    assert 'foretide_store_requests_total{method="POST",status="200"} 1' in text
    assert 'foretide_store_requests_total{method="other",status="405"} 1' in text
    assert "foretide_store_rollups_received_total{} 1" in text
    assert "PROPFIND" not in text


class Strange:
    """Answers of something that is not the store."""

    def __init__(self, status, content):
        self._status, self._content = status, content

    def client(self, token_file):
        transport = httpx.MockTransport(
            lambda request: httpx.Response(self._status, content=self._content)
        )
        return StoreClient(StoreAddress("http://proxy", token_file), transport=transport)


@pytest.mark.parametrize(
    ("status", "content", "reason"),
    [
        (200, b"<html>Log in</html>", "NotTheStore"),
        (200, b'{"series": 7}', "NotTheStore"),
        (404, b"default backend - 404", "NotTheStore"),
        (502, b"Bad Gateway", "NotTheStore"),
        (302, b"", "NotTheStore"),
        (200, b'{"series": [' + b" " * 65 * 1024 * 1024, "NotTheStore"),
        (401, b"", "Unauthorized"),
        (403, b"", "Unauthorized"),
        (503, b'{"error": {"reason": "DiskFull", "message": "full"}}', "DiskFull"),
    ],
)
async def test_an_answer_that_is_not_the_stores_is_no_crash(token_file, status, content, reason):
    client = Strange(status, content).client(token_file)
    with pytest.raises(StoreUnavailable) as found:
        await client.series()
    assert found.value.reason == reason
    await client.aclose()


async def test_columns_that_do_not_fit_together_are_not_the_stores(token_file, key, now):
    body = b'{"start": 0, "step": 300, "samples": [1, 1], "max": [1]}'
    client = Strange(200, body).client(token_file)
    with pytest.raises(StoreUnavailable, match="not one of the store's"):
        await client.read(key(), now - DAY, now)
    await client.aclose()


async def test_a_refusal_is_told_apart_from_trouble(token_file):
    body = b'{"error": {"reason": "BadValue", "message": "max is -1"}}'
    client = Strange(400, body).client(token_file)
    with pytest.raises(StoreRefused, match="max is -1") as found:
        await client.series()
    assert found.value.reason == "BadValue"
    await client.aclose()


async def test_a_store_that_is_away_is_unreachable(token_file, key, columns):
    address = StoreAddress("http://127.0.0.1:1", token_file)
    client = StoreClient(address)
    with pytest.raises(StoreUnavailable, match="cannot reach the store") as found:
        await client.series()
    assert found.value.reason == "Unreachable"
    await client.aclose()
    with SyncStoreClient(address) as sync, pytest.raises(StoreUnavailable, match="cannot reach"):
        sync.write({key(): columns(1)})


async def test_a_store_that_does_not_answer_is_given_up(token_file):
    async def wait(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = StoreClient(StoreAddress(f"http://127.0.0.1:{port}", token_file, timeout=0.05))
    with pytest.raises(StoreUnavailable, match="does not answer in time"):
        await client.series()
    await client.aclose()
    server.close()


@pytest.mark.parametrize("content", [None, b"", b"\n", b"t\xc3\xb6ken", b"\xff", b"two\nlines"])
async def test_a_token_that_no_header_can_carry_is_said_without_it(tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    client = StoreClient(StoreAddress("http://127.0.0.1:1", file))
    with pytest.raises(StoreUnavailable) as found:
        await client.series()
    assert found.value.message == f"cannot read a token from {file}"
    await client.aclose()


def test_a_ca_that_cannot_be_read_is_said_with_its_name(token_file, tmp_path):
    for name in ("nowhere.pem", "empty.pem"):
        (tmp_path / "empty.pem").touch()
        with pytest.raises(StoreUnavailable, match=os.fspath(name)):
            StoreClient(StoreAddress("https://store", token_file, tmp_path / name))


async def test_what_the_operator_collects_comes_back_to_its_workers(url, token_file, key, now):
    settings = StoreSettings(url=url, token_file=token_file)
    sender = RollupSender(lambda: settings, clock=lambda: now)
    for place in range(40):
        sender.observe(key(), now - 600 + place * 15, float(place))
    await sender.aclose()
    assert sender.state().reason == "Reachable"
    workers = StoredDemand(settings.address)
    found = await asyncio.to_thread(workers.history, key(), now - DAY, now)
    assert (found.start, found.values.tolist()) == (now - 600, [19.0, 39.0])
    older = Series(now - 1_200, 60.0, np.arange(20.0))
    assert await asyncio.to_thread(workers.record, key(), older) == (4, 2)
    found = await asyncio.to_thread(workers.history, key(), now - DAY, now)
    assert found.values.tolist() == [4.0, 9.0, 19.0, 39.0]
