"""Is what labelled programs are bound by told right? `Unknown` counts as wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cgroups import available
from benchmarks.profiling_programs import PROGRAMS, Program
from benchmarks.profiling_recording import Plan, Recording
from foretide.profiling.bound import Bound, bound

WINDOWS, SECONDS = 1, 5.0
# Of these classes a run uses a small part of a core.
_LEISURELY = ("Idle", "Throttling")


@dataclass(frozen=True)
class Told:
    """A labelled run, and what it was taken for."""

    plan: Plan
    bound: Bound
    by_counts: str

    @property
    def right(self) -> bool:
        return self.bound.kind == self.plan.program.label


def plans(
    pythons: Mapping[str, Path], names: Sequence[str] = ()
) -> tuple[list[Plan], dict[str, str]]:
    """Every labelled program on every Python; and those that cannot run here, with the reason."""
    left_out: dict[str, str] = {}
    planned = []
    for program in PROGRAMS:
        if names and not any(program.name.startswith(name) for name in names):
            continue
        reason = available(program.limits)
        if reason:
            left_out[program.name] = reason
            continue
        planned += [
            Plan(program, path, version, WINDOWS, SECONDS) for version, path in pythons.items()
        ]
    return planned, left_out


def side_by_side(planned: Sequence[Plan]) -> list[list[Plan]]:
    """A program on all its Pythons at once where it leaves the others a core, else one by one."""
    groups: list[list[Plan]] = []
    for plan in planned:
        if groups and plan.program == groups[-1][0].program and plan.program.label in _LEISURELY:
            groups[-1].append(plan)
        else:
            groups.append([plan])
    return groups


def told(recording: Recording) -> Told:
    """What a recording is taken for. Without windows it is `Unknown`."""
    return Told(recording.plan, bound(recording.windows), by_counts(recording))


def by_counts(recording: Recording) -> str:
    """The baseline: from what py-spy tells alone, which knows active threads and idle ones."""
    active = idle = 0
    for window in recording.windows:
        for one in window.samples:
            active += one.active or 0
            idle += one.count - (one.active or 0)
    if active + idle == 0:
        return "Unknown"
    looks = sum(window.sample_count for window in recording.windows)
    if active < 0.1 * looks:
        return "Idle"
    return "GIL" if active > 1.5 * looks else "CPU"


def summary(found: Sequence[Told]) -> dict[str, float]:
    """Accuracies, of all and of what was held out."""
    if not found:
        return {}
    figures = {"bound_accuracy": _accuracy(found), "bound_runs": float(len(found))}
    held_out = [one for one in found if one.plan.program.held_out]
    if held_out:
        figures["bound_accuracy_held_out"] = _accuracy(held_out)
    pair = [one for one in found if one.plan.program.label in ("GIL", "Lock")]
    if pair:
        figures["gil_lock_accuracy"] = _accuracy(pair)
    counts = [one.by_counts == one.plan.program.label for one in found]
    figures["bound_accuracy_by_counts"] = sum(counts) / len(counts)
    return figures


def _accuracy(found: Sequence[Told]) -> float:
    return sum(one.right for one in found) / len(found)


def details(found: Sequence[Told]) -> list[dict[str, Any]]:
    """For the JSON."""
    return [
        {
            "program": one.plan.program.name,
            "python": one.plan.version,
            "label": one.plan.program.label,
            "held_out": one.plan.program.held_out,
            "told": one.bound.kind.value,
            "confidence": round(one.bound.confidence, 3),
            "evidence": list(one.bound.evidence),
            "by_counts": one.by_counts,
        }
        for one in found
    ]


def label_of(program: Program) -> str:
    """With a mark where it was held out."""
    return f"{program.label} (held out)" if program.held_out else program.label
