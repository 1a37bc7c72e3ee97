"""From windows to the store: minute by minute, and patiently while it is away."""

import logging

import pytest
from aiohttp import web

from foretide.operator.profilers.bundles import Bundles
from foretide.operator.profilers.keeping import ProfileKeeper
from foretide.operator.profilers.outbox import Outbox
from foretide.operator.profilers.sender import ProfileSender, profile_of
from foretide.operator.store_settings import StoreSettings
from foretide.operator.telemetry import Telemetry
from foretide.profiling import codec
from foretide.store.errors import StoreRefused, StoreUnavailable
from foretide.store.memory import MemoryRollups
from foretide.store.profile_client import ProfileClient
from foretide.store.profile_memory import MemoryProfiles
from foretide.store.profiles import Kind, ProfileQuery
from foretide.store.service import Service, Token

EVERYTHING = ProfileQuery()


class Store(MemoryProfiles):
    """A store that may be away, or refuse some pods."""

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.error = None
        self.refused_pods = ()
        self.batches = []
        self.closed = 0

    async def put(self, profiles):
        self.batches.append(len(profiles))
        if self.error is not None:
            raise self.error
        if any(profile.target.pod in self.refused_pods for profile in profiles):
            raise StoreRefused("BadKey", "profile 0: that pod is none")
        return await super().put(profiles)

    async def aclose(self):
        self.closed += 1


@pytest.fixture
def store(clock):
    return Store(clock)


@pytest.fixture
def store_settings(tmp_path):
    return StoreSettings(url="http://store", token_file=tmp_path / "token")


@pytest.fixture
def sender(store, clock, store_settings):
    return ProfileSender(lambda: store_settings, connect=lambda settings: store, clock=clock)


@pytest.fixture
def keeper(store_settings, clock, sender):
    return ProfileKeeper(lambda: store_settings, lambda: None, clock=clock, sender=sender)


@pytest.fixture
def bundle(target, window, noon):
    """A bundle of one window."""

    def make(pod="shop-a", at=noon):
        bundles = Bundles()
        bundles.add(target(pod=pod), window(at))
        (made,) = bundles.close_due(0.0, everything=True)
        return made

    return make


async def kept(store, **options):
    return list((await store.find(EVERYTHING, **options)).profiles)


async def test_windows_of_a_minute_are_kept_together_and_come_back_as_they_were(
    keeper, store, clock, noon, target, window
):
    windows = [window(noon + 10 * place) for place in range(6)]
    for place, one in enumerate(windows):
        clock.now = noon + 10 * (place + 1)
        keeper.keep(target(), [one])
        await keeper.flush()
    assert await kept(store) == []
    clock.now = noon + 101
    await keeper.flush()
    (found,) = await kept(store, data=True)
    assert (found.kind, found.windows, found.process) == (Kind.RAW, 6, "7")
    assert (found.start, found.end) == (noon, noon + 60)
    assert found.content_type == codec.CONTENT_TYPE
    assert found.target == target()
    assert list(codec.unpack_windows(found.data)) == windows


async def test_a_window_that_is_read_again_is_kept_once(keeper, store, clock, target, window):
    for _ in range(3):
        keeper.keep(target(), [window()])
    await keeper.flush(everything=True)
    assert [one.windows for one in await kept(store)] == [1]


async def test_a_minute_of_which_less_is_read_again_does_not_replace_it_or_come_beside_it(
    keeper, store, store_settings, clock, sender, noon, target, window
):
    keeper.keep(target(), [window(noon + 10), window(noon + 20)])
    await keeper.flush(everything=True)
    again = ProfileKeeper(lambda: store_settings, lambda: None, clock=clock, sender=sender)
    again.keep(target(), [window(noon + 20)])  # after a restart, from a log that was rotated
    await again.flush(everything=True)
    assert [(one.start, one.windows) for one in await kept(store)] == [(noon, 2)]


async def test_a_window_that_comes_after_its_minute_was_sent_is_kept_beside_it(
    keeper, store, clock, noon, target, window
):
    """The API server was away for a while, or the node's clock is behind."""
    clock.now += 600
    for place in (1, 2, 3):
        keeper.keep(target(), [window(noon + 10 * place)])
        await keeper.flush()
    starts = [(one.start, one.windows) for one in await kept(store)]
    assert starts == [(noon, 1), (noon + 20, 1), (noon + 30, 1)]


async def test_processes_pods_and_minutes_are_kept_apart(keeper, store, noon, target, window):
    keeper.keep(target(), [window(), window(pid=8), window(noon + 59), window(noon + 60)])
    keeper.keep(target(pod="shop-b"), [window()])
    await keeper.flush(everything=True)
    assert sorted((one.target.pod, one.process, one.windows) for one in await kept(store)) == [
        ("shop-a", "7", 1),
        ("shop-a", "7", 2),
        ("shop-a", "8", 1),
        ("shop-b", "7", 1),
    ]


async def test_a_long_window_is_waited_for(target, window, noon):
    bundles = Bundles()
    bundles.add(target(), window(seconds=60.0))
    assert bundles.close_due(noon + 149) == []
    assert len(bundles) == 1
    assert len(bundles.close_due(noon + 150)) == 1
    assert len(bundles) == 0


async def test_profiles_wait_while_the_store_is_away_and_that_is_said(
    sender, store, clock, bundle, caplog
):
    caplog.set_level(logging.INFO)
    store.error = StoreUnavailable("DiskFull", "the store's disk is full: enlarge its volume")
    await sender.add([bundle()])
    await sender.flush()
    await sender.flush()  # not due yet
    assert store.batches == [1]
    state = sender.state()
    assert (state.reason, state.waiting) == ("DiskFull", 1)
    assert "the store does not take profiles: the store's disk is full" in state.message
    assert caplog.text.count("does not take profiles, they wait") == 1
    store.error = None
    clock.now += 16
    await sender.flush()
    assert len(await kept(store)) == 1
    assert sender.state().reason == "Reachable"
    assert sender.state().waiting == 0
    assert "takes profiles again" in caplog.text


async def test_what_has_waited_for_too_long_is_dropped_and_counted(sender, store, clock, bundle):
    store.error = StoreUnavailable("Unreachable", "cannot reach the store")
    await sender.add([bundle()])
    clock.now += 3_601
    await sender.add([bundle("shop-b")])
    await sender.flush()
    assert (sender.state().waiting, sender.state().dropped) == (1, 1)
    assert "1 were dropped" in sender.state().message


async def test_what_is_refused_does_not_keep_back_the_others(sender, store, bundle, caplog):
    store.refused_pods = ("shop-2", "shop-3")
    await sender.add([bundle(f"shop-{number}") for number in range(6)])
    await sender.flush()
    assert [one.target.pod for one in await kept(store)] == ["shop-0", "shop-1", "shop-4", "shop-5"]
    assert (sender.state().reason, sender.state().refused) == ("Refused", 2)
    assert caplog.text.count("refuses a profile") == 1


async def test_a_store_that_knows_no_profiles_is_waited_for(sender, store, bundle):
    store.error = StoreRefused("NotFound", "Not Found")
    await sender.add([bundle()])
    await sender.flush()
    assert (sender.state().reason, sender.state().waiting) == ("NotFound", 1)


async def test_a_store_whose_clock_is_behind_is_waited_for(sender, store, clock, bundle):
    clock.now += 60
    store.error = StoreRefused("InFuture", "its end is 900 s ahead; are the clocks right?")
    await sender.add([bundle()])
    await sender.flush()
    assert (sender.state().reason, sender.state().waiting) == ("InFuture", 1)


async def test_a_node_whose_clock_is_ahead_keeps_nothing_back(sender, store, noon, bundle):
    store.error = StoreRefused("InFuture", "its end is 900 s ahead; are the clocks right?")
    await sender.add([bundle(at=noon + 900)])
    await sender.flush()
    assert (sender.state().reason, sender.state().waiting) == ("Refused", 0)


async def test_what_waits_and_what_is_lost_can_be_alerted_on(
    store_settings, store, clock, sender, target, window
):
    telemetry = Telemetry()
    keeper = ProfileKeeper(
        lambda: store_settings,
        lambda: None,
        clock=clock,
        sender=sender,
        observe=telemetry.observe_profiles,
    )

    def sample(name, **labels):
        return telemetry.registry.get_sample_value(name, {"destination": "store", **labels})

    store.error = StoreUnavailable("Unreachable", "cannot reach the store")
    keeper.keep(target(), [window()])
    await keeper.flush(everything=True)
    assert sample("foretide_profiles_waiting") == 1
    assert sample("foretide_profiles_lost_total", outcome="dropped") == 0
    clock.now += 3_700
    for _ in range(2):
        await keeper.flush()
    assert sample("foretide_profiles_waiting") == 0
    assert sample("foretide_profiles_lost_total", outcome="dropped") == 1


async def test_without_a_store_nothing_is_kept_in_memory(store, clock, bundle, target, window):
    sender = ProfileSender(lambda: None, connect=lambda settings: store, clock=clock)
    await sender.add([bundle()])
    await sender.flush()
    assert (sender.state().reason, sender.state().waiting) == ("NotConfigured", 0)
    keeper = ProfileKeeper(lambda: None, lambda: None, clock=clock)
    keeper.keep(target(), [window()])
    assert len(keeper._bundles) == 0
    await keeper.aclose()


async def test_what_waits_is_sent_at_the_end(keeper, store, target, window):
    keeper.keep(target(), [window()])
    await keeper.aclose()
    assert len(await kept(store)) == 1
    assert store.closed == 1


async def test_a_real_store_takes_them(tmp_path, clock, target, window, noon):
    token_file = tmp_path / "token"
    token_file.write_text("correct-horse-battery")

    async def fine():
        pass

    profiles = MemoryProfiles(clock=clock)
    service = Service(MemoryRollups(), Token(token_file), fine, profiles=profiles)
    runner = web.AppRunner(service.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = StoreSettings(
        url=f"http://127.0.0.1:{runner.addresses[0][1]}", token_file=token_file
    )
    clock.now += 30
    keeper = ProfileKeeper(lambda: settings, lambda: None, clock=clock)
    keeper.keep(target(labels={"node": "one"}), [window(), window(noon + 10)])
    await keeper.aclose()
    assert keeper.store_state().reason == "Reachable"
    client = ProfileClient(settings.address)
    (found,) = (await client.find(EVERYTHING, data=True)).profiles
    assert found.target == target(labels={"node": "one"})
    assert codec.unpack_windows(found.data) == (window(), window(noon + 10))
    await client.aclose()
    await runner.cleanup()


def test_the_oldest_goes_where_there_is_no_room():
    outbox = Outbox(most_bytes=10)
    for number in range(4):
        outbox.put(number, 4, 0.0)
    assert outbox.take(100, 100)[0] == [2, 3]
    assert (outbox.dropped, outbox.size) == (2, 8)
    outbox.put("larger than all room", 11, 0.0)
    assert outbox.take(100, 100)[0] == ["larger than all room"]


def test_what_comes_or_goes_while_something_is_sent_is_not_settled_with_it():
    outbox = Outbox(most_bytes=10)
    outbox.put("a", 4, 0.0)
    outbox.put("b", 4, 0.0)
    taken, upto = outbox.take(4, 9)
    assert taken == ["a"]
    outbox.put("c", 4, 0.0)  # and "a" goes for it
    outbox.settle(upto)
    assert outbox.take(100, 9)[0] == ["b", "c"]
    assert outbox.size == 8


def test_a_minute_of_a_process_is_small(bundle):
    assert len(profile_of(bundle()).data) < 2_000
