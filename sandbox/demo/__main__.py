"""`python -m sandbox.demo`, which `make demo` runs."""

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from sandbox.demo import briefing, report, run, scenario
from sandbox.demo.live import View
from sandbox.errors import SandboxError
from sandbox.handle import Sandbox, bring_down
from sandbox.layout import named_directory, read_state
from sandbox.progress import Progress, Silent, Told
from sandbox.traces import load_trace, zone

NAME = "demo"


def main() -> int:
    """Run the demo; returns the exit status."""
    options = _parse()
    console = Console(highlight=False)
    folder = named_directory(NAME)
    # `kill` and a closed terminal end everything as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.down:
            _end(folder, Silent())
            console.print("The demo is down.")
            return 0
        return _run(options, folder, console)
    except SandboxError as error:
        console.print(f"demo: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted: everything that was started has been ended.")
        return 130


def _run(options: argparse.Namespace, folder: Path, console: Console) -> int:
    progress = Told()
    trace = load_trace(
        options.trace,
        column=options.column,
        time_column=options.time_column,
        zone=options.time_zone,
    )
    with progress.step(f"choosing a part of the trace {trace.name} (up to half a minute)"):
        chosen = scenario.choose(trace, pod_ready=run.POD_READY)
    console.print(
        briefing.introduction(chosen, pod_ready=run.POD_READY), markup=False, soft_wrap=True
    )
    for caution in briefing.cautions(chosen):
        console.print(caution, style="yellow", markup=False, soft_wrap=True)
    # Not before: one that was left up should outlive a name that was mistyped.
    _end(folder, progress)
    with Sandbox(run.spec_for(chosen, folder), progress=progress) as sandbox:
        run.prepare(sandbox, chosen)
        with run.running_operator(sandbox, stays=options.keep) as operator:
            began = run.start_both(sandbox, chosen)
            view = View(console, seconds=scenario.LIVE, per_replica=chosen.per_replica)
            with view:
                samples = run.watch(sandbox, chosen, operator, view, began=began)
            result = report.summarise(
                samples,
                trace=trace.name,
                per_replica=chosen.per_replica,
                target_utilization=scenario.TARGET_UTILIZATION,
                pod_ready=run.POD_READY,
                planned=run.planned(sandbox),
            )
            report.write(result, samples, options.out)
            report.show(result, options.out, console)
            if options.keep:
                sandbox.detach()
                run.say_how_to_look_around(sandbox, operator, progress)
    return 0


def _end(folder: Path, progress: Progress) -> None:
    """End the demo that is up, if one is."""
    if read_state(folder) is not None:
        progress.say("ending the demo that is up")
    run.end_operator(folder)
    bring_down(folder)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.demo",
        description="A Deployment scaled ahead of real load, beside its twin under the real HPA.",
    )
    parser.add_argument(
        "--trace",
        default=scenario.DEFAULT_TRACE,
        metavar="FILE",
        help="a CSV file (time, value), or a packaged trace (default: %(default)s)",
    )
    parser.add_argument("--column", help="its column of values, by name or number from 1")
    parser.add_argument("--time-column", help="its column of times, likewise")
    parser.add_argument(
        "--time-zone",
        type=zone,
        default="UTC",
        metavar="ZONE",
        help="whose clock times are by that name no zone (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="default: %(default)s")
    parser.add_argument("--keep", action="store_true", help="leave everything up afterwards")
    parser.add_argument("--down", action="store_true", help="end a demo that was left up")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
