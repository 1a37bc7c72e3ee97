"""Which indexes go when queries get slower: on a database made of plain figures.

It knows plans of queries as {indexes: (cost, ms)} and takes the one of the lowest cost, however
long that really takes.
"""

import random

import pytest

from foretide.dbadvisor.verifying import Trial, is_slower, settled


class Machine:
    """`measure` for `settled`, on such plans; counts the runs."""

    def __init__(self, plans):
        self.plans = plans
        self.runs = 0

    def __call__(self, kept, queries, again=False):
        found = {}
        for query in queries:
            self.runs += 1
            usable = [
                (cost, ms, used) for used, (cost, ms) in self.plans[query].items() if used <= kept
            ]
            cost, ms, used = min(usable, key=lambda one: one[0])
            found[query] = Trial((ms, ms + 1), cost, used)
        return found

    def without(self):
        return self(frozenset(), sorted(self.plans))


def names(*given):
    return frozenset(given)


def test_slower_is_what_takes_a_fifth_and_thirty_milliseconds_longer():
    before = Trial((100.0, 140.0))
    assert not is_slower(before, Trial((125.0, 200.0))), "25 ms are not enough"
    assert is_slower(before, Trial((131.0, 131.0)))
    assert not is_slower(before, Trial((500.0, 110.0))), "one run alone may have had bad luck"
    assert not is_slower(Trial((1000.0,)), Trial((1150.0,)))


def test_an_index_that_makes_a_query_slower_goes_and_the_others_stay():
    machine = Machine(
        {
            "walk": {names(): (100, 50), names("bad"): (10, 500)},
            "look": {names(): (100, 50), names("good"): (1, 1)},
        }
    )
    found = settled(machine.without(), ["good", "bad"], machine)
    assert (found.kept, found.reverted) == (names("good"), ("bad",))
    assert found.trials["walk"].best == 50
    assert found.regressions == ()


def test_of_two_indexes_in_a_slow_plan_the_guilty_one_goes():
    machine = Machine(
        {
            "both": {names(): (100, 50), names("a", "b"): (10, 500), names("a"): (20, 400)},
            "few": {names(): (100, 60), names("a"): (1, 1)},
        }
    )
    found = settled(machine.without(), ["a", "b"], machine)
    assert (found.kept, found.reverted) == (names("b"), ("a",))


def test_of_two_that_are_as_guilty_that_goes_which_is_missed_least():
    machine = Machine(
        {
            "both": {names(): (100, 50), names("a", "b"): (10, 500)},
            "many": {names(): (900, 900), names("a"): (1, 1)},
            "few": {names(): (100, 60), names("b"): (1, 1)},
        }
    )
    assert settled(machine.without(), ["a", "b"], machine).reverted == ("b",)
    weights = {"both": 1.0, "many": 0.0, "few": 100.0}
    found = settled(machine.without(), ["a", "b"], machine, weights=weights)
    assert found.reverted == ("a",)


def test_it_goes_on_until_no_query_is_slower():
    machine = Machine(
        {"q": {names(): (100, 50), names("a"): (10, 500), names("b"): (20, 400)}},
    )
    found = settled(machine.without(), ["a", "b"], machine)
    assert found.kept == names()
    assert found.reverted == ("a", "b")
    assert found.trials["q"].best == 50


def test_a_query_that_is_slower_without_our_indexes_reverts_nothing_and_is_told():
    before = {"q": Trial((50.0, 50.0))}
    found = settled(before, ["a"], lambda kept, queries, again: {"q": Trial((500.0, 500.0))})
    assert (found.kept, found.reverted) == (names("a"), ())
    assert [each.query for each in found.regressions] == ["q"]


def test_what_is_not_slower_the_second_time_stays():
    times = iter([500.0, 50.0])

    def measure(kept, queries, again):
        return {"q": Trial((next(times),), 1.0, names("a"))}

    found = settled({"q": Trial((50.0,))}, ["a"], measure)
    assert found.kept == names("a")


@pytest.mark.parametrize("seed", range(20))
def test_in_the_end_no_query_is_slower_whatever_the_plans(seed):
    draw = random.Random(seed)
    indexes = ["a", "b", "c", "d", "e"]
    plans = {}
    for number in range(8):
        base = draw.uniform(10, 500)
        options = {names(): (base, base)}
        for _ in range(6):
            used = names(*draw.sample(indexes, draw.choice([1, 1, 2])))
            cost = draw.uniform(1, base)
            options[used] = (cost, draw.choice([cost, 3 * base + 50]))
        plans[f"q{number}"] = options
    machine = Machine(plans)
    before = machine.without()
    found = settled(before, indexes, machine)
    assert found.regressions == ()
    assert found.kept | {*found.reverted} == {*indexes}
    now = machine(found.kept, sorted(plans))
    assert not any(is_slower(before[query], now[query]) for query in plans)
    assert all(found.trials[query].best <= now[query].best for query in plans)
