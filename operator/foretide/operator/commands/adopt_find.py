"""Which autoscaler `foretide adopt` is asked for: by its own name, or by that of its target."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .telling import Refused

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..hpa_floor import Kind
    from ..hpa_metrics import Body

# So many autoscalers are named to somebody who has mistyped one.
_SHOWN = 10


async def find(
    cluster: "Cluster", namespace: str, name: str, wanted: "Kind | None"
) -> tuple["Kind", "Body"]:
    """The autoscaler that is meant: KEDA's ScaledObject rather than the HPA that it makes.

    Raises:
        Refused: there is none of this name, and not just one that scales what has it.
        ClusterError: the cluster cannot be asked.
    """
    from ..hpa_floor import Autoscaled, Kind

    kinds = [wanted] if wanted else list(Kind)
    for kind in kinds:
        body = await get(cluster, path_of(kind.resource, namespace), name)
        if body is None:
            continue
        made_from = Autoscaled.from_body(kind, body).keda
        if made_from is None:
            return kind, body
        return await find(cluster, namespace, made_from, Kind.SCALED_OBJECT)
    return await _by_target(cluster, namespace, name, kinds)


async def _by_target(
    cluster: "Cluster", namespace: str, name: str, kinds: "list[Kind]"
) -> tuple["Kind", "Body"]:
    """The only autoscaler of those kinds that scales what has this name."""
    there = await _all(cluster, namespace, kinds)
    meant = [one for one in there if one[1]["spec"]["scaleTargetRef"]["name"] == name]
    if len(meant) == 1:
        return meant[0]
    message = f"there is no {' or '.join(kinds)} {name} in namespace {namespace}, and "
    if meant:
        message += "several scale what has this name"
    elif there:
        message += "none that scales what has this name"
    else:
        message += "no other one either"
    names = [f"{kind} {body['metadata']['name']}" for kind, body in meant or there]
    shown = ", ".join(names[:_SHOWN]) + (" and others" if len(names) > _SHOWN else "")
    raise Refused(f"{message}; there is: {shown}" if shown else message)


async def _all(
    cluster: "Cluster", namespace: str, kinds: "list[Kind]"
) -> "list[tuple[Kind, Body]]":
    """All autoscalers but the HPAs that KEDA makes."""
    from ..cluster import ClusterError
    from ..hpa_floor import Autoscaled

    found: list[tuple[Kind, Body]] = []
    for kind in kinds:
        try:
            listed = await cluster.request("GET", path_of(kind.resource, namespace))
        except ClusterError as error:
            if error.status in (403, 404):  # without KEDA, or without the right to list them
                continue
            raise
        found += [
            (kind, body)
            for body in listed["items"]
            if Autoscaled.from_body(kind, body).keda is None
        ]
    return found


async def get(cluster: "Cluster", path: str, name: str) -> Any:
    """An object, or None where there is none.

    Raises:
        ClusterError: the cluster cannot be asked.
    """
    from ..cluster import ClusterError

    try:
        return await cluster.request("GET", f"{path}/{quote(name, safe='')}")
    except ClusterError as error:
        if error.status == 404:
            return None
        raise


def scalers(namespace: str) -> str:
    """The path of all PredictiveScalers of a namespace."""
    from ..api.crds import GROUP, PLURAL, VERSION

    return path_of((f"{GROUP}/{VERSION}", PLURAL), namespace)


def path_of(resource: tuple[str, str], namespace: str) -> str:
    """The path of all objects of a resource (API version and plural) in a namespace."""
    return f"/apis/{resource[0]}/namespaces/{quote(namespace, safe='')}/{resource[1]}"
