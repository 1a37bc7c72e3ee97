"""N+1, and what only looks so, in applications on SQLAlchemy, synchronous and not."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import ForeignKey, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)
from sqlalchemy.pool import NullPool

from benchmarks.nplusone_load import AUTHORS, BOOKS, PATIENTS, Load, Where, scenario, visit, work

BUSY = Load(clients=6, turns=8, think=0.03)
LONG = Load(turns=3, rows=60, work=0.003)
FAST = Load(turns=12, rows=12, work=0.0)


class Base(AsyncAttrs, DeclarativeBase):
    """Tables as `SCHEMA` has them."""

    id: Mapped[int] = mapped_column(primary_key=True)


class Country(Base):
    __tablename__ = "country"
    name: Mapped[str]


class Author(Base):
    __tablename__ = "author"
    name: Mapped[str]
    country_id: Mapped[int] = mapped_column(ForeignKey("country.id"))
    country: Mapped[Country] = relationship()
    books: Mapped[list["Book"]] = relationship(back_populates="author")


class Book(Base):
    __tablename__ = "book"
    title: Mapped[str]
    year: Mapped[int]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")
    reviews: Mapped[list["Review"]] = relationship()


class Review(Base):
    __tablename__ = "review"
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"))
    stars: Mapped[int]
    body: Mapped[str]


class Doctor(Base):
    __tablename__ = "doctor"
    name: Mapped[str]


class Patient(Base):
    __tablename__ = "patient"
    name: Mapped[str]
    doctor_id: Mapped[int] = mapped_column(ForeignKey("doctor.id"))
    doctor: Mapped[Doctor] = relationship()
    visits: Mapped[list["Visit"]] = relationship()


class Visit(Base):
    __tablename__ = "visit"
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    fee: Mapped[int]


@contextmanager
def _sessions(
    where: Where, load: Load, *, pooled: bool = False, autocommit: bool = False
) -> Iterator[Callable[[], Session]]:
    url = (where.pooled if pooled else where.direct).replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(
        url,
        pool_size=load.clients,
        connect_args={"prepare_threshold": None, "application_name": "shop"},
        isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
    )
    try:
        yield lambda: Session(engine)
    finally:
        engine.dispose()


def _page(chosen: random.Random, load: Load) -> int:
    return chosen.randrange(1, BOOKS - load.rows)


def _books(start: int, load: Load):  # type: ignore[no-untyped-def]
    return select(Book).where(Book.id >= start).order_by(Book.id).limit(load.rows)


def _patients(chosen: random.Random, load: Load):  # type: ignore[no-untyped-def]
    start = chosen.randrange(1, PATIENTS - load.rows)
    return select(Patient).where(Patient.id > start).order_by(Patient.id).limit(load.rows)


@scenario("sqlalchemy", "author", loads=(Load(), BUSY, LONG, FAST))
def authors_of_books(where: Where, load: Load) -> None:
    with _sessions(where, load) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                for book in db.scalars(_books(_page(chosen, load), load)):
                    work(load)
                    assert book.author.name

        visit(load, page)


@scenario("sqlalchemy", "review", loads=(Load(), BUSY))
def reviews_of_books_without_transactions(where: Where, load: Load) -> None:
    with _sessions(where, load, autocommit=True) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                for book in db.scalars(_books(_page(chosen, load), load)):
                    work(load)
                    assert len(book.reviews) >= 0

        visit(load, page)


@scenario("sqlalchemy", "author", "country", loads=(LONG,))
def countries_of_authors_of_books(where: Where, load: Load) -> None:
    with _sessions(where, load) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                for book in db.scalars(_books(_page(chosen, load), load)):
                    work(load)
                    assert book.author.country.name

        visit(load, page)


@scenario("sqlalchemy", "review", loads=(Load(), BUSY))
def a_count_for_each_book(where: Where, load: Load) -> None:
    with _sessions(where, load) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                for book in db.scalars(_books(_page(chosen, load), load)).all():
                    work(load)
                    count = select(func.count()).select_from(Review)
                    db.scalar(count.where(Review.book_id == book.id))

        visit(load, page)


@scenario("sqlalchemy", "author", loads=(Load(clients=4, turns=8),))
def authors_of_books_through_pgbouncer(where: Where, load: Load) -> None:
    with _sessions(where, load, pooled=True) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                for book in db.scalars(_books(_page(chosen, load), load)):
                    work(load)
                    assert book.author.name

        visit(load, page)


@scenario("sqlalchemy", loads=(Load(), BUSY))
def authors_and_reviews_loaded_with_books(where: Where, load: Load) -> None:
    with _sessions(where, load) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                chosen_books = _books(_page(chosen, load), load)
                found = chosen_books.options(joinedload(Book.author), selectinload(Book.reviews))
                for book in db.scalars(found).unique():
                    work(load)
                    assert book.author.name
                    assert len(book.reviews) >= 0

        visit(load, page)


@scenario("sqlalchemy", loads=(BUSY, Load(clients=4, turns=40, think=0.002)))
def a_book_and_its_author_for_each_visitor(where: Where, load: Load) -> None:
    with _sessions(where, load) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                book = db.get(Book, chosen.randrange(1, BOOKS))
                assert book is not None
                assert book.author.name

        visit(load, page)


@scenario("sqlalchemy", loads=(Load(clients=5, turns=60, think=0.004),))
def lists_and_details_without_transactions(where: Where, load: Load) -> None:
    with _sessions(where, load, autocommit=True) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                if chosen.random() < 0.2:
                    assert db.scalars(_books(_page(chosen, load), load)).all()
                else:
                    assert db.get(Author, chosen.randrange(1, AUTHORS)) is not None

        visit(load, page)


@scenario("sqlalchemy", loads=(Load(clients=4, turns=12),))
def a_few_look_ups_of_one_page(where: Where, load: Load) -> None:
    """Three authors of a page's three books are fewer than what anybody would batch."""
    with _sessions(where, load) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                few = Load(rows=3)
                for book in db.scalars(_books(_page(chosen, load), few)):
                    assert book.author.name

        visit(load, page)


@scenario("sqlalchemy", "doctor", loads=(Load(), BUSY), held_out=True)
def doctors_of_patients(where: Where, load: Load) -> None:
    with _sessions(where, load) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                for patient in db.scalars(_patients(chosen, load)):
                    work(load)
                    assert patient.doctor.name

        visit(load, page)


@scenario("sqlalchemy", "visit", loads=(Load(rows=30), Load(clients=4, rows=15)), held_out=True)
def visits_of_patients_without_foreign_keys(where: Where, load: Load) -> None:
    with _sessions(where, load, autocommit=True) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                for patient in db.scalars(_patients(chosen, load)):
                    work(load)
                    assert len(patient.visits) >= 0

        visit(load, page)


@scenario("sqlalchemy", loads=(Load(clients=6, turns=40, think=0.005),), held_out=True)
def patients_opened_by_reception(where: Where, load: Load) -> None:
    with _sessions(where, load) as session:

        def page(chosen: random.Random) -> None:
            with session() as db:
                if chosen.random() < 0.15:
                    db.scalars(select(Patient).order_by(Patient.id).limit(load.rows)).all()
                else:
                    patient = db.get(Patient, chosen.randrange(1, PATIENTS))
                    assert patient is not None
                    assert patient.doctor.name
                    assert len(patient.visits) >= 0

        visit(load, page)


def _async(
    where: Where,
    load: Load,
    page: Callable[[AsyncSession, random.Random], object],
    *,
    driver: str = "psycopg",
    autocommit: bool = False,
) -> None:
    async def client(engine: AsyncEngine, number: int) -> None:
        chosen = random.Random(f"{load.seed}/{number}")
        for _ in range(load.turns):
            await asyncio.sleep(chosen.expovariate(1 / load.think))
            async with AsyncSession(engine) as db:
                await page(db, chosen)  # type: ignore[misc]

    async def run() -> None:
        url = where.direct.replace("postgresql:", f"postgresql+{driver}:")
        engine = create_async_engine(
            url,
            poolclass=NullPool if load.clients == 1 else None,
            isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
        )
        await asyncio.gather(*(client(engine, number) for number in range(load.clients)))
        await engine.dispose()

    asyncio.run(run())


async def _authors(db: AsyncSession, chosen: random.Random, load: Load) -> None:
    for book in await db.scalars(_books(_page(chosen, load), load)):
        await asyncio.sleep(load.work)
        assert (await book.awaitable_attrs.author).name


@scenario("asyncio", "author", loads=(Load(), BUSY))
def authors_of_books_with_psycopg(where: Where, load: Load) -> None:
    _async(where, load, lambda db, chosen: _authors(db, chosen, load))


@scenario("asyncio", "author", loads=(BUSY, Load(clients=3, rows=40, turns=4)))
def authors_of_books_with_asyncpg(where: Where, load: Load) -> None:
    _async(where, load, lambda db, chosen: _authors(db, chosen, load), driver="asyncpg")


@scenario("asyncio", "author", loads=(BUSY,))
def authors_of_books_without_transactions(where: Where, load: Load) -> None:
    _async(where, load, lambda db, chosen: _authors(db, chosen, load), autocommit=True)


@scenario("asyncio", loads=(BUSY, Load(clients=12, turns=20, think=0.01)))
def details_of_many_visitors(where: Where, load: Load) -> None:
    async def page(db: AsyncSession, chosen: random.Random) -> None:
        if chosen.random() < 0.2:
            (await db.scalars(_books(_page(chosen, load), load))).all()
        else:
            assert await db.get(Author, chosen.randrange(1, AUTHORS))

    _async(where, load, page, driver="asyncpg")


@scenario("asyncio", "doctor", loads=(BUSY,), held_out=True)
def doctors_of_patients_with_asyncpg(where: Where, load: Load) -> None:
    async def page(db: AsyncSession, chosen: random.Random) -> None:
        for patient in await db.scalars(_patients(chosen, load)):
            await asyncio.sleep(load.work)
            assert (await patient.awaitable_attrs.doctor).name

    _async(where, load, page, driver="asyncpg")


@scenario("asyncio", loads=(BUSY,), held_out=True)
def visits_loaded_with_patients(where: Where, load: Load) -> None:
    async def page(db: AsyncSession, chosen: random.Random) -> None:
        found = _patients(chosen, load)
        for patient in await db.scalars(found.options(selectinload(Patient.visits))):
            assert len(patient.visits) >= 0

    _async(where, load, page)
