"""What is said of a statement that is sent again and again, and from where on it is said."""

from dataclasses import dataclass
from enum import StrEnum

from foretide.dbadvisor.nplusone.links import Link


class Kind(StrEnum):
    """N_PLUS_ONE: once for each row of another statement: one batch can do it. REDUNDANT: with the
    same parameters: a case for a cache, or for keeping the answer.
    """

    N_PLUS_ONE = "NPlusOne"
    REDUNDANT = "Redundant"


@dataclass(frozen=True, slots=True)
class Finding:
    """`child`, a normalized text, was sent `calls` times after `parent`, `per_parent` times for
    each execution of it. `link` is how the child's key comes from the parent's rows, `seconds` what
    the look-ups took in the database, None where it is not known. `evidence`: sentences with
    figures, the most telling first. `values`: keys that were seen, at most a few hundred.
    """

    kind: Kind
    child: str
    parent: str | None
    calls: float
    per_parent: float
    link: Link | None
    seconds: float | None
    evidence: tuple[str, ...]
    values: tuple[tuple[str | None, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on something is N+1. Times in seconds, the rest are counts and shares."""

    calls: int = 5  # look-ups for one parent, as Sentry and perf-sentinel count
    distinct: int = 3  # different keys among them
    pause: float = 0.15  # no loop waits so long between two statements of one session
    pooled_pause: float = 0.05
    share: float = 0.6  # of a statement's calls that come right after the parent, in one session
    purity: float = 0.7  # of what comes in between that belongs to the loop
    ratio: tuple[float, float] = (0.6, 1.15)  # look-ups for each row of the parent
    near: tuple[float, float] = (0.8, 1.1)  # by counters, with samples that do not contradict
    exact: tuple[float, float] = (0.9, 1.05)  # where nothing else tells whose they are
    often: float = 0.6  # of the parent's executions in a session that a loop must follow
    always: float = 0.8  # the same where look-ups are fewer than rows
    most: float = 1.5  # above it the keys come from elsewhere, even within a transaction
    rows: float = 2.0  # rows that a parent must return


THRESHOLDS = Thresholds()
