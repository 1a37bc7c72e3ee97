"""The curves as a picture. It needs matplotlib."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..simulation.curves import Curve
from ..simulation.summary import USUAL
from .contest import Contestant, usual_target
from .report import NAMES, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {
    Contestant.HPA: "#444444",
    Contestant.KEDA: "#999999",
    Contestant.OFFSET: "#d98c00",
    Contestant.PHPA: "#8c6bb1",
    Contestant.PROPHET: "#41ab5d",
    Contestant.FORETIDE: "#0063c8",
    Contestant.ORACLE: "#d7301f",
}
_DASHES = {Contestant.KEDA: ":", Contestant.ORACLE: "--"}
# Percent: below this the axis is linear, so that zero has a place on it.
_LINEAR_BELOW = 0.1
# What a picture's file may be named; the suffix says what it becomes.
SUFFIXES = (".png", ".svg", ".pdf")


def draw(curves: Mapping[tuple[str, float], Mapping[Contestant, Curve]], path: Path) -> None:
    """A small picture for each trace (rows) and delay (columns): cost against violations.

    A ring marks each policy's usual setting. Raises ImportError where matplotlib is missing,
    OSError where the file cannot be written, and ValueError where its name ends in no format.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    traces = list(dict.fromkeys(trace for trace, _ in curves))
    delays = sorted({delay for _, delay in curves})
    figure, axes = pyplot.subplots(
        len(traces),
        len(delays),
        figsize=(1.5 + 3 * len(delays), 1.5 + 2.4 * len(traces)),
        squeeze=False,
        layout="constrained",
    )
    for row, trace in enumerate(traces):
        for column, delay in enumerate(delays):
            _panel(axes[row][column], curves.get((trace, delay), {}), f"{trace}, {duration(delay)}")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=2 + len(delays),
        frameon=False,
        fontsize=8,
    )
    figure.supxlabel("pod-minutes, as a share of HPA's at 70 %")
    figure.supylabel("under-provisioned time, %")
    path.parent.mkdir(parents=True, exist_ok=True)
    maker = {".png": "Software", ".pdf": "Creator"}.get(path.suffix.lower(), "Title")
    figure.savefig(path, dpi=110, metadata={maker: "foretide"})
    pyplot.close(figure)


def _panel(axis: "Axes", curves: Mapping[Contestant, Curve], title: str) -> None:
    if Contestant.HPA not in curves:
        axis.set_axis_off()
        return
    axis.set_title(title, fontsize=8)
    unit = curves[Contestant.HPA].at(USUAL).pod_minutes
    for policy, curve in curves.items():
        colour = _COLOURS[policy]
        axis.plot(
            [point.pod_minutes / unit for point in curve.points],
            [point.under_pct for point in curve.points],
            color=colour,
            linestyle=_DASHES.get(policy, "-"),
            linewidth=1.8 if policy is Contestant.FORETIDE else 1.1,
            label=NAMES[policy],
        )
        usual = curve.at(usual_target(policy))
        axis.plot(usual.pod_minutes / unit, usual.under_pct, "o", color=colour, fillstyle="none")
    axis.set_yscale("symlog", linthresh=_LINEAR_BELOW)
    axis.set_xlim(0.65, 1.5)
    axis.set_ylim(bottom=0)
    axis.axvline(1.0, color="#dddddd", linewidth=0.8, zorder=0)
    axis.tick_params(labelsize=7)
