"""The door to Secrets: one at a time, by its name, in the resource's own namespace."""

import base64
import binascii
from urllib.parse import quote

from ..cluster import Cluster, ClusterError
from .targets import Refused


async def read_secret(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    """What is in a Secret, as text; keys whose values are no text are left out.

    Raises:
        Refused: it is not there, or must not be read.
        ClusterError: the API server could not be asked.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets/{quote(name, safe='')}"
    try:
        answer = await cluster.request("GET", path)
    except ClusterError as error:
        if error.status == 404:
            raise Refused(
                "SecretMissing", f"there is no Secret {name} in namespace {namespace}"
            ) from None
        if error.status == 403:
            raise Refused(
                "SecretForbidden",
                f"the operator may not read Secret {name}: give it the verb get on secrets in "
                f"namespace {namespace}",
            ) from None
        raise
    found = {}
    for key, value in (answer.get("data") or {}).items():
        try:
            found[str(key)] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
            continue
    return found
