"""The demo without its sandbox: what is said before and after, and what must not be lost."""

import sys

import pytest
from rich.console import Console

from sandbox.cli import usage
from sandbox.demo import __main__ as demo
from sandbox.demo import briefing, report, run, scenario
from sandbox.demo.report import Planned, Sample, Twin
from sandbox.traces import Trace

MAY = 1_780_000_000.0  # 2026-05-28 20:26:40 UTC


def trace(days, *, start=MAY, step=60, notes=()):
    """A trace that rises each hour."""
    count = round(days * 86_400 / step)
    times = tuple(start + step * at for at in range(count))
    return Trace("shop", times, tuple(100.0 + 60 * (at // 30 % 2) for at in range(count)), notes)


def test_the_part_that_is_played_is_named_by_its_date():
    said = briefing.introduction(scenario.at(trace(3), MAY + 86_400), pod_ready=70)
    assert "Playing shop from 2026-05-29 20:26:40 UTC on, for 285 s" in said
    relative = scenario.at(trace(3, start=0.0), 86_400.0 + 3_661)
    assert "from 1 days and 01:01:01 into it on" in briefing.introduction(relative, pod_ready=70)


def test_what_keeps_a_demo_from_showing_much_is_said_first():
    little = scenario.at(trace(1, notes=("commas are read as decimal points",)), MAY + 50_000)
    note, short = briefing.cautions(little)
    assert note == "Note: commas are read as decimal points."
    assert short.startswith("Only 14 h of history lie before: Foretide forecasts from 2 days on")
    assert briefing.cautions(scenario.at(trace(3), MAY + 2.5 * 86_400)) == []
    (coarse,) = briefing.cautions(scenario.at(trace(3, step=3600), MAY + 2.5 * 86_400))
    assert coarse.startswith("There is a sample each 60 min only")
    (even,) = briefing.cautions(scenario.at(trace(3), MAY + 2.5 * 86_400, expected_miss=30.0))
    assert even.startswith("HPA keeps up")


@pytest.mark.slow
def test_a_part_is_chosen_that_has_history_enough_before_it_where_there_is_one():
    assert scenario.choose(trace(2.5), pod_ready=70).start_at >= MAY + scenario.MIN_HISTORY
    assert scenario.choose(trace(1), pod_ready=70).start_at >= MAY + 43_200


def test_a_demo_that_is_up_outlives_a_trace_that_cannot_be_read(monkeypatch, tmp_path, capsys):
    ended = []
    monkeypatch.setattr(demo, "named_directory", lambda _: tmp_path)
    monkeypatch.setattr(run, "end_operator", lambda _: ended.append("operator"))
    monkeypatch.setattr(demo, "bring_down", lambda _: ended.append("sandbox"))
    monkeypatch.setattr(sys, "argv", ["demo", "--trace", str(tmp_path / "mistyped.csv")])
    assert demo.main() == 1
    assert ended == []
    assert "no trace" in capsys.readouterr().out


def test_one_that_is_up_is_ended_with_a_word(monkeypatch, tmp_path):
    said, ended = [], []
    monkeypatch.setattr(demo, "read_state", lambda _: {"pid": 1})
    monkeypatch.setattr(run, "end_operator", ended.append)
    monkeypatch.setattr(demo, "bring_down", ended.append)
    demo._end(tmp_path, type("Progress", (), {"say": lambda _, text: said.append(text)})())
    assert said == ["ending the demo that is up"]
    assert ended == [tmp_path, tmp_path]


@pytest.mark.parametrize(("value", "peak"), [("12.5", 12.5), ("NaN", None), ("nan", None)])
def test_a_forecast_that_is_not_there_yet_is_none(value, peak):
    metrics = (
        f'# TYPE foretide_forecast_peak gauge\nforetide_forecast_peak{{name="shop"}} {value}\n'
    )
    assert run.peak_in(metrics) == peak
    assert run.peak_in("") is None


STATUS = {
    "forecasts": [
        {"metric": "demand", "history": "5d", "points": 7000},
        {
            "lookahead": {
                "expected": {"replicas": "28.74", "lackingPercent": "0.12"},
                "hpa": {"replicas": "29.76", "lackingPercent": "0.61"},
            }
        },
    ]
}


def test_the_plan_is_read_from_the_status():
    assert run.planned_in(STATUS) == Planned(Twin(28.74, 29.76), Twin(0.12, 0.61))
    assert run.planned_in({}) is None
    assert run.planned_in({"forecasts": [{"lookahead": {"expected": None}}]}) is None


def summary(planned):
    """A run in which Foretide was ahead of a rise."""
    at = (0.0, 100.0, 200.0)
    samples = [
        Sample(at[0], 90, (10, 10), (10, 10)),
        Sample(at[1], 90, (14, 10), (14, 10)),
        Sample(at[2], 130, (14, 14), (14, 10)),
    ]
    samples.append(Sample(300.0, 130, (14, 14), (14, 14)))
    return report.summarise(
        samples, trace="shop", per_replica=10, target_utilization=0.7, pod_ready=70, planned=planned
    )


def test_a_rise_that_cost_more_is_set_against_whole_days(tmp_path):
    console = Console(record=True, width=200)
    report.show(summary(run.planned_in(STATUS)), tmp_path, console)
    said = console.export_text()
    assert "HPA left users short for 100 s, Foretide for 0 s, at 1.12 times HPA's" in said
    assert "would have needed 3 % fewer replicas than HPA (28.74 and 29.76 on average)" in said
    assert "too few of them ready for 0.12 % of the time (HPA: 0.61 %)" in said


def test_a_plan_that_costs_more_says_so_and_none_is_no_claim():
    more = Planned(Twin(31.0, 30.0), Twin(0.1, 0.6))
    assert "3 % more replicas than HPA" in report.expectation(summary(more))[0]
    same = Planned(Twin(30.01, 30.0), Twin(0.1, 0.6))
    assert "as many replicas as HPA" in report.expectation(summary(same))[0]
    assert report.expectation(summary(None)) == []


def test_a_sandbox_says_how_to_use_it_from_outside_the_environment(tmp_path):
    known = {"kubeconfig": tmp_path / "kubeconfig", "prometheus": "none", "api": "https://x"}
    usual = usage("", **known)
    assert "  .venv/bin/python -m sandbox kubectl -- get nodes" in usual
    assert "It stays until: make sandbox-down" in usual
    named = usage(" --name other", **known)
    assert "It stays until: .venv/bin/python -m sandbox down --name other" in named
