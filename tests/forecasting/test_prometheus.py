"""Demand from Prometheus: one number, or the reason why there is none."""

import asyncio
import base64
import json
import ssl
from urllib.parse import parse_qs

import httpx
import pytest

from foretide.forecasting.demand import Reading, Unavailable
from foretide.forecasting.prometheus import PrometheusDemand, PrometheusSource

URL = "http://prometheus.example:9090"
SECRET = "s3cr3t-t0ken"


def vector(*series):
    return {"status": "success", "data": {"resultType": "vector", "result": list(series)}}


def data(kind, result):
    return {"status": "success", "data": {"resultType": kind, "result": result}}


@pytest.fixture
def sample(now):
    """A series of a vector, as Prometheus writes it."""
    return lambda value, at=now: {"metric": {}, "value": [at, value]}


@pytest.fixture
def requests():
    """All that was sent."""
    return []


@pytest.fixture
def ask(now, requests):
    """Asks a Prometheus that answers with a status and a body, or fails with an exception."""

    async def run(body=None, status=200, query="sum(rate(x[1m]))", clock=now, **source):
        def answer(request):
            requests.append(request)
            if isinstance(body, Exception):
                raise body
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return httpx.Response(status, content=content)

        source = PrometheusSource(**{"url": URL, **source})
        door = PrometheusDemand(source, transport=httpx.MockTransport(answer))
        try:
            return await door.demand_now(query, now=clock, stale_after=60.0)
        finally:
            await door.aclose()

    return run


@pytest.fixture
def token_file(tmp_path):
    """A file with a secret, ended by a newline as editors do."""
    path = tmp_path / "token"
    path.write_text(SECRET + "\n", encoding="utf-8")
    return path


async def test_the_only_value_of_a_vector_is_the_demand(ask, sample, now):
    assert await ask(vector(sample("12.5"))) == Reading(12.5, now)


async def test_a_scalar_is_a_demand_too(ask, now):
    assert await ask(data("scalar", [now, "7"])) == Reading(7.0, now)


BAD_ANSWERS = {
    "Empty": [vector()],
    "SeveralSeries": [
        vector({"metric": {"a": "1"}, "value": [0, "1"]}, {"metric": {}, "value": [0, "2"]}),
        b"[" + b" " * 300_000 + b"]",
    ],
    "NotAVector": [
        data("matrix", []),
        data("string", [0, "text"]),
        vector({"metric": {}, "histogram": [0, {"count": "1"}]}),
    ],
    "NotPrometheus": [
        b"<html>Log in</html>",
        b"",
        b"\xff\xfe",
        [],
        None,
        {"status": "success"},
        {"data": None},
        {"data": {"resultType": "vector"}},
        data("vector", 7),
        vector({"metric": {}, "value": []}),
        vector({"metric": {}, "value": None}),
        vector({"metric": {}, "value": [0, "many"]}),
        vector(7),
    ],
}


@pytest.mark.parametrize(
    ("reason", "body"),
    [(reason, body) for reason, bodies in BAD_ANSWERS.items() for body in bodies],
)
async def test_an_answer_that_is_not_one_number_is_unavailable(ask, reason, body):
    answer = await ask(body)
    assert isinstance(answer, Unavailable)
    assert answer.reason == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "NotANumber"),
        ("+Inf", "NotANumber"),
        ("-Inf", "NotANumber"),
        ("-1", "NegativeDemand"),
    ],
)
async def test_a_number_that_is_no_demand_is_unavailable(ask, sample, value, reason):
    assert (await ask(vector(sample(value)))).reason == reason


async def test_an_old_sample_is_unavailable(ask, sample, now):
    assert (await ask(vector(sample("1", now - 61)))).reason == "Stale"


@pytest.mark.parametrize(
    ("status", "body", "reason", "part"),
    [
        (400, {"errorType": "bad_data", "error": "parse error at 3"}, "QueryInvalid", "at 3"),
        (422, {"errorType": "bad_data", "error": "bad"}, "QueryInvalid", "bad"),
        (400, b"Bad Request", "QueryInvalid", "HTTP status 400"),
        (414, b"", "QueryInvalid", "HTTP status 414"),
        (401, b"", "Unauthorized", "credentials"),
        (403, {"error": "go away"}, "Unauthorized", "credentials"),
        (422, {"errorType": "execution", "error": "too many samples"}, "QueryFailed", "samples"),
        (500, b"", "QueryFailed", "HTTP status 500"),
        (503, ["odd"], "QueryFailed", "HTTP status 503"),
        (302, b"", "QueryFailed", "HTTP status 302"),
    ],
)
async def test_a_refusal_says_why(ask, status, body, reason, part):
    answer = await ask(body, status)
    assert answer.reason == reason
    assert part in answer.message


async def test_a_long_refusal_becomes_one_short_line(ask):
    answer = await ask({"errorType": "bad_data", "error": "much\n\ttext " * 200}, 400)
    assert len(answer.message) <= 300
    assert "\n" not in answer.message
    assert answer.message.endswith("…")


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (httpx.ReadTimeout("slow"), "no answer within 10 s"),
        (httpx.ConnectTimeout("slow"), "no answer within 10 s"),
        (httpx.ConnectError("Connection refused"), "cannot connect: Connection refused"),
        (httpx.RemoteProtocolError("hung up"), "hung up"),
    ],
)
async def test_a_source_that_cannot_be_reached_is_unavailable(ask, error, part):
    answer = await ask(error)
    assert answer.reason == "Unreachable"
    assert part in answer.message


async def test_a_port_nobody_listens_on_is_unreachable(now):
    door = PrometheusDemand(PrometheusSource("http://127.0.0.1:1"))
    try:
        answer = await door.demand_now("up", now=now, stale_after=60.0)
    finally:
        await door.aclose()
    assert answer.reason == "Unreachable"


async def test_the_query_goes_with_how_far_it_may_look_back(ask, requests, sample):
    query = 'sum(rate(x{a="b"}[1m])) + 1 & 2'
    await ask(vector(sample("1")), query=query, clock=1_700_000_000.25)
    (request,) = requests
    form = {key: value for key, (value,) in parse_qs(request.content.decode()).items()}
    assert (request.method, request.url.path) == ("POST", "/api/v1/query")
    assert form["query"] == query
    assert "time" not in form  # now is what Prometheus takes for it
    assert form["lookback_delta"] == "60s"


async def test_extra_parameters_and_headers_are_sent(ask, requests, sample):
    await ask(vector(sample("1")), params={"dedup": "true"}, headers={"X-Scope-OrgID": "team"})
    (request,) = requests
    assert parse_qs(request.content.decode())["dedup"] == ["true"]
    assert request.headers["X-Scope-OrgID"] == "team"


async def test_extra_parameters_never_replace_the_query(ask, requests, sample):
    await ask(vector(sample("1")), params={"query": "other"}, query="mine")
    assert parse_qs(requests[0].content.decode())["query"] == ["mine"]


async def test_a_path_in_the_address_is_kept(ask, requests, sample):
    await ask(vector(sample("1")), url=URL + "/select/0/prometheus/")
    assert requests[0].url.path == "/select/0/prometheus/api/v1/query"


async def test_a_rotated_bearer_token_is_picked_up(ask, requests, sample, token_file):
    await ask(vector(sample("1")), bearer_token_file=token_file)
    token_file.write_text("rotated", encoding="utf-8")
    await ask(vector(sample("1")), bearer_token_file=token_file)
    sent = [request.headers["Authorization"] for request in requests]
    assert sent == [f"Bearer {SECRET}", "Bearer rotated"]


async def test_the_token_is_read_anew_by_a_door_that_stays_open(now, requests, sample, token_file):
    def answer(request):
        requests.append(request)
        return httpx.Response(200, json=vector(sample("1")))

    source = PrometheusSource(URL, bearer_token_file=token_file)
    door = PrometheusDemand(source, transport=httpx.MockTransport(answer))
    await door.demand_now("up", now=now, stale_after=60.0)
    token_file.write_text("rotated", encoding="utf-8")
    await door.demand_now("up", now=now, stale_after=60.0)
    await door.aclose()
    assert requests[1].headers["Authorization"] == "Bearer rotated"


async def test_a_rotated_password_is_picked_up(ask, requests, sample, token_file):
    source = {"username": "reader", "password_file": token_file}
    await ask(vector(sample("1")), **source)
    token_file.write_text("rotated", encoding="utf-8")
    await ask(vector(sample("1")), **source)
    sent = [
        base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        for request in requests
    ]
    assert sent == [f"reader:{SECRET}", "reader:rotated"]


async def test_a_user_may_have_no_password(ask, requests, sample):
    await ask(vector(sample("1")), username="reader")
    sent = requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"reader:"


@pytest.mark.parametrize(
    "secret", [{"bearer_token_file": None}, {"username": "reader", "password_file": None}]
)
async def test_a_missing_secret_is_named_by_its_file(ask, requests, tmp_path, secret):
    path = tmp_path / "gone"
    source = {key: path if value is None else value for key, value in secret.items()}
    answer = await ask(vector(), **source)
    assert answer.reason == "CredentialsMissing"
    assert str(path) in answer.message
    assert requests == []


@pytest.fixture
async def deaf_server():
    """The address of a server that accepts connections and answers nothing."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", "s3cr3t…".encode(), b"s3cr3t\nt0ken"])
async def test_a_token_that_no_header_can_carry_is_unavailable_and_never_shown(
    now, deaf_server, tmp_path, content
):
    path = tmp_path / "credentials"
    path.write_bytes(content)
    # No double: it is the HTTP library that shows such a header in its error.
    door = PrometheusDemand(PrometheusSource(deaf_server, bearer_token_file=path, timeout=5.0))
    answer = await door.demand_now("up", now=now, stale_after=60.0)
    await door.aclose()
    assert answer == Unavailable("CredentialsMissing", f"cannot read {path}")


async def test_a_password_that_is_not_text_is_unavailable(ask, tmp_path):
    path = tmp_path / "credentials"
    path.write_bytes(b"\xff\xfe\x00")
    answer = await ask(vector(), username="reader", password_file=path)
    assert answer.reason == "CredentialsMissing"


async def test_a_password_may_hold_any_text(ask, sample, tmp_path):
    path = tmp_path / "credentials"
    path.write_text("pässwörd…", encoding="utf-8")
    answer = await ask(vector(sample("1")), username="reader", password_file=path)
    assert isinstance(answer, Reading)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 422, 500])
async def test_no_message_holds_the_secret(ask, status, token_file):
    answer = await ask(b"nonsense", status, bearer_token_file=token_file)
    assert SECRET not in answer.message


async def test_no_message_of_a_broken_connection_holds_the_secret(ask, token_file):
    error = httpx.ConnectError("refused")
    assert SECRET not in (await ask(error, bearer_token_file=token_file)).message


def test_a_source_never_shows_its_secret(token_file):
    source = PrometheusSource(URL, bearer_token_file=token_file, password_file=token_file)
    assert SECRET not in repr(source)


@pytest.fixture
def verified(monkeypatch):
    """The `verify` that each client was made with."""
    seen = []
    real = httpx.AsyncClient.__init__

    def spy(self, *args, **options):
        seen.append(options["verify"])
        real(self, *args, **options)

    monkeypatch.setattr(httpx.AsyncClient, "__init__", spy)
    return seen


@pytest.fixture
def contexts(monkeypatch):
    """The TLS contexts that were built."""
    built = []
    real = ssl.create_default_context

    def spy(*args, **options):
        built.append(real(*args, **options))
        return built[-1]

    monkeypatch.setattr(ssl, "create_default_context", spy)
    return built


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "Https"])
async def test_https_verifies_certificates(verified, contexts, scheme):
    door = PrometheusDemand(PrometheusSource(f"{scheme}://prometheus.example"))
    await door.aclose()
    (verify,) = verified
    assert verify is not False
    (context,) = contexts
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("scheme", ["http", "HTTP", "Http"])
async def test_plain_http_loads_no_certificates(contexts, scheme):
    door = PrometheusDemand(PrometheusSource(f"{scheme}://prometheus.example"))
    await door.aclose()
    assert contexts == []


def test_a_ca_file_that_is_missing_is_an_error_at_once(tmp_path):
    source = PrometheusSource("https://prometheus.example", ca_file=tmp_path / "ca.crt")
    with pytest.raises(OSError, match="No such file"):
        PrometheusDemand(source)
