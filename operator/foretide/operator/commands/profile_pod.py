"""`foretide profile pod`: a process in a pod, without an operator, by the user's own rights.

The steps are those of a Profiler of mode Once: choose how to attach, ask admission by a dry run,
add an ephemeral container or use the one that is there, and read windows from its log.
"""

import argparse
import asyncio
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .profile_files import tell_what_next
from .profile_running import running
from .telling import Refused
from .writing import check_writable, write_or_keep

if TYPE_CHECKING:
    from foretide.profiling.window import Window

    from ..cluster import KubernetesCluster
    from ..profilers.member import Member
    from ..profilers.plan import PodPlan

_PERIOD = 1.0
# To pull the image and to start, beside the sampling itself (seconds).
_PATIENCE = 120.0


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pod` to the actions of `foretide profile`."""
    parser = actions.add_parser(
        "pod",
        help="sample a process in a pod into a file",
        description="Sample the Python processes of a pod's container into a file, in an "
        "ephemeral container of the same user without any capability. Nothing is restarted. It "
        "needs the verbs get on pods and pods/log, patch on pods/ephemeralcontainers and, for "
        "another run in the same pod, get and create on pods/exec.",
    )
    parser.add_argument("pod", metavar="POD")
    parser.add_argument("-n", "--namespace", default="default", metavar="NAME")
    parser.add_argument("-c", "--container", metavar="NAME", help="default: as with kubectl")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="default: profile-POD.ftp; other formats by the name's end, as with convert",
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, metavar="N", help="default: %(default)g"
    )
    parser.add_argument(
        "--rate",
        type=int,
        default=20,
        metavar="HZ",
        help="samples a second at the most (default: %(default)s)",
    )
    parser.add_argument("--image", metavar="IMAGE", help="the sampler's, as the pod can pull it")
    parser.add_argument(
        "--sys-ptrace",
        action="store_true",
        help="ask for this capability where the container's own user does not suffice",
    )
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="default: $KUBECONFIG or ~/.kube/config"
    )
    parser.set_defaults(run=pod)


@running
def pod(options: argparse.Namespace) -> int:
    """Sample into a file."""
    from foretide.profiling.files import format_of, write_profile

    from ..cluster import ClusterError, KubernetesCluster, load_client

    path = options.output or Path(f"profile-{options.pod}.ftp")
    kind = format_of(path)
    if kind is None:
        raise Refused(f"{path}: give it an end that says its format, such as .ftp")
    if not 10 <= options.seconds <= 3600:
        raise Refused("--seconds must be between 10 and 3600")
    if not 1 <= options.rate <= 100:
        raise Refused("--rate must be between 1 and 100 Hz")
    check_writable(path)
    try:
        cluster = KubernetesCluster(load_client(options.kubeconfig))
        try:
            windows = asyncio.run(_windows(cluster, options))
        finally:
            cluster.close()
    except ClusterError as error:
        raise Refused(f"{options.namespace}/{options.pod}: {error.message}") from None
    write_or_keep(path, write_profile(windows, kind))
    samples = sum(one.count for window in windows for one in window.samples)
    print(f"{path}: {sum(one.seconds for one in windows):.0f} s, {samples} samples")
    tell_what_next(path, windows)
    return 0


async def _windows(cluster: "KubernetesCluster", options: argparse.Namespace) -> "list[Window]":
    from ..profilers.acting import Actor
    from ..profilers.collecting import Collector
    from ..profilers.door import KubernetesPods
    from ..profilers.facts import read_pod
    from ..profilers.plan import State, plan
    from ..profiling_settings import ProfilingSettings

    member = _member(options)
    assert member.spec is not None
    given = {"image": options.image} if options.image else {}
    settings = ProfilingSettings.model_validate(given)
    door = KubernetesPods(cluster)
    actor = Actor(door, lambda: settings, lambda: True, time.time)
    collector = Collector(door, lambda member, pod, windows: None)
    deadline = time.monotonic() + options.seconds + _PATIENCE
    said = ""
    while True:
        raw = await door.read(options.namespace, options.pod)
        await collector.collect(member, [read_pod(raw, member.users)])
        facts = read_pod(raw, member.users)
        returned = {uid: it.returned(time.time()) for uid, it in member.pods.items()}
        plans = plan([facts], returned, member.spec, run=member.run, now=time.time())
        if not plans:
            raise Refused(f"pod {options.pod} is being deleted")
        (one,) = plans
        if one.state is State.DONE:
            return member.windows()
        if one.state in (State.REFUSED, State.FAILED, State.WAITING):
            raise Refused(f"{options.namespace}/{options.pod}: {one.message or one.reason}")
        said = _tell(one, said)
        await actor.act(member, one)
        if time.monotonic() > deadline:
            raise Refused(f"nothing came back: {one.message or one.reason or one.state}")
        await asyncio.sleep(_PERIOD)


def _tell(one: "PodPlan", said: str) -> str:
    text = f"{one.state}{f' ({one.message or one.reason})' if one.reason else ''}"
    if text != said:
        print(f"foretide: {one.pod.name}: {text}", file=sys.stderr)
    return text


def _member(options: argparse.Namespace) -> "Member":
    """A Profiler that stands in no cluster."""
    from pydantic import ValidationError

    from ..api.profiler import ProfilerSpec
    from ..profilers.member import Member
    from ..settings import explain

    spec: dict[str, Any] = {
        # Unused: the pod is named.
        "selector": {"matchLabels": {"foretide.dev/pod": "named"}},
        "container": options.container,
        "duration": float(options.seconds),
        "rate": options.rate,
        "pods": 1,
        "capability": "SysPtrace" if options.sys_ptrace else "None",
    }
    try:
        ProfilerSpec.model_validate(spec)
    except ValidationError as error:
        raise Refused(explain(error)) from None
    meta = {"uid": str(uuid.uuid4()), "namespace": options.namespace, "name": "foretide-profile"}
    return Member.from_body({"metadata": meta, "spec": spec})
