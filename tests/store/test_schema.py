"""Migrations: forward only, once, in a transaction."""

import asyncio

import pytest
from sqlalchemy import Column, Integer, Table, inspect, select, text

from foretide.store import schema
from foretide.store.database import locate, open_engine
from foretide.store.repository import Repository


@pytest.fixture
async def engine(database):
    engine = open_engine(locate(database))
    yield engine
    await engine.dispose()


@pytest.fixture
def migrate(engine):
    """Runs migrations as the repository does."""

    async def run(migrations=schema.MIGRATIONS):
        async with engine.connect() as connection:
            await connection.execution_options(foretide_writes=True)
            async with connection.begin():
                return await connection.run_sync(schema.migrate, migrations)

    return run


async def look(engine, function):
    async with engine.connect() as connection:
        return await connection.run_sync(function)


def rename_nothing(connection):
    connection.execute(text("CREATE TABLE later (id INTEGER)"))


def fail_halfway(connection):
    connection.execute(text("CREATE TABLE halfway (id INTEGER)"))
    raise RuntimeError("no")


@pytest.mark.slow
async def test_a_new_database_gets_the_tables_that_the_code_knows(migrate, engine):
    assert await migrate() == len(schema.MIGRATIONS)

    def differences(connection):
        """What the migrations made, against what the code believes."""
        for table in schema.metadata.sorted_tables:
            found = Table(table.name, type(schema.metadata)(), autoload_with=connection)
            assert [column.name for column in found.columns] == [c.name for c in table.columns]
            for column, known in zip(found.columns, table.columns, strict=True):
                assert column.nullable == known.nullable
                assert column.type.python_type == known.type.python_type
            assert [column.name for column in found.primary_key] == [
                column.name for column in table.primary_key
            ]
        return sorted(inspect(connection).get_table_names())

    assert await look(engine, differences) == sorted(schema.metadata.tables)


async def test_migrations_run_once_and_in_order(migrate, engine):
    await migrate()
    more = (*schema.MIGRATIONS, rename_nothing)
    assert await migrate(more) == len(more)
    assert await migrate(more) == len(more)  # would fail: the table is there
    async with engine.connect() as connection:
        found = await connection.execute(select(schema.versions.c.version))
        assert sorted(found.scalars()) == list(range(1, len(more) + 1))


async def test_a_migration_that_fails_leaves_everything_as_it_was(migrate, engine):
    await migrate()
    with pytest.raises(RuntimeError):
        await migrate((*schema.MIGRATIONS, rename_nothing, fail_halfway))
    tables = await look(engine, lambda connection: inspect(connection).get_table_names())
    assert "halfway" not in tables
    assert "later" not in tables
    assert await migrate() == len(schema.MIGRATIONS)


async def test_a_newer_schema_is_refused_and_left_alone(migrate, database, engine):
    await migrate((*schema.MIGRATIONS, rename_nothing))
    with pytest.raises(
        schema.SchemaTooNew, match=f"the database has schema {len(schema.MIGRATIONS) + 1}"
    ) as found:
        await Repository.open(database)
    assert "run the newer version" in found.value.message
    async with engine.connect() as connection:
        found = await connection.execute(select(schema.versions.c.version))
        assert sorted(found.scalars()) == list(range(1, len(schema.MIGRATIONS) + 2))


async def test_replicas_that_start_at_once_migrate_once(database):
    repositories = await asyncio.gather(*(Repository.open(database) for _ in range(4)))
    for repository in repositories:
        await repository.ping()
        await repository.aclose()


async def test_data_survives_a_migration(database, engine, migrate, key, columns, now):
    repository = await Repository.open(database, clock=lambda: now)
    await repository.write({key(): columns(1, 2)})
    await repository.aclose()

    def add_a_table(connection):
        Table("load_tests", schema.metadata, Column("id", Integer, primary_key=True))
        schema.metadata.tables["load_tests"].create(connection)
        schema.metadata.remove(schema.metadata.tables["load_tests"])

    await migrate((*schema.MIGRATIONS, add_a_table))
    async with engine.connect() as connection:
        assert len((await connection.execute(select(schema.chunks))).all()) == 1
