"""N+1, and what only looks so, in applications on Django; through PgBouncer, too."""

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
from django.apps import AppConfig
from django.conf import settings

from benchmarks.nplusone_load import AUTHORS, BOOKS, PATIENTS, Load, Where, scenario, visit, work

BUSY = Load(clients=6, turns=8, think=0.03)
LONG = Load(turns=3, rows=60, work=0.003)


class Shop(AppConfig):  # type: ignore[misc]
    """The models are defined below, once Django is set up."""

    name = "benchmarks"
    label = "shop"


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "HOST": parts.hostname or query["host"][0],
        "PORT": str(parts.port or query["port"][0]),
        "CONN_MAX_AGE": None,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {"application_name": "shop"},
    }


_MODELS: dict[str, Any] = {}


def _models(where: Where) -> dict[str, Any]:
    if not _MODELS:
        settings.configure(
            DATABASES={"default": _database(where.direct), "pooled": _database(where.pooled)},
            INSTALLED_APPS=["benchmarks.nplusone_django.Shop"],
            USE_TZ=True,
        )
        django.setup()
        from django.db import models

        def model(name: str, /, **columns: Any) -> Any:
            meta = type(
                "Meta", (), {"app_label": "shop", "db_table": name.lower(), "managed": False}
            )
            body = {"__module__": __name__, "Meta": meta, **columns}
            _MODELS[name] = type(name, (models.Model,), body)
            return _MODELS[name]

        def to(other: Any, name: str) -> Any:
            return models.ForeignKey(other, models.DO_NOTHING, related_name=name)

        country = model("Country", name=models.TextField())
        author = model("Author", name=models.TextField(), country=to(country, "authors"))
        book = model(
            "Book",
            title=models.TextField(),
            year=models.IntegerField(),
            author=to(author, "books"),
        )
        tag = model("Tag", name=models.TextField())
        model("Book_Tag", book=to(book, "book_tags"), tag=to(tag, "book_tags"))
        model(
            "Review",
            book=to(book, "reviews"),
            stars=models.IntegerField(),
            body=models.TextField(),
        )
        ward = model("Ward", name=models.TextField())
        doctor = model("Doctor", name=models.TextField(), ward=to(ward, "doctors"))
        patient = model("Patient", name=models.TextField(), doctor=to(doctor, "patients"))
        model("Visit", patient=to(patient, "visits"), fee=models.IntegerField())
    return _MODELS


def _visit(load: Load, page: Callable[[random.Random], object]) -> None:
    from django.db import connections

    # Threads have connections of their own, which nobody would close.
    visit(load, page, connections.close_all)


def _books(models: dict[str, Any], chosen: random.Random, load: Load, using: str) -> Any:
    start = chosen.randrange(1, BOOKS - load.rows)
    return models["Book"].objects.using(using).filter(id__gte=start).order_by("id")[: load.rows]


@scenario("django", "author", loads=(Load(), BUSY, LONG))
def authors_of_books(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        for book in _books(models, chosen, load, "default"):
            work(load)
            assert book.author.name

    _visit(load, page)


@scenario("django", "author", loads=(Load(), BUSY))
def authors_of_books_in_a_transaction(where: Where, load: Load) -> None:
    models = _models(where)
    from django.db import transaction

    def page(chosen: random.Random) -> None:
        with transaction.atomic():
            for book in _books(models, chosen, load, "default"):
                work(load)
                assert book.author.name

    _visit(load, page)


@scenario("django", "review", loads=(Load(rows=25),))
def the_newest_review_of_each_book(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        for book in _books(models, chosen, load, "default"):
            work(load)
            book.reviews.order_by("-id").first()

    _visit(load, page)


@scenario("django", "review", "tag", loads=(Load(),))
def counts_and_tags_of_each_book(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        for book in _books(models, chosen, load, "default"):
            work(load)
            assert book.reviews.count() >= 0
            list(models["Tag"].objects.filter(book_tags__book=book))

    _visit(load, page)


@scenario("pgbouncer", "author", loads=(Load(), BUSY, Load(clients=8, turns=6, rows=25, think=0.2)))
def authors_of_books_with_django(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        for book in _books(models, chosen, load, "pooled"):
            work(load)
            assert book.author.name

    _visit(load, page)


@scenario("pgbouncer", loads=(Load(clients=8, turns=60, think=0.01), BUSY))
def lists_and_details_with_django(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        if chosen.random() < 0.2:
            assert list(_books(models, chosen, load, "pooled"))
        else:
            assert (
                models["Author"].objects.using("pooled").get(id=chosen.randrange(1, AUTHORS)).name
            )

    _visit(load, page)


@scenario("django", loads=(Load(), BUSY))
def authors_and_reviews_loaded_with_books(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        books = models["Book"].objects.filter(id__gte=chosen.randrange(1, BOOKS)).order_by("id")
        found = books.select_related("author").prefetch_related("reviews")
        for book in found[: load.rows]:
            work(load)
            assert book.author.name
            assert len(book.reviews.all()) >= 0

    _visit(load, page)


@scenario("django", loads=(Load(clients=4, turns=60, think=0.003), BUSY))
def lists_and_details_of_visitors(where: Where, load: Load) -> None:
    """Connections stay open and have no transactions, so that lists and details come mixed."""
    models = _models(where)

    def page(chosen: random.Random) -> None:
        if chosen.random() < 0.1:
            assert list(_books(models, chosen, load, "default"))
        else:
            assert models["Author"].objects.get(id=chosen.randrange(1, AUTHORS)).name

    _visit(load, page)


@scenario("django", loads=(Load(clients=3, turns=60, think=0.004),))
def a_book_and_its_author_for_each_visitor(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        book = models["Book"].objects.get(id=chosen.randrange(1, BOOKS))
        assert book.author.name

    _visit(load, page)


@scenario("django", loads=(Load(turns=3, rows=40),))
def books_saved_one_by_one(where: Where, load: Load) -> None:
    """Writes for each row are no look-ups."""
    models = _models(where)

    def page(chosen: random.Random) -> None:
        for book in _books(models, chosen, load, "default"):
            book.year += 1
            book.save(update_fields=["year"])

    _visit(load, page)


def _patients(models: dict[str, Any], chosen: random.Random, load: Load, using: str) -> Any:
    start = chosen.randrange(1, PATIENTS - load.rows)
    return models["Patient"].objects.using(using).filter(id__gte=start).order_by("id")[: load.rows]


@scenario("django", "doctor", "ward", loads=(Load(), Load(clients=4, rows=30)), held_out=True)
def wards_of_doctors_of_patients(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        for patient in _patients(models, chosen, load, "default"):
            work(load)
            assert patient.doctor.ward.name

    _visit(load, page)


@scenario("pgbouncer", "visit", loads=(Load(rows=30), BUSY), held_out=True)
def visits_of_patients_with_django(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        for patient in _patients(models, chosen, load, "pooled"):
            work(load)
            assert len(patient.visits.all()) >= 0

    _visit(load, page)


@scenario("pgbouncer", loads=(Load(clients=6, turns=40, think=0.01),), held_out=True)
def reception_with_django(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        if chosen.random() < 0.12:
            assert list(_patients(models, chosen, load, "pooled"))
        else:
            key = chosen.randrange(1, PATIENTS)
            patient = models["Patient"].objects.using("pooled").get(id=key)
            assert patient.doctor.name

    _visit(load, page)


@scenario("django", loads=(Load(clients=4, turns=40, think=0.01),), held_out=True)
def patients_and_their_visits_one_at_a_time(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        patient = models["Patient"].objects.get(id=chosen.randrange(1, PATIENTS))
        assert patient.visits.count() >= 0

    _visit(load, page)


@scenario(
    "django",
    loads=(Load(clients=4, turns=30, rows=6, think=0.15), Load(clients=6, turns=60, rows=6)),
)
def as_many_details_as_rows(where: Where, load: Load) -> None:
    """By chance there are as many look-ups as lists have rows: counters alone show an N+1."""
    models = _models(where)

    def page(chosen: random.Random) -> None:
        if chosen.random() * (load.rows + 1) < 1:
            assert list(_books(models, chosen, load, "default"))
        else:
            assert models["Author"].objects.get(id=chosen.randrange(1, AUTHORS)).name

    _visit(load, page)


@scenario("pgbouncer", loads=(Load(clients=4, turns=30, think=0.02),))
def authors_and_reviews_loaded_with_django(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        books = _books(models, chosen, load, "pooled").select_related("author")
        for book in books.prefetch_related("reviews"):
            assert book.author.name
            assert len(book.reviews.all()) >= 0

    _visit(load, page)


@scenario("django", loads=(Load(clients=3, turns=12, rows=8),), held_out=True)
def doctors_asked_for_at_once(where: Where, load: Load) -> None:
    models = _models(where)

    def page(chosen: random.Random) -> None:
        patients = list(_patients(models, chosen, load, "default"))
        found = models["Doctor"].objects.in_bulk({patient.doctor_id for patient in patients})
        assert found

    _visit(load, page)
