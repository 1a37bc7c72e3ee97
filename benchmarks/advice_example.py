"""The report in docs/database-advisor.md: `foretide advise` on a shop that two visitors use.

    python benchmarks/advice_example.py [--html FILE] [--json FILE] ...

Further arguments are those of `foretide advise`.
"""

import random
import sys
import threading
from pathlib import Path

import psycopg

# For `python benchmarks/advice_example.py`, which puts only this folder on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.nplusone_load import BOOKS, SCHEMA
from foretide.operator.main import main as foretide
from sandbox.postgres import running
from sandbox.postgres_binaries import debian

SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements,pg_qualstats",
    "pg_qualstats.sample_rate": "1",
    "autovacuum": "off",
}
SALES = 200_000
SALE = f"""
CREATE TABLE sale (id bigserial PRIMARY KEY, book_id int, day date, state text, note text);
INSERT INTO sale (book_id, day, state, note)
    SELECT n % {BOOKS} + 1, date '2025-01-01' + n % 400,
        CASE WHEN n % 500 = 0 THEN 'open' ELSE 'done' END, repeat('x', 60)
    FROM generate_series(1, {SALES}) AS n;
CREATE INDEX sale_day ON sale (day);
CREATE INDEX sale_day_book ON sale (day, book_id);
"""


def _visit(connection: psycopg.Connection, draw: random.Random) -> None:
    """A page of books with their authors, one by one; a book's last sales; what is open."""
    listed = "SELECT id, author_id FROM book WHERE year = %s LIMIT 20"
    for _, author in connection.execute(listed, [1950 + draw.randrange(75)]).fetchall():
        connection.execute("SELECT name FROM author WHERE id = %s", [author])
    last = "SELECT day, note FROM sale WHERE book_id = %s ORDER BY day DESC LIMIT 10"
    connection.execute(last, [draw.randrange(BOOKS)]).fetchall()
    connection.execute("SELECT count(*) FROM sale WHERE state = 'open' AND day > '2025-06-01'")
    connection.execute("UPDATE sale SET note = 'y' WHERE id = %s", [draw.randrange(SALES)])


def main(arguments: list[str]) -> int:
    with running(debian(), SETTINGS) as server:
        url = server.url("shop")
        with psycopg.connect(server.url(), autocommit=True) as owner:
            owner.execute("CREATE DATABASE shop")
        with psycopg.connect(url, autocommit=True) as owner:
            for extension in ("pg_stat_statements", "hypopg", "pg_qualstats"):
                owner.execute(f"CREATE EXTENSION {extension}".encode())
            owner.execute(SCHEMA.encode())
            owner.execute(SALE.encode())
            owner.execute("VACUUM ANALYZE")
        ended = threading.Event()

        def visitor(seed: int) -> None:
            draw = random.Random(seed)
            while not ended.wait(0.05):
                with psycopg.connect(url) as connection:
                    _visit(connection, draw)

        visitors = [threading.Thread(target=visitor, args=(seed,)) for seed in range(2)]
        for each in visitors:
            each.start()
        try:
            return foretide(["advise", url, "--watch", "20s", *arguments])
        finally:
            ended.set()
            for each in visitors:
                each.join()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
