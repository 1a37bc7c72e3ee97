"""KWOK's stages: when its nodes and pods change their state, and to what.

Shortened from KWOK's own stages (sigs.k8s.io/kwok, Apache-2.0), with a delay of our choosing
before a pod is ready.
"""

import json
from typing import Any

READY_AFTER = "sandbox.foretide.dev/ready-after"
READY_AT_MOST = "sandbox.foretide.dev/ready-at-most"

_CONDITIONS = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ or $.metadata.creationTimestamp $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
"""

_NODE_INITIALIZED = (
    _CONDITIONS
    + """
addresses:
- address: {{ NodeIP | Quote }}
  type: InternalIP
- address: {{ NodeName | Quote }}
  type: Hostname
allocatable:
{{ YAML .status.allocatable 1 }}
capacity:
{{ YAML .status.capacity 1 }}
nodeInfo:
  architecture: amd64
  bootID: ""
  containerRuntimeVersion: kwok-{{ Version }}
  kernelVersion: kwok-{{ Version }}
  kubeProxyVersion: kwok-{{ Version }}
  kubeletVersion: kwok-{{ Version }}
  machineID: ""
  operatingSystem: linux
  osImage: ""
  systemUUID: ""
phase: Running
"""
)

_POD_READY = """
{{ $now := Now }}
conditions:
{{ range $type := (list "Initialized" "Ready" "ContainersReady") }}
- lastTransitionTime: {{ $now | Quote }}
  status: "True"
  type: {{ $type }}
{{ end }}
{{ range .spec.readinessGates }}
- lastTransitionTime: {{ $now | Quote }}
  status: "True"
  type: {{ .conditionType | Quote }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  started: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
{{ with NodeIPWith .spec.nodeName }}
hostIP: {{ . | Quote }}
{{ end }}
podIP: {{ PodIPWith .spec.nodeName (or .spec.hostNetwork false) (or .metadata.uid "") (or .metadata.name "") (or .metadata.namespace "") | Quote }}
phase: Running
startTime: {{ $now | Quote }}
"""  # noqa: E501

_POD_COMPLETE = """
{{ $now := Now }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
phase: Succeeded
"""


def stages(*, ready_seconds: float, jitter_seconds: float) -> str:
    """KWOK's configuration. Pods become ready between `ready_seconds` and that plus the jitter."""
    documents = [
        _stage("node-initialize", "Node", [_node_ready("NotIn")], _NODE_INITIALIZED),
        # Every 20-25 s: the node-lifecycle controller takes a node for dead after 50 s of silence.
        _stage("node-heartbeat", "Node", [_node_ready("In")], _CONDITIONS, delay=_delay(20, 25)),
        _stage(
            "pod-ready",
            "Pod",
            [_ALIVE, _in(".status.phase", "Pending")],
            _POD_READY,
            delay=_ready_delay(ready_seconds, ready_seconds + jitter_seconds),
        ),
        _stage(
            "pod-complete",
            "Pod",
            [_ALIVE, _in(".status.phase", "Running"), _in(_OWNER, "Job")],
            _POD_COMPLETE,
        ),
        _stage(
            "pod-delete",
            "Pod",
            [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}],
            None,
        ),
    ]
    return "\n---\n".join(json.dumps(document, indent=1) for document in documents)


_ALIVE = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
_OWNER = ".metadata.ownerReferences.[].kind"


def _in(key: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": list(values)}


def _node_ready(operator: str) -> dict[str, Any]:
    condition = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    return {"key": condition, "operator": operator, "values": ["True"]}


def _delay(at_least: float, at_most: float) -> dict[str, Any]:
    # KWOK's "jitter" is the latest moment, not an addition to the duration.
    return {
        "durationMilliseconds": round(at_least * 1000),
        "jitterDurationMilliseconds": round(at_most * 1000),
    }


def _ready_delay(at_least: float, at_most: float) -> dict[str, Any]:
    after = f'.metadata.annotations["{READY_AFTER}"]'
    # Where only READY_AFTER is given it is the latest moment too: KWOK would otherwise prefer
    # the default's latest moment whenever that is earlier.
    latest = f'.metadata.annotations["{READY_AT_MOST}"] // {after}'
    return {
        **_delay(at_least, at_most),
        "durationFrom": {"expressionFrom": after},
        "jitterDurationFrom": {"expressionFrom": latest},
    }


def _stage(
    name: str,
    kind: str,
    conditions: list[dict[str, Any]],
    status: str | None,
    *,
    delay: dict[str, Any] | None = None,
) -> dict[str, Any]:
    following = {"delete": True} if status is None else {"statusTemplate": status}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": conditions},
            **({"delay": delay} if delay else {}),
            "next": following,
        },
    }
