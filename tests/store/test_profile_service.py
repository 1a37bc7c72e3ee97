"""Profiles over HTTP, over a real socket, with the real client."""

import base64
import dataclasses

import httpx
import pytest
from aiohttp import web

from foretide.store import profile_client
from foretide.store.client import StoreAddress
from foretide.store.errors import StoreRefused, StoreUnavailable
from foretide.store.memory import MemoryRollups
from foretide.store.profile_client import ProfileClient, split
from foretide.store.profile_memory import MemoryProfiles
from foretide.store.profiles import LARGEST_PROFILE, LARGEST_PUT, Deleted, Kind, ProfileQuery, every
from foretide.store.service import Service, Token

TOKEN = "correct-horse-battery"
SHOP = ProfileQuery(namespace="web", workload="deployment/shop")


@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file


@pytest.fixture
async def url(token_file, now):
    """A store with profiles in memory, two to a page."""

    async def fine():
        pass

    profiles = MemoryProfiles(clock=lambda: now, page=2)
    service = Service(MemoryRollups(), Token(token_file), fine, profiles=profiles)
    runner = web.AppRunner(service.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def client(url, token_file):
    client = ProfileClient(StoreAddress(url, token_file))
    yield client
    await client.aclose()


@pytest.fixture
async def http(url):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(verify=False, base_url=url, headers=headers) as http:
        yield http


@pytest.fixture
def message(now):
    """A profile in a request."""

    def make(**changes):
        named = {"namespace": "web", "workload": "deployment/shop", "container": "app"}
        timed = {"kind": "raw", "start": now - 70, "end": now - 60}
        data = {"content_type": "application/x-test", "data": base64.b64encode(b"x").decode()}
        return {**named, **timed, **data, **changes}

    return make


async def test_the_client_does_what_the_store_itself_does(client, profile, now):
    batch = [profile(process=str(place), data=bytes([place, 255])) for place in range(5)]
    batch[0] = dataclasses.replace(batch[0], kind=Kind.MERGED, windows=7)
    assert await client.put(batch) == (5, 5)
    assert await client.put(batch) == (5, 0)
    found = [kept async for kept in every(client, SHOP, data=True)]
    assert [kept.data for kept in found] == [one.data for one in batch]
    assert (found[0].target, found[0].windows) == (batch[0].target, 7)
    assert await client.get(found[1].id) == found[1]
    assert await client.get(999) is None
    listed = [kept async for kept in every(client, SHOP)]
    assert listed == [dataclasses.replace(kept, data=None) for kept in found]
    merged = dataclasses.replace(SHOP, kind=Kind.MERGED)
    assert [kept.id async for kept in every(client, merged)] == [found[0].id]
    summary = await client.workloads("web")
    assert [(one.kind, one.profiles, one.size) for one in summary] == [
        (Kind.MERGED, 1, 2),
        (Kind.RAW, 4, 8),
    ]
    assert await client.workloads("nowhere") == []
    assert await client.delete(merged) == Deleted(1, 2)
    assert (await client.delete(SHOP)).profiles == 4
    assert [kept async for kept in every(client, SHOP)] == []


async def test_times_go_over_to_the_millisecond(client, profile, now):
    one = dataclasses.replace(profile(), start=now - 70.1234, end=now - 60.4567)
    await client.put([one])
    (found,) = (await client.find(SHOP)).profiles
    assert (found.start, found.end) == (round(now - 70.1234, 3), round(now - 60.4567, 3))


async def test_nobody_gets_in_without_the_token(url):
    async with httpx.AsyncClient(verify=False, base_url=url) as http:
        for method, path in (
            ("GET", "/v1/profiles"),
            ("POST", "/v1/profiles"),
            ("DELETE", "/v1/profiles?namespace=web&workload=deployment/shop"),
            ("GET", "/v1/profiles/1"),
            ("GET", "/v1/workloads"),
        ):
            assert (await http.request(method, path)).status_code == 401


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"namespace": ""}, "BadKey", "1 to 253 printable"),
        ({"pod": "a\nb"}, "BadKey", "printable"),
        ({"process": "x" * 254}, "BadKey", "as many or none"),
        ({"labels": {"a b": "c"}}, "BadLabel", "a label's name"),
        ({"labels": {str(n): "" for n in range(40)}}, "BadLabel", "40 labels; 32 at most"),
        ({"kind": "rolled"}, "Malformed", "kind is raw or merged"),
        ({"start": 70.0}, "BadTime", "not after the year 2000"),
        ({"start": 1.79e12, "end": 1.79e12 + 1}, "BadTime", "looks like milliseconds"),
        ({"end": 1_790_000_030.0}, "BadTime", "it lasts 0.000 s"),
        ({"end": 1_790_099_000.0}, "BadTime", "a day at most"),
        (
            {"start": 1_790_000_990.0, "end": 1_790_001_000.0},
            "InFuture",
            "900 s ahead; are the clocks right?",
        ),
        ({"data": ""}, "BadValue", "it is empty"),
        ({"data": "no base64!"}, "Malformed", "not base64"),
        ({"windows": 0}, "BadValue", "windows is 0"),
        ({"content_type": "text/html\r\nX: y"}, "BadValue", "no media type"),
        ({"start": None}, "Malformed", "profiles.0.start"),
        ({"colour": "red"}, "Malformed", "profiles.0.colour"),
    ],
)
async def test_what_no_correct_sender_sends_is_refused_and_named(
    http, message, changes, reason, said
):
    answer = await http.post("/v1/profiles", json={"profiles": [message(**changes)]})
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"] == reason
    assert said in answer.json()["error"]["message"]


async def test_too_many_or_too_large_is_refused(http, message):
    answer = await http.post("/v1/profiles", json={"profiles": [message()] * (LARGEST_PUT + 1)})
    assert answer.status_code == 413
    assert "send 1000 at once at most" in answer.json()["error"]["message"]
    large = base64.b64encode(bytes(LARGEST_PROFILE + 1)).decode()
    answer = await http.post("/v1/profiles", json={"profiles": [message(data=large)]})
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"] == "ProfileTooLarge"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/profiles?kind=rolled", "kind is raw or merged"),
        ("/v1/profiles?start=yesterday", "start is not a number"),
        ("/v1/profiles?end=1790000100000", "looks like milliseconds"),
        ("/v1/profiles?data=yes", "data is true or false"),
        ("/v1/profiles?workloads=x", "there is no parameter 'workloads'"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(http, path, said):
    answer = await http.get(path)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize("query", ["", "?namespace=web", "?workload=deployment/shop"])
async def test_a_deletion_must_say_of_what(http, message, query):
    await http.post("/v1/profiles", json={"profiles": [message()]})
    answer = await http.delete(f"/v1/profiles{query}")
    assert answer.status_code == 400
    assert len((await http.get("/v1/profiles")).json()["profiles"]) == 1


async def test_a_number_that_no_database_holds_is_not_found(http):
    assert (await http.get("/v1/profiles/7")).status_code == 404
    assert (await http.get("/v1/profiles/" + "9" * 40)).status_code == 404


async def test_what_came_is_counted(http, message):
    await http.post("/v1/profiles", json={"profiles": [message(), message()]})
    text = (await http.get("/metrics")).text
    assert "foretide_store_profiles_received_total{} 2" in text
    assert "foretide_store_profiles_changed_total{} 1" in text
    assert "foretide_store_profile_bytes_received_total{} 2" in text


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Log in</html>",
        b'{"profiles": 7, "after": null}',
        b'{"profiles": [{"namespace": "web"}], "after": null}',
    ],
)
async def test_an_answer_that_is_not_the_stores_is_no_crash(token_file, body):
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    client = ProfileClient(StoreAddress("http://proxy", token_file), transport=transport)
    for ask in (client.find(SHOP), client.get(1), client.workloads()):
        with pytest.raises(StoreUnavailable, match="not one of the store's"):
            await ask
    await client.aclose()


async def test_pages_that_do_not_end_are_noticed(token_file):
    body = b'{"profiles": [], "after": "7-7"}'
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    client = ProfileClient(StoreAddress("http://proxy", token_file), transport=transport)
    with pytest.raises(StoreUnavailable, match="again and again"):
        [kept async for kept in every(client, SHOP)]
    await client.aclose()


async def test_a_store_without_profiles_says_so(token_file):
    body = b'{"error": {"reason": "NotFound", "message": "Not Found"}}'
    transport = httpx.MockTransport(lambda request: httpx.Response(404, content=body))
    client = ProfileClient(StoreAddress("http://older", token_file), transport=transport)
    with pytest.raises(StoreRefused) as found:
        await client.get(1)
    assert found.value.reason == "NotFound"
    await client.aclose()


def test_what_a_request_does_not_hold_goes_in_several(profile):
    large = [profile(data=bytes(LARGEST_PROFILE)) for _ in range(3)]
    assert [len(part) for part in split(large)] == [1, 1, 1]
    small = [profile()] * (LARGEST_PUT + 1)
    assert [len(part) for part in split(small)] == [LARGEST_PUT, 1]
    assert list(split([])) == []
    room = profile_client.LARGEST_REQUEST
    mixed = [profile(data=bytes(size)) for size in (8_000_000, 3_000_000, 2_000_000, 10)]
    for part in split(mixed):
        assert sum(len(one.data) * 4 / 3 for one in part) < room


@pytest.mark.slow
async def test_the_largest_profile_goes_over(client, profile):
    one = profile(data=bytes(LARGEST_PROFILE))
    assert await client.put([one, one]) == (2, 1)
    (found,) = (await client.find(SHOP, data=True)).profiles
    assert found.size == LARGEST_PROFILE
