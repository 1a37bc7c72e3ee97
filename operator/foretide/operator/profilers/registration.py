"""The webhook's registration at the API server, and the authorities that it lets in. Pure.

All operators answer, the leader and those that stand by: a Service sends to any of them. Each has
an authority of its own, whose key never leaves its memory, and makes it known in an annotation of
the registration; the leader tells the API server of all of them.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from ..api.crds import GROUP
from ..profiling_settings import NAMESPACE_LABEL, WebhookSettings

Json = dict[str, Any]

PATH = "/inject"
_ANNOTATION = f"{GROUP}/authority-"
# Of operators that have gone, too: nobody says when one does.
_MOST_AUTHORITIES = 20


def key_of(authority: str) -> str:
    """The annotation that makes an authority (PEM) known."""
    return _ANNOTATION + hashlib.sha256(authority.encode()).hexdigest()[:16]


def announced(there: Mapping[str, Any]) -> dict[str, str]:
    """The authorities that a registration makes known, by annotation."""
    annotations = (there.get("metadata") or {}).get("annotations") or {}
    return {key: str(it) for key, it in annotations.items() if key.startswith(_ANNOTATION)}


def sound(authorities: Iterable[str], now: float) -> list[str]:
    """Those that can be read and have not run out, the newest first, as many as are wanted.

    What is no certificate would have the API server refuse the whole registration.
    """
    found = []
    for text in authorities:
        try:
            (certificate,) = x509.load_pem_x509_certificates(text.encode())
        except ValueError:
            continue
        if certificate.not_valid_after_utc > datetime.fromtimestamp(now, UTC):
            found.append((certificate.not_valid_before_utc, text))
    return [text for _, text in sorted(found, reverse=True)[:_MOST_AUTHORITIES]]


def bundle_of(there: Mapping[str, Any]) -> str:
    """The authorities that a registration lets in, in PEM."""
    for hook in there.get("webhooks") or ():
        return base64.b64decode((hook.get("clientConfig") or {}).get("caBundle") or "").decode()
    return ""


def host_of(settings: WebhookSettings) -> str:
    """The name by which the API server calls."""
    if settings.service is not None:
        namespace, _, name = settings.service.partition("/")
        return f"{name}.{namespace}.svc"
    return urlsplit(settings.url or "").hostname or ""


def registration(
    name: str, settings: WebhookSettings, authorities: str, namespaces: Sequence[str]
) -> Json:
    """The MutatingWebhookConfiguration."""
    client: Json = {"caBundle": base64.b64encode(authorities.encode()).decode()}
    if settings.service is not None:
        namespace, _, service = settings.service.partition("/")
        client["service"] = {"namespace": namespace, "name": service, "path": PATH, "port": 443}
    else:
        client["url"] = f"{(settings.url or '').rstrip('/')}{PATH}"
    selector: Json = {"matchLabels": {NAMESPACE_LABEL: "enabled"}}
    if namespaces:
        selector["matchExpressions"] = [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}
        ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": "sidecar.profiling.foretide.dev",
                "clientConfig": client,
                "namespaceSelector": selector,
                "rules": [
                    {
                        "operations": ["CREATE"],
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "resources": ["pods"],
                        "scope": "Namespaced",
                    }
                ],
                "failurePolicy": "Ignore",
                "timeoutSeconds": 2,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
