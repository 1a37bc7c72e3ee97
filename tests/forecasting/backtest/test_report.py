"""What people read of a backtest, and which settings they are told to use."""

import json

import pytest

from foretide.forecasting.backtest import report
from foretide.forecasting.backtest.advice import advise
from foretide.forecasting.backtest.contest import Contestant, Outcome, curves
from foretide.forecasting.backtest.picture import draw
from foretide.forecasting.simulation.scoring import Score


def outcome(policy, target, pod_minutes, under, most=20):
    score = Score(under, under / 10, 0, 0, 0, 0, pod_minutes, 12.0)
    return Outcome("wave", 180.0, policy, target, score, most)


HPA = [
    outcome(Contestant.HPA, 1.0, 7_000, 9.0),
    outcome(Contestant.HPA, 0.8, 8_750, 3.0),
    outcome(Contestant.HPA, 0.7, 10_000, 1.0),
]


def advised(*ours, others=()):
    played = [*HPA, *(outcome(Contestant.FORETIDE, *one) for one in ours), *others]
    return advise(played, 180.0, curves(played)["wave", 180.0]), played


def test_the_cheapest_target_that_is_as_safe_as_hpa_is_advised():
    found, _ = advised((1.0, 7_000, 5.0), (0.8, 8_500, 0.9), (0.7, 9_200, 0.2))
    assert (found.utilization, found.better) == (0.8, True)
    assert found.cost_change == pytest.approx(-0.15)


def test_the_usual_target_stays_where_another_is_hardly_cheaper():
    found, _ = advised((0.8, 9_000, 0.9), (0.7, 9_200, 0.2))
    assert (found.utilization, found.better) == (0.7, True)


def test_where_no_target_is_better_the_usual_one_stays_and_it_is_said():
    found, _ = advised((0.8, 9_000, 1.5), (0.7, 10_200, 0.9))
    assert (found.utilization, found.better) == (0.7, False)
    assert "No target would have been both cheaper and as safe" in report.sentence(found, 10)


def test_doing_just_what_hpa_does_is_not_better():
    found, _ = advised((0.7, 10_000, 1.0))
    assert not found.better


def test_the_sentence_says_what_is_saved_and_avoided():
    oracle = outcome(Contestant.ORACLE, 1.0, 7_500, 0.0)
    found, _ = advised((1.0, 7_000, 5.0), (0.7, 9_000, 0.5), others=(oracle,))
    assert report.sentence(found, 10) == (
        "With pods that take 3 min, Foretide at a target of 70% would have used 150 pod-hours "
        "instead of HPA's 167 (-10%), with too few replicas for 72 min instead of 2.4 h. As safe "
        "as HPA at 70 % it would have cost 12% less (with a perfect forecast: 25% less)."
    )


def test_the_table_has_a_row_for_each_policy_and_target_that_is_shown(make_contest):
    _, played = advised((1.0, 7_000, 5.0), (0.7, 9_000, 0.5))
    lines = report.table(make_contest(), played, 180.0, {0.8}).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["policy", "target"],
        ["-" * len(lines[1])],
        ["HPA", "80%"],
        ["HPA", "70%"],
        ["Foretide", "70%"],
    ]
    assert "90.0%" in lines[-1]
    assert len({len(line) for line in lines}) == 1


def test_the_figures_are_json(make_contest):
    found, played = advised((0.7, 9_000, 0.5))
    text = json.dumps(report.figures(make_contest(), played, [found]), allow_nan=False)
    read = json.loads(text)
    assert read["results"][0]["policy"] == "HPA"
    assert read["advice"][0]["target_utilization"] == 0.7


def test_short_times_are_told_in_seconds():
    found, _ = advised((0.7, 9_000, 0.001))
    assert "for 9 s instead" in report.sentence(found, 10)


def test_the_picture_is_drawn(tmp_path):
    _, played = advised((1.0, 7_000, 5.0), (0.7, 9_000, 0.5))
    path = tmp_path / "new" / "curves.png"
    draw(curves(played), path)
    assert path.read_bytes().startswith(b"\x89PNG")
