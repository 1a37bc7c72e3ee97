"""Reports in each place where they are kept, and over HTTP with the real client."""

import pytest
from aiohttp import web

from foretide.store.client import StoreAddress
from foretide.store.errors import StoreRefused
from foretide.store.memory import MemoryRollups
from foretide.store.report_client import ReportClient
from foretide.store.report_memory import MemoryReports
from foretide.store.report_repository import ReportRepository
from foretide.store.reports import LARGEST_REPORT, MOST_REPORTS, Report, Subject
from foretide.store.service import Service, Token
from foretide.store.sessions import Database

TOKEN = "correct-horse-battery"
SHOP = Subject("DatabaseAdvisor", "web", "shop")
OTHER = Subject("DatabaseAdvisor", "web", "other")
DAY = 86_400.0


@pytest.fixture
def report(now):
    """A report of web/shop, so many seconds old."""

    def make(ago=0.0, *, subject=SHOP, data=b'{"a": 1}', content_type="application/json"):
        return Report(subject, now - ago, data, content_type)

    return make


@pytest.fixture
async def repository(database, now):
    """On each of the databases."""
    opened = await Database.open(database)
    yield ReportRepository(opened, clock=lambda: now)
    await opened.aclose()


@pytest.fixture
async def client(tmp_path, now):
    """A store with reports in memory, asked over HTTP."""
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)

    async def fine():
        pass

    reports = MemoryReports(clock=lambda: now)
    service = Service(MemoryRollups(), Token(token_file), fine, reports=reports)
    runner = web.AppRunner(service.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = ReportClient(StoreAddress(f"http://127.0.0.1:{runner.addresses[0][1]}", token_file))
    yield client
    await client.aclose()
    await runner.cleanup()


async def goes_through_its_life(reports, report):
    first = await reports.put(report(ago=60.0))
    second = await reports.put(report(data=b"\x00\xff", content_type="application/octet-stream"))
    other = await reports.put(report(ago=30.0, subject=OTHER))
    assert len({first, second, other}) == 3
    found = await reports.find("web", "DatabaseAdvisor", "shop")
    assert [(kept.id, kept.size, kept.data) for kept in found] == [
        (second, 2, None),
        (first, 8, None),
    ]
    assert [kept.id for kept in await reports.find()] == [second, other, first]
    kept = await reports.get(second)
    assert (kept.data, kept.content_type) == (b"\x00\xff", "application/octet-stream")
    assert await reports.put(report(ago=60.0, data=b"again")) == first
    assert (await reports.get(first)).data == b"again"
    assert await reports.get(10**9) is None
    assert await reports.delete(SHOP) == 2
    assert [kept.id for kept in await reports.find("web")] == [other]


async def test_a_report_goes_through_its_life_in_a_database(repository, report):
    await goes_through_its_life(repository, report)


async def test_and_over_http(client, report):
    await goes_through_its_life(client, report)


async def test_of_each_resource_the_newest_are_kept(repository, report):
    await repository.put(report(subject=OTHER, ago=10 * DAY))
    for place in range(MOST_REPORTS + 3):
        await repository.put(report(ago=1_000.0 - place))
    found = await repository.find("web", "DatabaseAdvisor", "shop")
    assert len(found) == MOST_REPORTS
    assert found[-1].at == pytest.approx(report(ago=997.0).at)
    assert len(await repository.find(name="other")) == 1


async def test_what_is_too_old_is_swept_away(repository, report):
    for ago in (1.0, 9 * DAY, 11 * DAY):
        await repository.put(report(ago=ago))
    assert await repository.sweep(10 * DAY) == 1
    assert len(await repository.find()) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ago": -3_600.0}, "InFuture"),
        ({"ago": 1e9}, "BadTime"),
        ({"data": b""}, "BadValue"),
        ({"data": b"x" * (LARGEST_REPORT + 1)}, "BadValue"),
        ({"content_type": "json"}, "BadValue"),
        ({"subject": Subject("DatabaseAdvisor", "web", "a\nb")}, "BadKey"),
    ],
)
async def test_what_no_correct_sender_sends_is_refused(client, report, changes, reason):
    with pytest.raises(StoreRefused) as refused:
        await client.put(report(**changes))
    assert refused.value.reason == reason
    assert not await client.find()
