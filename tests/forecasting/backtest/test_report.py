"""What people read of a backtest, and which settings they are told to use."""

import json
from dataclasses import replace

import matplotlib
import pytest

from foretide.forecasting.backtest import report
from foretide.forecasting.backtest.advice import advise
from foretide.forecasting.backtest.contest import Contestant, Outcome, curves
from foretide.forecasting.backtest.picture import SUFFIXES, draw
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
    assert "No target up to 90 % would have been both cheaper and as safe" in report.sentence(
        found, 10
    )


def test_a_target_between_those_played_is_no_proof_that_none_is_better():
    found, _ = advised((0.8, 8_000, 1.5), (0.7, 8_500, 1.1), (0.55, 10_500, 0.5))
    assert not found.better
    said = report.sentence(found, 10)
    assert "play it with --target-utilization 0.67" in said
    assert "worth little" not in said


def test_doing_just_what_hpa_does_is_not_better():
    found, _ = advised((0.7, 10_000, 1.0))
    assert not found.better


def test_the_sentence_says_what_is_saved_and_avoided():
    oracle = outcome(Contestant.ORACLE, 1.0, 7_500, 0.0)
    found, _ = advised((1.0, 7_000, 5.0), (0.7, 9_000, 0.5), others=(oracle,))
    assert report.sentence(found, 10) == (
        "With pods that take 3m, Foretide at a target of 70 % would have used 150 pod-hours "
        "instead of HPA's 167 (-10 %), with too few replicas for 72 min instead of 2.4 h. As safe "
        "as HPA at 70 % it would have cost 12 % less, at a target of about 73 % (with a perfect "
        "forecast: 25 % less)."
    )


def test_delays_are_told_as_they_are_given():
    found, _ = advised((0.7, 9_000, 0.5))
    assert "With pods that take 1m30s," in report.sentence(replace(found, delay=90.0), 10)
    assert [report.duration(seconds) for seconds in (0, 45, 60, 150, 3_600)] == [
        *("0s", "45s", "1m", "2m30s", "1h")
    ]


@pytest.mark.parametrize(
    ("pod_minutes", "told"),
    [
        (9_950, "(-0.5 %)"),
        (10_000, "(as many)"),
        (10_001, "(as many)"),
        (10_150, "(+1.5 %)"),
        (9_000, "(-10 %)"),
    ],
)
def test_a_small_difference_is_not_rounded_to_none(pod_minutes, told):
    found, _ = advised((0.7, pod_minutes, 0.5))
    assert told in report.sentence(found, 10)


def test_no_target_without_room_for_surprises_is_advised():
    """A flat demand is carried at 100 %; what no history foretells is not."""
    found, _ = advised((1.0, 6_800, 0.0), (0.9, 7_500, 0.0), (0.7, 9_900, 0.0))
    assert (found.utilization, found.better) == (0.9, True)
    said = report.sentence(found, 10)
    assert "cost 32 % less, at a target of about 100 %, which leaves little room" in said


def test_another_policy_that_was_safer_is_not_kept_back():
    offset = outcome(Contestant.OFFSET, 0.7, 9_400, 0.1)
    ours = ((0.8, 9_000, 0.9), (0.7, 9_200, 0.5), (0.6, 9_500, 0.0))
    found, _ = advised(*ours, others=(offset,))
    said = report.sentence(found, 10)
    assert "Safer was seasonal offset: 14 min, for 94.0 % of HPA's pod-hours;" in said
    assert "Foretide as safe as that would have used 94.4 %, at a target of about 62 %." in said
    found, _ = advised((0.7, 9_200, 0.5), others=(offset,))
    assert "no target of Foretide's was as safe as that" in report.sentence(found, 10)


@pytest.mark.parametrize("offset", [(11_100, 0.0), (9_400, 0.5), (8_000, 2.0)])
def test_another_policy_that_is_dearer_or_less_safe_is_no_news(offset):
    found, _ = advised((0.7, 9_200, 0.5), others=(outcome(Contestant.OFFSET, 0.7, *offset),))
    assert found.safer == ()


def test_the_table_has_a_row_for_each_policy_and_target_that_is_shown(make_contest):
    found, played = advised((1.0, 7_000, 5.0), (0.7, 9_000, 0.5))
    lines = report.table(make_contest(), played, found, {0.8}).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["policy", "target"],
        ["-" * len(lines[1])],
        ["HPA", "80"],
        ["HPA", "70"],
        ["Foretide", "70"],
    ]
    assert "90.0 %" in lines[-1]
    assert len({len(line) for line in lines}) == 1


def test_the_table_shows_the_row_that_is_advised(make_contest):
    found, played = advised((0.8, 8_500, 0.9), (0.7, 9_200, 0.2))
    lines = report.table(make_contest(), played, found, set()).splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [
        ["HPA", "70"],
        ["Foretide", "80"],
        ["Foretide", "70"],
    ]


def test_every_column_and_odd_row_is_explained():
    for word in ("target", "of HPA's", "too few replicas", "unserved", "KEDA", "oracle"):
        assert word in report.legend()


def test_the_figures_are_json(make_contest):
    found, played = advised((0.7, 9_000, 0.5))
    text = json.dumps(report.figures(make_contest(), played, [found]), allow_nan=False)
    read = json.loads(text)
    assert read["results"][0]["policy"] == "HPA"
    assert read["advice"][0]["target_utilization"] == 0.7


def test_short_times_are_told_in_seconds():
    found, _ = advised((0.7, 9_000, 0.001))
    assert "for 9 s instead" in report.sentence(found, 10)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_picture_is_drawn_and_names_policies_as_the_table_does(tmp_path, suffix):
    offset = outcome(Contestant.OFFSET, 0.7, 9_400, 0.1)
    _, played = advised((1.0, 7_000, 5.0), (0.7, 9_000, 0.5), others=(offset,))
    path = tmp_path / "new" / f"curves{suffix}"
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(curves(played), path)
    drawn = path.read_bytes()
    assert drawn.startswith((b"\x89PNG", b"<?xml", b"%PDF"))
    if suffix == ".svg":
        assert b">seasonal offset<" in drawn
        assert b">wave, 3m<" in drawn
