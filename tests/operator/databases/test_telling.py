"""What is said of a database: conditions, blockers without anybody's secrets, and what is news."""

import pytest

from foretide.dbadvisor.snapshot import Activity, Session, Snapshot
from foretide.operator.databases import news, telling
from foretide.operator.databases.history import History, with_look
from foretide.operator.databases.member import Member, Trouble
from foretide.operator.databases.watching import Watch

START = 1_800_000_000.0
EVERYTHING = {"hypopg": "1.3", "pg_stat_statements": "1.10"}


@pytest.fixture
def member():
    meta = {"uid": "u", "namespace": "shop", "name": "shop", "generation": 1}
    spec = {"connection": {"secretRef": {"name": "shop"}}}
    return Member.from_body({"metadata": meta, "spec": spec}, Watch)


def look(member, *sessions, extensions=EVERYTHING, missing=()):
    snapshot = Snapshot(START, "shop", 150_018, extensions=extensions, missing=missing)
    member.history = with_look(History(), snapshot, [Activity(START, tuple(sessions))], 60.0)


def condition(member, kind):
    (found,) = [it for it in telling.conditions(member, member.spec) if it.type == kind]
    return found.holds, found.reason


def test_ready_goes_from_connecting_to_recommending(member):
    assert condition(member, "Ready") == (None, "Connecting")
    look(member)
    assert condition(member, "Ready") == (None, "TooFewLooks")
    member.parts = {"advice": {"at": "now"}}
    assert condition(member, "Ready") == (True, "Recommending")
    member.trouble = Trouble("DatabaseAway", "no answer")
    assert condition(member, "Ready") == (False, "DatabaseAway")
    assert condition(member, "Advised") == (True, "Advised")


@pytest.mark.parametrize(
    ("extensions", "missing", "reason"),
    [
        (EVERYTHING, (), "Complete"),
        ({}, (), "ExtensionMissing"),
        (
            EVERYTHING,
            ("statements: 3 are hidden: GRANT pg_read_all_stats TO x",),
            "PermissionMissing",
        ),
        (EVERYTHING, ("tables: public.a: locked exclusively, tried again",), "PartsMissing"),
    ],
)
def test_what_could_not_be_read_is_a_remark_and_no_reason_not_to_be_ready(
    member, extensions, missing, reason
):
    look(member, extensions=extensions, missing=missing)
    member.parts = {"advice": {"at": "now"}}
    assert condition(member, "Complete") == (reason == "Complete", reason)
    assert condition(member, "Ready") == (True, "Recommending")


def session(pid, query, *, blocked_by=(), began=START - 30):
    return Session(
        pid,
        "active" if blocked_by else "idle in transaction",
        query,
        None,
        "shop",
        "app",
        "Lock" if blocked_by else None,
        None,
        transaction_started=began,
        query_started=began,
        blocked_by=tuple(blocked_by),
    )


def test_a_blocker_is_shown_without_the_constants_of_its_statement(member):
    look(
        member,
        session(1, "ALTER ROLE app PASSWORD 'hunter2-swordfish' VALID UNTIL 'tomorrow'"),
        session(2, "UPDATE orders SET total = 5 WHERE id = 7", blocked_by=[1]),
    )
    (blocker,) = telling.status(member, member.spec)["blockers"]
    assert blocker["statement"] == "ALTER ROLE app PASSWORD $1 VALID UNTIL $2"
    assert (blocker["waiting"], blocker["waitedSeconds"]) == (1, "30")


def test_who_waits_for_a_moment_only_is_not_spoken_of(member):
    look(member, session(1, "x"), session(2, "y", blocked_by=[1], began=START - 1))
    assert telling.status(member, member.spec)["blockers"] is None


def index(name):
    return {"name": name, "table": "public.orders", "size": "1Mi", "savedPercent": "40"}


def test_only_what_is_new_is_news():
    known = {}
    (first,) = news.news(known, {"indexes": [index("a")]})
    assert (
        first.message == "New indexes to create: a on public.orders (1Mi, saves 40 % of the time)"
    )
    assert news.news(known, {"indexes": [index("a")]}) == []
    assert news.news(known, {"indexes": []}) == []
    assert news.news(known, {"indexes": [index("a")]}) == []  # it was told of before
    (more,) = news.news(known, {"indexes": [index(name) for name in "abcdef"]})
    assert more.message.endswith("; and 2 more")


def test_a_blocker_that_comes_back_is_news_again():
    known, blocker = {}, {"statement": "UPDATE x", "waiting": 2, "state": "active"}
    assert [it.warning for it in news.news(known, {"blockers": [blocker]})] == [True]
    assert news.news(known, {"blockers": [blocker]}) == []
    news.news(known, {})
    assert news.news(known, {"blockers": [blocker]})


def test_after_a_restart_what_status_shows_is_known(member):
    status = {"indexes": [index("a"), "nonsense", {}], "counts": {"indexes": 1}}
    body = {**member.body, "status": status}
    again = Member.from_body(body, Watch)
    assert [it.message for it in news.news(again.known, {"indexes": [index("a"), index("b")]})] == [
        "New indexes to create: b on public.orders (1Mi, saves 40 % of the time)"
    ]
