"""The command lines and configurations of what runs on the node: functions of the plan."""

import json
import sys
from pathlib import Path
from typing import Any

from sandbox.node import NODE_NAME
from sandbox.node.addresses import Addresses
from sandbox.node.packages import CNI_FOLDERS, cni_folder
from sandbox.plan import Command, Plan

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
PAUSE_IMAGE = "foretide.dev/pause:1"
KUBELET_PORT, KUBELET_HEALTH, PROXY_HEALTH, CONTAINERD_METRICS = 10250, 10248, 10256, 1338


def commands(plan: Plan) -> list[Command]:
    """The node's components, in the order in which they can start."""
    node = addresses(plan)
    python = (sys.executable, "-m")
    directory = str(plan.layout.directory)
    machine = (*python, "sandbox.node.machine", directory, str(node.number))
    enter = (*python, "sandbox.node.enter", directory)
    return [
        Command("node", (*machine, str(plan.ports["node"])), f"{plan.url('node')}/"),
        Command(
            "containerd",
            (*enter, "containerd", f"--config={plan.config('containerd.toml')}"),
            f"http://{node.node}:{CONTAINERD_METRICS}/v1/metrics",
            ("node",),
        ),
        Command("images", (*python, "sandbox.node.load", directory), None, ("containerd",)),
        Command(
            "kubelet",
            (
                *enter,
                plan.binaries["kubelet"],
                f"--config={plan.config('kubelet.json')}",
                f"--kubeconfig={plan.config('kubelet.kubeconfig')}",
                f"--hostname-override={NODE_NAME}",
                f"--node-ip={node.node}",
            ),
            f"http://{node.node}:{KUBELET_HEALTH}/healthz",
            ("containerd", "kube-apiserver"),
        ),
        Command(
            "kube-proxy",
            (*enter, plan.binaries["kube-proxy"], f"--config={plan.config('kube-proxy.json')}"),
            f"http://{node.node}:{PROXY_HEALTH}/healthz",
            ("node", "kube-apiserver"),
        ),
    ]


def apiserver_arguments(plan: Plan) -> tuple[str, ...]:
    """What a node adds to the API server's command line."""
    return (
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={plan.pki('ca.crt')}",
        f"--kubelet-client-certificate={plan.pki('kubelet-client.crt')}",
        f"--kubelet-client-key={plan.pki('kubelet-client.key')}",
        "--enable-admission-plugins=NodeRestriction",
    )


def addresses(plan: Plan) -> Addresses:
    """Those of a plan with a node."""
    assert plan.node is not None
    return plan.node


def configs(plan: Plan) -> dict[str, str]:
    """The files that the commands refer to, by their name in the folder of configurations."""
    network = {
        "cniVersion": "1.0.0",
        "name": "foretide",
        # A cable of its own for each pod: what a Service answers takes the way back that it came,
        # without the kernel's bridge filter.
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": addresses(plan).pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": "/run/cni",
                },
            }
        ],
    }
    return {
        "containerd.toml": _containerd(plan),
        "kubelet.json": json.dumps(_kubelet(plan), indent=1),
        "kube-proxy.json": json.dumps(_kube_proxy(plan), indent=1),
        "cni/10-foretide.conflist": json.dumps(network, indent=1),
    }


def _containerd(plan: Plan) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = "{CONTAINERD_SOCKET}"

[metrics]
address = "{addresses(plan).node}:{CONTAINERD_METRICS}"

[{cri}]
sandbox_image = "{PAUSE_IMAGE}"
# A process may be protected from the kernel's killer only with a right that root may lack here.
restrict_oom_score_adj = true
# A profile would stay in the host's kernel.
disable_apparmor = true

[{cri}.containerd]
snapshotter = "{snapshotter(plan.layout.directory)}"
default_runtime_name = "runc"

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.cni]
# JSON's strings are TOML's, too.
bin_dir = {json.dumps(str(cni_folder() or CNI_FOLDERS[0]))}
conf_dir = {json.dumps(plan.config("cni"))}
"""


def _kubelet(plan: Plan) -> dict[str, Any]:
    node = addresses(plan)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.node,
        "port": KUBELET_PORT,
        "healthzBindAddress": node.node,
        "healthzPort": KUBELET_HEALTH,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": plan.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": plan.pki("kubelet-server.crt"),
        "tlsPrivateKeyFile": plan.pki("kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # No pod is put out for what else fills the machine, no image thrown away.
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": plan.spec.pods_per_node,
        "volumePluginDir": "/run/volume-plugins",
        "resolvConf": "",
        "registerNode": True,
        "nodeStatusUpdateFrequency": "2s",
        # The default of 5 requests a second would be what a start-up waits for.
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "registryPullQPS": 0,
        "shutdownGracePeriod": "0s",
    }


def _kube_proxy(plan: Plan) -> dict[str, Any]:
    node = addresses(plan)
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": plan.config("kube-proxy.kubeconfig")},
        "hostnameOverride": NODE_NAME,
        "clusterCIDR": node.pods,
        "healthzBindAddress": f"{node.node}:{PROXY_HEALTH}",
        "metricsBindAddress": "127.0.0.1:10249",
        "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        # The table of connections is sized by the host.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def snapshotter(directory: Path) -> str:
    """What holds the containers' files: on an overlay (in a container, say) goes no second one."""
    return "native" if _on_overlay(directory) else "overlayfs"


def _on_overlay(directory: Path) -> bool:
    """Whether a folder lies on an overlay filesystem, by the longest mount that holds it."""
    best, kind = "", ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4]
        if directory.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind == "overlay"
