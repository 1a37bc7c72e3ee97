"""Prometheus behind TLS and authentication, as administrators have it."""

import base64
import ssl
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sandbox.pki import Authority

TOKEN = "canary-token-1f3a"
PASSWORD = "canary-password-9c2e"


class Proxy(BaseHTTPRequestHandler):
    """Passes on to the sandbox's Prometheus what carries the right credentials."""

    def do_POST(self):
        self._pass_on(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def do_GET(self):
        self._pass_on(None)

    def _pass_on(self, body):
        if self.headers.get("Authorization") not in self.server.accepted:
            self._answer(401, b"who are you?")
            return
        request = urllib.request.Request(self.server.upstream + self.path, data=body)
        with urllib.request.urlopen(request, timeout=20) as answer:
            self._answer(answer.status, answer.read())

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def secured(sandbox, tmp_path):
    """A TLS server of its own CA in front of Prometheus, and the settings that it wants."""
    Authority(tmp_path).issue_server("prometheus")
    certificate = tmp_path / "ca.crt"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.upstream = sandbox.prometheus_url
    basic = base64.b64encode(f"foretide:{PASSWORD}".encode()).decode()
    server.accepted = {f"Bearer {TOKEN}", f"Basic {basic}"}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "prometheus.crt", tmp_path / "prometheus.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "wrong").write_text(TOKEN[::-1])
    url = f"https://localhost:{server.server_port}"
    yield {
        "bearer": {"url": url, "bearerTokenFile": f"{tmp_path}/token", "caFile": str(certificate)},
        "basic": {
            "url": url,
            "basicAuth": {"username": "foretide", "passwordFile": f"{tmp_path}/password"},
            "caFile": str(certificate),
        },
        "wrong": {"url": url, "bearerTokenFile": f"{tmp_path}/wrong", "caFile": str(certificate)},
        "untrusted": {"url": url, "bearerTokenFile": f"{tmp_path}/token"},
        "lost": {"url": url, "bearerTokenFile": f"{tmp_path}/nowhere", "caFile": str(certificate)},
    }
    server.shutdown()


def test_sources_with_tls_and_credentials(secured, namespace, operator, sandbox):
    operator.configure(sources=secured)
    for source in secured:
        namespace.deployment(source, 2)
        namespace.scaler(source, 'sum(demand_rps{app="rising"})', metric={"source": source})
    for source in ("bearer", "basic"):  # demand now, and history in the worker
        namespace.await_condition(source, "MetricsAvailable", "True")
        namespace.await_condition(source, "ForecastAvailable", "True", within=180)
    for source, reason in {
        "wrong": "Unauthorized",
        "untrusted": "Unreachable",
        "lost": "CredentialsMissing",
    }.items():
        namespace.await_condition(source, "MetricsAvailable", "False", reason)
    seen = operator.log.read_text() + namespace.kubectl("get", "pscaler,events", "-o", "yaml")
    for secret in (TOKEN, TOKEN[::-1], PASSWORD):
        assert secret not in seen
