"""What windows say, as status shows it: hotspots, what it is bound by, what profiling costs.

Pure, and some tens of milliseconds of work: it is done in a thread, and when there is news.
"""

from collections.abc import Sequence
from typing import Any

from foretide.profiling import bound as bounds
from foretide.profiling import hotspots as ranking
from foretide.profiling.profile import merge
from foretide.profiling.window import Window

from ..api.profiler_status import (
    MOST_EVIDENCE,
    BoundStatus,
    HotspotStatus,
    OverheadStatus,
    ProfileStatus,
)
from ..conditions import timestamp

Json = dict[str, Any]

_LONGEST_NAME = 120
_LONGEST_EVIDENCE = 300


def judge(windows: Sequence[Window], *, hotspots: int, reference: str | None = None) -> Json:
    """The parts of status that come from windows; nothing where there are none.

    `reference` is where these windows are kept.
    """
    if not windows:
        return {}
    found = ranking.hotspots(windows, limit=hotspots)
    spots = [_hotspot(one) for one in found.ranked]
    bound = bounds.bound(windows)
    return {
        "profile": _dump(_profile(windows, reference)),
        "bound": _dump(
            BoundStatus(
                kind=str(bound.kind),
                confidence=f"{bound.confidence:.2f}",
                evidence=[it[:_LONGEST_EVIDENCE] for it in bound.evidence[:MOST_EVIDENCE]] or None,
            )
        ),
        "hotspots": [_dump(spot) for spot in spots] or None,
        "topHotspot": _top(spots, found),
        "pareto": _pareto(found),
        "overhead": _dump(_overhead(windows)),
    }


def _top(spots: Sequence[HotspotStatus], found: ranking.Hotspots) -> str | None:
    """What `kubectl get` shows: no empty column where a longer look would fill it."""
    if spots:
        return f"{spots[0].function} {spots[0].self_percent} %"
    few = 0 < found.samples < ranking.LEAST_SAMPLES
    return f"({found.samples:.0f} of {ranking.LEAST_SAMPLES} samples)" if few else None


def _hotspot(one: ranking.Hotspot) -> HotspotStatus:
    low, high = one.interval
    return HotspotStatus(
        function=one.function.name[:_LONGEST_NAME],
        file=one.function.file[-_LONGEST_NAME:],
        line=one.line.line,
        self_percent=f"{100 * one.self_share:.1f}",
        total_percent=f"{100 * one.total_share:.1f}",
        interval=f"{100 * low:.1f}-{100 * high:.1f}",
        cpu_seconds=f"{one.total_seconds:.2f}",
    )


def _profile(windows: Sequence[Window], reference: str | None) -> ProfileStatus:
    return ProfileStatus(
        start=timestamp(min(window.started_at for window in windows)),
        end=timestamp(max(window.started_at + window.seconds for window in windows)),
        windows=len(windows),
        pods=len({window.labels.get("pod", "") for window in windows}),
        samples=round(merge(windows).samples),
        cpu_seconds=f"{sum(window.process.cpu_seconds for window in windows):.1f}",
        reference=reference,
    )


def _pareto(found: ranking.Hotspots) -> str | None:
    pareto = found.pareto
    if found.reason or not pareto.functions:
        return found.reason or None
    return (
        f"{100 * pareto.share:.0f} % of the time is in {pareto.few} of "
        f"{pareto.functions} functions ({100 * pareto.few / pareto.functions:.0f} %)"
    )


def _overhead(windows: Sequence[Window]) -> OverheadStatus:
    """Of the costliest process, each figure by itself."""
    by_process: dict[tuple[str, int], list[Window]] = {}
    for window in windows:
        by_process.setdefault((window.labels.get("pod", ""), window.pid), []).append(window)
    stopped, cores = [], []
    for own in by_process.values():
        seconds = sum(window.seconds for window in own)
        cores.append(sum(window.overhead.sampler_cpu_seconds for window in own) / seconds)
        told = [it for it in own if it.overhead.stopped_share is not None]
        if told:
            weight = sum(window.seconds for window in told)
            stood = sum((it.overhead.stopped_share or 0.0) * it.seconds for it in told)
            stopped.append(stood / weight)
    memory = max(window.overhead.sampler_rss for window in windows)
    return OverheadStatus(
        stopped_percent=f"{100 * max(stopped):.2f}" if stopped else None,
        cores=f"{max(cores):.4f}",
        memory=f"{memory / 2**20:.0f}Mi",
    )


def _dump(model: Any) -> Json:
    return dict(model.model_dump(by_alias=True, mode="json"))
