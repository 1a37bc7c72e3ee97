"""One tick of one DatabaseAdvisor: observe, decide, act, tell."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from foretide.dbadvisor import pulses
from foretide.dbadvisor.connection import Limits
from foretide.dbadvisor.database import DatabaseAway, DatabaseError
from foretide.dbadvisor.observed import Settings
from foretide.dbadvisor.snapshot import Pulse

from ..api.crds import DATABASE_ADVISORS
from ..api.databaseadvisor import DatabaseAdvisorSpec
from ..cluster import Cluster, ClusterError
from ..conditions import READY, Condition
from ..publishing import publish
from ..settings import SettingsHolder
from ..telemetry import Telemetry
from ..thinking import Think, ThinkingFailed
from ..ticking import Announce
from . import news, telling
from .applying import Applier
from .archive import ReportKeeper
from .consulting import Answer, Question
from .due import QUIET, Standing, advice_is_due, patience, until_next
from .history import History, lightened, with_look
from .member import Member, Trouble
from .secrets import read_secret
from .targets import Place, Refused, Resolve, place_of, target_of
from .threads import in_own_thread
from .watching import Look

logger = logging.getLogger(__name__)

Json = dict[str, Any]
Consult = Callable[[Question], Answer]


@dataclass(frozen=True, slots=True)
class AdvisorReconciler:
    """Everything a tick needs. `wake` has a resource ticked soon, by its uid; `consult` makes an
    advice, wherever `think` has it run, and `keeper` sends the whole of it to the store.
    """

    cluster: Cluster
    settings: SettingsHolder
    telemetry: Telemetry
    announce: Announce
    may_write: Callable[[], bool]
    think: Think
    consult: Consult
    resolve: Resolve
    keeper: ReportKeeper
    applier: Applier
    wake: Callable[[str], None]
    look_closer: Callable[[Callable[[float], Pulse]], tuple[Pulse, ...]] = pulses.follow
    clock: Callable[[], float] = time.time

    async def tick(self, member: Member) -> float:
        """Look, decide and act once; the seconds until it wants to be called again.

        Raises:
            Gone: there is nothing to look after any more.
        """
        now, spec = self.clock(), member.spec
        if spec is None:
            member.rest()
            await self._report(member, None, now)
            return QUIET
        if spec.suspend:
            member.rest()
            member.trouble = None
            await self._report(member, spec, now)
            return QUIET
        seen = await self._look(member, spec)
        self._take_advice(member, now)
        self._ask_for_advice(member, spec, now)
        self._take_pulses(member)
        await self.applier.decide(member, spec, seen)
        await self.applier.follow(member, seen)
        if member.step is not None:
            member.noticed = None  # what is about to be done is written first
        if await self._report(member, spec, now):
            self.applier.begin(member)
        return until_next(spec.interval, member.history.looks)

    async def _look(self, member: Member, spec: DatabaseAdvisorSpec) -> Any:
        """See what there is to see; the member notes it, or why that cannot be. What was to be seen
        beside it is returned, None if nothing was.
        """
        try:
            place = await self._place(member, spec)
        except (Refused, ClusterError) as error:
            if isinstance(error, Refused):
                member.rest()  # who was let in before is not any more
            self._failed(member, error.reason, error.message)
            return None
        limits = _limits(spec)
        watch = member.watch_of(place)
        target = partial(target_of, place, self.resolve)
        longest = patience(spec.statement_timeout)
        also = await self.applier.also(member, spec)
        before = member.history

        def work() -> tuple[Look, History]:
            # What thousands of statements have added to takes a tenth of a second, too.
            look = watch.look((place, limits), target, limits, also)
            return look, with_look(before, look.snapshot, look.activities, spec.interval)

        try:
            async with asyncio.timeout(longest):
                look, history = await in_own_thread(work)
        except TimeoutError:
            member.rest()  # whenever that look ends, it is of no use any more
            message = f"{place.host}:{place.port} has not answered for {longest:.0f} s"
            self._failed(member, "DatabaseAway", message)
        except Refused as error:
            self._failed(member, error.reason, error.message)
        except DatabaseAway as error:
            self._failed(member, "DatabaseAway", f"{place.host}:{place.port}: {error}")
        except DatabaseError as error:
            self._failed(member, "DatabaseRefuses", f"{place.host}:{place.port}: {error}")
        else:
            self.telemetry.database_looks.observe(look.seconds)
            member.take(history)
            return look.also
        return None

    async def _place(self, member: Member, spec: DatabaseAdvisorSpec) -> Place:
        """Where the resource may be connected to now: by its Secret, and by the configuration."""
        name = spec.connection.secret_ref.name
        secret = await read_secret(self.cluster, member.namespace, name)
        rules = self.settings.current.databases.allowed
        return place_of(secret, spec.connection, member.namespace, rules)

    def _failed(self, member: Member, reason: str, message: str) -> None:
        self.telemetry.errors.labels(reason).inc()
        member.trouble = Trouble(reason, message)

    def _take_advice(self, member: Member, now: float) -> None:
        """Take in an advice that has been made."""
        if member.consulting is None or not member.consulting.done():
            return
        consulting, member.consulting = member.consulting, None
        try:
            answer = consulting.result()
        except (ThinkingFailed, DatabaseError, Refused) as error:
            reason = "DatabaseAway" if isinstance(error, DatabaseAway) else "AdviceFailed"
            member.failure = Trouble(reason, str(error)), now
        except Exception:
            logger.exception("%s/%s: no advice", member.namespace, member.name)
            self.telemetry.errors.labels("Internal").inc()
            member.failure = Trouble("AdviceFailed", "a bug: see the operator's log"), now
        else:
            member.take_advice(answer, now)
            self._look_closer(member, answer.closer)

    def _ask_for_advice(self, member: Member, spec: DatabaseAdvisorSpec, now: float) -> None:
        """Have an advice made in the background, if it is time for it."""
        failed_at = None if member.failure is None else member.failure[1]
        standing = Standing(member.history.looks, member.advised_at, member.advised_for, failed_at)
        if member.consulting is not None or member.trouble is not None:
            return
        if not advice_is_due(standing, member.generation, spec.advise_every, now):
            return
        member.consulting = asyncio.create_task(self._consult(member, spec, now))
        member.consulting.add_done_callback(lambda _: self.wake(member.uid))

    async def _consult(self, member: Member, spec: DatabaseAdvisorSpec, now: float) -> Answer:
        place, history = member.place, member.history
        assert place is not None  # it has just been looked at
        target = await in_own_thread(partial(target_of, place, self.resolve))
        # It is pickled, for which nothing else in this process may run.
        light = await asyncio.to_thread(lightened, history)
        question = Question(
            target,
            _limits(spec),
            light,
            Settings(
                budget=spec.storage_budget,
                schemas=tuple(spec.schemas),
                exclude=tuple(spec.exclude),
            ),
            spec.findings,
        )
        began = time.monotonic()
        answer: Answer = await self.think(1, self.consult, question)
        self.telemetry.database_advice.observe(time.monotonic() - began)
        kept = await self.keeper.keep(member.namespace, member.name, now, answer.report)
        whole = {**answer.parts["advice"], "report": kept}
        return replace(answer, parts={**answer.parts, "advice": whole})

    def _look_closer(self, member: Member, ids: Sequence[int]) -> None:
        """Look closely at some statements for some minutes: the next advice on caching needs it."""
        if member.watch is None or member.closer is not None or not ids:
            return
        looking = partial(member.watch.pulse, ids=ids)
        work = in_own_thread(partial(self.look_closer, looking))
        member.closer = asyncio.create_task(work)

    def _take_pulses(self, member: Member) -> None:
        """Take in what the closer look has seen."""
        if member.closer is None or not member.closer.done():
            return
        looked, member.closer = member.closer, None
        with contextlib.suppress(
            DatabaseError
        ):  # without it caching is advised with less certainty
            member.history = replace(member.history, pulses=looked.result())

    async def _report(self, member: Member, spec: DatabaseAdvisorSpec | None, now: float) -> bool:
        """Write status if it has changed noticeably, and post Events on what is new. Whether status
        says now what is to be told.
        """
        if spec is None:
            told = [Condition(READY, False, "InvalidSpec", member.invalid)]
            fresh: Json = {}
        else:
            told = telling.conditions(member, spec)
            if (stored := self.keeper.condition()) is not None:
                told.append(stored)
            fresh = telling.status(member, spec)
            self._measure(member, fresh, told)
        if not self.may_write():
            return False
        written = await publish(
            member,
            fresh,
            told,
            plural=DATABASE_ADVISORS,
            cluster=self.cluster,
            announce=self.announce,
            noticeable=telling.noticeable,
            is_stale=telling.is_stale,
            now=now,
        )
        for one in news.news(member.known, fresh):
            kind = "Warning" if one.warning else "Normal"
            self.announce(member.body, kind=kind, reason=one.reason, message=one.message)
        return written

    def _measure(self, member: Member, status: Json, told: Sequence[Condition]) -> None:
        """Set the operator's own metrics; what is not known is not a number."""
        saved = (status.get("advice") or {}).get("savedPercent")
        self.telemetry.observe_database(
            member.namespace,
            member.name,
            reachable=next(it.holds for it in told if it.type == telling.COLLECTED),
            findings=status["counts"],
            saving=math.nan if saved is None else float(saved) / 100,
        )


def _limits(spec: DatabaseAdvisorSpec) -> Limits:
    return Limits(statement=spec.statement_timeout)
