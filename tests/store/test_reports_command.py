"""`foretide store reports`: what is kept, an advice shown again, and away with it."""

import asyncio
import json
import time

import pytest

from foretide.dbadvisor import report_json, report_text
from foretide.dbadvisor.report import Advice, Remark, Topic, WorkloadFacts
from foretide.store.report_repository import ReportRepository
from foretide.store.reports import Report, Subject
from foretide.store.sessions import Database

HOUR = 3_600.0
NOW = float(int(time.time()))


def advice(ago, message):
    facts = WorkloadFacts("counted by pg_stat_statements", 60.0, 3, 10.0, 5.0, 3, 3)
    remark = Remark(Topic.INCOMPLETE, message)
    return Advice("shop", 150018, NOW - ago, facts, remarks=(remark,))


@pytest.fixture
def filled(tmp_path):
    """A database with two advices for web/shop, a damaged one and a report of another kind."""
    shop = Subject("DatabaseAdvisor", "web", "shop")
    kept = [
        (shop, HOUR, report_json.text(advice(HOUR, "the older one")).encode()),
        (shop, 0.0, report_json.text(advice(0.0, "the newest one")).encode()),
        (Subject("DatabaseAdvisor", "web", "bad"), 0.0, b'{"database": 3}'),
        (Subject("LoadTest", "other", "peak"), 0.0, b'{"passed": true}'),
    ]

    async def fill():
        database = await Database.open(str(tmp_path / "store.db"))
        reports = ReportRepository(database)
        for subject, ago, data in kept:
            await reports.put(Report(subject, NOW - ago, data, "application/json"))
        await database.aclose()

    asyncio.run(fill())
    return tmp_path / "store.db"


@pytest.fixture
def reports(command, filled):
    """Runs `foretide store reports …` on that database; returns the status."""
    return lambda verb, *words: command("reports", verb, *words, "--database", filled)


def listed(capsys):
    return [line.split() for line in capsys.readouterr().out.splitlines()[1:]]


def test_reports_are_listed_the_newest_first(reports, capsys):
    assert reports("list") == 0
    assert [line[2:5] for line in listed(capsys)] == [
        ["LoadTest", "other", "peak"],
        ["DatabaseAdvisor", "web", "bad"],
        ["DatabaseAdvisor", "web", "shop"],
        ["DatabaseAdvisor", "web", "shop"],
    ]
    assert reports("list", "web/shop") == 0
    assert [line[0] for line in listed(capsys)] == ["2", "1"]
    assert reports("list", "--kind", "LoadTest") == 0
    assert [line[4] for line in listed(capsys)] == ["peak"]
    assert reports("list", "nobody") == 0
    assert "keeps no such reports" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("which", "ago", "message"),
    [
        ("web/shop", 0.0, "the newest one"),
        ("/v1/reports/1", HOUR, "the older one"),
        ("1", HOUR, "the older one"),
    ],
)
def test_an_advice_is_shown_as_it_was(reports, which, ago, message, tmp_path, capsys):
    files = ["--json", tmp_path / "a.json", "--html", tmp_path / "a.html"]
    assert reports("show", which, *files) == 0
    before = advice(ago, message)
    assert report_text.report(before) in capsys.readouterr().out
    assert (tmp_path / "a.json").read_text() == report_json.text(before)
    assert message in (tmp_path / "a.html").read_text()


def test_a_report_of_another_kind_is_written_as_it_is_kept(reports, tmp_path, capsys):
    assert reports("show", "4") == 2
    assert "--json FILE alone writes it" in capsys.readouterr().err
    assert reports("show", "other/peak", "--kind", "LoadTest", "--json", tmp_path / "r") == 0
    assert json.loads((tmp_path / "r").read_text()) == {"passed": True}


def test_a_deletion_is_told_first_and_done_when_it_is_meant(reports, capsys):
    assert reports("delete", "web/shop") == 0
    assert "Would delete 2 reports" in capsys.readouterr().out
    assert reports("delete", "web/shop", "--yes") == 0
    assert "Deleted 2 reports" in capsys.readouterr().out
    assert reports("show", "web/shop") == 2
    assert "no report of web/shop" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "17"], "no report 17"),
        (["show", "shop"], "say which report"),
        (["show", "web/bad"], "this is no advice"),
        (["show", "web/shop", "--limit", "0"], "--limit must be 1"),
        (["show", "web/shop", "--html", "/nonexistent/a.html"], "there is no folder"),
        (["delete", "web"], "NAMESPACE/NAME"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(reports, words, said, capsys):
    assert reports(*words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
