"""The whole advice as one HTML file that needs nothing else: no network, no library.

Texts in it come out of the database, where anybody may have written them: each is escaped where it
is put in, and a Content-Security-Policy allows no script but ours, which only copies statements.
"""

import base64
import hashlib
import html
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from foretide.dbadvisor.figures import size, time_of
from foretide.dbadvisor.nplusone.advice import Advice as Batch
from foretide.dbadvisor.report import Advice, Change, IndexAdvice, QueryFacts, Topic
from foretide.dbadvisor.report_words import (
    NOT_TRIED,
    cached,
    change,
    in_short,
    introduction,
    moment,
    of_blocker,
    of_indexes,
    share,
    short,
    title_of,
    undecided,
    version_of,
)

_TEMPLATE = Path(__file__).with_name("report.html")


def page(advice: Advice) -> str:
    """The report."""
    template = _TEMPLATE.read_text(encoding="utf-8")
    script = re.search(r"<script>(.*?)</script>", template, re.DOTALL)
    assert script is not None, "the template has a script"
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    title = f"Advice for {advice.database}"
    # Put in at once: what one of them holds must not be taken for the place of the other.
    places = {"TITLE": _e(title), "HASH": f"sha256-{digest}", "BODY": _body(advice, title)}
    return re.sub(r"@@(TITLE|HASH|BODY)@@", lambda found: places[found[1]], template)


def _body(advice: Advice, title: str) -> str:
    sections = [
        ("indexes", "Indexes to create", _indexes(advice)),
        ("scans", "Tables read whole, for few of their rows", _scans(advice)),
        ("drops", "Indexes to drop", _drops(advice)),
        ("repeats", "N+1", _repeats(advice)),
        ("caches", "Answers to cache", _caches(advice)),
        ("locks", "Locks and waits", _locks(advice)),
        ("distribution", "How data lies", _distribution(advice)),
        ("queries", "Queries, costliest first", _queries(advice)),
        ("unplanned", "Queries that could not be planned", _unplanned(advice)),
        ("limits", "What limits this advice", _remarks(advice)),
    ]
    where = f"PostgreSQL {version_of(advice.version)}, {moment(advice.at)}."
    head = f"<h1>{_e(title)}</h1>" + _p(f"{where} {introduction(advice)} {in_short(advice)}")
    parts = [
        f'<section id="{name}"><h2>{_e(heading)}</h2>{inner}</section>'
        for name, heading, inner in sections
        if inner
    ]
    there = {name for name, _, inner in sections if inner}
    return "\n".join([head, _cards(advice, there), *parts])


def _cards(advice: Advice, there: set[str]) -> str:
    found = advice.indexes
    saved = found.before_ms - found.after_ms
    gain = f"save {share(saved, found.before_ms)}" if found.indexes and saved > 0 else ""
    gone = sum(drop.bytes for drop in advice.drops.drops)
    cards = [
        ("indexes", len(found.indexes), "indexes", gain or size(found.bytes)),
        ("drops", len(advice.drops.drops), "to drop", size(gone)),
        ("repeats", len(advice.repeats.batches), "N+1", ""),
        ("caches", len(cached(advice.caches)), "to cache", ""),
        ("locks", len(advice.locks.blockers), "blockers", f"{advice.locks.looks} looks"),
        ("distribution", len(advice.distribution), "about data", ""),
        ("limits", len(advice.remarks), "limits", ""),
    ]
    return "<nav>{}</nav>".format(
        "".join(
            f'<a href="#{name}"><b>{number}</b>{_e(what)}<br><small>{_e(more)}</small></a>'
            for name, number, what, more in cards
            if name in there
        )
    )


def _indexes(advice: Advice) -> str:
    found = advice.indexes
    parts = [_p(of_indexes(advice))]
    if found.indexes:
        room = f"{size(found.bytes)} of {size(found.budget)}"
        rows = [("storage", found.bytes, found.budget, room)]
        if not found.unverified:
            told = f"{time_of(found.before_ms)} → {time_of(found.after_ms)}"
            rows.insert(0, ("time of all queries", found.after_ms, found.before_ms, told))
        parts.append(_bars(rows))
        legend = '<span class="key"></span> now <span class="key after"></span> with the indexes'
        parts.append(f"<p>{legend}</p>")
    for worse in found.regressions:
        told = f"Query {worse.query} would cost more with all of them: {change(worse)}"
        parts.append(_p(told, "warn"))
    texts = {query.id: query.text for query in advice.workload.queries}
    parts += [_index(index, found.before_ms, texts) for index in found.indexes]
    if found.refused:
        parts.append(_details("Not tried", _list(f"{a}: {b}" for a, b in found.refused.items())))
    return "".join(parts)


def _index(index: IndexAdvice, whole_ms: float, texts: Mapping[str, str]) -> str:
    verb = "saves" if index.verified else "may serve full scans that take"
    told = (
        f"{verb} {time_of(index.saved_ms)} ({share(index.saved_ms, whole_ms)}), takes "
        f"{size(index.bytes)}; {index.why}"
    )
    parts = [f"<h3>{_e(title_of(index.candidate))}</h3>", _p(told)]
    if index.upkeep_ms > 0:
        parts.append(_p(f"writes take {time_of(index.upkeep_ms)} more, taken off already"))
    parts.append(_bars(_row(each, texts) for each in index.queries))
    if index.worst is not None:
        parts.append(_p("worst off of all queries of this table:"))
        parts.append(_bars([_row(index.worst, texts)]))
    if index.replaces:
        parts.append(_p(f"then of no use: {', '.join(map(str, index.replaces))}"))
    parts.append(_code(f"{statement};" for statement in index.statements))
    parts.append(_details("Take it back", _code(f"{statement};" for statement in index.undo)))
    return f"<article>{''.join(parts)}</article>"


def _row(each: Change, texts: Mapping[str, str]) -> tuple[str, float, float, str]:
    label = f"{each.query}: {short(texts.get(each.query, ''), 60)}"
    return label, each.after, each.before, change(each)


def _bars(rows: Iterable[tuple[str, float, float, str]]) -> str:
    """Label, what it becomes, what it is now, and both in words; the longer one fills the bar."""
    drawn = []
    for label, after, before, told in rows:
        worse = ' class="worse"' if after > before else ""
        whole = max(after, before) or 1.0
        drawn.append(
            f"<span>{_e(label)}</span>"
            f'<span class="bar"><i style="width:{before / whole:.2%}"></i>'
            f'<i{worse} style="width:{after / whole:.2%}"></i></span>'
            f'<span class="figure">{_e(told)}</span>'
        )
    return f'<div class="bars">{"".join(drawn)}</div>' if drawn else ""


def _scans(advice: Advice) -> str:
    wasteful = [scan for scan in advice.scans if scan.wasted > 0]
    most = max((scan.ms for scan in wasteful), default=0.0)
    texts = {query.id: query.text for query in advice.workload.queries}
    rows = [
        [
            _e(str(scan.table)),
            f"{_e(scan.query)}<br>{_e(short(texts.get(scan.query, '')))}",
            f"{scan.reads:,.0f}",
            f"{scan.returns:,.0f}",
            time_of(scan.ms) + _part(scan.ms, most),
            _e(" and ".join(scan.filters))
            + (_p(NOT_TRIED) + _code([f"{scan.remedy};"]) if scan.remedy else ""),
        ]
        for scan in wasteful
    ]
    heads = ["table", "query", "#reads a call", "#keeps", "#time", "filter"]
    return _table(heads, rows) if rows else ""


def _part(amount: float, whole: float) -> str:
    width = f"{amount / whole:.2%}" if whole > 0 else "0"
    return f'<span class="bar" style="display:block"><i style="width:{width}"></i></span>'


def _drops(advice: Advice) -> str:
    parts = []
    for drop in advice.drops.drops:
        told = f"{size(drop.bytes)}, on {drop.table}: {drop.reason}, {drop.message}"
        parts.append(
            f"<article><h3>{_e(str(drop.index))}</h3>{_p(told)}{_list(drop.caveats)}"
            f"{_code(f'{statement};' for statement in drop.statements)}</article>"
        )
    if advice.drops.unproven:
        parts.append(_p(f"Unused ones cannot be told: {advice.drops.unproven}"))
    return "".join(parts)


def _repeats(advice: Advice) -> str:
    parts = [_batch(batch) for batch in advice.repeats.batches]
    parts += [
        _p(f"sent again with the same values, {each.calls:,.0f} times: {short(each.child)}")
        for each in advice.repeats.redundant
    ]
    if advice.repeats.unproven:
        parts.append(_p(advice.repeats.unproven))
    return "".join(parts)


def _batch(batch: Batch) -> str:
    finding, proof = batch.finding, batch.proof
    took = f" in {time_of(finding.seconds * 1000)}" if finding.seconds is not None else ""
    told = f"{finding.calls:,.0f} look-ups{took}, {finding.per_parent:,.0f} for each parent"
    parts = [f"<h3>{_e(told)}</h3>", _list(finding.evidence)]
    parts += [_p("parent"), _code([finding.parent or "?"]), _p("look-up"), _code([finding.child])]
    if batch.rewrite is not None:
        parts += [_p("one batch instead"), _code([f"{batch.rewrite.batch};"])]
    if proof is not None and proof.equal:
        one, other = proof.lookups_seconds * 1000, proof.batch_seconds * 1000
        told = f"{time_of(one)} → {time_of(other)}, {proof.speedup:.0f} times faster"
        parts.append(_bars([(f"{proof.keys} keys, the same rows", other, one, told)]))
    if batch.reason:
        parts.append(_p(batch.reason))
    return f"<article>{''.join(parts)}</article>"


def _caches(advice: Advice) -> str:
    rows = [
        [
            _e(query.id),
            _e(short(query.text)),
            f"{chosen.ttl:g} s",
            f"{chosen.invalidated:.0%}" + _part(chosen.invalidated, 1.0),
            f"{chosen.saved:.3g}",
            f"{verdict.writes:.3g}",
            _e(verdict.basis),
        ]
        for query, verdict, chosen in cached(advice.caches)
    ]
    heads = ["query", "text", "#for", "#hits", "#ms saved / s", "#writes / s", "known from"]
    return (_table(heads, rows) if rows else "") + _list(undecided(advice.caches))


def _locks(advice: Advice) -> str:
    found = advice.locks
    parts = [
        f"<article><h3>{_e(of_blocker(each))}</h3>{_code([each.statement])}"
        f"{_list(f'{one.statement} ({one.wants}, {one.seconds:.0f} s)' for one in each.victims)}"
        f"{_p(each.remedy)}</article>"
        for each in found.blockers
    ]
    parts += [
        f"<article><h3>{_e(f'process {each.pid} ({each.state}) open for {each.seconds:,.0f} s')}"
        f"</h3>{_code([each.statement])}{_p(each.remedy)}</article>"
        for each in found.lingering
    ]
    most = max((each.sessions for each in found.waits), default=0.0)
    rows = [
        [
            _e(f"{each.kind} {each.event}"),
            f"{each.sessions:.2g}" + _part(each.sessions, most),
            _list(f"{part:.0%}: {text}" for text, part in each.statements),
            _e(each.remedy),
        ]
        for each in found.waits
    ]
    if rows:
        parts.append(_table(["wait", "#sessions", "statements", "remedy"], rows))
    return "".join(parts)


def _distribution(advice: Advice) -> str:
    parts = []
    for each in advice.distribution:
        column = f" {each.column}" if each.column else ""
        parts.append(
            f"<article><h3>{_e(f'{each.kind}: {each.relation}{column}')}</h3>"
            f"<div>{_e(each.message)}</div>{_p(each.remedy)}{_code(each.statements)}</article>"
        )
    return "".join(parts)


def _queries(advice: Advice) -> str:
    rows = [
        [
            _e(each.id),
            f"{each.calls:,.0f}",
            time_of(each.total_ms),
            f"{each.share:.1%}" + _part(each.share, 1.0),
            _cost(each),
            _details(short(each.text), _code([each.text])),
        ]
        for each in advice.workload.queries
    ]
    heads = ["query", "#calls", "#time", "#share", "cost", "text"]
    return _details(f"{len(rows)} queries", _table(heads, rows)) if rows else ""


def _cost(each: QueryFacts) -> str:
    if each.before is None or each.after is None:
        return ""
    return _bars([("", each.after, each.before, f"{each.before:,.0f} → {each.after:,.0f}")])


def _unplanned(advice: Advice) -> str:
    texts = {query.id: query.text for query in advice.workload.queries}
    return _list(
        f"{each.id}: {each.reason}: {short(texts.get(each.id, ''))}"
        for each in advice.unplanned
        if not each.expected
    )


def _remarks(advice: Advice) -> str:
    urgent = (Topic.ENDED_EARLY, Topic.PERMISSION_MISSING)
    items = [
        f"<li{' class=warn' if each.topic in urgent else ''}>{_e(each.message)}</li>"
        for each in advice.remarks
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML; a head that begins with # is of numbers."""
    kinds = [' class="number"' if head.startswith("#") else "" for head in heads]
    top = "".join(
        f"<th{kind}>{_e(head.lstrip('#'))}</th>" for kind, head in zip(kinds, heads, strict=True)
    )
    body = "".join(
        "<tr>{}</tr>".format(
            "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True))
        )
        for row in rows
    )
    inner = f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table>{inner}</table></div>'


def _code(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    button = '<button type="button" class="copy" hidden>Copy</button>'
    return f"<div>{button}<pre>{_e(text)}</pre></div>" if text else ""


def _list(items: Iterable[str]) -> str:
    inner = "".join(f"<li>{_e(item)}</li>" for item in items)
    return f"<ul>{inner}</ul>" if inner else ""


def _details(summary: str, inner: str) -> str:
    return f"<details><summary>{_e(summary)}</summary>{inner}</details>"


def _p(text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f"<p{named}>{_e(text)}</p>"


def _e(text: str) -> str:
    """Text that may stand anywhere in HTML. What nobody sees is shown: a mark that turns around the
    direction of writing makes a statement look like another one.
    """
    return html.escape(text if text.isprintable() else "".join(map(_visible, text)))


def _visible(one: str) -> str:
    seen = one.isprintable() or one in "\n\t" or unicodedata.category(one) == "Zs"
    return one if seen else "�"
