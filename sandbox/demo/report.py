"""What a demo run has shown: figures, a table, a picture. Pure but for the files it writes."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment, `at` seconds after the start.

    `replicas` and `ready` are (Foretide's, the reactive twin's); `peak` is the forecast's upper
    quantile over the lead time, None while there is none; `why` is Foretide's latest reason.
    """

    at: float
    demand: float
    replicas: tuple[int, int]
    ready: tuple[int, int]
    peak: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Twin:
    """A figure for each of the two."""

    foretide: float
    reactive: float


@dataclass(frozen=True, slots=True)
class Planned:
    """What the plan and HPA would have come to on the days before.

    `replicas` are on average; `lacking_percent` is the time in which too few would have been ready.
    """

    replicas: Twin
    lacking_percent: Twin


@dataclass(frozen=True, slots=True)
class Report:
    """The result. Times are in seconds of the trace; at `speed` 1 these are real ones.

    `lead_seconds` is how long before demand crossed the capacity that there was at the start the
    replicas that Foretide had added for it were ready; None when demand never crossed it, or
    Foretide added none. `planned` is None where the forecast has made no plan.
    """

    trace: str
    speed: float
    seconds: float
    per_replica: float
    target_utilization: float
    start_replicas: int
    pod_ready_seconds: float
    lead_seconds: float | None
    under_provisioned_seconds: Twin
    pod_minutes: Twin
    peak_demand: float
    planned: Planned | None = None


def summarise(
    samples: Sequence[Sample],
    *,
    trace: str,
    per_replica: float,
    target_utilization: float,
    pod_ready: float,
    planned: Planned | None = None,
) -> Report:
    """Integrate over the samples; each holds until the next.

    Under-provisioned means demand > ready replicas × `per_replica`.
    """

    def integral(of: "list[float]") -> float:
        steps = zip(samples, samples[1:], of, strict=False)
        return sum((after.at - before.at) * value for before, after, value in steps)

    def under(which: int) -> float:
        return integral([float(s.demand > s.ready[which] * per_replica) for s in samples])

    def pods(which: int) -> float:
        return integral([float(s.replicas[which]) for s in samples]) / 60

    return Report(
        trace=trace,
        speed=1.0,
        seconds=samples[-1].at - samples[0].at,
        per_replica=per_replica,
        target_utilization=target_utilization,
        start_replicas=samples[0].ready[0],
        pod_ready_seconds=pod_ready,
        lead_seconds=_lead(samples, per_replica),
        under_provisioned_seconds=Twin(round(under(0), 1), round(under(1), 1)),
        pod_minutes=Twin(round(pods(0), 2), round(pods(1), 2)),
        peak_demand=max(sample.demand for sample in samples),
        planned=planned,
    )


def _lead(samples: Sequence[Sample], per_replica: float) -> float | None:
    start = samples[0].ready[0]
    crossed = next((s.at for s in samples if s.demand > start * per_replica), None)
    # What had been asked for by then, or else what was asked for first: the latest of it counts.
    before = [s.replicas[0] for s in samples if crossed is not None and s.at <= crossed]
    later = next((s.replicas[0] for s in samples if s.replicas[0] > start), None)
    added = max(before) if before and max(before) > start else later
    ready = next((s.at for s in samples if added is not None and s.ready[0] >= added), None)
    return None if crossed is None or ready is None else round(crossed - ready, 1)


def write(report: Report, samples: Sequence[Sample], folder: Path) -> None:
    """Write `report.json`, `samples.json` and `report.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    (folder / "samples.json").write_text(json.dumps([asdict(s) for s in samples]) + "\n")
    _draw(report, samples, folder / "report.png")


def show(report: Report, folder: Path, console: Console) -> None:
    """Print the table and what it means."""
    table = Table(title=f"{report.trace}, {report.seconds:.0f} s at speed {report.speed:g}")
    table.add_column("")
    table.add_column("Foretide", justify="right")
    table.add_column("HPA", justify="right")
    under, pods = report.under_provisioned_seconds, report.pod_minutes
    table.add_row("under-provisioned, s", f"{under.foretide:.0f}", f"{under.reactive:.0f}")
    table.add_row("pod-minutes", f"{pods.foretide:.1f}", f"{pods.reactive:.1f}")
    console.print(table)
    for sentence in (verdict(report), *expectation(report)):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"Report: {folder / 'report.json'}, picture: {folder / 'report.png'}")


def verdict(report: Report) -> str:
    """The result in a sentence or two, whichever way it went."""
    under = report.under_provisioned_seconds
    share = report.pod_minutes.foretide / max(report.pod_minutes.reactive, 1e-9)
    if report.lead_seconds is None:
        ahead = "Demand never asked for more than there was at the start."
    elif report.lead_seconds > 0:
        ahead = f"The new replicas were ready {report.lead_seconds:.0f} s before they were needed."
    else:
        ahead = f"The new replicas were ready {-report.lead_seconds:.0f} s too late."
    if under.reactive < 60:
        return f"{ahead} HPA keeps up with this part of the trace: there is little to be shown."
    return (
        f"{ahead} HPA left users short for {under.reactive:.0f} s, Foretide for "
        f"{under.foretide:.0f} s, at {share:.2f} times HPA's pod-minutes."
    )


def expectation(report: Report) -> list[str]:
    """Why a rise costs more than HPA's answer to it, and what whole days cost by the plan."""
    if report.planned is None:
        return []
    ours, theirs = report.planned.replicas.foretide, report.planned.replicas.reactive
    lacking = report.planned.lacking_percent
    percent = 100 * (ours / max(theirs, 1e-9) - 1)
    as_many = f"{abs(percent):.0f} % {'more' if percent > 0 else 'fewer'} replicas than"
    if round(percent) == 0:
        as_many = "as many replicas as"
    return [
        "Around a rise, being ready before it costs pod-minutes. Over the days before, the plan "
        f"would have needed {as_many} HPA ({ours:g} and {theirs:g} on average), too few of them "
        f"ready for {lacking.foretide:g} % of the time (HPA: {lacking.reactive:g} %)."
    ]


def _draw(report: Report, samples: Sequence[Sample], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    at = [sample.at for sample in samples]
    demand = [sample.demand for sample in samples]
    figure, axes = pyplot.subplots(figsize=(11, 6), layout="constrained")
    for which, name, colour in ((1, "HPA", "#d95f02"), (0, "Foretide", "#1b6ca8")):
        capacity = [sample.ready[which] * report.per_replica for sample in samples]
        wanted = [sample.replicas[which] * report.per_replica for sample in samples]
        axes.step(at, capacity, where="post", color=colour, lw=2.2, label=f"{name}: ready")
        axes.step(at, wanted, where="post", color=colour, lw=1, ls=":", label=f"{name}: asked for")
        short = [d > c for d, c in zip(demand, capacity, strict=True)]
        axes.fill_between(
            at, capacity, demand, where=short, step="post", color=colour, alpha=0.3, lw=0
        )
    axes.step(at, demand, where="post", color="black", lw=1.6, label="demand")
    peaks = [(s.at, s.peak) for s in samples if s.peak is not None]
    if peaks:
        axes.plot(
            *zip(*peaks, strict=True), color="#7570b3", ls="--", label="forecast over the lead"
        )
    axes.set_xlabel("seconds (shaded: demand that nobody could serve)")
    axes.set_ylabel("demand, and the demand that replicas carry")
    axes.set_ylim(bottom=0)
    axes.set_title(verdict(report), fontsize=10, loc="left", wrap=True)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", ncols=2, fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
