"""Roll-ups on their way to the store."""

import asyncio
import logging
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from foretide.forecasting.series import Series
from foretide.operator.rollup_collector import Collector
from foretide.operator.rollups import RollupSender, series_key
from foretide.operator.store_settings import StoreSettings
from foretide.operator.stored_demand import rollups_of
from foretide.store.errors import StoreRefused, StoreUnavailable
from foretide.store.memory import MemoryRollups
from foretide.store.rollups import STEP, Rollup, SeriesKey

NOON = 1_790_000_100.0
KEY = SeriesKey("web", "shop", "requests", "0123456789abcdef")
OTHER = SeriesKey("web", "cart", "requests", "0123456789abcdef")
AWAY = StoreUnavailable("Unreachable", "cannot reach the store: Connection refused")


class Store(MemoryRollups):
    """One in memory that can be away, and notes what it is asked."""

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.error = None
        self.batches = []
        self.closed = 0

    async def write(self, batch):
        self.batches.append(batch)
        if self.error is not None:
            raise self.error
        return await super().write(batch)

    async def aclose(self):
        self.closed += 1


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return Store(clock)


@pytest.fixture
def store_settings(tmp_path):
    return StoreSettings(url="http://store", token_file=tmp_path / "token")


@pytest.fixture
def sender(store, clock, store_settings):
    return RollupSender(lambda: store_settings, connect=lambda settings: store, clock=clock)


@pytest.fixture
def play(sender, clock):
    """Plays demand, a value each 15 seconds, and flushes now and then."""

    async def run(values, key=KEY, every=15.0):
        for value in values:
            sender.observe(key, clock.now, value)
            clock.now += every
            await sender.flush()

    return run


async def kept(store, key=KEY):
    return list(await store.read(key, 0, 2e9))


async def test_samples_of_five_minutes_become_a_roll_up(store, clock, sender, play):
    await play([float(value) for value in range(20)])
    await play([7.0])
    assert await kept(store) == [Rollup(int(NOON), 20, 9.5, 19.0, 19.0)]


async def test_a_roll_up_is_sent_once(store, play):
    await play([1.0] * 61)
    assert [rollup.samples for rollup in await kept(store)] == [20, 20, 20]
    assert sum(len(columns) for batch in store.batches for columns in batch.values()) == 3


async def test_a_series_that_ends_is_sent_all_the_same(store, clock, sender):
    sender.observe(KEY, NOON + 10, 5.0)
    clock.now = NOON + STEP + 29
    await sender.flush()
    assert await kept(store) == []
    clock.now = NOON + STEP + 31
    await sender.flush()
    assert await kept(store) == [Rollup(int(NOON), 1, 5.0, 5.0, 5.0)]


async def test_a_sample_that_is_seen_twice_counts_once(store, clock, sender):
    for _ in range(3):
        sender.observe(KEY, NOON, 5.0)
    sender.observe(KEY, NOON + 300, 1.0)
    await sender.flush()
    assert [rollup.samples for rollup in await kept(store)] == [1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e31])
async def test_what_is_no_demand_is_left_out(store, clock, sender, value):
    sender.observe(KEY, NOON, value)
    await sender.flush(everything=True)
    assert store.batches == []


async def test_the_mean_is_never_above_the_peak(store, sender, clock):
    for place in range(20):
        sender.observe(KEY, NOON + place, 0.1)
    clock.now = NOON + 20
    await sender.flush(everything=True)
    assert (await kept(store))[0].mean == 0.1


async def test_without_a_store_nothing_is_collected(store, clock):
    sender = RollupSender(lambda: None, connect=lambda settings: store, clock=clock)
    sender.observe(KEY, NOON, 1.0)
    await sender.flush(everything=True)
    assert sender.state().reason == "NotConfigured"
    assert sender.state().waiting == 0


async def test_while_the_store_is_away_roll_ups_wait_and_it_is_said(store, sender, play):
    store.error = AWAY
    await play([1.0] * 81)
    state = sender.state()
    assert (state.reason, state.waiting, state.dropped) == ("Unreachable", 4, 0)
    assert str(state) == (
        "the store does not take roll-ups: cannot reach the store: Connection refused; "
        "4 roll-ups wait"
    )
    store.error = None
    await sender.flush(everything=True)
    assert len(await kept(store)) == 5
    assert (sender.state().reason, sender.state().waiting) == ("Reachable", 0)


async def test_attempts_grow_rarer_and_go_on_for_ever(store, sender, play):
    store.error = AWAY
    await play([1.0] * 4 * 60 * 3)
    assert 3 * 60 / 5 <= len(store.batches) <= 3 * 60 / 4 + 8


async def test_a_clock_that_is_set_back_does_not_put_off_the_next_attempt(
    store, sender, play, clock
):
    store.error = AWAY
    await play([1.0] * 41)
    clock.now -= 86_400
    attempts = len(store.batches)
    await play([1.0] * 41)
    assert len(store.batches) > attempts


async def test_trouble_is_logged_once_and_its_end_too(store, sender, play, caplog):
    caplog.set_level(logging.INFO)
    store.error = AWAY
    await play([1.0] * 200)
    store.error = None
    await play([1.0] * 40)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "takes roll-ups again" in caplog.text


async def test_what_waits_longer_than_a_day_is_dropped_and_counted(store, sender, play, clock):
    store.error = AWAY
    await play([1.0] * 288, every=300.0)
    assert (sender.state().waiting, sender.state().dropped) == (287, 0)
    await play([1.0] * 10, every=300.0)
    state = sender.state()
    assert (state.waiting, state.dropped) == (287, 10)
    assert "10 were dropped" in state.message
    store.error = None
    await sender.flush(everything=True)
    assert min(rollup.start for rollup in await kept(store)) == NOON + 10 * STEP
    assert "10 were dropped" in sender.state().message


async def test_memory_has_a_limit_and_the_oldest_go_first():
    collector = Collector(most=100)
    keys = [SeriesKey("web", f"app-{n}", "requests", "0") for n in range(30)]
    for place in range(5):
        for key in keys:
            collector.observe(key, NOON + place * STEP, float(place))
        collector.close_due(NOON + place * STEP)
    collector.close_due(NOON + 5 * STEP, everything=True)
    assert (collector.waiting, collector.dropped) == (90, 60)
    taken = collector.take()
    assert {min(columns.start) for columns in taken.batch.values()} == {NOON + 2 * STEP}


async def test_what_is_dropped_while_it_is_being_sent_is_not_counted_twice():
    collector = Collector()
    for place in range(4):
        collector.observe(KEY, NOON + place * STEP, 1.0)
    taken = collector.take()
    assert len(taken) == 3
    collector.close_due(NOON + 86_400 + STEP)  # the first one is too old now
    collector.settle(taken)
    assert (collector.waiting, collector.dropped) == (1, 1)  # the open one was closed meanwhile
    assert list(collector.take().batch[KEY].start) == [NOON + 3 * STEP]


async def test_a_bad_roll_up_keeps_no_others_from_being_sent(store, sender, clock):
    too_long = SeriesKey("web", "x" * 300, "requests", "0")
    for key in (KEY, too_long, OTHER):
        for place in range(3):
            sender.observe(key, NOON + place * STEP, 1.0)
    clock.now = NOON + 3 * STEP
    await sender.flush(everything=True)
    assert len(await kept(store)) == len(await kept(store, OTHER)) == 3
    state = sender.state()
    assert (state.reason, state.waiting, state.refused) == ("Refused", 0, 3)
    assert "1 to 253 printable characters" in state.message


async def test_a_store_whose_clock_is_behind_is_waited_for(sender, clock, store_settings):
    behind = Store(lambda: NOON - 3600)
    sender = RollupSender(lambda: store_settings, connect=lambda settings: behind, clock=clock)
    for place in range(3):
        sender.observe(KEY, NOON + place * STEP, 1.0)
    clock.now = NOON + 3 * STEP
    await sender.flush(everything=True)
    state = sender.state()
    assert (state.reason, state.waiting, state.refused) == ("InFuture", 3, 0)
    assert "are the clocks right?" in state.message


async def test_what_our_own_clock_made_in_the_future_is_given_up(store, sender, clock):
    sender.observe(KEY, NOON + 7_200, 1.0)  # it was ahead, and was set right
    sender.observe(KEY, NOON, 2.0)
    clock.now = NOON + STEP
    await sender.flush(everything=True)
    assert [rollup.max for rollup in await kept(store)] == [2.0]
    assert (sender.state().waiting, sender.state().refused) == (0, 1)


async def test_a_refusal_of_the_whole_request_loses_nothing(store, sender, clock):
    store.error = StoreRefused("Malformed", "series.0.color: Extra inputs are not permitted")
    sender.observe(KEY, NOON, 1.0)
    await sender.flush(everything=True)
    assert (sender.state().reason, sender.state().waiting) == ("Malformed", 1)
    assert len(store.batches) == 1


async def test_other_settings_mean_another_connection(clock, store_settings, tmp_path):
    one, two = Store(clock), Store(clock)
    current = [store_settings]
    stores = {"http://store": one, "http://other": two}
    sender = RollupSender(
        lambda: current[0], connect=lambda settings: stores[settings.url], clock=clock
    )
    sender.observe(KEY, NOON, 1.0)
    await sender.flush(everything=True)
    current[0] = StoreSettings(url="http://other", token_file=tmp_path / "token")
    sender.observe(KEY, NOON + STEP, 1.0)
    clock.now += STEP
    await sender.flush(everything=True)
    assert (len(one.batches), one.closed, len(two.batches)) == (1, 1, 1)
    current[0] = None
    await sender.flush()
    assert two.closed == 1


async def test_certificates_that_cannot_be_read_are_trouble_like_any_other(clock, tmp_path):
    settings = StoreSettings(
        url="https://store", token_file=tmp_path / "token", ca_file=tmp_path / "nowhere.pem"
    )
    sender = RollupSender(lambda: settings, clock=clock)
    sender.observe(KEY, NOON, 1.0)
    await sender.flush(everything=True)
    assert sender.state().reason == "CertificateMissing"
    assert "nowhere.pem" in sender.state().message


async def test_the_end_sends_what_is_there_and_closes(store, sender):
    sender.observe(KEY, NOON, 1.0)
    await sender.aclose()
    assert len(await kept(store)) == 1
    assert store.closed == 1


async def test_the_end_does_not_wait_for_a_store_that_hangs(store, sender, monkeypatch, caplog):
    async def hang(batch):
        await asyncio.Event().wait()

    sender.observe(OTHER, NOON, 1.0)
    await sender.flush(everything=True)  # it is connected to: that may take a while
    monkeypatch.setattr("foretide.operator.rollups._LAST_WORD", 0.01)
    store.write = hang
    sender.observe(KEY, NOON, 1.0)
    await sender.aclose()
    assert "1 roll-ups could not be sent any more" in caplog.text
    assert store.closed == 1


async def test_it_runs_in_the_background_and_survives_mistakes(
    store, sender, clock, monkeypatch, caplog
):
    monkeypatch.setattr("foretide.operator.rollups._PERIOD", 0.0)
    store.error = ZeroDivisionError("a mistake of ours")
    sender.observe(KEY, NOON, 1.0)
    clock.now += 2 * STEP
    task = asyncio.create_task(sender.run())
    async with asyncio.timeout(5):
        while not store.batches:  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0)
        store.error = None
        while not await kept(store):  # noqa: ASYNC110
            await asyncio.sleep(0)
    task.cancel()
    assert "failed unexpectedly" in caplog.text


async def test_a_history_fills_what_the_operator_has_seen_a_part_of_only(store, sender, clock):
    for place in range(8):
        sender.observe(KEY, NOON + place * 15, 1.0)
    clock.now += STEP
    await sender.flush(everything=True)
    history = Series(NOON, 60.0, np.array([1.0, 1.0, 9.0, 1.0, 1.0]))
    await store.write({KEY: rollups_of(history)})
    assert [rollup.max for rollup in await kept(store)] == [9.0]


def test_the_key_tells_queries_apart():
    key = series_key("web", "shop", "requests", source="default", query="sum(x)")
    assert key == series_key("web", "shop", "requests", source="default", query="sum(x)\n")
    assert key != series_key("web", "shop", "requests", source="default", query="sum(y)")
    assert key != series_key("web", "shop", "requests", source="other", query="sum(x)")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([KEY, OTHER]),
            st.integers(0, 3_000),
            st.floats(min_value=0, max_value=1e9),
        )
    )
)
async def test_every_sample_is_in_exactly_one_roll_up(samples):
    collector = Collector()
    samples.sort(key=lambda sample: sample[1])
    expected = {}
    for key, at, value in samples:
        if expected.get((key, at)) is None:
            expected[key, at] = value
        collector.observe(key, NOON + at, value)
    collector.close_due(NOON + 3_000, everything=True)
    found = 0
    while taken := collector.take(3):
        for key, columns in taken.batch.items():
            for start, count, mean, peak, last in columns:
                inside = [
                    value
                    for (one, at), value in sorted(expected.items())
                    if one == key and start <= NOON + at < start + STEP
                ]
                assert (count, peak, last) == (len(inside), max(inside), inside[-1])
                assert mean == pytest.approx(sum(inside) / len(inside))
                found += count
        collector.settle(taken)
    assert found == len(expected)
    assert collector.waiting == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "ftp://store"}, "must start with http"),
        ({"url": "http://"}, "name a host"),
        ({"url": "http://u:secret@store"}, "use tokenFile"),
        ({"url": "http://store:port"}, "not a valid URL"),
        (
            {"url": "http://store/?token=secret"},
            r"end before \? and #: for credentials use tokenFile",
        ),
        ({"url": "http://store#secret"}, r"end before \? and #"),
        ({"url": "http://[::1"}, "not a valid URL"),
        ({"timeout": "5m"}, "between 1s and 1m"),
        ({"token": "secret"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, said):
    good = {"url": "http://store:8081", "tokenFile": "/run/token"}
    StoreSettings.model_validate(good)
    with pytest.raises(ValidationError, match=said) as found:
        StoreSettings.model_validate({**good, **changes})
    messages = str(found.value.errors(include_input=False, include_context=False))
    assert "secret" not in messages


def test_the_token_is_required():
    with pytest.raises(ValidationError, match="tokenFile"):
        StoreSettings.model_validate({"url": "http://store:8081"})
