"""Contests: every policy, delay and target is played; work can be shared; curves come of it."""

from dataclasses import dataclass

import pytest

from foretide.forecasting.backtest.contest import (
    Contestant,
    case,
    curves,
    history_needed,
    mean_score,
    usual_target,
)
from foretide.forecasting.backtest.pool import WorkFailed, work
from foretide.forecasting.backtest.units import Ahead, Prophetic, Reactive, units
from foretide.forecasting.simulation.policies import hpa
from foretide.forecasting.simulation.replay import Setting, replay


def quiet(*_):
    """Nobody looks at the progress."""


@pytest.fixture(scope="module")
def outcomes(make_contest):
    return work(units([make_contest()]), jobs=1, progress=quiet)


def test_each_policy_is_played_with_each_delay_and_target(outcomes):
    keys = [(one.delay, one.policy, one.utilization) for one in outcomes]
    assert len(set(keys)) == len(keys) == 2 * 3 * 3
    order = list(Contestant)
    assert keys == sorted(keys, key=lambda key: (key[0], order.index(key[1]), -key[2]))


def test_an_outcome_is_that_of_a_replay(make_contest, outcomes):
    contest = make_contest()
    setting = Setting(delay=600.0, start=contest.start, utilization=0.5)
    expected = replay(contest.trace, hpa(contest.trace, setting), setting)
    found = next(
        one
        for one in outcomes
        if (one.delay, one.policy, one.utilization) == (600.0, Contestant.HPA, 0.5)
    )
    assert found.score == expected.score
    assert found.most_replicas == expected.desired.max()


@pytest.mark.slow
def test_several_processes_come_to_the_same(make_contest, outcomes):
    seen = []

    def progress(*told):
        seen.append(told)

    found = work(units([make_contest()]), jobs=2, progress=progress, method="fork")
    assert found == outcomes
    total = sum(unit.steps for unit in units([make_contest()]))
    assert seen[-1][:2] == (total, total)


@pytest.mark.slow
def test_progress_is_told_step_by_step_in_one_process(make_contest):
    seen = []
    all_units = units([make_contest()])
    work(all_units, jobs=1, progress=lambda done, total, label: seen.append(done))
    assert seen == list(range(1, sum(unit.steps for unit in all_units) + 1))


@dataclass
class Killed:
    """A unit whose process is ended from outside."""

    label = "killed"
    steps = 1
    weight = 1.0

    def run(self, tick):
        import os

        os._exit(9)


def test_a_process_that_is_ended_is_told():
    with pytest.raises(WorkFailed, match="fewer --jobs"):
        work([Killed(), Killed()], jobs=2, progress=quiet, method="fork")


def test_units_are_those_of_the_contestants(make_contest):
    def kinds(*contestants):
        return {type(unit) for unit in units([make_contest(contestants=contestants)])}

    assert kinds(Contestant.HPA) == {Reactive}
    assert kinds(Contestant.PROPHET) == {Prophetic}
    assert kinds(Contestant.FORETIDE) == {Ahead}
    assert kinds(*Contestant) == {Reactive, Prophetic, Ahead}


@pytest.mark.slow
def test_jitter_makes_policies_look_further_and_scores_a_mean(make_contest):
    shaken = {"jitter": 0.5, "delays": (180.0,), "targets": (0.7,)}
    contest = make_contest(**shaken, seeds=(1, 2))
    assert contest.asking(100.0, 0.7).delay == pytest.approx(140.0)
    assert contest.happening(100.0, 1).delay == 100.0
    alone = [
        work(units([make_contest(**shaken, seeds=(seed,))]), jobs=1, progress=quiet)
        for seed in (1, 2)
    ]
    both = work(units([contest]), jobs=1, progress=quiet)
    for first, second, mean in zip(*alone, both, strict=True):
        assert mean.score == mean_score([first.score, second.score])


def test_curves_are_drawn_of_the_outcomes(outcomes):
    drawn = curves(outcomes)
    assert drawn.keys() == {("wave", 180.0), ("wave", 600.0)}
    oracle = drawn["wave", 180.0][Contestant.ORACLE]
    assert oracle.at(1.0).under_pct == 0.0
    assert len(oracle.points) == 3


def test_a_case_needs_foretide(outcomes):
    with pytest.raises(KeyError):
        case("wave", 180.0, curves(outcomes)["wave", 180.0])


def test_a_forecast_that_stands_for_headroom_is_used_without():
    usual = {contestant: usual_target(contestant) for contestant in Contestant}
    assert {name for name, target in usual.items() if target == 1.0} == {
        Contestant.PROPHET,
        Contestant.ORACLE,
    }


def test_a_quarter_and_two_days_at_least_are_history(make_contest):
    trace = make_contest().trace
    assert history_needed(trace) == 2 * 86_400
