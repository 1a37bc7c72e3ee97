"""Plainer indexes instead of those that were chosen: only where they do nearly as well."""

import random

import pytest

from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.estimates import Weighed
from foretide.dbadvisor.selection import told
from foretide.dbadvisor.simplifying import plainer
from foretide.dbadvisor.snapshot import IndexKey, Relation
from foretide.dbadvisor.whatif import Answer

TABLE = Relation("public", "t")


def index(columns, include="", predicate=None):
    """`index("ab", "c")` is on (a, b) INCLUDE (c)."""
    return Candidate(TABLE, tuple(map(IndexKey, columns)), tuple(include), predicate)


class Planner:
    """`plans` by query: {places of the indexes needed: cost}; the cheapest one is taken."""

    def __init__(self, plans):
        self.plans = plans

    def relevant(self, query):
        return sum({1 << place for needed in self.plans[query] for place in needed})

    def cost(self, query, indexes):
        there = {
            needed: cost
            for needed, cost in self.plans[query].items()
            if all(indexes >> place & 1 for place in needed)
        }
        needed = min(there, key=lambda each: (there[each], each))
        return Answer(there[needed], sum(1 << place for place in needed))


def simplified(plans, indexes, chosen, *, sizes=None, most_lost=5.0, **options):
    """The indexes that are left of the `chosen` ones, by their places."""
    sizes = sizes or [10.0 * len(one.keys) + 5 * len(one.include) for one in indexes]
    prices = [
        Weighed(one.table, one.keys[0], size) for one, size in zip(indexes, sizes, strict=True)
    ]
    planner, weights = Planner(plans), dict.fromkeys(plans, 1.0)
    mask = sum(1 << place for place in chosen)
    found = told(planner, weights, prices, mask)
    left = plainer(planner, indexes, weights, prices, found, most_lost, **options)
    return {place for place in range(len(indexes)) if left >> place & 1}


def test_what_is_included_for_next_to_nothing_goes_and_what_is_worth_it_stays():
    indexes = [index("a"), index("a", "b")]
    assert simplified({"q": {(): 100, (0,): 11, (1,): 10}}, indexes, {1}) == {0}
    assert simplified({"q": {(): 100, (0,): 40, (1,): 10}}, indexes, {1}) == {1}


def test_one_index_serves_for_two():
    indexes = [index("a"), index("ba"), index("ab")]
    plans = {"p": {(): 100, (0,): 5, (2,): 5}, "q": {(): 100, (1,): 9, (2,): 10}}
    assert simplified(plans, indexes, {0, 1}) == {2}
    plans["q"][(2,)] = 50
    assert simplified(plans, indexes, {0, 1}) == {0, 1}


def test_an_index_of_other_rows_or_another_table_is_no_plainer_one():
    plans = {"q": {(): 100, (0,): 10, (1,): 10}}
    assert simplified(plans, [index("a", predicate="c > 1"), index("ab")], {1}) == {1}
    elsewhere = Candidate(Relation("public", "u"), (IndexKey("a"),))
    assert simplified(plans, [elsewhere, index("ab")], {1}) == {1}


def test_what_is_lost_in_all_has_a_bound():
    indexes = [index("a"), index("a", "b"), index("c"), index("c", "d")]
    plans = {"p": {(): 100, (0,): 13, (1,): 10}, "q": {(): 100, (2,): 14, (3,): 10}}
    assert simplified(plans, indexes, {1, 3}, most_lost=10) == {0, 2}
    assert simplified(plans, indexes, {1, 3}, most_lost=6) == {0, 3}
    assert simplified(plans, indexes, {1, 3}, most_lost=0) == {1, 3}
    assert simplified(plans, indexes, {1, 3}, stop=lambda: True) == {1, 3}


@pytest.mark.parametrize("seed", range(20))
def test_a_set_never_grows_nor_loses_more_than_it_may(seed):
    draw = random.Random(seed)
    indexes = [
        index(*each)
        for each in sorted(
            {
                ("".join(draw.sample("abc", draw.randint(1, 3))), draw.choice(["", "d", "de"]))
                for _ in range(12)
            }
        )
    ]
    plans = {
        f"q{number}": {(): 100.0}
        | {(place,): draw.uniform(1, 110) for place in draw.sample(range(len(indexes)), 4)}
        for number in range(8)
    }
    chosen = set(draw.sample(range(len(indexes)), 4))
    left = simplified(plans, indexes, chosen, most_lost=9.0)
    assert left == simplified(plans, indexes, chosen, most_lost=9.0)

    def total(places):
        mask = sum(1 << place for place in places)
        return sum(Planner(plans).cost(query, mask).cost for query in plans)

    def room(places):
        return sum(10 * len(indexes[one].keys) + 5 * len(indexes[one].include) for one in places)

    assert total(left) <= total(chosen) + 9.0 + 1e-9
    assert room(left) <= room(chosen)
    assert len(left) <= len(chosen)
