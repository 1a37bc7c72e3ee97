"""Doing units of work, in this process or in several."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from ..processes import belong_to_parent
from .contest import Contestant, Outcome
from .units import Unit

# Called with how many steps are done, of how many, and what was done last.
Progress = Callable[[int, int, str], None]
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkFailed(Exception):
    """A process was ended from outside."""


def work(
    units: Sequence[Unit], *, jobs: int, progress: Progress, method: str = "spawn"
) -> list[Outcome]:
    """Do all units; the outcomes are sorted, whoever came first.

    `method` is how processes start: a process that has threads must not be forked.

    Raises:
        WorkFailed: a process was ended, as a rule because memory ran out.
    """
    total = sum(unit.steps for unit in units)
    done = 0

    def advance(steps: int, label: str) -> None:
        nonlocal done
        done += steps
        progress(done, total, label)

    found: list[Outcome] = []
    if jobs <= 1 or len(units) == 1:
        for unit in units:
            found += unit.run(partial(advance, 1, unit.label))
    else:
        for unit, outcomes in _in_processes(units, jobs, method):
            found += outcomes
            advance(unit.steps, unit.label)
    order = {policy: place for place, policy in enumerate(Contestant)}
    return sorted(
        found, key=lambda one: (one.trace, one.delay, order[one.policy], -one.utilization)
    )


def _in_processes(
    units: Sequence[Unit], jobs: int, method: str
) -> Iterator[tuple[Unit, list[Outcome]]]:
    for variable in _ONE_THREAD:  # or each process would want all cores for its matrices
        os.environ.setdefault(variable, "1")
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(jobs, context, initializer=belong_to_parent) as pool:
        waiting = {pool.submit(_run, unit): unit for unit in units}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BrokenProcessPool:
            raise WorkFailed(
                "a worker process was ended, as a rule because memory ran out: use fewer --jobs"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _run(unit: Unit) -> list[Outcome]:
    return unit.run(lambda: None)
