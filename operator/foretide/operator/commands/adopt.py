"""`foretide adopt`: an HPA, or a ScaledObject, as a PredictiveScaler, and back."""

import argparse
import asyncio
import contextlib
import json
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from .adopt_find import find, get, path_of, scalers
from .telling import Refused, fail, missing

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..hpa_adopt import Adopted, Wishes
    from ..hpa_metrics import Body

_NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_KINDS = {
    "hpa": "HorizontalPodAutoscaler",
    "horizontalpodautoscaler": "HorizontalPodAutoscaler",
    "scaledobject": "ScaledObject",
    "so": "ScaledObject",
}

_DESCRIPTION = """\
Print the PredictiveScaler that corresponds to an HPA, or to a ScaledObject of KEDA's. It stands
beside the autoscaler in mode Recommend: it decides and reports, and changes nothing. Bounds,
target and behavior are carried over; CPU and memory as metrics of type Resource, the triggers of
type prometheus with their queries. For any other metric the query is asked for, and for how long
new pods take to become ready.

Nothing is deleted, and nothing that exists is changed.
"""
_EXAMPLES = """\
examples:
  foretide adopt shop -n web                          print it, and say what is missing
  foretide adopt shop -n web --metric requests='sum(rate(http_requests_total{app="shop"}[2m]))'
  foretide adopt scaledobject/shop -n web --lead-time 90s --apply     create it
  foretide adopt --back shop -n web                   print the HPA for PredictiveScaler shop
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `adopt` to the commands of `foretide`."""
    adopt = commands.add_parser(
        "adopt",
        help="turn an HPA or a ScaledObject into a PredictiveScaler, and back",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    adopt.add_argument(
        "autoscaler",
        metavar="[KIND/]NAME",
        help="hpa/NAME or scaledobject/NAME; without a kind, whichever there is. "
        "The name may be that of what it scales. With --back: the PredictiveScaler",
    )
    adopt.add_argument("-n", "--namespace", metavar="NAME", help="default: the kubeconfig's")
    adopt.add_argument(
        "--back",
        action="store_true",
        help="the other way: the HPA for a PredictiveScaler",
    )
    adopt.add_argument("-o", "--output", choices=("yaml", "json"), help="print it (the default)")
    adopt.add_argument("--apply", action="store_true", help="create it in the cluster")
    adopt.add_argument("--name", default="", metavar="NAME", help="of what is made")
    adopt.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME=PROMQL",
        help="the demand that this metric of the autoscaler's stands for; may be repeated",
    )
    adopt.add_argument(
        "--per-replica",
        action="append",
        default=[],
        metavar="NAME=QUANTITY",
        help="what a replica carries safely of it; may be repeated",
    )
    adopt.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="NAME",
        help="leave this metric out; may be repeated",
    )
    adopt.add_argument(
        "--target-utilization",
        type=float,
        default=0.7,
        metavar="SHARE",
        help="share of what a replica carries safely that the autoscaler's targets stand for "
        "(default: %(default)s)",
    )
    adopt.add_argument(
        "--lead-time",
        metavar="DURATION",
        help="from a change of replicas until new pods are ready, such as 90s (default: 3m, "
        "until enough starts have been measured)",
    )
    adopt.add_argument(
        "--source",
        default="default",
        metavar="NAME",
        help="the operator's Prometheus source for the queries (default: %(default)s)",
    )
    adopt.add_argument(
        "--keda",
        default="",
        metavar="URL",
        help="with --back: make a ScaledObject that asks the Prometheus at this address",
    )
    adopt.add_argument(
        "--kubeconfig", metavar="FILE", help="default: $KUBECONFIG or ~/.kube/config"
    )
    adopt.set_defaults(run=_adopt)


def _adopt(options: argparse.Namespace) -> int:
    try:
        import yaml  # noqa: F401 tell what is missing before anything is asked

        from ..cluster import ClusterError, KubernetesCluster, load_client
        from ..hpa_metrics import CannotAdopt
    except ImportError as error:
        return fail(missing(error, "operator"))
    try:
        _check(options)
        cluster = KubernetesCluster(load_client(options.kubeconfig), threads=1)
        try:
            adopted = asyncio.run(_run(cluster, options))
        finally:
            cluster.close()
    except CannotAdopt as error:
        return fail("\n  ".join([f"{options.autoscaler}:", *error.problems]))
    except (ClusterError, Refused) as error:
        return fail(str(error))
    if options.output or not options.apply:
        with contextlib.suppress(BrokenPipeError):
            print(_text(adopted.manifest, options.output or "yaml"), end="", flush=True)
    _say(*(f"Note: {note}" for note in adopted.notes))
    _say(*_next_steps(adopted.manifest, options))
    return 0


def _check(options: argparse.Namespace) -> None:
    kind, slash, name = options.autoscaler.rpartition("/")
    kinds = {"pscaler", "predictivescaler"} if options.back else set(_KINDS)
    if slash and kind.lower() not in kinds:
        raise Refused(f"{kind!r} is no kind that can be taken: {', '.join(sorted(kinds))}")
    for given, what in ((name, "a name"), (options.namespace, "a namespace")):
        if given is not None and not re.fullmatch(_NAME, given):
            raise Refused(f"{given[:70]!r} is not {what}")
    if options.name and not re.fullmatch(_NAME, options.name):
        raise Refused(f"{options.name[:70]!r} is not a name")
    if not 0 < options.target_utilization <= 1:
        raise Refused("--target-utilization is a share: more than 0, and 1 at most")
    _check_lead_time(options)
    if options.keda and not options.back:
        raise Refused("--keda belongs to --back")
    if "@" in options.keda:
        raise Refused("--keda must hold no password: add an authenticationRef to the ScaledObject")
    if options.back and (options.metric or options.per_replica or options.skip):
        raise Refused("--metric, --per-replica and --skip mean nothing with --back")


def _check_lead_time(options: argparse.Namespace) -> None:
    from ..api.forecast import ForecastSpec

    if options.lead_time is None:
        return
    if options.back:
        raise Refused("--lead-time means nothing with --back")
    try:
        ForecastSpec.model_validate({"leadTime": options.lead_time})
    except ValueError:
        raise Refused(
            f"--lead-time: {options.lead_time[:70]!r} is not a duration of 4h at the most, "
            "such as 90s"
        ) from None


async def _run(cluster: "Cluster", options: argparse.Namespace) -> "Adopted":
    from ..hpa_adopt import adopt
    from ..hpa_back import give_back
    from ..hpa_floor import Kind

    namespace = options.namespace or _current_namespace(options.kubeconfig)
    kind, _, name = options.autoscaler.rpartition("/")
    if options.back:
        scaler = await get(cluster, scalers(namespace), name)
        if scaler is None:
            raise Refused(f"there is no PredictiveScaler {name} in namespace {namespace}")
        adopted = give_back(scaler, name=options.name, prometheus=options.keda)
    else:
        wanted = Kind(_KINDS[kind.lower()]) if kind else None
        found, body = await find(cluster, namespace, name, wanted)
        adopted = adopt(body, found, _wishes(options))
        if (taken := body["metadata"]["name"]) != name:
            target = body["spec"]["scaleTargetRef"]
            scaled = f"{target.get('kind', 'Deployment')} {target['name']}"
            note = f"{name} is taken for {found} {taken}, which scales {scaled}"
            adopted = replace(adopted, notes=(note, *adopted.notes))
    if options.apply:
        await _create(cluster, adopted, back=options.back)
    return adopted


def _wishes(options: argparse.Namespace) -> "Wishes":
    from ..hpa_adopt import Wishes
    from ..hpa_metrics import number

    return Wishes(
        name=options.name,
        source=options.source,
        target_utilization=options.target_utilization,
        lead_time=options.lead_time,
        queries=_pairs("--metric", options.metric),
        per_replica={
            name: number(text)
            for name, text in _pairs("--per-replica", options.per_replica).items()
        },
        skip=frozenset(options.skip),
    )


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value.strip()):
            raise Refused(f"{option} {text[:70]!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs


async def _create(cluster: "Cluster", adopted: "Adopted", *, back: bool) -> None:
    from ..cluster import ClusterError
    from ..hpa_floor import Kind

    manifest = adopted.manifest
    kind, meta = manifest["kind"], manifest["metadata"]
    if back and adopted.notes:
        raise Refused(f"{kind} {meta['name']} would not work as it is: " + "; ".join(adopted.notes))
    path = path_of(Kind(kind).resource, meta["namespace"]) if back else scalers(meta["namespace"])
    try:
        await cluster.request("POST", path, manifest)
    except ClusterError as error:
        if error.status == 409:
            raise Refused(
                f"{kind} {meta['name']} exists already and is left as it is: choose another --name"
            ) from None
        if error.status == 404:
            raise Refused(f"the cluster does not know {kind}: install its CRD first") from None
        raise


def _current_namespace(kubeconfig: str | None) -> str:
    """The namespace of the kubeconfig's current context."""
    import kubernetes

    with contextlib.suppress(kubernetes.config.ConfigException, OSError):
        _, active = kubernetes.config.list_kube_config_contexts(kubeconfig)
        return str(active["context"].get("namespace") or "default")
    return "default"


def _text(manifest: "Body", style: str) -> str:
    if style == "json":
        return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    import yaml

    return str(yaml.safe_dump(dict(manifest), sort_keys=False, allow_unicode=True, width=100))


def _next_steps(manifest: "Body", options: argparse.Namespace) -> list[str]:
    from ..hpa_adopt import ADOPTED_FROM

    kind, meta = manifest["kind"], manifest["metadata"]
    name, kubectl = meta["name"], f"kubectl -n {meta['namespace']}"
    if options.back:
        scaler = options.autoscaler.rpartition("/")[2]
        return [
            f"{kind} {name} {'is created' if options.apply else 'is printed, not created'}.",
            f"PredictiveScaler {scaler} changes nothing where an autoscaler scales the target, but "
            "says so as a conflict. Delete it when you do not need its reports:",
            f"  {kubectl} delete pscaler {scaler}",
        ]
    origin = json.loads(meta["annotations"][ADOPTED_FROM])
    other = f"{origin['kind'].lower()} {origin['name']}"
    done = "is created" if options.apply else "is printed, not created (--apply creates it)"
    return [
        f"PredictiveScaler {name} {done}. In mode Recommend it changes nothing. What it would do:",
        f"  {kubectl} get pscaler {name} -o wide",
        f"  {kubectl} describe pscaler {name}",
        f"When you trust it, let it raise the minimum of {origin['kind']} {origin['name']} ahead "
        "of demand:",
        f"  {kubectl} patch pscaler {name} --type merge "
        '-p \'{"spec":{"mode":"Auto","actuation":"HPAFloor"}}\'',
        "or let it take over altogether:",
        f"  {kubectl} delete {other}",
        f'  {kubectl} patch pscaler {name} --type merge -p \'{{"spec":{{"mode":"Auto"}}}}\'',
        f"Back again: foretide adopt --back {name} -n {meta['namespace']}",
    ]


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)
