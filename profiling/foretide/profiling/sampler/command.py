"""The sampler's command: finds what to sample, and prints windows as packed lines."""

import argparse
import sys
from collections.abc import Sequence

from .budget import Budget
from .pyspy import PySpyError
from .session import sample
from .wire import to_packed_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: windows were taken; 1: none could be; 2: the arguments make no sense."""
    options = _parser().parse_args(arguments)
    labels = dict(pair.split("=", 1) for pair in options.label)
    budget = Budget(cores=options.cores, stopped=options.stopped, rate=options.rate)
    taken = 0
    try:
        for window in sample(
            options.pid,
            seconds=options.seconds,
            windows=options.windows,
            budget=budget,
            labels=labels,
        ):
            print(to_packed_line(window), flush=True)
            taken += 1
    except (PySpyError, OSError) as error:
        print(f"foretide-sampler: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    return 0 if taken else 1


def _pair(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError("a label is NAME=VALUE")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m foretide.profiling.sampler",
        description="Sample Python processes; print one packed line for each window.",
    )
    default = Budget()
    parser.add_argument("pid", type=int, help="the process to sample")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a window")
    parser.add_argument("--windows", type=int, help="how many; without it, until the process ends")
    parser.add_argument(
        "--rate", type=float, default=default.rate, help="samples a second, at most"
    )
    parser.add_argument(
        "--cores", type=float, default=default.cores, help="CPU the sampler may use"
    )
    parser.add_argument(
        "--stopped", type=float, default=default.stopped, help="share of time the target may stand"
    )
    parser.add_argument("--label", type=_pair, action="append", default=[], metavar="NAME=VALUE")
    return parser
