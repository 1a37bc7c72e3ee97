"""Verdicts on a fix, over windows drawn at random with known shares."""

import random

import numpy as np
import pytest

from foretide.profiling.compare import compare
from foretide.profiling.comparison import Latency, Verdict, render
from foretide.profiling.permutation import permuted
from foretide.profiling.window import (
    Container,
    Frame,
    Overhead,
    ProcessFacts,
    Samples,
    Thread,
    ThreadState,
    Window,
)

USUAL = {"main;hot;spin": 40, "main;warm;spin": 35, "main;mild;spin": 25}
FASTER = {**USUAL, "main;hot;spin": 15}


def _window(costs, dice, started_at, rate=20.0, seconds=10, cores=0.9, spread=0.3, pod=""):
    """A busy thread. Every second has shares of its own, that last into the next one."""
    frames, stacks, samples, cpu_parts = {}, {}, {}, []
    mood = dict.fromkeys(costs, 0.0)
    for part in range(seconds):
        for path in costs:
            mood[path] = 0.3 * mood[path] + dice.gauss(0, spread)
        weights = [cost * 2.718 ** mood[path] for path, cost in costs.items()]
        cpu_parts.append(cores)
        for path in dice.choices(list(costs), weights, k=round(rate)):
            named = [Frame(name, "/app/shop.py", 1) for name in path.split(";")]
            stack = tuple(frames.setdefault(frame, len(frames)) for frame in named)
            key = stacks.setdefault(stack, len(stacks)), part
            samples[key] = samples.get(key, 0) + 1
    cpu = sum(cpu_parts)
    thread = Thread(
        *(1, "MainThread", cpu, 0.0, cpu, 0.0, 0, 0),
        {ThreadState.RUNNING: 200},
        cpu_parts=tuple(cpu_parts),
    )
    return Window(
        started_at,
        float(seconds),
        rate,
        1,
        "3.12.1",
        "python shop.py",
        round(seconds * rate),
        200,
        tuple(frames),
        tuple(stacks),
        (thread,),
        tuple(Samples(0, stack, n, n, part) for (stack, part), n in samples.items()),
        ProcessFacts(cpu, cpu, 0.0, 0, 0, 1 << 26, 0),
        Container(),
        Overhead(0.003, 0.05, 1 << 24),
        {"pod": pod} if pod else {},
        parts=seconds,
    )


@pytest.fixture
def record():
    """Windows of a program with such costs; another seed is another recording."""

    def make(costs, windows=3, seed=0, **more):
        dice = random.Random(seed)
        length = more.get("seconds", 10)
        return [_window(costs, dice, number * length, **more) for number in range(windows)]

    return make


def test_half_a_minute_of_one_process_shows_that_a_hotspot_was_halved(record):
    found = compare(record(USUAL), record(FASTER, seed=1))
    assert found.verdict is Verdict.FIXED
    assert found.changes[0].function.name == "hot"
    assert found.work_cost_ratio == pytest.approx(0.75, abs=0.1)


def test_the_other_way_round_it_has_regressed(record):
    found = compare(record(FASTER, seed=1), record(USUAL))
    assert found.verdict is Verdict.REGRESSED
    assert "hot went from" in found.reason
    assert "dearer" in found.reason


def test_a_smaller_gain_is_an_improvement(record):
    found = compare(record(USUAL, 12), record({**USUAL, "main;hot;spin": 27}, 12, seed=1))
    assert found.verdict is Verdict.IMPROVED


def test_the_same_program_twice_has_not_changed(record):
    assert compare(record(USUAL, 6), record(USUAL, 6, seed=1)).verdict is Verdict.NO_CHANGE


@pytest.mark.slow
def test_equal_pairs_are_called_different_in_less_than_a_twentieth(record):
    verdicts = [
        compare(record(USUAL, seed=2 * pair), record(USUAL, seed=2 * pair + 1)).verdict
        for pair in range(60)
    ]
    wrong = [one for one in verdicts if one not in (Verdict.NO_CHANGE, Verdict.INSUFFICIENT_DATA)]
    assert len(wrong) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("other", [{"rate": 100.0}, {"rate": 8.0}, {"seconds": 30}])
def test_rate_and_duration_alone_change_nothing(other, record):
    for seed in range(4):
        found = compare(record(USUAL, 6, seed=seed), record(USUAL, 4, seed=99 - seed, **other))
        assert found.verdict in (Verdict.NO_CHANGE, Verdict.INSUFFICIENT_DATA)


def test_a_change_smaller_than_how_well_shares_are_known_is_none_however_sure(record):
    before, after = {"main;call": 97, "main;tell": 3}, {"main;call": 99, "main;tell": 1}
    sides = record(before, 20, spread=0), record(after, 20, seed=1, spread=0)
    found = compare(*sides, requests=(1000, 1000))
    call = next(one for one in found.changes if one.function.name == "call")
    assert call.p < 0.003
    assert not call.significant
    tell = next(one for one in found.changes if one.function.name == "tell")
    assert tell.significant  # two thirds of its own cost


def test_little_profile_is_insufficient_and_says_how_much_is_missing(record):
    found = compare(record(USUAL, 1, seconds=3), record(USUAL, 1, seed=1, seconds=3))
    assert found.verdict is Verdict.INSUFFICIENT_DATA
    assert 1 <= found.missing <= 10
    again = compare(record(USUAL, 1), record(USUAL, 1, seed=1))
    assert again.verdict is Verdict.INSUFFICIENT_DATA
    enough = round((10 + again.missing) / 10) + 2
    later = compare(record(USUAL, enough), record(USUAL, enough, seed=1))
    assert later.verdict is Verdict.NO_CHANGE


def test_only_the_side_that_is_short_is_to_be_recorded_again(record):
    """The version before the fix may be gone."""
    found = compare(record(USUAL, 6), record(FASTER, 6, seed=1, rate=1.0))
    assert (found.verdict, found.short) == (Verdict.INSUFFICIENT_DATA, "AFTER")
    assert f"Record AFTER again, for {60 + found.missing:.0f} s." in render(found)
    found = compare(record(USUAL, 1, seconds=3), record(USUAL, 6, seed=1))
    assert (found.verdict, found.short) == (Verdict.INSUFFICIENT_DATA, "BEFORE")
    assert f"Record BEFORE again, for {3 + found.missing:.0f} s." in render(found)
    found = compare(record(USUAL, 1, seconds=3), record(USUAL, 1, seed=1, seconds=3))
    assert f"Record both again, each for {3 + found.missing:.0f} s." in render(found)


def test_nothing_to_compare_says_which_side_has_none(record):
    found = compare(record(USUAL), [])
    assert found.verdict is Verdict.INSUFFICIENT_DATA
    assert found.reason.startswith("AFTER")


def test_a_renamed_function_is_cost_that_moved(record):
    renamed = {"main;boiling;spin": 40, "main;warm;spin": 35, "main;mild;spin": 25}
    found = compare(record(USUAL), record(renamed, seed=1))
    assert found.verdict is Verdict.NO_CHANGE
    (shift,) = found.shifts
    assert (shift.from_function.name, shift.to_function.name) == ("hot", "boiling")
    assert shift.ancestor.name == "main"


def test_a_renamed_function_is_no_fix_where_samples_are_few(record):
    """As on a machine that has no time to spare: less than a sample a second."""
    renamed = {path.replace("hot", "boiling"): cost for path, cost in USUAL.items()}
    found = [
        compare(record(USUAL, 6, seed=seed, rate=1.0), record(renamed, 6, seed=50 + seed, rate=1.0))
        for seed in range(10)
    ]
    assert {one.verdict for one in found} == {Verdict.INSUFFICIENT_DATA}
    assert all("samples that used the CPU, 100 are needed" in one.reason for one in found)
    assert all(20 <= one.missing <= 90 for one in found)


def test_an_entry_point_under_another_name_hides_no_fix(record):
    other = {path.replace("main", "start"): cost for path, cost in FASTER.items()}
    found = compare(record(USUAL), record(other, seed=1))
    assert found.verdict is Verdict.FIXED
    assert found.changes[0].function.name == "hot"


def test_a_function_that_was_split_is_cost_that_moved(record):
    split = {"main;one": 21, "main;two": 19, "main;warm;spin": 35, "main;mild;spin": 25}
    found = compare(record(USUAL), record(split, seed=1))
    assert found.verdict is Verdict.NO_CHANGE
    assert {shift.to_function.name for shift in found.shifts} == {"one", "two"}


def test_a_gain_that_another_function_eats_up_is_none(record):
    moved = {"main;hot;spin": 5, "main;warm;spin": 70, "main;mild;spin": 25}
    assert compare(record(USUAL), record(moved, seed=1)).verdict is Verdict.NO_CHANGE


def test_a_change_that_has_gone_away_is_none(record):
    after = record({**USUAL, "main;hot;spin": 5}, 4, seed=1) + record(USUAL, 4, seed=2)
    after = [
        window.__class__(number * 10.0, *_fields(window)[1:]) for number, window in enumerate(after)
    ]
    found = compare(record(USUAL, 8), after)
    assert found.verdict is Verdict.NO_CHANGE
    assert "no longer" in found.reason


def _fields(window):
    return [getattr(window, name) for name in window.__dataclass_fields__]


def test_requests_decide_where_shares_cannot(record):
    """Everything got dearer alike: no share has changed."""
    dearer = record(USUAL, 6, seed=1)
    found = compare(record(USUAL, 6), dearer, requests=(6_000, 4_000))
    assert found.verdict is Verdict.REGRESSED
    assert found.work_cost_ratio == pytest.approx(1.5)
    assert found.per_request


def test_more_load_on_the_same_program_is_no_change(record):
    found = compare(
        record(USUAL, 6, cores=0.3), record(USUAL, 6, seed=1, cores=0.9), requests=(2_000, 6_000)
    )
    assert found.verdict is Verdict.NO_CHANGE


def test_python_in_another_folder_is_the_same_program(record):
    before = record(USUAL, 6)
    after = record(USUAL, 6, seed=1)
    installed = [
        window.__class__(
            *[
                tuple(
                    Frame(f.function, f"/opt/python/lib/python3.13/{f.function}.py", 1)
                    for f in value
                )
                if name == "frames"
                else value
                for name, value in zip(window.__dataclass_fields__, _fields(window), strict=True)
            ]
        )
        for window in (*before, *after)
    ]
    moved = [
        window.__class__(
            *[
                tuple(Frame(f.function, f.file.replace("/opt/python", "/usr"), 1) for f in value)
                if name == "frames"
                else value
                for name, value in zip(window.__dataclass_fields__, _fields(window), strict=True)
            ]
        )
        for window in installed[6:]
    ]
    assert compare(installed[:6], moved).verdict is Verdict.NO_CHANGE


def test_the_function_that_was_to_be_fixed_decides_whether_it_is(record):
    before, after = record(USUAL), record(FASTER, seed=1)
    assert compare(before, after, function="hot").verdict is Verdict.FIXED
    assert compare(before, after, function="warm").verdict is Verdict.IMPROVED


def test_a_fix_that_requests_do_not_feel_says_so(record):
    slower = [Latency("p95", 0.2, 0.3)]
    found = compare(record(USUAL), record(FASTER, seed=1), latencies=slower)
    assert found.verdict is Verdict.IMPROVED
    assert "latency has grown (p95)" in found.notes[0]


def test_many_pods_are_the_units(record):
    """Pods differ more than their windows: one odd pod is no regression."""
    pods = [record(USUAL, 2, seed=n, pod=f"a{n}") for n in range(6)]
    others = [record(USUAL, 2, seed=10 + n, pod=f"b{n}") for n in range(5)]
    odd = record({**USUAL, "main;hot;spin": 120}, 2, seed=20, pod="odd")
    found = compare([w for pod in pods for w in pod], [w for pod in (*others, odd) for w in pod])
    assert (found.units_before, found.units_after) == (6, 6)
    assert found.verdict in (Verdict.NO_CHANGE, Verdict.INSUFFICIENT_DATA)


def test_the_text_says_which_way_it_went(record):
    text = render(compare(record(USUAL), record(FASTER, seed=1)))
    assert text.startswith("Fixed: hot went from")
    assert "better" in text
    assert "WORSE" not in text
    assert "WORSE" in render(compare(record(FASTER, seed=1), record(USUAL)))


def test_requests_must_be_positive(record):
    with pytest.raises(ValueError, match="positive"):
        compare(record(USUAL), record(USUAL), requests=(0, 1))


def test_stretches_with_few_samples_count_little():
    """A sampler that begins slowly leaves some whose shares are 0 or 1 by chance."""
    sure = np.linspace(0.38, 0.42, 8)
    before, after = np.append(sure, [0.0, 1.0, 0.0, 0.0]), np.append(sure / 2, [1.0, 0.0, 1.0, 1.0])
    alike = np.ones(12)
    slow = np.append(np.ones(8), [0.02] * 4)

    def p(weights):
        found = permuted(before[:, None], after[:, None], (weights, weights), np.zeros(1), 0.01)
        return float(found.p[0])

    assert p(slow) < 0.001
    assert p(alike) > 0.3
