"""What a backtest says: a table and sentences for people, figures for JSON."""

from collections.abc import Sequence
from typing import Any

from ..simulation.summary import USUAL
from .advice import Advice
from .contest import DAY, Contest, Contestant, Outcome, usual_target

_HEADINGS = (
    "policy",
    "target",
    "pod-hours",
    "of HPA's",
    "too few replicas",
    "unserved",
    "changes a day",
)
_NAMES = {
    Contestant.HPA: "HPA",
    Contestant.KEDA: "KEDA",
    Contestant.OFFSET: "seasonal offset",
    Contestant.PHPA: "PHPA (Holt-Winters)",
    Contestant.PROPHET: "Prophet only",
    Contestant.FORETIDE: "Foretide",
    Contestant.ORACLE: "oracle",
}


def introduction(contest: Contest) -> str:
    """What was played."""
    trace = contest.trace
    history = trace.days - contest.days
    return (
        f"{trace.name}: {contest.days:.1f} days are played, the {history:.1f} days before them are "
        f"history only. One replica carries {trace.per_replica:g} safely; {contest.min_replicas} "
        f"replicas at the least."
    )


def table(contest: Contest, outcomes: Sequence[Outcome], delay: float, targets: set[float]) -> str:
    """A row for each policy at its usual target, and at each of the `targets`."""
    mine = [one for one in outcomes if one.delay == delay]
    unit = next(
        one.score.pod_minutes
        for one in mine
        if one.policy is Contestant.HPA and one.utilization == USUAL
    )
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for policy in Contestant:
        swept = sorted((one for one in mine if one.policy is policy), key=lambda o: -o.utilization)
        wanted = {usual_target(policy), *targets}
        rows += [_row(one, unit, contest.days) for one in swept if one.utilization in wanted]
    return columns(rows)


def sentence(advice: Advice, days: float) -> str:
    """What Foretide would have saved and avoided."""
    ours, hpa = advice.ours.score, advice.hpa.score
    told = (
        f"With pods that take {_minutes(advice.delay / 60)}, Foretide at a target of "
        f"{advice.utilization:.0%} would have used {_hours(ours.pod_minutes)} pod-hours instead of "
        f"HPA's {_hours(hpa.pod_minutes)} ({advice.cost_change:+.0%}), with too few replicas for "
        f"{_short(ours.under_pct, days)} instead of {_short(hpa.under_pct, days)}."
    )
    if advice.saving is not None:
        told += f" As safe as HPA at 70 % it would have cost {_less(advice.saving)}"
        if advice.oracle_saving is not None:
            told += f" (with a perfect forecast: {_less(advice.oracle_saving)})"
        told += "."
    if not advice.better:
        told += (
            " No target would have been both cheaper and as safe as HPA: on this demand the "
            "forecast is worth little, and Foretide does what HPA does where it sees that."
        )
    return told


def figures(contest: Contest, outcomes: Sequence[Outcome], advices: Sequence[Advice]) -> Any:
    """All of it for JSON."""
    trace = contest.trace
    return {
        "demand": {
            "name": trace.name,
            "days": round(trace.days, 4),
            "played_days": round(contest.days, 4),
            "per_replica": trace.per_replica,
        },
        "results": [
            {
                "delay_s": one.delay,
                "policy": one.policy.value,
                "target_utilization": one.utilization,
                **{name: round(value, 6) for name, value in one.score.figures().items()},
                "most_replicas": one.most_replicas,
            }
            for one in outcomes
        ],
        "advice": [
            {
                "delay_s": advice.delay,
                "target_utilization": advice.utilization,
                "better_than_hpa": advice.better,
                "cost_change": round(advice.cost_change, 6),
                "saving_at_equal_violations": _rounded(advice.saving),
                "oracle_saving_at_equal_violations": _rounded(advice.oracle_saving),
                "sentence": sentence(advice, contest.days),
            }
            for advice in advices
        ],
    }


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text, the first column to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _row(one: Outcome, unit: float, days: float) -> tuple[str, ...]:
    score = one.score
    return (
        _NAMES[one.policy],
        f"{one.utilization:.0%}",
        _hours(score.pod_minutes),
        f"{score.pod_minutes / unit:.1%}",
        f"{score.under_pct:.3f} % ({_short(score.under_pct, days)})",
        f"{score.unserved_pct:.4f} %",
        f"{score.scale_events_per_day:.0f}",
    )


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def _less(share: float) -> str:
    return f"{share:.0%} less" if share >= 0 else f"{-share:.0%} more"


def _hours(pod_minutes: float) -> str:
    return f"{pod_minutes / 60:,.0f}"


def _short(under_pct: float, days: float) -> str:
    return _minutes(under_pct / 100 * days * DAY / 60)


def _minutes(minutes: float) -> str:
    if minutes >= 120:
        return f"{minutes / 60:.1f} h"
    return f"{minutes:.0f} min" if minutes >= 1 or minutes == 0 else f"{60 * minutes:.0f} s"
