"""What a person sees while the demo runs."""

import sys
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sandbox.demo.report import Sample

_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 60


class View:
    """A live picture on a terminal, a line each 10 s elsewhere."""

    def __init__(self, console: Console, *, seconds: float, per_replica: float) -> None:
        self._console = console
        self._seconds = seconds
        self._per_replica = per_replica
        self._live = Live(console=console, refresh_per_second=4) if sys.stdout.isatty() else None
        self._next_line = 0.0
        self._reasons: list[str] = []

    def __enter__(self) -> "View":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, samples: Sequence[Sample]) -> None:
        """Show the latest of the samples."""
        latest = samples[-1]
        if latest.why and (not self._reasons or self._reasons[-1] != latest.why):
            self._reasons.append(latest.why)
            if self._live is None:
                self._console.print(f"  Foretide: {latest.why}", markup=False, soft_wrap=True)
        if self._live is not None:
            self._live.update(self._picture(samples))
        elif latest.at >= self._next_line:
            self._next_line = latest.at + 10
            self._console.print(self._line(latest), markup=False, soft_wrap=True)

    def _line(self, sample: Sample) -> str:
        peak = "      –" if sample.peak is None else f"{sample.peak:7.1f}"
        twins = "   ".join(
            f"{name} {ready:2d}/{replicas:2d} ready{self._mark(sample, ready)}"
            for name, ready, replicas in zip(
                ("Foretide", "HPA"), sample.ready, sample.replicas, strict=True
            )
        )
        return f"{sample.at:4.0f} s  demand {sample.demand:7.1f}  forecast {peak}   {twins}"

    def _mark(self, sample: Sample, ready: int) -> str:
        return " SHORT" if sample.demand > ready * self._per_replica else "      "

    def _picture(self, samples: Sequence[Sample]) -> RenderableType:
        latest = samples[-1]
        table = Table.grid(padding=(0, 2))
        top = max(max(s.demand, (s.peak or 0), max(s.ready) * self._per_replica) for s in samples)
        rows: list[tuple[str, str, list[float]]] = [
            ("demand", f"{latest.demand:.1f}", [s.demand for s in samples]),
            (
                "forecast",
                "–" if latest.peak is None else f"{latest.peak:.1f}",
                [s.peak or 0 for s in samples],
            ),
        ]
        for which, name in enumerate(("Foretide", "HPA")):
            ready, replicas = latest.ready[which], latest.replicas[which]
            figures = f"{ready}/{replicas} ready, carries {ready * self._per_replica:.1f}"
            rows.append((name, figures, [s.ready[which] * self._per_replica for s in samples]))
        for name, figures, series in rows:
            ready_short = name in ("Foretide", "HPA") and series[-1] < latest.demand
            style = "bold red" if ready_short else ""
            table.add_row(name, Text(figures, style=style), sparkline(series, top))
        bar = ProgressBar(total=self._seconds, completed=latest.at, width=_WIDTH)
        reasons = Text("\n".join(f"• {why}" for why in self._reasons[-4:]))
        return Panel(
            Group(table, Text(), reasons, Text(), bar),
            title=f"{latest.at:.0f} of {self._seconds:.0f} s",
        )


def sparkline(series: Sequence[float], top: float) -> str:
    """The series as a row of bars, `top` being the highest; older values are thinned out."""
    stride = max(1, -(-len(series) // _WIDTH))
    heights = [series[i] / top if top > 0 else 0 for i in range(0, len(series), stride)]
    return "".join(_BARS[round(min(1.0, max(0.0, h)) * (len(_BARS) - 1))] for h in heights)
