"""The webhook's server over real TLS, its certificates, and its registration at the API server."""

import base64
import socket
import ssl
import time

import httpx
import pytest

from foretide.operator.cluster import ClusterError
from foretide.operator.profilers import certificates, registration, webhook
from foretide.operator.profilers.admission import Injection
from foretide.operator.profilers.webhook import Webhook
from foretide.operator.profiling_settings import WebhookSettings

DAY = 86_400.0


class ApiServer:
    """Keeps one registration, as the cluster does. `requests` are the changes of it."""

    def __init__(self):
        self.requests = []
        self.annotations, self.hooks = {}, None
        self.fails = False

    async def request(self, method, path, body=None, *, content_type=""):
        if self.fails:
            raise ClusterError("Forbidden", "no right to", 403)
        if method == "GET":
            if self.hooks is None:
                raise ClusterError("NotFound", "no such registration", 404)
            return {"metadata": {"annotations": dict(self.annotations)}, "webhooks": self.hooks}
        if content_type.startswith("application/merge-patch"):
            for key, value in body["metadata"]["annotations"].items():
                self.annotations.pop(key, None)
                self.annotations |= {} if value is None else {key: value}
            return None
        self.requests.append((method, path, body))
        self.hooks = body["webhooks"] if method == "PATCH" else None
        return None

    @property
    def bundle(self):
        return base64.b64decode(self.hooks[0]["clientConfig"]["caBundle"]).decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


port = pytest.fixture(free_port, name="port")
another_port = pytest.fixture(free_port, name="another_port")


@pytest.fixture
def settings(port):
    return WebhookSettings(listen=f"127.0.0.1:{port}", url=f"https://127.0.0.1:{port}")


@pytest.fixture
def api():
    return ApiServer()


@pytest.fixture
def answers():
    return []


@pytest.fixture
async def operator(api, answers, order):
    """Makes webhooks, with settings, a role and a clock that a test may set."""
    injection = Injection(
        profiler="prof",
        namespace="shop",
        selector={"app": "shop"},
        container=None,
        allow_ptrace=False,
        order=order,
        users={"shop:1": "33:33"},
    )
    made = []

    def make(settings, *, leads=True):
        it = Webhook(
            api,
            lambda: it.wanted,
            lambda: [injection],
            answers.append,
            leads=lambda: it.leads,
            clock=lambda: it.now,
        )
        it.wanted, it.now, it.leads = settings, time.time(), leads
        made.append(it)
        return it

    yield make
    for it in made:
        await it.stop()


@pytest.fixture
def served(operator, settings):
    """The leader's."""
    return operator(settings)


@pytest.fixture
def stand_by(operator, another_port):
    """That of an operator that stands by; in a cluster one Service leads to both."""
    url = f"https://127.0.0.1:{another_port}"
    return operator(WebhookSettings(listen=f"127.0.0.1:{another_port}", url=url), leads=False)


async def ask(settings, bundle, document):
    context = ssl.create_default_context(cadata=bundle)
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        return await client.post(f"{settings.url}{registration.PATH}", json=document)


async def test_the_api_server_reaches_it_by_the_authority_that_it_was_told_of(
    served, api, settings, answers, make_pod
):
    await served.look()
    review = {"request": {"uid": "u", "namespace": "shop", "object": make_pod()}}
    done = await ask(settings, api.bundle, review)
    assert done.json()["response"]["patchType"] == "JSONPatch"
    assert [(it.namespace, it.profiler) for it in answers] == [("shop", "prof")]
    refused = await ask(settings, api.bundle, {"request": {}})
    assert refused.status_code == 400


async def test_it_asks_for_new_pods_of_labelled_namespaces_and_never_stands_in_their_way(
    served, api
):
    await served.look()
    method, path, document = api.requests[-1]
    (hook,) = document["webhooks"]
    assert (method, path.partition("?")[0]) == ("PATCH", f"{webhook._ROOT}/foretide-profiling")
    assert hook["failurePolicy"] == "Ignore"
    assert hook["timeoutSeconds"] <= 2
    assert hook["namespaceSelector"]["matchLabels"] == {"foretide.dev/profiling": "enabled"}
    assert hook["rules"][0]["resources"] == ["pods"]
    assert hook["rules"][0]["operations"] == ["CREATE"]


async def test_certificates_are_made_anew_long_before_they_run_out(served, api):
    await served.look()
    first = api.bundle
    served.now += 59 * DAY
    await served.look()
    assert api.bundle == first
    served.now += 2 * DAY
    await served.look()
    assert api.bundle != first
    assert first in api.bundle  # whoever still asks with the old one is let in


async def test_what_somebody_has_taken_away_is_put_back(served, api):
    await served.look()
    await served.look()
    assert len(api.requests) == 1
    served.now += 301
    await served.look()
    assert len(api.requests) == 2


async def test_without_settings_it_is_withdrawn(served, api):
    await served.look()
    served.wanted = None
    await served.look()
    await served.look()
    assert [it[0] for it in api.requests] == ["PATCH", "DELETE"]


async def test_what_was_never_registered_is_not_deleted(served, api):
    served.wanted = None
    await served.look()
    assert api.requests == []


async def test_a_registration_that_fails_is_tried_again(served, api):
    api.fails = True
    with pytest.raises(ClusterError):
        await served.look()
    api.fails = False
    await served.look()
    assert len(api.requests) == 1


def test_through_a_service_it_is_called_by_the_services_name():
    settings = WebhookSettings(service="foretide/webhook")
    assert registration.host_of(settings) == "webhook.foretide.svc"
    hook = registration.registration("n", settings, "CA", ["shop"])["webhooks"][0]
    assert hook["clientConfig"]["service"] == {
        "namespace": "foretide",
        "name": "webhook",
        "path": registration.PATH,
        "port": 443,
    }
    assert hook["namespaceSelector"]["matchExpressions"][0]["values"] == ["shop"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"service": "a/b", "url": "https://x"},
        {"url": "http://x"},
        {"service": "nowhere"},
        {"url": "https://x", "listen": "9443"},
    ],
)
def test_settings_that_lead_nowhere_are_refused(fields):
    with pytest.raises(ValueError, match="validation error"):
        WebhookSettings.model_validate(fields)


def test_a_certificate_is_for_one_host():
    made = certificates.make("a.b.svc", 0.0)
    assert not made.is_due("a.b.svc", 59 * DAY)
    assert made.is_due("c.b.svc", 0.0)


async def test_one_that_stands_by_answers_by_the_same_registration(
    served, stand_by, api, answers, make_pod
):
    await stand_by.look()
    assert (api.requests, api.annotations) == ([], {})  # there is none: the leader makes it
    await served.look()
    await stand_by.look()
    await served.look()
    assert len(api.requests) == 2
    review = {"request": {"uid": "u", "namespace": "shop", "object": make_pod()}}
    for one in (served, stand_by):
        done = await ask(one.wanted, api.bundle, review)
        assert done.json()["response"]["patchType"] == "JSONPatch"
    for one in (served, stand_by, served):
        await one.look()
    assert len(api.requests) == 2


async def test_who_takes_over_is_let_in_from_the_first_moment(served, stand_by, api):
    for one in (served, stand_by, served, stand_by):
        await one.look()
    before = api.bundle
    stand_by.leads, served.leads = True, False
    await stand_by.look()
    assert sorted(before.split("-----BEGIN")) == sorted(api.bundle.split("-----BEGIN"))


async def test_one_that_stands_by_withdraws_nothing(served, stand_by, api):
    for one in (served, stand_by):
        await one.look()
        one.wanted = None
    await stand_by.look()
    assert api.hooks
    await served.look()
    assert api.hooks is None


async def test_what_is_no_authority_or_has_run_out_is_not_told_to_the_api_server(served, api):
    await served.look()
    old = certificates.make("a.b.svc", served.now - 91 * DAY).authority
    api.annotations |= {registration.key_of(old): old, registration.key_of("x"): "no PEM"}
    served.now += 301
    await served.look()
    await served.look()
    assert "no PEM" not in api.bundle
    assert old not in api.bundle
    assert list(api.annotations) == [registration.key_of(served._authorities[0])]


def test_only_so_many_authorities_are_let_in_the_newest():
    made = [certificates.make("a.b.svc", DAY * it).authority for it in range(22)]
    assert registration.sound(made, 0.0) == made[:1:-1]
