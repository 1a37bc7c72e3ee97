"""Serves `external.metrics.k8s.io` to the real HPA: each metric is an instant query to Prometheus.

Only kube-apiserver's front proxy may ask: clients need a certificate of the sandbox's authority.
A query without an answer is an error, as with any real adapter, and the HPA then keeps its count.
"""

import json
import math
import signal
import ssl
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from sandbox.errors import SandboxError
from sandbox.spec import load_spec

GROUP = "external.metrics.k8s.io"
ROOT = f"/apis/{GROUP}/v1beta1"
Answer = tuple[int, dict[str, Any]]


def respond(target: str, metrics: dict[str, str], prometheus: httpx.Client) -> Answer:
    """The HTTP status and body for one GET of `target`."""
    url = urlsplit(target)
    path = url.path.rstrip("/")
    if path == f"/apis/{GROUP}":
        return 200, _group()
    if path == ROOT:
        return 200, _resources(metrics)
    match path.removeprefix(ROOT).split("/"):
        case ["", "namespaces", _, name] if name in metrics:
            selector = parse_qs(url.query).get("labelSelector", [""])[0]
            return _values(name, metrics[name], selector, prometheus)
    return 404, failure(404, "NotFound", f"no external metric at {path}")


def failure(code: int, reason: str, message: str) -> dict[str, Any]:
    """A Kubernetes Status object."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def _values(name: str, query: str, selector: str, prometheus: httpx.Client) -> Answer:
    try:
        wanted = parse_selector(selector)
        found = [row for row in _query(query, prometheus) if wanted.items() <= row[0].items()]
    except SandboxError as error:
        return 400, failure(400, "BadRequest", str(error))
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return 503, failure(503, "ServiceUnavailable", f"Prometheus: {error}")
    if not found:
        return 404, failure(404, "NotFound", f"metric {name}: {query!r} has no answer")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    items = [
        {"metricName": name, "metricLabels": labels, "timestamp": now, "value": quantity(value)}
        for labels, value in found
    ]
    return 200, {
        "kind": "ExternalMetricValueList",
        "apiVersion": f"{GROUP}/v1beta1",
        "metadata": {},
        "items": items,
    }


def parse_selector(text: str) -> dict[str, str]:
    """The equality requirements of a label selector. Raises SandboxError for any other kind."""
    wanted = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.replace("==", "=").partition("=")
        if not equals or key.endswith("!") or not key.strip():
            raise SandboxError(f"label selector {part!r}: only key=value is understood")
        wanted[key.strip()] = value.strip()
    return wanted


def quantity(value: float) -> str:
    """A number as a Kubernetes quantity, to a thousandth."""
    return f"{round(value * 1000)}m"


def _query(query: str, prometheus: httpx.Client) -> list[tuple[dict[str, str], float]]:
    answer = prometheus.get("/api/v1/query", params={"query": query}).raise_for_status().json()
    kind, result = answer["data"]["resultType"], answer["data"]["result"]
    rows = (
        [({}, float(result[1]))]
        if kind == "scalar"
        else [(_labels(row["metric"]), float(row["value"][1])) for row in result]
    )
    return [(labels, value) for labels, value in rows if math.isfinite(value)]


def _labels(metric: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metric.items() if key != "__name__"}


def _group() -> dict[str, Any]:
    version = {"groupVersion": f"{GROUP}/v1beta1", "version": "v1beta1"}
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": [version],
        "preferredVersion": version,
    }


def _resources(metrics: dict[str, str]) -> dict[str, Any]:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{GROUP}/v1beta1",
        "resources": [
            {
                "name": name,
                "singularName": "",
                "namespaced": True,
                "kind": "ExternalMetricValueList",
                "verbs": ["get"],
            }
            for name in metrics
        ],
    }


def serve(directory: Path, port: int, prometheus_url: str) -> None:
    """Serve over TLS on 127.0.0.1 until the process is ended."""
    metrics = dict(load_spec(directory).external_metrics)
    prometheus = httpx.Client(base_url=prometheus_url, timeout=5.0, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = respond(self.path, metrics, prometheus)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """The HPA asks every few seconds: a line each would hide the errors."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    pki = directory / "pki"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "server.crt", pki / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    # The handshake belongs to the connection's own thread: a silent client must not block others.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.serve_forever()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])


if __name__ == "__main__":
    main()
