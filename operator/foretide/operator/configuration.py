"""Following the configuration: a file, or a ConfigMap that is read by its name.

A ConfigMap is asked for, not watched: that needs no right but `get` on this one object, and works
when the operator looks after other namespaces only.
"""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import quote

from .cluster import Cluster, ClusterError
from .settings import ConfigurationError, SettingsHolder

logger = logging.getLogger(__name__)

KEY = "foretide.yaml"


async def read_config_map(cluster: Cluster, namespace: str, name: str) -> str:
    """The document in a ConfigMap.

    Raises:
        ConfigurationError: it is not there, or has no such key.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/configmaps/{quote(name, safe='')}"
    try:
        answer = await cluster.request("GET", path)
    except ClusterError as error:
        raise ConfigurationError(f"ConfigMap {namespace}/{name}: {error.message}") from None
    text = (answer.get("data") or {}).get(KEY)
    if text is None:
        raise ConfigurationError(f"ConfigMap {namespace}/{name} has no key {KEY}")
    return str(text)


async def follow_config_map(
    cluster: Cluster,
    settings: SettingsHolder,
    wake_all: Callable[[], None],
    namespace: str,
    name: str,
    *,
    period: float = 2.0,
) -> None:
    """Look at a ConfigMap each `period` seconds, for ever; `wake_all` is called at a change."""
    trouble: str | None = None
    while True:
        try:
            text = await read_config_map(cluster, namespace, name)
            trouble = None
            if settings.offer(text, origin=f"ConfigMap {namespace}/{name}"):
                wake_all()
        except ConfigurationError as error:
            if str(error) != trouble:
                logger.error("The old configuration stays: %s", error)
                trouble = str(error)
        await asyncio.sleep(period)


async def follow_file(settings: SettingsHolder, wake_all: Callable[[], None]) -> None:
    """Look at the configuration's file each second, for ever; as with a ConfigMap."""
    while True:
        if settings.poll():
            wake_all()
        await asyncio.sleep(1)
