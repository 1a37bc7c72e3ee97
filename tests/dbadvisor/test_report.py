"""The reports: what they say of advice made up for it, and that nothing in it becomes code."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from foretide.dbadvisor import report_html, report_json, report_read, report_text
from foretide.dbadvisor.cacheable import NotCacheable
from foretide.dbadvisor.caching import Cacheable, CacheAdvice, Projection
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.distribution import Finding as Distribution
from foretide.dbadvisor.distribution import Kind as DistributionKind
from foretide.dbadvisor.drops import Drop, Drops
from foretide.dbadvisor.locks import Blocker, Lingering, Wait, Waiting
from foretide.dbadvisor.nplusone.advice import Advice as Batch
from foretide.dbadvisor.nplusone.findings import Finding, Kind
from foretide.dbadvisor.nplusone.proof import Proof
from foretide.dbadvisor.nplusone.rewriting import Form, Rewrite
from foretide.dbadvisor.planning import Unplanned
from foretide.dbadvisor.report import (
    Advice,
    Change,
    IndexAdvice,
    IndexSet,
    Locks,
    QueryFacts,
    Remark,
    Repeats,
    Topic,
    WorkloadFacts,
)
from foretide.dbadvisor.report_words import size, time_of
from foretide.dbadvisor.scans import TableScan
from foretide.dbadvisor.snapshot import IndexKey, Query, Relation

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
NASTY = "</script><script>alert(1)</script>\x1b[2J\u202e'\"&\ud800"
TABLE = Relation("public", f"sale{NASTY}")


def advice(text=NASTY):
    """Everything that there can be, with `text` wherever the database has a say."""
    change = Change("17", 0, 1200.0, 30.0)
    finding = Finding(
        Kind.N_PLUS_ONE, text, text, 200.0, 20.0, None, 0.5, (text,), (("secret key",),)
    )
    rewrite = Rewrite(text, text, Form.ANY, (1,), ("a",), ("integer",))
    query = Query("17", text, 100.0, 5000.0)
    projection = Projection(60.0, 0.9, 0.8, 12.0, 0.01)
    return Advice(
        text,
        150018,
        1_790_000_000.0,
        WorkloadFacts(
            text,
            3600.0,
            2,
            150.0,
            6000.0,
            1,
            2,
            (QueryFacts("17", text, 100.0, 5000.0, 3.0, 0.8, 1200.0, 30.0, 1),),
        ),
        (TableScan("17", TABLE, 60_000.0, 3.0, 100.0, 4000.0, (text,)),),
        IndexSet(
            (
                IndexAdvice(
                    Candidate(TABLE, (IndexKey(text),), (text,), text),
                    "idx",
                    (text,),
                    (text,),
                    2e6,
                    4500.0,
                    10.0,
                    (change,),
                    change,
                    text,
                    True,
                    (TABLE,),
                ),
            ),
            10e6,
            2e6,
            6000.0,
            1500.0,
            (Change("18", 1, 10.0, 40.0),),
            "",
            12,
            5,
            {text: text},
        ),
        Drops((Drop(TABLE, TABLE, "Duplicate", text, 5000, (text,), TABLE, (text,)),), text),
        Repeats(
            (Batch(finding, rewrite, Proof(True, 20, 40, 0.02, 0.001, (("secret key",),)), text),),
            (finding,),
            text,
        ),
        (
            CacheAdvice(query, Cacheable((TABLE,), (projection,), 60.0, 5.0, text, 0.1)),
            CacheAdvice(query, NotCacheable(text)),
        ),
        Locks(
            (Blocker(7, text, text, text, text, 90.0, (Waiting(8, text, text, 4.0),), text),),
            (Lingering(9, text, text, text, 1000.0, text),),
            (Wait(text, text, 0.5, ((text, 1.0),), text),),
            15,
        ),
        (Distribution(DistributionKind.SKEW, TABLE, text, text, text, (text,), 1.0),),
        (Unplanned("18", text), Unplanned("19", text, True)),
        (Remark(Topic.PERMISSION_MISSING, text),),
    )


class Reader(HTMLParser):
    """Which elements there are, with their attributes."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.texts = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def read():
    reader = Reader()
    reader.feed(report_html.page(advice()))
    return reader


def test_nothing_out_of_the_database_becomes_a_part_of_the_page(read):
    assert [tag for tag, _ in read.found].count("script") == 1
    assert not any(name.startswith("on") for _, given in read.found for name in given)
    assert sum("</script><script>alert(1)" in text for text in read.texts) > 20


def test_the_page_needs_nothing_from_outside(read):
    for tag, given in read.found:
        assert "src" not in given
        assert tag != "link"
        assert given.get("href", "#").startswith("#")
    policy = next(given["content"] for tag, given in read.found if "http-equiv" in given)
    assert policy.startswith("default-src 'none'")
    assert "@@" not in report_html.page(advice("plain"))


# What a page tells the one that shows it in a frame. Its own policy would not let it.
TELLING = """<script>
parent.postMessage(JSON.stringify({
  width: document.documentElement.scrollWidth,
  bars: Math.min(...[...document.querySelectorAll(".bars .bar")].map(it => it.clientWidth || 99)),
  letters: Math.min(...[...document.querySelectorAll("td")].map(it => it.clientWidth || 99)),
  buttons: [...document.querySelectorAll("button.copy")].filter(it => !it.hidden).length,
  paper: getComputedStyle(document.body).backgroundColor,
  alerted: window.alerted ?? 0,
}), "*");
</script>"""
SHOWING = """<body><script>onmessage = it => { document.body.dataset.told = it.data; };</script>
<iframe src="page.html" width="360" height="700"></iframe>"""
COUNTING = "<script>window.alert = () => { window.alerted = (window.alerted ?? 0) + 1; };</script>"


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser is there")
@pytest.mark.parametrize(
    ("scheme", "paper"), [("1", "rgb(255, 255, 255)"), ("0", "rgb(22, 24, 28)")]
)
def test_a_browser_shows_it_as_wide_as_a_phone_light_and_dark(tmp_path, scheme, paper):
    page = report_html.page(advice()).replace("Content-Security-Policy", "X-None")
    page = page.replace("<title>", f"{COUNTING}<title>", 1).replace("</body>", f"{TELLING}</body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    (tmp_path / "show.html").write_text(SHOWING)
    told = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
         f"--blink-settings=preferredColorScheme={scheme}", "--virtual-time-budget=2000",
         "--dump-dom", (tmp_path / "show.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    seen = json.loads(html.unescape(re.search(r'data-told="([^"]+)"', told)[1]))
    assert seen["width"] <= 360
    assert min(seen["bars"], seen["letters"]) > 30
    assert seen["buttons"] == report_html.page(advice()).count('class="copy"')
    assert (seen["paper"], seen["alerted"]) == (paper, 0)


def test_what_nobody_sees_is_shown(read):
    assert not [one for text in read.texts for one in text if one in "\x1b\u202e\ud800"]


def test_bars_are_as_long_as_what_they_stand_for():
    page = report_html.page(advice("plain"))
    assert '<i style="width:100.00%"></i><i style="width:2.50%"></i>' in page
    assert 'class="worse"' not in page


def test_every_section_links_to_what_is_there(read):
    there = {given["id"] for _, given in read.found if "id" in given}
    linked = {given["href"][1:] for tag, given in read.found if tag == "a"}
    assert linked <= there
    assert len(there) == 10


def test_nothing_moves_the_cursor_of_a_terminal():
    text = report_text.report(advice())
    assert all(one.isprintable() or one == "\n" for one in text)


def test_the_text_says_what_to_do_and_what_that_rests_on():
    text = report_text.report(advice("plain"))
    for said in (
        "saves 4.5 s (75.0%), takes 2.0 MB",
        "cost 1,200 → 30, query 17: plain",
        "! query 18 would cost more with all of them: cost 10 → 40",
        "reads 60,000 rows a call and keeps 3",
        "the same rows, 20 times faster (20 ms → 1 ms)",
        "for 60 s; 80% of its reads from the cache",
        "Queries that could not be planned: 1",
    ):
        assert said in text


def test_what_is_too_much_for_a_terminal_is_counted():
    many = advice("plain")
    text = report_text.report(many, most=0)
    assert "… and 1 more: --json or --html has all" in text


def test_an_empty_advice_is_told_without_a_fault():
    empty = Advice("shop", 170002, 0.0, WorkloadFacts("nothing", None, 0, 0.0, 0.0, 0, 0))
    assert "None, as no query was planned" in report_text.report(empty)
    assert "Advice for shop" in report_html.page(empty)
    assert json.loads(report_json.text(empty))["indexes"]["indexes"] == []


def test_json_has_all_figures_and_no_keys_that_were_seen():
    text = report_json.text(advice())
    found = json.loads(text)
    assert "secret key" not in text
    (index,) = found["indexes"]["indexes"]
    assert index["queries"][0] == {
        "query": "17",
        "form": 0,
        "before": 1200.0,
        "after": 30.0,
        "ratio": 0.025,
    }
    assert index["candidate"]["table"].startswith("public.sale")
    assert [each["verdict"] for each in found["caches"]] == ["Cache", "MustNot"]
    assert found["repeats"]["batches"][0]["proof"]["speedup"] == 20.0
    assert re.fullmatch(r"[\x00-\x7f]*", text)


@pytest.mark.parametrize("text", ["plain", NASTY.replace("\ud800", ""), 'it\'s\n"long" ' * 99])
def test_an_advice_that_was_kept_as_json_is_shown_as_it_was(text):
    before = advice(text)
    kept = report_json.text(before)
    again = report_read.read(kept.encode())
    assert report_html.page(again) == report_html.page(before)
    assert report_text.report(again) == report_text.report(before)
    assert report_json.text(again) == kept


def test_the_moment_of_an_advice_is_kept_exactly():
    at = 1_790_012_345.678
    assert report_read.read(report_json.text(replace(advice("plain"), at=at))).at == at


def places(value):
    """Each container in a JSON, with each of its keys."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def test_whatever_a_kept_advice_has_become_it_is_shown_or_refused():
    found = json.loads(report_json.text(advice("plain")))
    refused = 0
    for there, key in places(found):
        sound = there[key]
        for other in (None, "</pre><script>alert(1)</script>", -1, 1e300, True, [], {}, [[[]]]):
            there[key] = other
            try:
                again = report_read.read(json.dumps(found))
            except report_read.BadReport:
                refused += 1
            else:
                assert "<script>alert" not in report_html.page(again)
                report_text.report(again)
        there[key] = sound
    assert refused > 500


@pytest.mark.parametrize("data", [b"", b"\xff", b"{", b"[]", b"3", b"[" * 99_999])
def test_what_is_no_advice_is_refused(data):
    with pytest.raises(report_read.BadReport, match="this is no advice"):
        report_read.read(data)


@pytest.mark.parametrize(
    ("ms", "told"),
    [
        (0.5, "0.5 ms"),
        (1500, "1.5 s"),
        (90_000, "90 s"),
        (600_000, "10 min"),
        (9e6, "2.5 h"),
        (4e8, "4.6 days"),
    ],
)
def test_times_are_told_in_a_unit_that_suits_them(ms, told):
    assert time_of(ms) == told


@pytest.mark.parametrize(
    ("amount", "told"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (25e6, "25 MB"), (3e12, "3.0 TB")],
)
def test_sizes_are_told_in_a_unit_that_suits_them(amount, told):
    assert size(amount) == told
