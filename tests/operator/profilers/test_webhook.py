"""The webhook's server over real TLS, its certificates, and its registration at the API server."""

import base64
import socket
import ssl
import time

import httpx
import pytest

from foretide.operator.cluster import ClusterError
from foretide.operator.profilers import certificates, webhook
from foretide.operator.profilers.admission import Injection
from foretide.operator.profilers.webhook import Webhook
from foretide.operator.profiling_settings import WebhookSettings

DAY = 86_400.0


class ApiServer:
    """Takes registrations, as the cluster does."""

    def __init__(self):
        self.requests = []
        self.fails = False

    async def request(self, method, path, body=None, *, content_type=""):
        if self.fails:
            raise ClusterError("Forbidden", "no right to", 403)
        self.requests.append((method, path, body))

    @property
    def bundle(self):
        client = self.requests[-1][2]["webhooks"][0]["clientConfig"]
        return base64.b64decode(client["caBundle"]).decode()


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
async def served(api, settings, answers, order):
    """The webhook, with settings and a clock that a test may set."""
    injection = Injection(
        profiler="prof",
        namespace="shop",
        selector={"app": "shop"},
        container=None,
        allow_ptrace=False,
        order=order,
        users={"shop:1": "33:33"},
    )
    it = Webhook(api, lambda: it.wanted, lambda: [injection], answers.append, clock=lambda: it.now)
    it.wanted, it.now = settings, 1_800_000_000.0
    yield it
    await it.stop()


async def ask(settings, bundle, document):
    context = ssl.create_default_context(cadata=bundle)
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        return await client.post(f"{settings.url}{webhook.PATH}", json=document)


async def test_the_api_server_reaches_it_by_the_authority_that_it_was_told_of(
    served, api, settings, answers, make_pod
):
    served.now = time.time()
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
    assert api.bundle.endswith(first)  # whoever still asks with the old one is let in


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
    assert webhook.host_of(settings) == "webhook.foretide.svc"
    hook = webhook.registration("n", settings, "CA", ["shop"])["webhooks"][0]
    assert hook["clientConfig"]["service"] == {
        "namespace": "foretide",
        "name": "webhook",
        "path": webhook.PATH,
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
