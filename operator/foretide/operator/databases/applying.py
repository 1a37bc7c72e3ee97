"""`mode: Apply` in the operator: one step at a time, in the background, each kept in status first.

A step may take hours. Its thread ends with the operator, PostgreSQL goes on with a build, and the
next operator sees by the database how far it came.
"""

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foretide.dbadvisor.applying_state import State
from foretide.dbadvisor.database import DatabaseError

from ..api.databaseadvisor import AdvisorMode, DatabaseAdvisorSpec
from ..conditions import Condition
from ..settings import SettingsHolder
from .member import Member, Trouble
from .targets import Refused, Resolve, target_of
from .threads import in_own_thread
from .watching import Also

if TYPE_CHECKING:
    from . import acting

APPLYING = "Applying"
WORKING = "Working"
# Reasons for which something does not go on as it should; all others are the normal course.
_HINDERED = frozenset({"PermissionMissing", "Replica", "KillSwitch", "BudgetUsed", "StepFailed"})


async def load() -> Any:
    """The module `acting`, imported where it keeps nothing else waiting."""
    return await asyncio.to_thread(importlib.import_module, f"{__package__}.acting")


@dataclass(frozen=True, slots=True)
class Applier:
    """Decides on steps and takes them, if it may. `wake` has a resource ticked soon, by its uid."""

    settings: SettingsHolder
    may_write: Callable[[], bool]
    resolve: Resolve
    wake: Callable[[str], None]
    clock: Callable[[], float]

    async def also(self, member: Member, spec: DatabaseAdvisorSpec) -> Also | None:
        """What a look is to see beside the rest."""
        if spec.mode is not AdvisorMode.APPLY and not member.theirs:
            return None
        module = await load()
        state, history = (*member.state, *member.theirs), member.history
        return lambda database, _: module.look(database, module.suspects(state, history))

    async def follow(self, member: Member, seen: Any) -> None:
        """Watch indexes that somebody else has created, in any mode: nothing is changed by that."""
        if member.trouble is not None or not (member.theirs or _has_new_indexes(member)):
            return
        module = await load()
        member.theirs, member.proposals = await asyncio.to_thread(
            module.followed, member, seen, self.clock()
        )

    async def decide(self, member: Member, spec: DatabaseAdvisorSpec, seen: Any) -> None:
        """Decide on the next step by what a look has seen; the member notes it."""
        member.step = None
        self._take_outcome(member)
        if spec.mode is not AdvisorMode.APPLY or member.acting is not None or seen is None:
            return
        if self.settings.current.kill_switch:
            member.resting = Trouble("KillSwitch", "the administrator has stopped all changes")
            return
        module, now = await load(), self.clock()
        owner = f"{member.namespace}/{member.name}"
        windows, most = spec.maintenance_windows, spec.max_indexes_per_window
        allowed = module.policy(owner, windows, member.budget, most)
        decision: acting.Decision = await asyncio.to_thread(
            module.decided, member.state, member.chosen, seen, member.history, allowed, now
        )
        member.state = decision.state
        member.resting = Trouble(*module.told(decision.step))
        if member.resting.reason == WORKING:
            member.step = decision.step

    def begin(self, member: Member) -> None:
        """Take the step that was decided on; what it will leave is in status by now."""
        if member.step is None or not self.may_write() or self.settings.current.kill_switch:
            return
        member.acting = asyncio.create_task(self._act(member, member.step))
        member.acting.add_done_callback(lambda _: self.wake(member.uid))

    async def _act(self, member: Member, step: "acting.Step") -> State:
        """The state after a step, with what has become of it."""
        module = await load()
        place, samples = member.place, module.samples_of(member.history)
        assert place is not None  # it has just been looked at

        def work() -> "acting.Outcome":
            outcome: acting.Outcome = module.act(step, target_of(place, self.resolve), samples)
            return outcome

        outcome = await in_own_thread(work)
        state: State = module.recorded(member.state, step, outcome, self.clock())
        return state

    def _take_outcome(self, member: Member) -> None:
        """Note what has become of a step."""
        if member.acting is None or not member.acting.done():
            return
        acted, member.acting = member.acting, None
        try:
            member.state = acted.result()
        except (DatabaseError, Refused) as error:  # by what there is, the next look sees the rest
            member.resting = Trouble("StepFailed", str(error))


def _has_new_indexes(member: Member) -> bool:
    last, earlier = member.history.last, member.earlier
    if last is None or earlier is None:
        return False
    known = {index.relation for index in earlier.indexes if index.valid}
    return any(index.valid and index.relation not in known for index in last.indexes)


def condition(member: Member, spec: DatabaseAdvisorSpec) -> Condition | None:
    """How it stands with `mode: Apply`; None in another."""
    if spec.mode is not AdvisorMode.APPLY or spec.suspend:
        return None
    if member.resting is None:
        return Condition(APPLYING, None, "Waiting", "nothing was decided yet")
    reason, message = member.resting.reason, member.resting.message
    return Condition(APPLYING, reason not in _HINDERED, reason, message)
