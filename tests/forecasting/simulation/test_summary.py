"""The summary of the benchmark, on cases whose figures are plain."""

import pytest

from foretide.forecasting.simulation.curves import Curve, Point
from foretide.forecasting.simulation.summary import BARS, Case, figures, passed, summarize


def curve(**points):
    """Points by target in percent: t70=(pod-minutes, under-provisioned %, events)."""
    return Curve.of(Point(int(name[1:]) / 100, *values) for name, values in points.items())


HPA = curve(t100=(700, 20, 50), t80=(875, 5, 50), t70=(1000, 2, 50), t50=(1400, 0, 50))
ORACLE = curve(t100=(750, 0, 90), t80=(900, 0, 90), t70=(1070, 0, 90), t50=(1500, 0, 90))
OFFSET = curve(t100=(800, 8, 40), t80=(960, 2, 40), t70=(1100, 0.5, 40), t50=(1500, 0, 40))
OURS = curve(t100=(700, 18, 20), t80=(800, 2, 20), t70=(900, 0.5, 30), t50=(1200, 0, 40))


def case(trace="a", delay=60.0, **changes):
    curves = {"hpa": HPA, "foretide": OURS, "oracle": ORACLE, "offset": OFFSET}
    return Case(trace, delay, **{**curves, **changes})


def test_each_figure_of_one_case():
    found = figures(case())
    # At HPA's 1000 pod-minutes: a third of the way from 900 (0.5 %) to 1200 (0 %).
    assert found.under_reduction == pytest.approx(1 - (0.5 * 2 / 3) / 2)
    assert found.under_pp == pytest.approx(0.5 * 2 / 3 - 2)
    # At HPA's 2 %: 800 and 750 pod-minutes instead of 1000.
    assert (found.saving, found.oracle_saving) == (pytest.approx(0.2), pytest.approx(0.25))
    # The offset costs 100 more than HPA; its 0.5 % cost Foretide 900.
    assert found.offset_extra == pytest.approx(0.1)
    assert found.offset_extra_removed == pytest.approx(2.0)
    # At the offset's 1100, and half-way at 1050.
    assert found.offset_pp == pytest.approx(0.5 / 3 - 0.5)
    assert found.offset_half_pp == pytest.approx(0.25 - 0.5)
    assert found.events_ratio == pytest.approx((30 + 10 / 3) / 50)
    assert found.dominates


def test_a_tie_counts_as_neither_more_and_one_figure_more_does_not():
    assert figures(case(foretide=HPA)).dominates
    dearer = curve(t70=(1001, 0, 1), t50=(1400, 0, 1))
    shorter = curve(t70=(900, 2.1, 1), t50=(1400, 0, 1))
    assert not figures(case(foretide=dearer)).dominates
    assert not figures(case(foretide=shorter)).dominates


def test_a_policy_that_is_never_so_cheap_is_all_worse():
    dear = curve(t70=(1100, 0, 1), t50=(1400, 0, 1))
    assert figures(case(foretide=dear)).under_pp == 98.0


def many(**changes):
    return [case(trace, delay, **changes) for trace in "abcd" for delay in (60.0, 180.0, 300.0)]


def test_the_summary_of_like_cases_is_that_of_one():
    summary, one = summarize(many()), figures(case())
    assert summary["iso_cost_under_reduction_median"] == pytest.approx(one.under_reduction)
    assert summary["iso_cost_worst_pp"] == pytest.approx(one.under_pp)
    assert summary["saving_share_of_oracle_median"] == pytest.approx(0.8)
    assert summary["vs_seasonal_offset_extra_cost_removed"] == pytest.approx(2.0)
    assert summary["vs_seasonal_offset_worst_pp"] == pytest.approx(one.offset_pp)
    assert summary["default_dominates_share"] == 1.0
    assert summary["iso_cost_hpa_target"] == 0.7
    assert all(passed(summary).values())
    assert passed(summary).keys() == BARS.keys()


def test_the_worst_case_and_the_share_of_good_ones_are_told():
    worse = curve(t100=(700, 18, 20), t70=(1000, 2.3, 30), t50=(1200, 2.3, 30))
    summary = summarize([*many(), case("bad", foretide=worse)])
    assert summary["iso_cost_worst_pp"] == pytest.approx(0.3)
    assert summary["default_dominates_share"] == pytest.approx(12 / 13)
    assert passed(summary)["iso_cost_worst_pp"] is False


def test_hpas_target_is_raised_until_it_is_short_in_enough_cases():
    safe = curve(t100=(700, 20, 50), t80=(875, 1, 50), t70=(1000, 0.4, 50), t50=(1400, 0, 50))
    summary = summarize(many(hpa=safe))
    assert (summary["iso_cost_hpa_target"], summary["iso_cost_cases"]) == (0.8, 12)
    # At 875: three quarters of the way from 800 (2 %) to 900 (0.5 %).
    assert summary["iso_cost_under_reduction_median"] == pytest.approx(1 - 0.875)


def test_few_cases_or_traces_leave_the_target_as_it_is():
    safe = curve(t100=(700, 20, 50), t80=(875, 1, 50), t70=(1000, 0.4, 50), t50=(1400, 0, 50))
    one_trace = [case("a", 60.0 * delay, hpa=safe) for delay in range(20)]
    summary = summarize(one_trace)
    assert (summary["iso_cost_hpa_target"], summary["iso_cost_cases"]) == (0.7, 0)
    assert summary["iso_cost_under_reduction_median"] is None
    assert "iso_cost_under_reduction_median" not in passed(summary)


def test_cases_with_nothing_to_save_or_no_extra_cost_are_left_out():
    little = curve(t100=(960, 0, 1), t70=(1300, 0, 1))
    assert summarize(many(oracle=little))["saving_cases"] == 0
    free = curve(t70=(1010, 0.5, 1), t50=(1400, 0, 1))
    summary = summarize(many(offset=free))
    assert summary["vs_seasonal_offset_cases"] == 0
    assert summary["vs_seasonal_offset_extra_cost_removed"] is None
    # Its violations count all the same.
    assert summary["vs_seasonal_offset_worst_pp"] == pytest.approx(0.5 * 190 / 300 - 0.5)


def test_violations_that_are_never_reached_are_the_worst_saving():
    hopeless = curve(t70=(900, 3, 1), t50=(1200, 3, 1))
    assert summarize(many(foretide=hopeless))["saving_share_of_oracle_median"] == -float("inf")


def test_no_cases_have_no_summary():
    assert summarize([]) == {}
