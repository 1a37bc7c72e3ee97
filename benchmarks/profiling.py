"""What profiling costs, and how right it is: hotspots, bounds and verdicts on known programs.

    python benchmarks/profiling.py --json out/profiling.json
    python benchmarks/profiling.py --only hotspots

The programs are those in `benchmarks/programs/`; each runs alone, but for recordings that leave
each other a core, and is sampled by a process of its own. What they are bound by, and which of them
were never looked at to set a threshold, stands in `profiling_programs.py`; those that need a quota
or a limit of memory need root and control groups, and are left out, and told, without them. What a
planted hotspot costs the programs know by their own clocks.

Fields of the JSON's `summary`, beside `bars`:
  stopped_pct           the target stands still for a tracer, by the kernel's scheduling events (as
                        root, with tracefs); elsewhere the share of time in which its busy thread is
                        off the cores (`off_core_pct`), less what it is so without a sampler
                        (`off_core_pct_without`: others' virtual machines do that)
  stopped_pct_threads   the same of 16 threads with stacks 40 deep, as the sampler measures it
  sampler_cores         CPU of sampler and py-spy, from start to end; one busy thread
  sampler_rss_mb        their proportional memory, at its peak
  hotspot_error_pp      the largest error of a planted hotspot, in share or CPU seconds, in points
  bound_accuracy        of the labelled runs, `Unknown` counted as wrong
  gil_lock_accuracy     of those labelled GIL or Lock, how many are called that
  aa_false_pct          of pairs of the same program, how many are called different
  rate_duration_false   how many are, of pairs that differ in rate or length of windows
  detect_seconds        profile of each side until a share cut from 40 to 20 % is seen; of 80 %
  left_stopped          targets left stopped by a profiler that was killed while they were held

Baselines of the same run: shares by counting active samples; verdicts by a two-proportion z test.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks import profiling_bound as bounds  # noqa: E402
from benchmarks import profiling_hotspots as hotspots  # noqa: E402
from benchmarks import profiling_verdicts as verdicts  # noqa: E402
from benchmarks.profiling_kill import kill_again_and_again  # noqa: E402
from benchmarks.profiling_programs import pythons  # noqa: E402
from benchmarks.profiling_recording import Recording, record_together  # noqa: E402
from benchmarks.telling import console_of_a_benchmark, show_summary, write_json  # noqa: E402
from foretide.operator.commands.progress import Bar  # noqa: E402
from foretide.profiling.sampler import to_packed_line  # noqa: E402

# Highest or lowest that is allowed.
BARS: dict[str, tuple[str, float]] = {
    "stopped_pct": ("≤", 0.6),
    "sampler_cores": ("≤", 0.02),
    "sampler_rss_mb": ("≤", 64.0),
    "bound_accuracy": ("≥", 0.95),
    "gil_lock_accuracy": ("≥", 0.99),
    "aa_false_pct": ("≤", 5.0),
    "rate_duration_false": ("≤", 0.0),
    "detect_seconds": ("≤", 30.0),
    "hotspot_error_pp": ("≤", 3.0),
    "left_stopped": ("≤", 0.0),
}
Found = dict[str, Any]


def _hotspots(options: argparse.Namespace, console: Console) -> Found:
    made = hotspots.run(hotspots.schedule(pythons(2), options.scale), _teller(console))
    found = hotspots.errors(made)
    table = Table(title="Planted hotspots: CPU share, total")
    for name in ("program", "Python", "function"):
        table.add_column(name)
    for name in ("true %", "told %", "error pp", "seconds pp", "active samples %", "at work"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            one.program,
            one.version,
            f"{one.function} *" if one.hotspot else one.function,
            f"{100 * one.true_share:.1f}",
            f"{100 * one.share:.1f}",
            f"{one.share_pp:.2f}",
            f"{one.seconds_pp:.2f}",
            f"{100 * one.counted_share:.1f}",
            f"{one.at_work}",
        )
    console.print(table)
    _tell_errors(made, console)
    return {
        "summary": {**hotspots.summary(found), **_cost(made)},
        "hotspots": hotspots.details(found),
        "cost": [_cost_of(recording) for recording in made],
    }


def _cost(made: list[Recording]) -> dict[str, float]:
    """Of the recording of one thread that never rests; beside it those of 16 threads."""
    found: dict[str, float] = {}
    for recording in made:
        if not recording.usable:
            continue
        told = _cost_of(recording)
        if recording.off_core_before is not None and recording.off_core is not None:
            added = max(0.0, told["off_core_pct"] - told["off_core_pct_without"])
            traced = told["stopped_pct"]
            found["stopped_pct"] = added if traced is None else traced
            found["stopped_pct_by_sampler"] = told["stopped_pct_by_sampler"]
            found["off_core_pct"] = told["off_core_pct"]
            found["off_core_pct_without"] = told["off_core_pct_without"]
            found["sampler_cores"] = told["cores"]
            found["sampler_rss_mb"] = told["rss_mb"]
        if recording.plan.program.variant == "threads":
            found["stopped_pct_threads"] = told["stopped_pct_by_sampler"]
            found["sampler_cores_threads"] = told["cores"]
            found["sampler_rss_mb_threads"] = told["rss_mb"]
    return found


def _cost_of(recording: Recording) -> dict[str, Any]:
    seconds = sum(window.seconds for window in recording.windows) or 1.0
    shares = [
        (window.overhead.stopped_share, window.seconds)
        for window in recording.windows
        if window.overhead.stopped_share is not None
    ]
    told = sum(share * length for share, length in shares)
    of_windows = sum(window.overhead.sampler_cpu_seconds for window in recording.windows)
    rates = [window.sample_count / window.seconds for window in recording.windows]
    return {
        "program": recording.plan.program.name,
        "python": recording.plan.version,
        "stopped_pct": None if recording.stopped is None else 100 * recording.stopped,
        "off_core_pct": None if recording.off_core is None else 100 * recording.off_core,
        "off_core_pct_without": 100 * (recording.off_core_before or 0.0),
        "stopped_pct_by_sampler": 100 * told / (sum(length for _, length in shares) or 1.0),
        "cores": recording.cores,
        "cores_of_windows": of_windows / seconds,
        "rss_mb": recording.rss_mb,
        "rate": sum(rates) / len(rates) if rates else 0.0,
        "error": recording.error,
    }


def _tell_errors(made: list[Recording], console: Console) -> None:
    for recording in made:
        if recording.error:
            console.print(f"{recording.plan.name}: {recording.error}", style="red")


def _teller(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(f"… {text}", style="dim")


def _bound(options: argparse.Namespace, console: Console) -> Found:
    planned, left_out = bounds.plans(pythons(options.pythons), options.programs)
    made: list[Recording] = []
    with Bar(every=30.0) as bar:
        for together in bounds.side_by_side(planned):
            bar(len(made), len(planned), together[0].name)
            made += record_together(together)
        for recording in made if options.keep else ():
            _keep(recording, options.keep)
    found = [bounds.told(recording) for recording in made]
    table = Table(title="What labelled programs are bound by: those that were told wrong")
    for name in ("program", "Python", "label", "told", "evidence"):
        table.add_column(name)
    for one in found:
        if not one.right:
            label = bounds.label_of(one.plan.program)
            said = "\n".join(one.bound.evidence)
            kind = one.bound.kind.value
            table.add_row(one.plan.program.name, one.plan.version, label, kind, said)
    console.print(table)
    _tell_errors(made, console)
    for name, reason in left_out.items():
        console.print(f"left out: {name}: {reason}", style="yellow")
    return {
        "summary": bounds.summary(found),
        "bound": bounds.details(found),
        "left_out": left_out,
    }


def _keep(recording: Recording, folder: Path) -> None:
    """As the sampler sends them, for a look at what was told wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{to_packed_line(window)}\n" for window in recording.windows)
    (folder / f"{recording.plan.name.replace(' ', '-')}.txt").write_text(lines)


def _verdicts(options: argparse.Namespace, console: Console) -> Found:
    made = verdicts.record_all(pythons(1), options.verdict_windows, _teller(console))
    for error in made.errors:
        console.print(error, style="red")
    found = verdicts.judge(made, options.jobs, _teller(console))
    table = Table(title="Verdicts")
    for name in ("pairs", *found["verdicts"]["equal"]):
        table.add_column(name, justify="left" if name == "pairs" else "right")
    for name in ("equal", "rate_or_length"):
        table.add_row(name, *map(str, found["verdicts"][name].values()))
    console.print(table)
    return found


def _kill(options: argparse.Namespace, console: Console) -> Found:
    with Bar(every=30.0) as bar:
        found = kill_again_and_again(options.kills, lambda done: bar(done, options.kills, "kill"))
    summary = {
        "left_stopped": float(found.left_stopped),
        "kills": float(found.kills),
        "slowest_release_s": found.slowest,
    }
    return {"summary": summary}


PARTS: dict[str, Callable[[argparse.Namespace, Console], Found]] = {
    "hotspots": _hotspots,
    "bound": _bound,
    "verdicts": _verdicts,
    "kill": _kill,
}


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=sorted(PARTS), help="these parts alone")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="record planted hotspots that many times as long"
    )
    parser.add_argument("--pythons", type=int, default=2, help="on how many versions programs run")
    parser.add_argument(
        "--programs",
        nargs="+",
        default=[],
        metavar="NAME",
        help="labelled ones, by their beginnings",
    )
    parser.add_argument(
        "--verdict-windows", type=int, default=16, help="of 10 s, to cut pairs from"
    )
    parser.add_argument("--kills", type=int, default=100, help="of the profiler, in a stop each")
    parser.add_argument("--jobs", type=int, default=2, help="processes that compare")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep labelled windows there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    options = parser.parse_args()
    console = console_of_a_benchmark()
    began = time.monotonic()
    found: Found = {"summary": {}}
    for name in options.only or PARTS:
        part = PARTS[name](options, console)
        found["summary"].update(part.pop("summary"))
        found.update(part)
    found["bars"] = {name: _bar(name, found["summary"].get(name)) for name in BARS}
    show_summary(found, {name: sign for name, (sign, _) in BARS.items()}, console)
    console.print(f"{(time.monotonic() - began) / 60:.1f} min")
    if options.json:
        write_json(found, options.json)
    return 0


def _bar(name: str, value: float | None) -> dict[str, Any]:
    sign, bar = BARS[name]
    met = None if value is None else value <= bar if sign == "≤" else value >= bar
    return {"bar": bar, "met": met}


if __name__ == "__main__":
    sys.exit(main())
