"""What a sandbox should be: one frozen value, and its form on disk for the supervisor.

The samples of demand series travel as raw float64 files beside the JSON: as JSON text, a few
hundred thousand of them would cost more start-up time than Prometheus needs to import them.
"""

import json
import math
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.modes import check_mode
from sandbox.node.archive import Image

DAY = 86_400.0

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
# Prometheus sets these two on everything that it scrapes; history carries the same values.
SCRAPE_LABELS = {"job": "demand", "instance": "player"}


@dataclass(frozen=True, kw_only=True)
class DemandSeries:
    """One series of demand: history before `start_at`, played live from there on.

    `times` are seconds, strictly ascending, on any origin; `start_at` is on the same scale and is
    mapped to the wall clock at the sandbox's start. Without it the trace's last day is played live
    (the last quarter of a trace shorter than four days). Beyond its end the trace goes back by a
    whole week (by a whole day when it is shorter than a week) and plays on; a trace shorter than a
    day holds its last value.

    `mode` is what the player does at first (see `sandbox.modes`). `history_gap_seconds` ends the
    history that many wall seconds before the start: with `mode="stale"` the newest sample that
    Prometheus knows is that old. Raises SandboxError for a series that cannot be played.
    """

    times: Sequence[float]
    values: Sequence[float]
    name: str = "demand_rps"
    labels: Mapping[str, str] = field(default_factory=dict)
    start_at: float | None = None
    mode: str | float = "play"
    history: bool = True
    history_gap_seconds: float = 0.0

    def __post_init__(self) -> None:
        check_mode(self.mode)
        if not METRIC_NAME.fullmatch(self.name):
            raise SandboxError(f"{self.name!r} is not a metric name")
        for label in self.labels:
            if not LABEL_NAME.fullmatch(label) or label in SCRAPE_LABELS:
                raise SandboxError(f"series {self.name}: {label!r} cannot be a label")
        if len(self.times) != len(self.values):
            raise SandboxError(
                f"series {self.name}: {len(self.times)} times but {len(self.values)} values"
            )
        if len(self.times) < 2:
            raise SandboxError(f"series {self.name}: needs at least 2 samples")
        if not all(a < b for a, b in pairwise(self.times)):
            raise SandboxError(f"series {self.name}: times must ascend strictly")

    @property
    def key(self) -> str:
        """The series as PromQL writes it; names it towards the player."""
        inner = ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(self.labels.items()))
        return f"{self.name}{{{inner}}}" if inner else self.name

    @property
    def origin(self) -> float:
        """The trace instant (seconds, the trace's scale) that is mapped to the sandbox's start."""
        if self.start_at is not None:
            return self.start_at
        span = self.times[-1] - self.times[0]
        return self.times[-1] - min(DAY, span / 4)


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """Everything that decides how a sandbox behaves. All durations are wall-clock seconds.

    Pods become ready between `pod_ready_seconds` and `pod_ready_seconds + pod_ready_jitter_seconds`
    after they were given a node, drawn uniformly; the pod annotations
    `sandbox.foretide.dev/ready-after` and `…/ready-at-most` ("90s") override both for one pod.
    `speed` is trace seconds per wall second, for history and live alike.
    `external_metrics` maps names, as an HPA asks for them, to PromQL.
    `extra_args` adds command-line arguments by component name.
    `node` puts one real node, `real-node`, with containerd and a kubelet, in the place of KWOK's
    fake ones; it needs Linux and root (`sandbox.node.packages.why_not`). `images` (of
    `sandbox.node.images`) are there for its pods; it pulls none from elsewhere. Pods have addresses
    but no cluster DNS.
    Without `directory` the state lives in a temporary folder that goes with the sandbox.
    """

    directory: Path | None = None
    nodes: int = 2
    pods_per_node: int = 110
    cpu_per_node: str = "16"
    memory_per_node: str = "64Gi"
    pod_ready_seconds: float = 1.0
    pod_ready_jitter_seconds: float = 0.0
    scrape_seconds: float = 5.0
    hpa_sync_seconds: float = 15.0
    lookback_seconds: float = 300.0
    speed: float = 1.0
    controller_manager: bool = True
    scheduler: bool = True
    kwok: bool = True
    prometheus: bool = True
    node: bool = False
    images: Sequence[Image] = ()
    series: Sequence[DemandSeries] = ()
    external_metrics: Mapping[str, str] = field(default_factory=dict)
    feature_gates: Mapping[str, bool] = field(default_factory=dict)
    extra_args: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        positive = {
            "pods_per_node": self.pods_per_node,
            "scrape_seconds": self.scrape_seconds,
            "hpa_sync_seconds": self.hpa_sync_seconds,
            "lookback_seconds": self.lookback_seconds,
            "speed": self.speed,
        }
        not_negative = {
            "nodes": self.nodes,
            "pod_ready_seconds": self.pod_ready_seconds,
            "pod_ready_jitter_seconds": self.pod_ready_jitter_seconds,
        }
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise SandboxError(f"{name} must be more than 0, is {value}")
        for name, value in not_negative.items():
            if not (math.isfinite(value) and value >= 0):
                raise SandboxError(f"{name} must not be negative, is {value}")
        if self.images and not self.node:
            raise SandboxError("images need node=True")
        if self.node and not self.controller_manager:
            raise SandboxError("node=True needs controller_manager=True: else it never gets ready")
        if (self.series or self.external_metrics) and not self.prometheus:
            raise SandboxError("series and external_metrics need prometheus=True")
        keys = [series.key for series in self.series]
        if len(set(keys)) != len(keys):
            raise SandboxError("two series have the same name and labels")

    @property
    def fake_nodes(self) -> bool:
        """Whether there are KWOK's nodes."""
        return self.kwok and not self.node


def save_spec(spec: SandboxSpec, directory: Path) -> None:
    """Write `spec.json` and one raw file of samples per series into `directory`."""
    samples = directory / "series"
    samples.mkdir(exist_ok=True)
    described = []
    for index, series in enumerate(spec.series):
        numbers = array("d", series.times) + array("d", series.values)
        (samples / f"{index}.f64").write_bytes(numbers.tobytes())
        described.append(
            {
                f.name: getattr(series, f.name)
                for f in fields(series)
                if f.name not in ("times", "values", "labels")
            }
            | {"labels": dict(series.labels)}
        )
    plain = {f.name: getattr(spec, f.name) for f in fields(spec)}
    images = [image.describe() for image in spec.images]
    document = {**plain, "directory": str(directory), "series": described, "images": images}
    (directory / "spec.json").write_text(json.dumps(document, default=_plain, indent=2))


def load_spec(directory: Path) -> SandboxSpec:
    """Read what `save_spec` wrote."""
    document: dict[str, Any] = json.loads((directory / "spec.json").read_text())
    series = []
    for index, described in enumerate(document.pop("series")):
        numbers = array("d")
        numbers.frombytes((directory / "series" / f"{index}.f64").read_bytes())
        half = len(numbers) // 2
        series.append(DemandSeries(times=numbers[:half], values=numbers[half:], **described))
    document["directory"] = Path(document["directory"])
    document["images"] = tuple(Image.described(image) for image in document["images"])
    return SandboxSpec(**document, series=tuple(series))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"cannot write {type(value).__name__}")
