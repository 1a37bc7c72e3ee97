"""The SLO gate: scaling in below HPA's answer gently, and back when users notice. Pure.

A trusted forecast takes headroom away that HPA would keep. How much of it the workload can really
spare is shown only by its SLO (latency, errors), so with an SLO query that headroom goes a step at
a time: a share of the replicas, one at least, and then nothing for an observation window. Down to
HPA's own answer nothing is held back, as HPA would scale in there without asking.

A step is taken back when the SLO worsens within three windows after it: when it misses its
objective, or has lost half of the distance to it that it had before the step. It must be so for a
minute, as one reading may be a blip; already the first one stops further steps. Then nothing is
taken away for six windows, twice as long each further time (24 at most), and if it is no better a
window later, the step before goes as well. What happens later than three windows after a step is
hardly its doing: a missed objective then stops further steps, and no more.

Without a reading nothing is known to be well, so no step is made: an outage of the SLO's metric
keeps the replicas, like one of demand.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

_BLAMED_WINDOWS = 3
_PAUSED_WINDOWS = 6
_MOST_PAUSED_WINDOWS = 24
_LOST_SHARE = 0.5
_LASTING = 60.0


class Direction(StrEnum):
    """On which side of its objective a good value lies."""

    BELOW = "Below"
    ABOVE = "Above"


class SloPhase(StrEnum):
    """What the gate did to a proposal, for conditions and status."""

    OPEN = "Open"
    STEPPED = "SteppedDown"
    OBSERVING = "ObservingSlo"
    WORSE = "SloWorse"
    UNKNOWN = "SloUnknown"
    TAKEN_BACK = "TakenBack"
    PAUSED = "PausedBySlo"


@dataclass(frozen=True, slots=True)
class SloPolicy:
    """The objective, and how gently to scale in: `share` of the replicas for each `window` (s)."""

    objective: float
    direction: Direction = Direction.BELOW
    share: float = 0.1
    window: float = 300.0

    def good(self, value: float) -> bool:
        """Whether a value meets the objective."""
        return self._distance(value) >= 0

    def worse(self, value: float, before: float) -> bool:
        """Whether a value misses the objective, or is more than halfway there from `before`."""
        kept = (1 - _LOST_SHARE) * self._distance(before)
        return self._distance(value) < max(0.0, kept)

    def _distance(self, value: float) -> float:
        ahead = self.objective - value
        return ahead if self.direction is Direction.BELOW else -ahead


@dataclass(frozen=True, slots=True)
class Step:
    """Replicas that were taken away at a time (Unix seconds), and the SLO's value before."""

    at: float
    before: int
    after: int
    value: float


@dataclass(frozen=True, slots=True)
class SloState:
    """What earlier ticks left behind: small enough to stand in status.

    `steps` are those that may still be taken back, oldest first. Since `bad_since` (Unix seconds)
    the SLO has been worse than it should be; no step is made until `paused_until`, which was
    `pause` seconds after the last step that was taken back.
    """

    steps: tuple[Step, ...] = ()
    bad_since: float | None = None
    paused_until: float = -math.inf
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class SloStep:
    """The replicas that the gate allows, its new state, and why."""

    allowed: int
    state: SloState
    phase: SloPhase = SloPhase.OPEN
    message: str = ""


@dataclass(frozen=True, slots=True)
class SloGate:
    """The gate of one resource. Apply it to the count after `behavior`, before min and max."""

    policy: SloPolicy

    def step(
        self,
        value: float | None,
        proposed: int,
        current: int,
        now: float,
        state: SloState,
        *,
        hpa: int | None = None,
    ) -> SloStep:
        """Let `proposed` pass, hold it, or take an earlier step back.

        `value` is the SLO's reading, None when it cannot be had; `current` the replicas that the
        target asks for. Replicas fall freely to `hpa`, HPA's answer; None makes every fall a step.
        """
        state = self._remember(state, value, current, now)
        if value is not None and self._to_be_taken_back(state, now):
            return self._take_back(value, proposed, current, now, state, hpa)
        free = current if hpa is None else min(hpa, current)
        if proposed >= free:
            return SloStep(proposed, state)
        if value is None:
            return SloStep(free, state, SloPhase.UNKNOWN, "the SLO is unknown: no scaling in")
        if state.bad_since is not None or not self.policy.good(value):
            message = f"the SLO is at {value:g} ({self._objective()}): no scaling in"
            return SloStep(free, state, SloPhase.WORSE, message)
        if now < state.paused_until:
            message = f"no scaling in for another {_minutes(state.paused_until - now)}"
            return SloStep(free, state, SloPhase.PAUSED, f"{message}, since the SLO had worsened")
        if state.steps and now < (until := state.steps[-1].at + self.policy.window):
            message = f"the SLO is observed for another {_minutes(until - now)}"
            return SloStep(free, state, SloPhase.OBSERVING, message)
        allowed = max(proposed, free - max(1, math.floor(free * self.policy.share)))
        steps = (*state.steps, Step(now, free, allowed, value))
        message = f"from {free} to {allowed} of {proposed}, then the SLO is observed"
        return SloStep(allowed, replace(state, steps=steps), SloPhase.STEPPED, message)

    def _remember(self, state: SloState, value: float | None, current: int, now: float) -> SloState:
        """The state without what can no longer be blamed, and whether the SLO is worse now."""
        oldest = now - _BLAMED_WINDOWS * self.policy.window
        # A step that was never made, or was made up for since, leaves `before` replicas or more.
        steps = tuple(s for s in state.steps if oldest <= s.at <= now and current < s.before)
        survived = any(s.at < oldest and current < s.before for s in state.steps)
        worst = _MOST_PAUSED_WINDOWS * self.policy.window
        state = replace(
            state,
            steps=steps,
            pause=0.0 if survived and now >= state.paused_until else state.pause,
            # A clock that was set back must not make the wait longer.
            paused_until=min(state.paused_until, now + worst),
        )
        if value is None:
            return state
        worse = self.policy.worse(value, steps[-1].value) if steps else not self.policy.good(value)
        since = now if state.bad_since is None else min(state.bad_since, now)
        return replace(state, bad_since=since if worse else None)

    def _to_be_taken_back(self, state: SloState, now: float) -> bool:
        lasting = state.bad_since is not None and now - state.bad_since >= _LASTING
        # Replicas that were brought back need a while to tell.
        taken_back_at = state.paused_until - state.pause
        settled = state.pause == 0 or now - taken_back_at >= self.policy.window
        return lasting and settled and bool(state.steps)

    def _take_back(
        self,
        value: float,
        proposed: int,
        current: int,
        now: float,
        state: SloState,
        hpa: int | None,
    ) -> SloStep:
        step, window = state.steps[-1], self.policy.window
        pause = min(_MOST_PAUSED_WINDOWS * window, max(_PAUSED_WINDOWS * window, 2 * state.pause))
        # The gate gives back what the forecast took, and what HPA would not have is not that.
        back = step.before if hpa is None else min(step.before, max(hpa, current))
        taken = replace(
            state, steps=state.steps[:-1], bad_since=None, pause=pause, paused_until=now + pause
        )
        message = (
            f"the SLO went from {step.value:g} to {value:g} ({self._objective()}) after "
            f"{step.before} → {step.after} replicas: taken back, and none fewer for "
            f"{_minutes(pause)}"
        )
        return SloStep(max(proposed, current, back), taken, SloPhase.TAKEN_BACK, message)

    def _objective(self) -> str:
        return f"objective: {self.policy.direction.lower()} {self.policy.objective:g}"


def _minutes(seconds: float) -> str:
    return f"{max(1, math.ceil(seconds / 60))} min"
