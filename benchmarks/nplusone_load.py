"""What the applications of the N+1 traces have in common: their tables, visitors, and labels."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# A shop of books with foreign keys, and a clinic that has none for its visits. Thresholds are
# chosen on the shop's traces; the clinic's are held out.
SCHEMA = """
CREATE TABLE country (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE author (id serial PRIMARY KEY, name text NOT NULL,
    country_id integer NOT NULL REFERENCES country);
CREATE TABLE book (id serial PRIMARY KEY, title text NOT NULL, year integer NOT NULL,
    author_id integer NOT NULL REFERENCES author);
CREATE TABLE tag (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE book_tag (id serial PRIMARY KEY, book_id integer NOT NULL REFERENCES book,
    tag_id integer NOT NULL REFERENCES tag);
CREATE TABLE review (id serial PRIMARY KEY, book_id integer NOT NULL REFERENCES book,
    stars integer NOT NULL, body text NOT NULL);
CREATE TABLE node (id serial PRIMARY KEY, parent_id integer REFERENCES node, name text NOT NULL);
CREATE TABLE job (id serial PRIMARY KEY, book_id integer NOT NULL REFERENCES book, done boolean);
INSERT INTO country (name) SELECT 'country ' || n FROM generate_series(1, 30) AS n;
INSERT INTO author (name, country_id) SELECT 'author ' || n, n % 30 + 1
    FROM generate_series(1, 300) AS n;
-- A few authors have many books, as in life: an ORM that keeps what it has read asks for fewer.
INSERT INTO book (title, year, author_id)
    SELECT 'book ' || n, 1950 + n % 75, 1 + floor(300 * power(n * 0.618034 % 1, 2))::integer
    FROM generate_series(1, 1500) AS n;
INSERT INTO tag (name) SELECT 'tag ' || n FROM generate_series(1, 40) AS n;
INSERT INTO book_tag (book_id, tag_id) SELECT n % 1500 + 1, n * 11 % 40 + 1
    FROM generate_series(1, 4500) AS n;
INSERT INTO review (book_id, stars, body) SELECT n * 13 % 1500 + 1, n % 5 + 1, repeat('good ', 9)
    FROM generate_series(1, 6000) AS n;
INSERT INTO node (parent_id, name) SELECT CASE WHEN n > 1 THEN n / 2 END, 'node ' || n
    FROM generate_series(1, 1023) AS n;
INSERT INTO job (book_id, done) SELECT n % 1500 + 1, false FROM generate_series(1, 5000) AS n;
CREATE INDEX ON book (author_id); CREATE INDEX ON book_tag (book_id);
CREATE INDEX ON review (book_id);

CREATE TABLE ward (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE doctor (id serial PRIMARY KEY, name text NOT NULL,
    ward_id integer NOT NULL REFERENCES ward);
CREATE TABLE patient (id serial PRIMARY KEY, name text NOT NULL,
    doctor_id integer NOT NULL REFERENCES doctor);
CREATE TABLE visit (id serial PRIMARY KEY, patient_id integer NOT NULL, fee integer NOT NULL);
INSERT INTO ward (name) SELECT 'ward ' || n FROM generate_series(1, 25) AS n;
INSERT INTO doctor (name, ward_id) SELECT 'doctor ' || n, n % 25 + 1
    FROM generate_series(1, 200) AS n;
INSERT INTO patient (name, doctor_id) SELECT 'patient ' || n,
    1 + floor(200 * power(n * 0.618034 % 1, 1.5))::integer
    FROM generate_series(1, 1200) AS n;
INSERT INTO visit (patient_id, fee) SELECT n * 7 % 1200 + 1, n % 90
    FROM generate_series(1, 5000) AS n;
CREATE INDEX ON visit (patient_id);
ANALYZE;
"""
BOOKS, AUTHORS, PATIENTS = 1500, 300, 1200


@dataclass(frozen=True)
class Load:
    """`clients` at once, each with `turns` visits and on average `think` seconds between them;
    `rows` on a page, and `work` seconds for each.
    """

    clients: int = 1
    turns: int = 8
    rows: int = 20
    think: float = 0.02
    work: float = 0.001
    seed: int = 1


@dataclass(frozen=True)
class Where:
    """URLs of the database, itself and through PgBouncer in transaction mode."""

    direct: str
    pooled: str


@dataclass(frozen=True)
class Scenario:
    """`looped`: the tables that are looked up once for each row; none in what only looks so."""

    name: str
    tool: str
    run: Callable[[Where, Load], None]
    looped: tuple[str, ...] = ()
    load: Load = field(default_factory=Load)
    held_out: bool = False


SCENARIOS: list[Scenario] = []


def scenario(
    tool: str,
    *looped: str,
    loads: tuple[Load, ...] = (Load(),),
    held_out: bool = False,
) -> Callable[[Callable[[Where, Load], None]], Callable[[Where, Load], None]]:
    """Marks a function that runs an application, to be recorded once under each load."""

    def mark(run: Callable[[Where, Load], None]) -> Callable[[Where, Load], None]:
        for place, load in enumerate(loads, 1):
            name = f"{tool}: {run.__name__.replace('_', ' ')}"
            name += f" ({place})" if len(loads) > 1 else ""
            SCENARIOS.append(Scenario(name, tool, run, looped, load, held_out))
        return run

    return mark


def visit(
    load: Load,
    page: Callable[[random.Random], object],
    leave: Callable[[], object] = lambda: None,
) -> None:
    """Opens pages as that many clients do, each in a thread of its own that calls `leave` last."""
    failed: list[BaseException] = []

    def client(number: int) -> None:
        chosen = random.Random(f"{load.seed}/{number}")
        try:
            for _ in range(load.turns):
                time.sleep(chosen.expovariate(1 / load.think) if load.think else 0)
                page(chosen)
        except BaseException as error:
            failed.append(error)
        finally:
            leave()

    threads = [threading.Thread(target=client, args=(each,)) for each in range(load.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def work(load: Load) -> None:
    """What an application does with each row, and the network."""
    if load.work:
        time.sleep(load.work)
