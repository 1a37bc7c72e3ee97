"""What a collector sees of a real database of each version, with and without permissions."""

import contextlib
import uuid

import psycopg
import pytest

from foretide.dbadvisor import collecting, deltas
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection, Limits
from foretide.dbadvisor.database import DatabaseAway
from foretide.dbadvisor.snapshot import ForeignKey, IndexKey, Relation
from sandbox.process import wait_until

pytestmark = pytest.mark.postgres

NOW = 1_790_000_000.0
SHOP = """
CREATE TABLE "Cust omer" (id serial PRIMARY KEY, name varchar(20) COLLATE "C", tags int[])
    WITH (fillfactor = 70);
CREATE TABLE sale (id bigint, customer int REFERENCES "Cust omer", day date NOT NULL,
    gone text) PARTITION BY RANGE (day);
CREATE TABLE sale_2020 PARTITION OF sale FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE INDEX tail ON sale (customer DESC, (day + 1)) INCLUDE (id) WHERE customer > 5;
CREATE INDEX odd ON "Cust omer" (name COLLATE "POSIX" text_pattern_ops DESC NULLS LAST, id);
ALTER TABLE sale DROP COLUMN gone;
ALTER TABLE sale ENABLE ROW LEVEL SECURITY;
CREATE TEMPORARY TABLE passing (id int);
INSERT INTO "Cust omer" (name, tags)
    SELECT 'a"\\,{}' || i % 5, ARRAY[i % 3, 1] FROM generate_series(1, 3000) i;
INSERT INTO sale SELECT i, 7, '2020-02-02' FROM generate_series(1, 10) i;
ANALYZE;
"""
CUSTOMER, SALE, TAIL = (Relation("public", name) for name in ("Cust omer", "sale", "tail"))


@pytest.fixture
def owner(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        yield connection


@pytest.fixture
def collector(postgres):
    with Connection(postgres) as connection:
        yield Collector(connection)


@contextlib.contextmanager
def stranger(url):
    """A connection of somebody who may connect and nothing else, and whoever rules there."""
    name = f"stranger_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN")
        with Connection(url.replace("foretide@", f"{name}@")) as connection:
            yield connection, owner
        owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.slow
def test_each_version_is_seen_as_a_whole(each_postgres):
    with psycopg.connect(each_postgres, autocommit=True) as owner:
        owner.execute(SHOP)
        owner.execute("SELECT count(*) FROM sale WHERE id = 5")
    with Connection(each_postgres) as connection:
        _awaits_counters(connection, 3000)
        seen = collecting.collect(connection, NOW)
    assert seen.missing == ()
    assert seen.version // 10000 == connection.version // 10000
    assert any("FROM sale WHERE id = $1" in each.text for each in seen.statements)
    tables = {table.relation: table for table in seen.tables}
    assert [name.name for name in sorted(tables)] == ["Cust omer", "sale", "sale_2020"]
    customer, sale = tables[CUSTOMER], tables[SALE]
    assert (customer.rows, customer.inserted, customer.fill_factor) == (3000, 3000, 70)
    assert (customer.primary_key, customer.row_security) == (("id",), False)
    assert (sale.kind, sale.row_security, sale.pages) == ("p", True, 0)
    assert tables[Relation("public", "sale_2020")].parent == SALE
    assert [column.type for column in sale.columns] == ["bigint", "integer", "date"]
    name = customer.columns[1]
    assert (name.type, name.statistics.distinct) == ("character varying(20)", 5)
    assert sorted(name.statistics.common) == [f'a"\\,{{}}{i}' for i in range(5)]
    assert customer.columns[2].statistics.common[0] in {"{0,1}", "{1,1}", "{2,1}"}
    bounds = customer.columns[0].statistics.bounds
    assert (bounds[0], bounds[-1], len(bounds)) == ("1", "3000", 21)
    assert sale.columns[1].statistics.common == ("7",)
    indexes = {index.relation.name: index for index in seen.indexes}
    tail = indexes["tail"]
    assert tail.keys == (
        IndexKey("customer", descending=True, nulls_first=True),
        IndexKey(None, "(day + 1)"),
    )
    assert (tail.include, tail.predicate, tail.table) == (("id",), "(customer > 5)", SALE)
    assert [index.parent for index in seen.indexes if index.parent] == [TAIL]
    assert indexes["odd"].keys[0] == IndexKey(
        "name", None, True, False, "text_pattern_ops", "POSIX"
    )
    assert (indexes["Cust omer_pkey"].constraint, indexes["odd"].constraint) == (True, False)
    assert indexes["Cust omer_pkey"].bytes > 8192
    key = ForeignKey("sale_customer_fkey", SALE, ("customer",), CUSTOMER, ("id",))
    assert seen.foreign_keys == (key,)
    (sequence,) = seen.sequences
    assert (sequence.last, sequence.maximum, sequence.column) == (3000, 2**31 - 1, "id")


def test_what_is_usual_is_read_once_and_counters_each_time(owner, collector):
    owner.execute(SHOP)
    first = collector.collect(NOW)
    counted = _Counted(collector.database)
    collector.database = counted
    assert collector.collect(NOW + 60).tables[0].columns == first.tables[0].columns
    assert not any("pg_attribute" in statement for statement in counted.statements)
    assert not any("pg_stats " in statement for statement in counted.statements)
    assert not any("query" in s for s in counted.statements if "pg_stat_statements(True)" in s)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("CREATE TABLE later (id int)", lambda it: "later" in {t.relation.name for t in it.tables}),
        ('ALTER TABLE "Cust omer" ADD COLUMN age int', lambda it: len(it.tables[0].columns) == 4),
        ("DROP INDEX odd", lambda it: "odd" not in {i.relation.name for i in it.indexes}),
        ("ALTER INDEX odd RENAME TO even", lambda it: "even" in str(it.indexes)),
    ],
)
def test_a_change_of_the_catalog_is_seen_at_once(owner, collector, change, seen):
    owner.execute(SHOP)
    assert not seen(collector.collect(NOW))
    owner.execute(change)
    assert seen(collector.collect(NOW + 60))


def test_statistics_are_read_again_after_analyze(owner, collector):
    owner.execute(SHOP)
    collector.collect(NOW)
    owner.execute('UPDATE "Cust omer" SET name = \'same\'; ANALYZE "Cust omer"')

    def names():
        return collector.collect(NOW + 60).tables[0].columns[1].statistics.common

    assert wait_until(lambda: names() == ("same",), 10)


def test_constants_of_predicates_are_seen(owner, collector):
    owner.execute(SHOP)
    owner.execute("SELECT count(*) FROM \"Cust omer\" WHERE name = 'x''y' AND id > 5")
    seen = collector.collect(NOW)
    constants = {
        (each.column, each.operator): each.value
        for each in seen.constants
        if each.table == CUSTOMER
    }
    assert constants["id", ">"].startswith("5")
    assert constants["name", "="].startswith("'x''y'::")
    assert any("name = 'x''y' AND id > 5" in text for text in seen.examples.values())


def test_constants_are_as_fresh_as_is_wanted(owner, postgres):
    def ids(collector, now):
        seen = collector.collect(now).constants
        return {each.value for each in seen if (each.column, each.operator) == ("id", "=")}

    with Connection(postgres) as connection:
        lazy, eager = Collector(connection), Collector(connection, constants_seconds=5.0)
        owner.execute(SHOP)
        owner.execute('SELECT name FROM "Cust omer" WHERE id = 5')
        before = {"5::integer", "7::integer"}  # the other one is of the foreign key
        assert ids(lazy, NOW) == ids(eager, NOW) == before
        owner.execute('SELECT name FROM "Cust omer" WHERE id = 6')
        assert ids(eager, NOW + 1) == before
        assert ids(eager, NOW + 6) == {*before, "6::integer"}
        assert ids(lazy, NOW + 6) == before


def test_constants_that_pg_qualstats_has_no_room_for_are_missed(owner, postgres):
    owner.execute(SHOP)
    room = int(owner.execute("SHOW pg_qualstats.max").fetchone()[0])
    owner.execute("SELECT pg_qualstats_reset()")
    with Connection(postgres) as connection:
        collector = Collector(connection, constants_seconds=0.0)
        owner.execute('SELECT name FROM "Cust omer" WHERE id = 1')
        assert not collector.collect(NOW).constants_lost
        for number in range(2 * room):
            owner.execute(f'SELECT name FROM "Cust omer" WHERE id = {number}'.encode())
        assert collector.collect(NOW + 1).constants_lost
    owner.execute("SELECT pg_qualstats_reset()")


@pytest.mark.slow
def test_a_stranger_is_told_what_is_hidden_and_sees_it_after_the_remedies(each_postgres):
    with stranger(each_postgres) as (connection, owner):
        owner.execute(SHOP)
        seen = collecting.collect(connection, NOW)
        assert [table.relation for table in seen.tables][:2] == [CUSTOMER, SALE]
        assert all(column.statistics is None for column in seen.tables[0].columns)
        assert len(seen.missing) == 2
        for told in seen.missing:
            remedy = told[told.index("GRANT") :].replace("IN SCHEMA ...", "IN SCHEMA public")
            owner.execute(remedy)
        seen = collecting.collect(connection, NOW)
        assert seen.missing == ()
        assert seen.tables[0].columns[0].statistics is not None
        assert any("INSERT INTO sale" in each.text for each in seen.statements)


def test_names_that_would_break_a_statement_break_none(owner, collector):
    odd = 'a""b;%s\'--\n$1'
    owner.execute(f'CREATE SCHEMA "{odd}"; CREATE TABLE "{odd}"."{odd}" ("{odd}" serial)')
    owner.execute(f'CREATE INDEX "i{odd}" ON "{odd}"."{odd}" ((("{odd}" + 1)), "{odd}")')
    owner.execute(f'ANALYZE "{odd}"."{odd}"')
    plain = odd.replace('""', '"')
    seen = collector.collect(NOW)
    assert seen.missing == ()
    assert [table.relation for table in seen.tables] == [Relation(plain, plain)]
    (index,) = seen.indexes
    assert index.keys[1].column == plain
    assert seen.sequences[0].column == plain


def test_a_megabyte_of_query_is_taken_as_it_is(owner, collector):
    long = f"SELECT {' + '.join(['1'] * 250_000)} AS long_one"
    owner.execute(f"SELECT '{'x' * 1_000_000}' AS long_one")
    owner.execute("SET max_stack_depth = '100kB'")
    with contextlib.suppress(psycopg.Error):
        owner.execute(long)
    seen = [each for each in collector.collect(NOW).statements if "long_one" in each.text]
    assert [each.calls for each in seen] == [1]


def test_without_pg_stat_statements_the_rest_is_there(owner, collector):
    owner.execute("CREATE TABLE thing (id int); DROP EXTENSION pg_stat_statements")
    seen = collector.collect(NOW)
    assert [str(table.relation) for table in seen.tables] == ["public.thing"]
    assert "CREATE EXTENSION pg_stat_statements" in seen.missing[0]


def test_an_extension_in_a_schema_with_an_odd_name_is_found(owner, collector):
    owner.execute('CREATE SCHEMA "Odd ""schema"; DROP EXTENSION pg_stat_statements')
    owner.execute('CREATE EXTENSION pg_stat_statements SCHEMA "Odd ""schema"')
    owner.execute("SELECT 42 AS answer")
    assert any("AS answer" in each.text for each in collector.collect(NOW).statements)


def test_a_table_that_is_held_exclusively_is_left_out_and_told_until_it_is_free(owner, postgres):
    owner.execute(SHOP)
    with psycopg.connect(postgres) as other, Connection(postgres, limits=Limits(lock=0.1)) as mine:
        collector = Collector(mine)
        other.execute('LOCK TABLE "Cust omer"; REINDEX INDEX odd')
        held = collector.collect(NOW)
        assert CUSTOMER not in {table.relation for table in held.tables}
        assert any("public.Cust omer: locked exclusively" in each for each in held.missing)
        other.rollback()
        free = collector.collect(NOW + 60)
    assert free.missing == ()
    assert next(each for each in free.indexes if each.relation.name == "odd").bytes > 8192


def test_a_session_that_was_ended_meanwhile_is_replaced(owner, collector):
    collector.collect(NOW)
    owner.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'foretide' AND datname = current_database()"
    )
    assert collector.collect(NOW + 60).missing == ()


@pytest.mark.parametrize("place", [0, 3, 9])
def test_a_database_that_goes_away_is_told_and_seen_whole_afterwards(owner, collector, place):
    owner.execute(SHOP)
    real, collector.database = collector.database, _Away(collector.database, place)
    with pytest.raises(DatabaseAway):
        collector.collect(NOW)
    collector.database = real
    seen = collector.collect(NOW + 60)
    assert (len(seen.tables), seen.missing) == (3, ())
    assert seen.tables[0].columns[0].statistics is not None


def test_a_blocked_session_is_seen_with_who_blocks_it(owner, collector, postgres):
    owner.execute("CREATE TABLE thing (id int)")
    with contextlib.ExitStack() as stack:
        holder, waiter = (stack.enter_context(psycopg.connect(postgres)) for _ in range(2))
        holder.execute("LOCK TABLE thing")
        waiter.pgconn.send_query(b"SELECT * FROM thing")

        def waiting():
            sessions = collector.activity(NOW).sessions
            return [each for each in sessions if each.blocked_by]

        assert wait_until(waiting, 10)
        (blocked,) = waiting()
        assert blocked.blocked_by == (holder.info.backend_pid,)
        assert blocked.waits_for == "AccessShareLock on public.thing"
        assert blocked.query == "SELECT * FROM thing"
        holder.rollback()
        while (result := waiter.pgconn.get_result()) is not None:
            result.clear()


def test_collecting_leaves_no_statement_of_its_own(owner, collector):
    owner.execute("SELECT pg_stat_statements_reset()")
    collector.collect(NOW)
    collector.collect(NOW + 60)
    assert not [each for each in collector.collect(NOW).statements if "foretide" in each.text]


def test_who_may_not_hide_its_statements_leaves_them_out_of_the_workload(postgres):
    with stranger(postgres) as (connection, owner):
        connection.rows("SELECT count(*) FROM pg_class")
        seen = collecting.collect(connection, NOW)
        assert any(
            "foretide" in each.text for each in collecting.collect(connection, NOW).statements
        )
        users = {each.queryid: each.userid for each in seen.statements}
        mine = connection.rows("SELECT current_user::regrole::oid")[0][0]
        assert all(users[int(each.id)] != mine for each in deltas.total(seen).queries)
        user = connection.rows("SELECT current_user")[0][0]
        owner.execute(f"GRANT SET ON PARAMETER pg_stat_statements.track TO {user}")
        connection.close()
        owner.execute("SELECT pg_stat_statements_reset()")
        collecting.collect(connection, NOW)
        seen = collecting.collect(connection, NOW)
        assert not [each for each in seen.statements if "SELECT" in each.text]


class _Away:
    """Answers so many statements, and no more."""

    def __init__(self, database, answers):
        self.database, self.version, self.answers = database, database.version, answers

    def rows(self, statement, parameters=()):
        self.answers -= 1
        if self.answers < 0:
            raise DatabaseAway("gone")
        return self.database.rows(statement, parameters)


class _Counted:
    """Tells which statements went through the door."""

    def __init__(self, database):
        self.database, self.version, self.statements = database, database.version, []

    def rows(self, statement, parameters=()):
        self.statements.append(statement)
        return self.database.rows(statement, parameters)


def _awaits_counters(connection, inserted):
    """A session's counters reach others at its end, in older versions through a process."""

    def there():
        rows = connection.rows("SELECT max(n_tup_ins) FROM pg_stat_user_tables")
        return rows == [(inserted,)]

    assert wait_until(there, 20)


def test_views_and_collations_are_collected(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute('CREATE TABLE words (plain text, own text COLLATE "C", n int)')
        connection.execute("CREATE VIEW short AS SELECT own AS w FROM words WHERE n < 5")
    with Connection(postgres) as database:
        seen = collecting.collect(database, 1.0)
    assert [str(view.relation) for view in seen.views] == ["public.short"]
    assert "FROM words" in seen.views[0].definition
    assert [column.collation for column in seen.tables[0].columns] == ["", "C", ""]
