"""The sampler's command: finds what to sample, and prints windows as packed lines."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import chain

from ..window import Window
from .budget import Budget
from .find import python_processes, turn
from .probes import can_attach
from .pyspy import PySpyError
from .session import sample
from .several import NothingToSample, sample_all
from .wire import to_packed_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: windows were taken; 1: none could be; 2: the arguments make no sense."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        budget = Budget(cores=options.cores, stopped=options.stopped, rate=options.rate)
    except ValueError as error:
        parser.error(str(error))
    taken = 0
    try:
        for window in _windows(options, budget):
            print(to_packed_line(window), flush=True)
            taken += 1
    except (PySpyError, NothingToSample, OSError) as error:
        refusal = can_attach(options.pid) if options.pid else None
        print(f"foretide-sampler: {refusal or error}", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    return 0 if taken else 1


def _windows(options: argparse.Namespace, budget: Budget) -> Iterator[Window]:
    labels = dict(pair.split("=", 1) for pair in options.label)
    if options.pid is not None:
        return sample(
            options.pid,
            seconds=options.seconds,
            windows=options.windows,
            budget=budget,
            labels=labels,
            variables=options.locals,
        )

    def choose(number: int) -> list[int]:
        found = python_processes(options.container_id)
        return [each.pid for each in turn(found, options.processes, number)]

    rounds = sample_all(
        choose,
        seconds=options.seconds,
        rounds=options.windows,
        budget=budget,
        labels=labels,
        variables=options.locals,
    )
    return chain.from_iterable(rounds)


def _pair(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError("a label is NAME=VALUE")
    return text


def _length(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 600:
        raise argparse.ArgumentTypeError("a window is 0.1 to 600 seconds long")
    return seconds


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m foretide.profiling.sampler",
        description="Sample Python processes; print one packed line for each window.",
    )
    default = Budget()
    parser.add_argument(
        "pid", type=int, nargs="?", help="the process; without it, Python processes that are found"
    )
    parser.add_argument("--seconds", type=_length, default=10.0, help="length of a window")
    parser.add_argument("--windows", type=_number, help="how many of each; else until they end")
    parser.add_argument(
        "--processes", type=_number, default=2, help="how many to sample at once, in turn"
    )
    parser.add_argument("--container-id", default="", help="only processes of this container")
    parser.add_argument("--label", type=_pair, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--locals", action="store_true", help="tell local variables, too: they may hold secrets"
    )
    limits = parser.add_argument_group("what it may cost (it takes fewer samples if it must)")
    limits.add_argument("--rate", type=float, default=default.rate, help="samples a second")
    limits.add_argument("--cores", type=float, default=default.cores, help="CPU of the sampler")
    limits.add_argument(
        "--stopped", type=float, default=default.stopped, help="share of time that it stands still"
    )
    return parser
