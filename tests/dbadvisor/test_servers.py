"""The PostgreSQL servers that these tests run on are what they should be."""

import psycopg
import pytest

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_each_major_version_keeps_statistics_of_statements(each_postgres, request):
    with psycopg.connect(each_postgres) as connection:
        assert (
            connection.info.server_version // 10000 == request.node.callspec.params["each_postgres"]
        )
        assert connection.execute("SELECT count(*) > 0 FROM pg_stat_statements").fetchone()[0]


def test_the_advisors_server_has_its_extensions(postgres):
    with psycopg.connect(postgres) as connection:
        connection.execute("CREATE TABLE thing (id int, name text)")
        connection.execute("SELECT hypopg_create_index('CREATE INDEX ON thing (id)')")
        connection.execute("SELECT * FROM pg_qualstats LIMIT 1")
