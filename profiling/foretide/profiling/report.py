"""What a profile says, as text that people read: where the time goes, and how sure that is.

Names come from the profiled program; what could move a terminal's cursor is taken out of them.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from .attribution import Function
from .bound import Bound, Kind, bound
from .hotspots import LEAST_SAMPLES, By, GroupShare, Hotspot, Hotspots, hotspots, hotspots_of
from .idle import is_idle
from .profile import Profile, Unit, merge
from .window import ThreadState, Window

_WAITS = {
    ThreadState.GIL: "for the GIL",
    ThreadState.LOCK: "for locks",
    ThreadState.DISK: "for disks",
    ThreadState.NETWORK: "for the network",
    ThreadState.POLL: "for any of several descriptors",
    ThreadState.SLEEP: "asleep",
    ThreadState.CHILD: "for other processes",
    ThreadState.OTHER: "for something else",
    ThreadState.UNKNOWN: "for what is not known",
}
_LONGEST_CODE = 60
_FEW = 0.005
# So few samples a second are worth an explanation.
_SELDOM = 5.0
# Of the time, and of a core: nobody chose a rate that costs so much for so little.
_COSTLY = 0.003


def report(windows: Sequence[Window], *, limit: int = 15) -> str:
    """The report of windows of one workload.

    Raises:
        BadProfile: there is no window.
    """
    profile = merge(windows)
    parts = [
        introduction(profile),
        _overhead(windows),
        bound_text(bound(windows)),
        ranking(hotspots(windows, By.CPU, limit=limit), profile),
        ranking(hotspots(windows, By.WALL, limit=limit), profile),
        _waiting(profile),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def report_of(profile: Profile, *, limit: int = 15) -> str:
    """The report of a profile without windows, such as another tool's."""
    wanted = [By.CPU] if profile.cpu > 0 else []
    if not profile.only_cpu:
        wanted.append(By.WALL)
    parts = [introduction(profile), _missing(profile)]
    parts += [ranking(hotspots_of(profile, by, limit=limit), profile) for by in wanted]
    parts.append(_waiting(profile))
    return "\n\n".join(part for part in parts if part) + "\n"


def _missing(profile: Profile) -> str:
    """What is not known of a profile whose file holds one number for each stack."""
    if profile.unit is Unit.SAMPLES:
        if profile.counts_something_else:
            return (
                "It does not say what it counts. It is too much for samples; "
                "Foretide writes CPU time\nas microseconds in collapsed stacks."
            )
        return (
            "Its counts are taken for samples: if they are something else, "
            "the shares are right,\nand the intervals are not."
        )
    if profile.only_cpu:
        return "It holds CPU time alone: how long threads waited, and for what, is not in it."
    if profile.cpu <= 0:
        return "It holds time on the clock alone: how much of it was CPU time is not in it."
    return ""


def introduction(profile: Profile) -> str:
    """What was profiled, for how long, and how much CPU time it used."""
    what = clean(profile.command) or "Profile"
    if profile.python_version:
        what += f", Python {profile.python_version}"
    if profile.pods:
        named = ", ".join(map(clean, profile.pods[:3]))
        number = len(profile.pods)
        what += f", {number} pod{'s' if number > 1 else ''} ({named}{', …' if number > 3 else ''})"
    lines = [what]
    told = []
    if profile.unit is Unit.SECONDS and profile.seconds:
        told.append(f"{profile.seconds:,.0f} s of profile")
    if profile.samples and not profile.counts_something_else:
        at = f" at {profile.rate:.1f} Hz" if profile.rate else ""
        told.append(f"{profile.samples:,.0f} samples{at}")
    if profile.started_at:
        told.append(f"from {datetime.fromtimestamp(profile.started_at, UTC):%Y-%m-%d %H:%M:%S} UTC")
    if told:
        lines.append(", ".join(told))
    used = profile.cpu + profile.native_cpu_seconds
    if profile.unit is Unit.SECONDS and profile.seconds and used > 0:
        text = f"CPU: {amount(used)}, {used / profile.seconds:.2f} cores"
        if profile.native_cpu_seconds > _FEW * used:
            unseen = "threads without Python, or gone before they were seen"
            text += f", of it {amount(profile.native_cpu_seconds)} in {unseen}"
        lines.append(text)
    return "\n".join(lines)


def bound_text(found: Bound) -> str:
    """What the workload is bound by, with the evidence."""
    if found.kind is Kind.UNKNOWN:
        lines = ["What it is bound by cannot be said:"]
    elif found.kind is Kind.IDLE:
        lines = ["It is idle:"]
    else:
        lines = [f"Bound by: {found.kind}"]
    return "\n".join([*lines, *(f"  {clean(sentence)}" for sentence in found.evidence)])


def ranking(found: Hotspots, profile: Profile) -> str:
    """The hotspots as a table, with the Pareto sentence and whose work it is."""
    clock = found.by is By.WALL
    title = "Where the time goes on the clock" if clock else "Where the CPU time goes"
    what = ""
    if profile.unit is Unit.SAMPLES:
        what = "counts" if profile.counts_something_else else "samples"
        title = f"Where the {what} are"
    spent = amount(found.seconds, what)
    lines = [f"{title} ({spent})" if found.seconds > 0 else title]
    if clock and found.idle_seconds > 0:
        lines[0] += f", {amount(found.idle_seconds, what)} of idle threads left out"
    if found.reason:
        return "\n".join([*lines, f"  {found.reason}"])
    if 0 < found.samples < LEAST_SAMPLES:
        count = max(1, round(found.samples))  # one that was at work for a part of the time
        few = f"{count} sample{'s' if count > 1 else ''}"
        lines.append(f"  for now: it comes of {few}, {LEAST_SAMPLES} make it reliable")
    lines.append(f"  {'self':>7}  {'95 % interval':>15}  {'total':>7}  function")
    lines += [_row(one) for one in found.ranked if one.self_share >= _FEW or one is found.ranked[0]]
    pareto = found.pareto
    lines.append(
        f"  {pareto.share:.0%} of it is in {pareto.few} of {pareto.functions} functions "
        f"({pareto.few / max(pareto.functions, 1):.0%})."
    )
    groups = [one for one in found.groups if one.share >= 0.01]
    if len(groups) > 1 or (groups and groups[0].group.kind not in ("thread", "pool")):
        lines.append("  By whose work it is:")
        lines += [_group(one) for one in groups[:10]]
    return "\n".join(lines)


def amount(spent: float, what: str = "") -> str:
    """Seconds, or so many of `what`, with as many digits as mean something."""
    if what:
        return f"{spent:,.0f} {what}"
    return f"{spent:,.1f} s" if spent >= 1 else f"{spent * 1000:,.0f} ms"


def clean(text: str) -> str:
    """Text without what could move a terminal's cursor or start a line."""
    return "".join(one if one.isprintable() else "�" for one in text)


def short_file(file: str) -> str:
    """The end of a path that tells it from others: package and file."""
    parts = clean(file).replace("\\", "/").split("/")
    for marker in ("site-packages", "dist-packages"):
        if marker in parts:
            return "/".join(parts[parts.index(marker) + 1 :])
    return "/".join(parts[-3:])


def _name(function: Function) -> str:
    file = f" ({short_file(function.file)})" if function.file else ""
    return f"{clean(function.name)}{file}"


def _row(one: Hotspot) -> str:
    low, high = one.interval
    interval = "" if (low, high) == (0.0, 1.0) else f"{100 * low:.1f} – {100 * high:.1f} %"
    row = (
        f"  {100 * one.self_share:5.1f} %  {interval:>15}  {100 * one.total_share:5.1f} %"
        f"  {_name(one.function)}"
    )
    if one.line.line > 0 and one.self_share > 0:
        row += f"\n{'':37}line {one.line.line}: {100 * one.line_share:.1f} %"
        if one.code:
            code = clean(one.code)
            row += f"  {code[:_LONGEST_CODE]}{'…' if len(code) > _LONGEST_CODE else ''}"
    if one.caller is not None and one.self_share > 0:
        at = f"{short_file(one.caller.file)}:{one.caller.line}"
        row += f"\n{'':37}mostly for {clean(one.caller.function)} ({at})"
    return row


def _group(one: GroupShare) -> str:
    group = one.group
    file = f" ({short_file(group.file)})" if group.file else ""
    return (
        f"  {100 * one.share:5.1f} %  {clean(group.kind)} {clean(group.name)}{file}, "
        f"{100 * one.top_share:.0f} % of it in {clean(one.top.name)}"
    )


def _waiting(profile: Profile) -> str:
    """What threads that were not idle did when they were not on the CPU."""
    sums: defaultdict[ThreadState, float] = defaultdict(float)
    for entry in profile.entries:
        stack = profile.stacks[entry.stack]
        text = profile.source.get(stack[-1]) if stack else None
        if not is_idle([profile.frames[index] for index in stack], text):
            sums[entry.state] += entry.wall
    total = sum(sums.values())
    runnable = sums.pop(ThreadState.RUNNING, 0.0) - profile.cpu
    told = [(spent, _WAITS[state]) for state, spent in sums.items()]
    told.append((max(0.0, runnable), "for a core"))
    if total <= 0 or set(sums) <= {ThreadState.UNKNOWN}:
        return ""
    lines = [f"Threads that were not idle: {100 * profile.cpu / total:.0f} % on the CPU, waiting"]
    lines += [
        f"  {100 * spent / total:5.1f} %  {what}"
        for spent, what in sorted(told, reverse=True)
        if spent / total >= _FEW
    ]
    return "\n".join(lines) if len(lines) > 1 else ""


def _overhead(windows: Sequence[Window]) -> str:
    """What the profiling itself cost."""
    seconds = sum(window.seconds for window in windows)
    stopped = [w.overhead.stopped_share for w in windows if w.overhead.stopped_share is not None]
    cores = sum(window.overhead.sampler_cpu_seconds for window in windows) / max(seconds, 1e-9)
    memory = max(window.overhead.sampler_rss for window in windows) / 2**20
    stood = sum(stopped) / len(stopped) if stopped else 0.0
    held = f"stopped for {100 * stood:.2f} % of the time, " if stopped else ""
    text = f"Cost of profiling: {held}{100 * cores:.1f} % of a core, {memory:.0f} MB"
    late = sum(window.overhead.late_samples for window in windows)
    if late:
        text += f"; {late} samples came late, as the machine was busy"
    taken = sum(window.sample_count for window in windows) / max(seconds, 1e-9)
    if taken < _SELDOM and (stood > _COSTLY or cores > _COSTLY):
        text += (
            f"\n{taken:.1f} samples a second were all that it may cost: each took long, as where "
            "there are many threads,\ndeep stacks, or others who want the machine's cores"
        )
    return text
