"""The command line of each component: pure functions of the spec, the folder and the ports."""

import json
from pathlib import Path

from sandbox import metrics
from sandbox.errors import SandboxError
from sandbox.layout import Layout
from sandbox.node import commands as node_commands
from sandbox.pki import kubeconfig
from sandbox.plan import LOOPBACK, Command, Plan
from sandbox.spec import SandboxSpec
from sandbox.stages import stages

# Those that a workload's life needs. Certificates, volumes, clouds and quotas of devices have no
# meaning on KWOK's nodes, and each idle controller costs start-up time.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "taint-eviction-controller",
)


def commands(plan: Plan) -> list[Command]:
    """The components that the spec asks for, with the spec's extra arguments."""
    spec = plan.spec
    chosen = [_etcd(plan), _apiserver(plan)]
    if spec.node:
        chosen += node_commands.commands(plan)
    if spec.controller_manager:
        chosen.append(_controller_manager(plan))
    if spec.scheduler:
        chosen.append(_scheduler(plan))
    if spec.fake_nodes:
        chosen.append(_kwok(plan))
    if spec.prometheus:
        has_history = any(series.history for series in spec.series)
        chosen += [metrics.player(plan), *([metrics.history(plan)] if has_history else [])]
        chosen.append(metrics.prometheus(plan, after=("history",) if has_history else ()))
    if spec.external_metrics:
        chosen.append(metrics.external_metrics(plan))
    unknown = set(spec.extra_args) - {command.name for command in chosen}
    if unknown:
        raise SandboxError(f"extra_args for what does not run: {', '.join(sorted(unknown))}")
    return [_with_extra(command, spec) for command in chosen]


def write_configs(plan: Plan) -> None:
    """The files that the commands refer to. Certificates must have been written before."""
    folder = plan.layout.config
    folder.mkdir(mode=0o700, exist_ok=True)
    identities = ["kube-controller-manager", "kube-scheduler", "kwok"]
    if plan.node is not None:
        identities += ["kubelet", "kube-proxy"]
        for name, text in node_commands.configs(plan).items():
            (folder / name).parent.mkdir(mode=0o700, exist_ok=True)
            _write(folder / name, text)
    for identity in identities:
        text = kubeconfig(plan.layout.pki, identity, plan.api_url)
        _write(folder / f"{identity}.kubeconfig", text)
    _write(folder / "scheduler.json", json.dumps(_scheduler_config(plan), indent=1))
    _write(folder / "prometheus.json", json.dumps(metrics.prometheus_config(plan), indent=1))
    write_stages(plan.layout, plan.spec.pod_ready_seconds, plan.spec.pod_ready_jitter_seconds)


def write_stages(layout: Layout, ready_seconds: float, jitter_seconds: float) -> None:
    """KWOK's configuration; takes effect when KWOK is started the next time."""
    text = stages(ready_seconds=ready_seconds, jitter_seconds=jitter_seconds)
    _write(layout.config / "kwok.yaml", text)


def _with_extra(command: Command, spec: SandboxSpec) -> Command:
    extra = tuple(spec.extra_args.get(command.name, ()))
    return Command(command.name, command.argv + extra, command.health, command.after)


def _etcd(plan: Plan) -> Command:
    client, peer = plan.url("etcd", scheme="https"), plan.url("etcd-peer")
    argv = (
        plan.binaries["etcd"],
        f"--data-dir={plan.layout.directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--listen-metrics-urls={plan.url('etcd-health')}",
        f"--cert-file={plan.pki('server.crt')}",
        f"--key-file={plan.pki('server.key')}",
        f"--trusted-ca-file={plan.pki('ca.crt')}",
        "--client-cert-auth",
        # The data is thrown away with the sandbox: nothing to protect from a power cut.
        "--unsafe-no-fsync",
        # A lone member need not wait a second to learn that nobody else stands for election.
        "--heartbeat-interval=10",
        "--election-timeout=100",
        "--log-level=warn",
    )
    return Command("etcd", argv, f"{plan.url('etcd-health')}/health")


def _apiserver(plan: Plan) -> Command:
    gates = ",".join(f"{k}={str(v).lower()}" for k, v in plan.spec.feature_gates.items())
    node = plan.node
    argv = (
        plan.binaries["kube-apiserver"],
        f"--etcd-servers={plan.url('etcd', scheme='https')}",
        f"--etcd-cafile={plan.pki('ca.crt')}",
        f"--etcd-certfile={plan.pki('etcd-client.crt')}",
        f"--etcd-keyfile={plan.pki('etcd-client.key')}",
        f"--bind-address={plan.api_address}",
        f"--advertise-address={plan.api_address}",
        f"--secure-port={plan.ports['kube-apiserver']}",
        # The reconciler refuses a loopback address, and no pod could reach it anyway.
        *(("--endpoint-reconciler-type=none",) if node is None else ()),
        f"--tls-cert-file={plan.pki('server.crt')}",
        f"--tls-private-key-file={plan.pki('server.key')}",
        f"--client-ca-file={plan.pki('ca.crt')}",
        f"--service-account-key-file={plan.pki('service-account.pub')}",
        f"--service-account-signing-key-file={plan.pki('service-account.key')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={node.services if node else '10.96.0.0/16'}",
        f"--authorization-mode={'Node,RBAC' if node else 'RBAC'}",
        "--allow-privileged=true",
        f"--requestheader-client-ca-file={plan.pki('ca.crt')}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={plan.pki('front-proxy.crt')}",
        f"--proxy-client-key-file={plan.pki('front-proxy.key')}",
        *((f"--feature-gates={gates}",) if gates else ()),
        *(node_commands.apiserver_arguments(plan) if node else ()),
    )
    after = ("etcd", "node") if node else ("etcd",)
    return Command("kube-apiserver", argv, f"{plan.api_url}/readyz", after)


def _controller_manager(plan: Plan) -> Command:
    name = "kube-controller-manager"
    config = plan.config(f"{name}.kubeconfig")
    argv = (
        plan.binaries[name],
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        *_serving(plan, name),
        "--leader-elect=false",
        f"--controllers={','.join(CONTROLLERS)}",
        f"--service-account-private-key-file={plan.pki('service-account.key')}",
        f"--root-ca-file={plan.pki('ca.crt')}",
        f"--horizontal-pod-autoscaler-sync-period={plan.spec.hpa_sync_seconds}s",
        # The default of 20 requests a second would be what a benchmark of scaling measures.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    )
    return Command(name, argv, f"{plan.url(name, scheme='https')}/healthz", ("kube-apiserver",))


def _scheduler(plan: Plan) -> Command:
    name = "kube-scheduler"
    config = plan.config(f"{name}.kubeconfig")
    argv = (
        plan.binaries[name],
        f"--config={plan.config('scheduler.json')}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        *_serving(plan, name),
    )
    return Command(name, argv, f"{plan.url(name, scheme='https')}/healthz", ("kube-apiserver",))


def _serving(plan: Plan, name: str) -> tuple[str, ...]:
    return (
        f"--bind-address={LOOPBACK}",
        f"--secure-port={plan.ports[name]}",
        f"--tls-cert-file={plan.pki('server.crt')}",
        f"--tls-private-key-file={plan.pki('server.key')}",
    )


def _scheduler_config(plan: Plan) -> dict[str, object]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {
            "kubeconfig": plan.config("kube-scheduler.kubeconfig"),
            "qps": 200,
            "burst": 400,
        },
    }


def _kwok(plan: Plan) -> Command:
    argv = (
        plan.binaries["kwok"],
        f"--kubeconfig={plan.config('kwok.kubeconfig')}",
        "--manage-all-nodes",
        f"--config={plan.config('kwok.yaml')}",
        f"--node-ip={LOOPBACK}",
        "--cidr=10.244.0.0/16",
        f"--server-address={LOOPBACK}:{plan.ports['kwok']}",
    )
    return Command("kwok", argv, f"{plan.url('kwok')}/healthz", ("kube-apiserver",))


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
