"""Profiles pushed over HTTP, to a server that takes what Pyroscope's documentation says, and what
its own ingest handler does where the documentation is silent.
"""

import base64
import re
from collections import Counter

import httpx
import pytest
from aiohttp import web

from foretide.operator.profilers import folding
from foretide.operator.profilers.bundles import Bundles
from foretide.operator.profilers.pyroscope import PyroscopePush, PyroscopeSender
from foretide.operator.pyroscope_settings import PyroscopeSettings
from foretide.operator.settings import ConfigurationError, parse
from foretide.profiling.profile import Entry, Profile, Unit, merge
from foretide.profiling.window import Frame, ThreadState
from foretide.store.errors import StoreUnavailable

SECRET = "s3cr3t-of-pyroscope"
NAME = re.compile(r"([A-Za-z0-9_./-]+)\.(cpu|wall)\{([^{}]*)\}")
LABEL = re.compile(r"([A-Za-z0-9_.]+)=([^,{}]*)")


class Pyroscope:
    """`POST /ingest` with folded stacks; what is wrong is answered as Pyroscope does."""

    def __init__(self):
        self.status = 200
        self.pushed = []
        self.headers = []

    async def ingest(self, request):
        body = await request.read()
        self.headers.append(request.headers)
        if self.status != 200:
            return web.Response(status=self.status, text=SECRET)
        query = request.query
        named = NAME.fullmatch(query["name"])
        if named is None:
            return web.Response(status=400, text="invalid name")
        if not (query["sampleRate"].isdecimal() and query["format"] == "folded"):
            return web.Response(status=400)  # a rate that is no whole number becomes 100 there
        labels = dict(LABEL.fullmatch(pair).groups() for pair in named[3].split(",") if pair)
        period = 1_000_000_000 // int(query["sampleRate"])
        stacks = Counter()
        for line in body.decode().splitlines():
            assert len(line.encode()) < 64 * 1024  # the rest would be lost without an error
            stack, _, count = line.rpartition(" ")
            stacks[tuple(stack.split(";"))] += int(count) * period / 1e9
        times = int(query["from"]), int(query["until"])
        self.pushed.append((named[1], named[2], labels, times, dict(stacks)))
        return web.Response()


@pytest.fixture
def pyroscope():
    return Pyroscope()


@pytest.fixture
async def url(pyroscope):
    application = web.Application()
    application.router.add_post("/ingest", pyroscope.ingest)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def bundle(target, window):
    def make(*windows, **changes):
        bundles = Bundles()
        for one in windows or (window(),):
            bundles.add(target(**changes), one)
        (made,) = bundles.close_due(0.0, everything=True)
        return made

    return make


@pytest.fixture
async def sender(url, clock):
    sender = PyroscopeSender(lambda: PyroscopeSettings(url=url), clock=clock)
    yield sender
    await sender.aclose()


async def test_cpu_and_wall_arrive_in_seconds_with_their_labels(
    sender, pyroscope, bundle, window, noon
):
    await sender.add([bundle(window(cpu=4.0), window(noon + 10, cpu=2.0))])
    await sender.flush()
    found = {kind: rest for _, kind, *rest in pyroscope.pushed}
    stack = ("main (/app/shop.py)", "work (/app/shop.py)")
    labels, times, stacks = found["cpu"]
    assert stacks[stack] == pytest.approx(6.0, abs=1e-5)
    assert times == (noon, noon + 20)
    own = {"namespace": "web", "pod": "shop-a", "container": "app", "version": "sha256:1"}
    assert labels == own
    assert sum(found["wall"][2].values()) == pytest.approx(20.0, abs=1e-4)
    assert {name for name, *_ in pyroscope.pushed} == {"web/deployment/shop"}
    assert sender.state().reason == "Reachable"


async def test_a_workload_with_a_dot_in_its_name_is_not_taken_for_a_type(sender, pyroscope, bundle):
    await sender.add([bundle(workload="deployment/shop.v2")])
    await sender.flush()
    names = {(name, kind) for name, kind, *_ in pyroscope.pushed}
    assert names == {("web/deployment/shop.v2", "cpu"), ("web/deployment/shop.v2", "wall")}


async def test_nothing_that_a_user_named_breaks_the_protocol(sender, pyroscope, bundle, window):
    hostile = window(functions=("a;b", "c\nd 7", "e{}=,", "ü", ""))
    labels = {"app.kubernetes.io/name": "x,y={z}", "__name__": "other"}
    await sender.add([bundle(hostile, workload="deployment/ü {x}", labels=labels)])
    await sender.flush()
    name, _, found, _, stacks = pyroscope.pushed[0]
    assert name == "web/deployment/---x-"
    assert found["app_kubernetes_io_name"] == "x_y__z_"
    assert "__name__" not in found
    (stack,) = stacks
    assert len(stack) == 5
    assert sender.state().refused == 0


def profile(frames, cpu=1.0, unit=Unit.SECONDS):
    """One stack, root first."""
    return Profile(
        entries=(Entry(0, 0, ThreadState.RUNNING, cpu, cpu, 20.0),),
        frames=tuple(frames),
        stacks=(tuple(range(len(frames))),),
        threads=("MainThread",),
        unit=unit,
        started_at=100.0,
        ended_at=110.0,
    )


def test_a_line_that_would_be_too_long_keeps_what_runs(target):
    deep = profile([Frame(f"f{number}", "/a" * 100, 1) for number in range(900)])
    line = folding.requests_of(target(), deep)[0].body.decode()
    assert len(line.encode()) < 64 * 1024
    assert line.startswith("(cut off);")
    assert line.rsplit(" ", 1)[0].endswith(f";f899 ({'/a' * 100})")
    wide = profile([Frame("x" * 70_000, "", 1)])
    assert folding.requests_of(target(), wide)[0].body == b"(cut off) 1000000\n"


def test_what_has_no_seconds_is_not_pushed(target):
    assert folding.requests_of(target(), profile([Frame("f", "", 1)], unit=Unit.SAMPLES)) == []
    assert folding.requests_of(target(), profile([Frame("f", "", 1)], cpu=0.0)) == []


def test_stacks_that_read_the_same_are_added_up(target, window):
    found = merge([window(cpu=1.0), window(cpu=2.0)])
    body = folding.requests_of(target(), found)[0].body.decode()
    assert body == "main (/app/shop.py);work (/app/shop.py) 3000000\n"


@pytest.mark.parametrize(
    ("status", "reason"), [(503, "NotTaken"), (429, "NotTaken"), (401, "Unauthorized")]
)
async def test_a_pyroscope_that_takes_nothing_is_tried_again(
    sender, pyroscope, bundle, clock, status, reason, caplog
):
    pyroscope.status = status
    await sender.add([bundle()])
    await sender.flush()
    await sender.flush()
    assert len(pyroscope.headers) == 1
    assert (sender.state().reason, sender.state().waiting) == (reason, 2)
    pyroscope.status = 200
    clock.now += 16
    await sender.flush()
    assert len(pyroscope.pushed) == 2
    assert sender.state().reason == "Reachable"
    assert SECRET not in caplog.text


async def test_what_it_refuses_is_dropped_and_told(sender, pyroscope, bundle, caplog):
    pyroscope.status = 422
    await sender.add([bundle()])
    await sender.flush()
    assert (sender.state().reason, sender.state().refused) == ("Refused", 2)
    assert "HTTP status 422" in caplog.text
    assert SECRET not in caplog.text


async def test_what_waits_for_too_long_is_dropped(sender, pyroscope, bundle, clock):
    pyroscope.status = 503
    await sender.add([bundle()])
    clock.now += 901
    await sender.flush()
    assert (sender.state().waiting, sender.state().dropped) == (0, 2)


async def test_one_that_is_not_there_is_told(bundle, clock):
    sender = PyroscopeSender(lambda: PyroscopeSettings(url="http://127.0.0.1:1"), clock=clock)
    await sender.add([bundle()])
    await sender.flush()
    assert sender.state().reason == "Unreachable"
    assert "cannot reach Pyroscope" in sender.state().message
    await sender.aclose()


async def test_without_one_nothing_waits(bundle, clock):
    sender = PyroscopeSender(lambda: None, clock=clock)
    await sender.add([bundle()])
    await sender.flush()
    assert (sender.state().reason, sender.state().waiting) == ("NotConfigured", 0)


async def test_credentials_come_from_files_at_each_use(url, pyroscope, tmp_path, clock, bundle):
    token = tmp_path / "token"
    token.write_text("first\n")
    settings = PyroscopeSettings(url=url, bearer_token_file=token, tenant="shop")
    sender = PyroscopeSender(lambda: settings, clock=clock)
    await sender.add([bundle()])
    await sender.flush()
    token.write_text("second")
    await sender.add([bundle()])
    await sender.flush()
    sent = [headers["Authorization"] for headers in pyroscope.headers]
    assert sent == ["Bearer first"] * 2 + ["Bearer second"] * 2
    assert pyroscope.headers[0]["X-Scope-OrgID"] == "shop"
    token.unlink()
    await sender.add([bundle()])
    await sender.flush()
    assert sender.state().reason == "CredentialsMissing"
    assert str(token) in sender.state().message
    await sender.aclose()


async def test_a_user_and_a_password_are_sent(url, pyroscope, tmp_path, target, window):
    (tmp_path / "password").write_text(SECRET)
    auth = {"username": "foretide", "password_file": tmp_path / "password"}
    push = PyroscopePush(PyroscopeSettings(url=url, basic_auth=auth))
    (request, *_) = folding.requests_of(target(), merge([window()]))
    assert await push.send(request)
    sent = pyroscope.headers[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == f"foretide:{SECRET}"
    await push.aclose()


async def test_a_redirect_is_not_followed_with_the_credentials(target, window):
    transport = httpx.MockTransport(
        lambda request: httpx.Response(302, headers={"Location": "http://elsewhere"})
    )
    push = PyroscopePush(PyroscopeSettings(url="http://proxy"), transport=transport)
    (request, *_) = folding.requests_of(target(), merge([window()]))
    with pytest.raises(StoreUnavailable, match="HTTP status 302"):
        await push.send(request)
    await push.aclose()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{url: ftp://x}", "must start with http"),
        (f"{{url: 'http://u:{SECRET}@x'}}", "must hold no credentials"),
        ("{url: http://x, tenant: 'a b'}", "tenant has letters"),
        ("{url: http://x, timeout: 0s}", "timeout"),
        (
            "{url: http://x, bearerTokenFile: a, basicAuth: {username: u, passwordFile: b}}",
            "not both",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(text, said):
    with pytest.raises(ConfigurationError, match=said) as found:
        parse(f"pyroscope: {text}")
    assert SECRET not in str(found.value)
