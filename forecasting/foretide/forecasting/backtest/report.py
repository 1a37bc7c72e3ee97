"""What a backtest says: a table and sentences for people, figures for JSON."""

from collections.abc import Sequence
from typing import Any

from ..simulation.summary import USUAL
from .advice import HIGHEST, Advice, EqualSafety, Rival
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
# What people call the policies.
NAMES = {
    Contestant.HPA: "HPA",
    Contestant.KEDA: "KEDA",
    Contestant.OFFSET: "seasonal offset",
    Contestant.PHPA: "PHPA (Holt-Winters)",
    Contestant.PROPHET: "Prophet only",
    Contestant.FORETIDE: "Foretide",
    Contestant.ORACLE: "oracle",
}
# Shares of cost that differ by less are the same.
_SAME = 0.0005
# Percentages below this have a decimal place.
_FEW = 0.03


def introduction(contest: Contest) -> str:
    """What was played."""
    trace = contest.trace
    history = trace.days - contest.days
    return (
        f"{trace.name}: {contest.days:.1f} days are played, the {history:.1f} days before them are "
        f"history only. One replica carries {trace.per_replica:g} safely; {contest.min_replicas} "
        f"replicas at the least."
    )


def table(
    contest: Contest, outcomes: Sequence[Outcome], advice: Advice, targets: set[float]
) -> str:
    """The outcomes for the advice's delay: a row for each policy and target that matters.

    That is each policy's usual target, each of the `targets`, and for Foretide the one advised.
    """
    mine = [one for one in outcomes if one.delay == advice.delay]
    unit = next(
        one.score.pod_minutes
        for one in mine
        if one.policy is Contestant.HPA and one.utilization == USUAL
    )
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for policy in Contestant:
        swept = sorted((one for one in mine if one.policy is policy), key=lambda o: -o.utilization)
        wanted = {usual_target(policy), *targets}
        if policy is Contestant.FORETIDE:
            wanted.add(advice.utilization)
        rows += [_row(one, unit, contest.days) for one in swept if one.utilization in wanted]
    return columns(rows)


def legend() -> str:
    """What the columns mean, and why some rows look as they do."""
    return (
        "target: the share of what a replica carries safely that replicas are planned for. Prophet "
        "and the oracle plan for what they foresee, without headroom: 100 %.\n"
        "of HPA's: pod-hours, as a share of HPA's at 70 %.\n"
        "too few replicas: for how long demand was more than the ready replicas carry safely; "
        "unserved: how much of all demand that was.\n"
        "KEDA makes an HPA of its trigger, so that the two differ little."
    )


def sentence(advice: Advice, days: float) -> str:
    """All `sentences` as one text."""
    return " ".join(sentences(advice, days))


def sentences(advice: Advice, days: float) -> list[str]:
    """What Foretide would have saved and avoided, and who did better."""
    ours, hpa = advice.ours.score, advice.hpa.score
    told = [
        f"With pods that take {duration(advice.delay)}, Foretide at a target of "
        f"{_percent(advice.utilization)} would have used {_hours(ours.pod_minutes)} pod-hours "
        f"instead of HPA's {_hours(hpa.pod_minutes)} ({_change(advice.cost_change)}), with too few "
        f"replicas for {_short(ours.under_pct, days)} instead of {_short(hpa.under_pct, days)}."
    ]
    if advice.as_safe is not None and advice.saving is not None:
        perfect = advice.oracle_saving
        told.append(
            f"As safe as HPA at {_percent(USUAL)} it would have cost {_less(advice.saving)}, "
            f"{_at(advice.as_safe)}"
            + ("." if perfect is None else f" (with a perfect forecast: {_less(perfect)}).")
        )
    told += [_rival(rival, advice, days) for rival in advice.safer]
    if advice.untried is not None:
        told.append(
            "No target that was played was both cheaper and as safe as HPA, but one in between "
            f"would be: play it with --target-utilization {advice.untried:.2f}."
        )
    elif not advice.better:
        told.append(
            f"No target up to {_percent(HIGHEST)} would have been both cheaper and as safe as HPA: "
            "on this demand the forecast is worth little, and Foretide does what HPA does where it "
            "sees that."
        )
    return told


def _at(found: EqualSafety) -> str:
    at = f"at a target of about {_percent(round(found.utilization, 2))}"
    return f"{at}, which leaves little room for surprises" if found.utilization > HIGHEST else at


def _rival(rival: Rival, advice: Advice, days: float) -> str:
    score, unit = rival.outcome.score, advice.hpa.score.pod_minutes
    told = (
        f"Safer was {NAMES[rival.outcome.policy]}: {_short(score.under_pct, days)}, for "
        f"{100 * score.pod_minutes / unit:.1f} % of HPA's pod-hours; "
    )
    if rival.ours is None:
        return told + "no target of Foretide's was as safe as that."
    cost = f"{100 * rival.ours.pod_minutes / unit:.1f} %"
    return told + f"Foretide as safe as that would have used {cost}, {_at(rival.ours)}."


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
                "target_at_equal_violations": None
                if advice.as_safe is None
                else round(advice.as_safe.utilization, 4),
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
        NAMES[one.policy],
        _percent(one.utilization),
        _hours(score.pod_minutes),
        f"{100 * score.pod_minutes / unit:.1f} %",
        f"{score.under_pct:.3f} % ({_short(score.under_pct, days)})",
        f"{score.unserved_pct:.4f} %",
        f"{score.scale_events_per_day:.0f}",
    )


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def _less(share: float) -> str:
    if abs(share) < _SAME:
        return "as much"
    return f"{_figure(abs(share))} % {'less' if share > 0 else 'more'}"


def _change(share: float) -> str:
    return (
        "as many" if abs(share) < _SAME else f"{'-' if share < 0 else '+'}{_figure(abs(share))} %"
    )


def _figure(share: float) -> str:
    """Percent, with a decimal place where it would be nearly nothing without one."""
    return f"{100 * share:.1f}" if share < _FEW else f"{100 * share:.0f}"


def _percent(share: float) -> str:
    return f"{round(100 * share, 1):g} %"


def duration(seconds: float) -> str:
    """As it is given to `--delay`: 90 is `1m30s`."""
    hours, rest = divmod(round(seconds), 3_600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def _hours(pod_minutes: float) -> str:
    return f"{pod_minutes / 60:,.0f}"


def _short(under_pct: float, days: float) -> str:
    return _minutes(under_pct / 100 * days * DAY / 60)


def _minutes(minutes: float) -> str:
    if minutes >= 120:
        return f"{minutes / 60:.1f} h"
    return f"{minutes:.0f} min" if minutes >= 1 or minutes == 0 else f"{60 * minutes:.0f} s"
