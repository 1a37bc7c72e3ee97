import asyncio
import logging

import pytest

from foretide.forecasting.prometheus import PrometheusDemand
from foretide.operator.settings import OperatorSettings, SettingsHolder
from foretide.operator.sources import Sources

ONE = "sources: {default: {url: http://one}}"
TWO = "sources: {default: {url: http://two}, other: {url: http://one}}"


class Client:
    def __init__(self, source):
        self.source = source


@pytest.fixture
def holder():
    holder = SettingsHolder(OperatorSettings())
    holder.offer(ONE, origin="the test")
    return holder


@pytest.fixture
def sources(holder):
    return Sources(holder, connect=Client)


async def test_a_client_is_made_once(sources):
    assert await sources.get("default") is await sources.get("default")


async def test_of_clients_made_at_the_same_time_all_get_the_same(sources):
    clients = await asyncio.gather(*(sources.get("default") for _ in range(5)))
    assert len(set(map(id, clients))) == 1


async def test_other_settings_mean_another_client(sources, holder):
    before = await sources.get("default")
    holder.offer(TWO, origin="the test")
    after = await sources.get("default")
    assert (before.source.url, after.source.url) == ("http://one", "http://two")
    assert (await sources.get("other")).source.url == "http://one"


async def test_settings_that_say_the_same_keep_the_client(sources, holder):
    before = await sources.get("default")
    holder.offer(ONE + "\nsyncPeriod: 20s", origin="the test")
    assert await sources.get("default") is before


async def test_a_source_that_nobody_declared_is_none(sources, holder):
    assert await sources.get("nowhere") is None
    assert sources.settings("nowhere") is None
    await sources.get("default")
    holder.offer("{}", origin="the test")
    assert await sources.get("default") is None
    assert sources.settings("default") is None


def test_the_settings_are_those_in_force(sources, holder):
    assert sources.settings("default").url == "http://one"
    holder.offer(TWO, origin="the test")
    assert sources.settings("default").url == "http://two"


async def test_a_ca_file_that_is_missing_is_an_error_with_its_name(holder, caplog):
    holder.offer(
        "sources: {default: {url: https://one, caFile: nowhere/ca.crt}}", origin="the test"
    )
    sources = Sources(holder)
    assert await sources.get("default") is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Source default" in caplog.text
    assert "nowhere/ca.crt" in caplog.text


async def test_a_ca_file_that_holds_no_certificate_is_no_crash(holder, tmp_path, caplog):
    (tmp_path / "ca.crt").write_text("nothing of the kind")
    holder.offer(
        f"sources: {{default: {{url: https://one, caFile: {tmp_path}/ca.crt}}}}", origin="the test"
    )
    assert await Sources(holder).get("default") is None
    assert "ca.crt" in caplog.text


async def test_old_clients_are_closed(holder):
    sources = Sources(holder)
    first = await sources.get("default")
    assert isinstance(first, PrometheusDemand)
    holder.offer(TWO, origin="the test")
    second = await sources.get("default")
    await sources.aclose()
    assert first._client.is_closed
    assert second._client.is_closed
