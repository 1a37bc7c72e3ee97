"""Where the database is, and what happens when it cannot do its work."""

import asyncio
import contextlib
import sqlite3
import traceback
from pathlib import Path

import asyncpg
import pytest

from foretide.store.database import locate
from foretide.store.errors import StoreRefused, StoreUnavailable
from foretide.store.repository import Repository

SECRET = "s3cr3t"


@pytest.fixture
async def sqlite(tmp_path, now):
    """A repository on SQLite that does not wait long for others."""
    repository = await Repository.open(
        str(tmp_path / "store.db"), clock=lambda: now, lock_timeout=0.05
    )
    yield repository
    await repository.aclose()


def test_an_address_is_a_file_or_a_url():
    assert locate("/var/lib/store.db").file == Path("/var/lib/store.db")
    assert locate(" postgresql://u:p@h/d\n").url == "postgresql://u:p@h/d"
    assert locate("postgres://h/d").url == "postgresql://h/d"
    assert locate("postgresql+asyncpg://h/d").url == "postgresql://h/d"


@pytest.mark.parametrize("text", ["", "  ", "mysql://h/d", f"http://u:{SECRET}@h/d"])
def test_another_address_is_refused_without_repeating_it(text):
    with pytest.raises(StoreRefused) as found:
        locate(text)
    assert SECRET not in str(found.value)


@pytest.mark.parametrize(
    ("url", "has"),
    [
        ("postgresql://u:p@h/d", True),
        ("postgresql://u:a@b@h/d", True),
        ("postgresql://h/d?user=u&password=p", True),
        ("postgresql://u@h:5432/d", False),
        ("postgresql://h:5432/d?host=/run", False),
        ("store.db", False),
    ],
)
def test_a_password_in_an_address_is_noticed(url, has):
    assert locate(url).has_password is has


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@127.0.0.1:1/d",
        f"postgresql://u:x/{SECRET}#@127.0.0.1:1/d",
        f"postgresql://u:p@127.0.0.1:{SECRET}/d",
        f"postgresql://u:{SECRET}@[::1/d",
        f"postgresql://u:{SECRET}@127.0.0.1:1/d?sslmode={SECRET}",
        f"postgresql://u:{SECRET}@nowhere.invalid/d",
    ],
)
async def test_no_error_shows_credentials(url, caplog):
    location = locate(url)
    with pytest.raises((StoreUnavailable, StoreRefused)) as found:
        await Repository.open(location)
    error = found.value
    shown = [str(location), repr(location), str(error), *traceback.format_exception(error)]
    assert SECRET not in "".join(shown).replace(url, "")
    assert SECRET not in caplog.text


async def test_a_postgresql_that_is_not_there_is_away():
    with pytest.raises(StoreUnavailable, match="cannot reach the database") as found:
        await Repository.open("postgresql://u@127.0.0.1:1/d")
    assert found.value.reason == "DatabaseAway"


@pytest.mark.postgres
async def test_what_postgresql_refuses_is_told_apart(postgresql, monkeypatch):
    with pytest.raises(StoreUnavailable) as found:
        await Repository.open(postgresql.replace("/postgres?", "/nothing?"))
    assert found.value.reason == "DatabaseMissing"
    with pytest.raises(StoreUnavailable) as found:
        await Repository.open(postgresql.replace("foretide@", "nobody@"))
    assert found.value.reason == "DatabaseDenied"


@pytest.mark.postgres
async def test_lost_connections_are_made_anew(postgresql, postgresql_server, key, columns, now):
    repository = await Repository.open(postgresql, clock=lambda: now)
    await repository.write({key(): columns(1)})
    other = await asyncpg.connect(postgresql_server)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'foretide-store' AND pid <> pg_backend_pid()"
    )
    await other.close()
    assert await repository.write({key(): columns(2, 1)}) == (2, 1)
    await repository.aclose()


async def test_a_full_disk_is_said_and_nothing_is_lost(sqlite, key, columns, now):
    await sqlite.write({key(): columns(1, 2, 3)})

    def limit(pages):
        async def set_limit():
            async with sqlite.database.engine.connect() as connection:
                await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        return set_limit()

    many = {key(f"app-{n}"): columns(*range(1, 300)) for n in range(20)}
    await limit(1)  # no smaller than what it is already
    with pytest.raises(StoreUnavailable, match="disk is full") as found:
        await sqlite.write(many)
    assert found.value.reason == "DiskFull"
    assert list((await sqlite.read(key(), 0, now)).max) == [1, 2, 3]
    assert len(await sqlite.series()) == 1
    await limit(100_000)
    assert (await sqlite.write(many)).changed == 20 * 299


async def test_a_database_that_another_process_holds_is_said_and_can_be_read(
    sqlite, tmp_path, key, columns, now
):
    await sqlite.write({key(): columns(1)})
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable) as found:
            await sqlite.write({key(): columns(1, 2)})
        assert found.value.reason == "DatabaseLocked"
        assert list((await sqlite.read(key(), 0, now)).max) == [1]
    assert await sqlite.write({key(): columns(2, 1)}) == (2, 1)


@pytest.mark.parametrize("content", [b"no database at all, but text\n" * 100])
async def test_a_file_that_is_no_database_is_said(tmp_path, content):
    (tmp_path / "store.db").write_bytes(content)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        await Repository.open(str(tmp_path / "store.db"))
    assert (tmp_path / "store.db").read_bytes() == content


async def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(StoreUnavailable, match=r"store\.db: unable to open database file"):
        await Repository.open(str(tmp_path / "nowhere" / "store.db"))


async def test_a_damaged_chunk_costs_no_more_than_its_six_hours(
    sqlite, tmp_path, key, columns, now, caplog
):
    await sqlite.write({key(): columns(*range(1, 200))})
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as other, other:
        other.execute("UPDATE demand_chunks SET data = x'00' WHERE slot = ?", [now // 21_600])
    assert 0 < len(await sqlite.read(key(), 0, now)) < 199
    assert "6 hours of a series are damaged" in caplog.text
    assert len(await sqlite.series()) == 1
    assert (await sqlite.write({key(): columns(7)})).changed == 1
    assert (await sqlite.read(key(), 0, now)).max[-1] == 7


async def test_a_new_file_that_another_process_makes_ready_is_waited_for(tmp_path):
    file = tmp_path / "store.db"
    with contextlib.closing(
        sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("CREATE TABLE theirs (one)")
        other.execute("BEGIN IMMEDIATE")  # SQLite lets nobody wait for the end of this
        opening = asyncio.create_task(Repository.open(str(file)))
        asyncio.get_running_loop().call_later(0.2, other.execute, "COMMIT")
        repository = await opening
    await repository.ping()
    await repository.aclose()
