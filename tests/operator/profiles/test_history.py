"""Windows of an earlier time come back from the store."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from foretide.operator.api.profiler import BaselineSpec
from foretide.operator.profilers import history
from foretide.operator.profilers.assembly import baseline_before
from foretide.operator.profilers.bundles import Bundles
from foretide.operator.profilers.comparing import BaselineMissing
from foretide.operator.profilers.history import History, Period
from foretide.operator.profilers.member import Member
from foretide.operator.profilers.sender import profile_of
from foretide.operator.store_settings import StoreSettings
from foretide.store.errors import StoreError, StoreUnavailable
from foretide.store.profile_memory import MemoryProfiles

DAY = 86_400.0


class Store(MemoryProfiles):
    asked = 0

    async def find(self, query, **options):
        self.asked += 1
        return await super().find(query, **options)


@pytest.fixture
async def store(clock, noon, target, window):
    """Ten minutes of two pods: of one Profiler, and of another in the midst."""
    clock.now += DAY
    store = Store(clock=clock)
    bundles = Bundles()
    for place in range(60):
        for pod in ("shop-a", "shop-b"):
            bundles.add(target(pod=pod, labels={"profiler": "mine"}), window(noon + 10 * place))
    bundles.add(target(labels={"profiler": "another"}), window(noon + 100.5, cpu=9.0))
    await store.put([profile_of(one) for one in bundles.close_due(0.0, everything=True)])
    return store


@pytest.fixture
def past(store, tmp_path):
    settings = StoreSettings(url="http://store", token_file=tmp_path / "token")
    return History(lambda: settings, connect=lambda settings: store)


@pytest.fixture
def period(noon):
    def make(start=90.0, end=150.0, **changes):
        mine = (("profiler", "mine"),)
        return Period("web", noon + start, noon + end, **{"labels": mine, **changes})

    return make


async def test_the_windows_that_began_in_a_period_come_back(past, period, clock, noon):
    found = await past.windows(period(), now=clock.now)
    assert [one.started_at - noon for one in found] == [
        at for at in (90.0, 100.0, 110.0, 120.0, 130.0, 140.0) for _ in range(2)
    ]
    assert all(one.process.cpu_seconds == 4.0 for one in found)


async def test_where_nothing_was_kept_there_is_none(past, period, clock):
    assert await past.windows(period(9_000, 9_100), now=clock.now) == []
    assert await past.windows(period(workload="deployment/cart"), now=clock.now) == []
    assert await past.windows(period(container="cache"), now=clock.now) == []


async def test_a_period_that_is_over_is_read_once(past, period, clock, store):
    for _ in range(2):
        await past.windows(period(), now=clock.now)
    assert store.asked == 1


async def test_only_so_many_windows_stay_in_memory(past, period, clock, store, monkeypatch):
    monkeypatch.setattr(history, "MOST_WINDOWS", 20)
    await past.windows(period(), now=clock.now)
    await past.windows(period(91), now=clock.now)
    await past.windows(period(), now=clock.now)
    assert store.asked == 3


async def test_a_period_that_has_just_been_is_read_again_but_not_at_every_tick(
    past, period, noon, store
):
    for later in (0, 1, 29, 30, 31):
        assert len(await past.windows(period(), now=noon + 200 + later)) == 12
    assert store.asked == 2


async def test_a_store_that_does_not_answer_is_not_asked_at_every_tick(past, period, clock, store):
    def refuse(settings):
        store.asked += 1
        raise StoreUnavailable("Unreachable", "no answer")

    past._connect = refuse
    for later in (0, 1, 29, 30):
        with pytest.raises(StoreUnavailable):
            await past.windows(period(), now=clock.now + later)
    assert store.asked == 2


async def test_a_period_of_too_many_windows_is_refused(past, period, clock, monkeypatch):
    monkeypatch.setattr(history, "MOST_WINDOWS", 11)
    with pytest.raises(StoreError, match="more than 11 windows: choose a shorter one") as found:
        await past.windows(period(), now=clock.now)
    assert found.value.reason == "PeriodTooLong"


async def test_without_a_store_it_is_said(period):
    with pytest.raises(StoreError) as found:
        await History(lambda: None).windows(period(), now=0.0)
    assert found.value.reason == "StoreMissing"


async def test_a_profile_that_cannot_be_read_is_said(past, period, clock, store, target, window):
    bundles = Bundles()
    bundles.add(target(labels={"profiler": "mine"}), window(period().start + 1, pid=9))
    (bundle,) = bundles.close_due(0.0, everything=True)
    await store.put([replace(profile_of(bundle), data=b"none")])
    with pytest.raises(StoreError, match="cannot be read"):
        await past.windows(period(), now=clock.now)


@pytest.fixture
def member():
    spec = {"selector": {"matchLabels": {"app": "shop"}}, "mode": "Once"}
    meta = {"uid": "u", "namespace": "web", "name": "mine"}
    return Member.from_body({"metadata": meta, "spec": spec})


@pytest.fixture
def baseline(noon):
    times = [datetime.fromtimestamp(noon + at, UTC).isoformat() for at in (90, 150)]
    return BaselineSpec(start=times[0], end=times[1])


async def test_a_period_before_is_of_the_profilers_own_windows(past, member, baseline, clock):
    found = await baseline_before(member, baseline, past, clock.now)
    windows = await found.read()
    assert found.extent == (12, windows[-1].started_at)
    assert len(windows) == 12
    nobody = await baseline_before(replace(member, name="nobody"), baseline, past, clock.now)
    assert nobody.extent[0] == 0


async def test_what_the_store_cannot_give_is_a_reason_for_no_verdict(member, baseline, clock):
    with pytest.raises(BaselineMissing) as found:
        await baseline_before(member, baseline, History(lambda: None), clock.now)
    assert found.value.reason == "StoreMissing"
    assert "configure one" in str(found.value)
