"""N+1, and what only looks so, in programs that write their SQL themselves: psycopg and asyncpg."""

import asyncio
import random
import time
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg

from benchmarks.nplusone_load import AUTHORS, BOOKS, Load, Where, scenario, visit, work

ONE_AUTHOR = "SELECT id, name FROM author WHERE id = %s"
SOME_BOOKS = "SELECT id, title, author_id FROM book WHERE id >= %s ORDER BY id LIMIT %s"


def _connect(url: str) -> "psycopg.Connection[tuple[Any, ...]]":
    return psycopg.connect(url, autocommit=True, application_name="shop")


@scenario("psycopg", "review", loads=(Load(rows=30), Load(rows=50, work=0.004, turns=3)))
def stars_of_each_book(where: Where, load: Load) -> None:
    def page(chosen: random.Random) -> None:
        with _connect(where.direct) as db, db.transaction():
            start = chosen.randrange(1, BOOKS - load.rows)
            for book, *_ in db.execute(SOME_BOOKS, (start, load.rows)).fetchall():
                work(load)
                db.execute("SELECT avg(stars) FROM review WHERE book_id = %s", (book,)).fetchone()

    visit(load, page)


@scenario("psycopg", loads=(Load(turns=200, think=0.004), Load(clients=8, turns=40, think=0.01)))
def point_look_ups_alone(where: Where, load: Load) -> None:
    with_each: dict[int, Any] = {}

    def page(chosen: random.Random) -> None:
        db = with_each.get(id(chosen)) or with_each.setdefault(id(chosen), _connect(where.direct))
        db.execute(ONE_AUTHOR, (chosen.randrange(1, AUTHORS),)).fetchone()

    visit(load, page)


@scenario("psycopg", loads=(Load(rows=60, turns=3),))
def keys_of_a_file_in_one_transaction(where: Where, load: Load) -> None:
    """Nothing in the database says where they come from."""

    def page(chosen: random.Random) -> None:
        with _connect(where.direct) as db, db.transaction():
            db.execute("SELECT count(*) FROM book").fetchone()
            for _ in range(load.rows):
                db.execute(ONE_AUTHOR, (chosen.randrange(1, AUTHORS),)).fetchone()

    visit(load, page)


@scenario("psycopg", loads=(Load(clients=3, turns=40, think=0.002),))
def workers_of_a_queue(where: Where, load: Load) -> None:
    """One job, one book; and again."""

    def page(chosen: random.Random) -> None:
        with _connect(where.direct) as db, db.transaction():
            job = db.execute(
                "SELECT id, book_id FROM job WHERE NOT done ORDER BY id LIMIT 1 "
                "FOR UPDATE SKIP LOCKED"
            ).fetchone()
            assert job is not None
            db.execute("SELECT title FROM book WHERE id = %s", (job[1],)).fetchone()
            work(load)
            db.execute("UPDATE job SET done = true WHERE id = %s", (job[0],))

    visit(load, page)


@scenario("psycopg", loads=(Load(turns=3, rows=40, work=0.004),))
def waiting_for_one_row(where: Where, load: Load) -> None:
    def page(chosen: random.Random) -> None:
        with _connect(where.direct) as db:
            book = chosen.randrange(1, BOOKS)
            for _ in range(load.rows):
                db.execute("SELECT year FROM book WHERE id = %s", (book,)).fetchone()
                work(load)

    visit(load, page)


@scenario("psycopg", loads=(Load(rows=10, turns=5),))
def pages_by_their_last_key(where: Where, load: Load) -> None:
    def page(chosen: random.Random) -> None:
        last = 0
        with _connect(where.direct) as db, db.transaction():
            for _ in range(load.rows):
                found = db.execute(SOME_BOOKS, (last + 1, load.rows)).fetchall()
                last = found[-1][0]
                work(load)

    visit(load, page)


@scenario("psycopg", loads=(Load(turns=10),))
def up_a_tree(where: Where, load: Load) -> None:
    """Each key is known only once the row before has come: no batch could fetch them."""

    def page(chosen: random.Random) -> None:
        node: int | None = chosen.randrange(512, 1023)
        with _connect(where.direct) as db, db.transaction():
            while node is not None:
                row = db.execute("SELECT parent_id FROM node WHERE id = %s", (node,)).fetchone()
                assert row is not None
                node = row[0]
                work(load)

    visit(load, page)


@scenario("psycopg", loads=(Load(turns=4, rows=50),))
def batches_already(where: Where, load: Load) -> None:
    def page(chosen: random.Random) -> None:
        with _connect(where.direct) as db, db.transaction():
            for _ in range(6):
                start = chosen.randrange(1, BOOKS - load.rows)
                books = db.execute(SOME_BOOKS, (start, load.rows)).fetchall()
                keys = sorted({author for *_, author in books})
                db.execute("SELECT id, name FROM author WHERE id = ANY(%s)", (keys,)).fetchall()

    visit(load, page)


@scenario("psycopg", loads=(Load(turns=4, rows=30),))
def rows_inserted_one_by_one(where: Where, load: Load) -> None:
    def page(chosen: random.Random) -> None:
        with _connect(where.direct) as db, db.transaction():
            start = chosen.randrange(1, BOOKS - load.rows)
            books = db.execute(SOME_BOOKS, (start, load.rows)).fetchall()
            with db.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO review (book_id, stars, body) VALUES (%s, 3, 'new')",
                    [(book,) for book, *_ in books],
                )

    visit(load, page)


@scenario("psycopg", loads=(Load(turns=3, rows=12, work=0.2),))
def a_reader_who_opens_what_a_list_shows(where: Where, load: Load) -> None:
    """One connection, one reader: but a person is no loop."""

    def page(chosen: random.Random) -> None:
        with _connect(where.direct) as db:
            start = chosen.randrange(1, BOOKS - load.rows)
            for *_, author in db.execute(SOME_BOOKS, (start, load.rows)).fetchall()[:8]:
                time.sleep(load.work + chosen.random() * load.work)
                db.execute(ONE_AUTHOR, (author,)).fetchone()

    visit(load, page)


async def _pool(url: str, size: int) -> "asyncpg.Pool[asyncpg.Record]":
    return await asyncpg.create_pool(
        url,
        min_size=size,
        max_size=size,
        statement_cache_size=0,
        server_settings={"application_name": "shop"},
    )


async def _one_by_one(pool: "asyncpg.Pool[asyncpg.Record]", load: Load, start: int) -> None:
    found = await pool.fetch(
        "SELECT id, author_id FROM book WHERE id >= $1 ORDER BY id LIMIT $2", start, load.rows
    )
    for book in found:
        await asyncio.sleep(load.work)
        await pool.fetchrow("SELECT id, name FROM author WHERE id = $1", book["author_id"])


async def _all_at_once(pool: "asyncpg.Pool[asyncpg.Record]", load: Load, start: int) -> None:
    found = await pool.fetch(
        "SELECT id, title FROM book WHERE id >= $1 ORDER BY id LIMIT $2", start, load.rows
    )
    await asyncio.gather(
        *(pool.fetch("SELECT stars FROM review WHERE book_id = $1", book["id"]) for book in found)
    )


async def _visitor(pool: "asyncpg.Pool[asyncpg.Record]", load: Load, start: int) -> None:
    if start % 5 == 0:
        await pool.fetch(
            "SELECT id, author_id FROM book WHERE id >= $1 ORDER BY id LIMIT $2", start, load.rows
        )
    else:
        await pool.fetchrow("SELECT id, name FROM author WHERE id = $1", start % AUTHORS + 1)


def _asynchronous(url: str, load: Load, page: Any) -> None:
    async def client(pool: "asyncpg.Pool[asyncpg.Record]", number: int) -> None:
        chosen = random.Random(f"{load.seed}/{number}")
        for _ in range(load.turns):
            await asyncio.sleep(chosen.expovariate(1 / load.think))
            await page(pool, load, chosen.randrange(1, BOOKS - load.rows))

    async def run() -> None:
        async with await _pool(url, 5) as pool:
            await asyncio.gather(*(client(pool, number) for number in range(load.clients)))

    asyncio.run(run())


@scenario("asyncio", "author", loads=(Load(), Load(clients=4, turns=8, think=0.1)))
def each_statement_takes_any_connection(where: Where, load: Load) -> None:
    _asynchronous(where.direct, load, _one_by_one)


@scenario("asyncio", "review", loads=(Load(think=0.1), Load(clients=3, rows=30, think=0.15)))
def all_look_ups_at_once(where: Where, load: Load) -> None:
    _asynchronous(where.direct, load, _all_at_once)


@scenario("pgbouncer", "author", loads=(Load(clients=3, turns=8, think=0.1),))
def authors_of_books_with_asyncpg(where: Where, load: Load) -> None:
    _asynchronous(where.pooled, load, _one_by_one)


@scenario(
    "asyncio", loads=(Load(clients=6, turns=60, think=0.01), Load(clients=12, turns=60, think=0.1))
)
def visitors_whose_statements_take_any_connection(where: Where, load: Load) -> None:
    _asynchronous(where.direct, load, _visitor)


@scenario("pgbouncer", loads=(Load(clients=10, turns=50, think=0.05),))
def visitors_with_asyncpg(where: Where, load: Load) -> None:
    _asynchronous(where.pooled, load, _visitor)


@scenario("pgbouncer", loads=(Load(clients=4, turns=8),))
def authors_joined_with_books(where: Where, load: Load) -> None:
    def page(chosen: random.Random) -> None:
        with psycopg.connect(
            where.pooled, autocommit=True, application_name="shop", prepare_threshold=None
        ) as db:
            for _ in range(6):
                start = chosen.randrange(1, BOOKS - load.rows)
                db.execute(
                    "SELECT b.id, a.name FROM book b JOIN author a ON a.id = b.author_id "
                    "WHERE b.id >= %s ORDER BY b.id LIMIT %s",
                    (start, load.rows),
                ).fetchall()

    visit(load, page)


async def _watcher(pool: "asyncpg.Pool[asyncpg.Record]", load: Load, start: int) -> None:
    for _ in range(load.rows):
        await asyncio.sleep(load.work)
        await pool.fetchrow("SELECT year FROM book WHERE id = $1", start)


async def _loader(pool: "asyncpg.Pool[asyncpg.Record]", load: Load, start: int) -> None:
    found = await pool.fetch(
        "SELECT id, author_id FROM book WHERE id >= $1 ORDER BY id LIMIT $2", start, load.rows
    )
    keys = sorted({book["author_id"] for book in found})
    for place in range(0, len(keys), 4):
        await pool.fetch(
            "SELECT id, name FROM author WHERE id = ANY($1::int[])", keys[place : place + 4]
        )


@scenario("asyncio", loads=(Load(clients=6, turns=3, work=0.03),))
def watching_one_row_each(where: Where, load: Load) -> None:
    _asynchronous(where.direct, load, _watcher)


@scenario("asyncio", loads=(Load(clients=4),))
def batches_of_four_keys(where: Where, load: Load) -> None:
    _asynchronous(where.direct, load, _loader)


@scenario("psycopg", loads=(Load(clients=3, turns=6, rows=8),), held_out=True)
def wards_with_their_doctors_counted_in_one(where: Where, load: Load) -> None:
    def page(chosen: random.Random) -> None:
        with _connect(where.direct) as db, db.transaction():
            for _ in range(load.rows):
                db.execute(
                    "SELECT w.name, count(*) FROM ward w JOIN doctor d ON d.ward_id = w.id "
                    "WHERE w.id > %s GROUP BY w.id ORDER BY w.id LIMIT 10",
                    (chosen.randrange(20),),
                ).fetchall()

    visit(load, page)
