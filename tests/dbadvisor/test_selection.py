"""Which indexes are chosen: against a planner made of plain figures, and against the best there is.

The planner knows plans as pairs (indexes that it needs, cost), and takes the cheapest one.
"""

import itertools
import os
import random
import subprocess
import sys

import pytest

from foretide.dbadvisor.estimates import Weighed
from foretide.dbadvisor.selection import beyond, select
from foretide.dbadvisor.snapshot import IndexKey, Relation
from foretide.dbadvisor.whatif import Answer, Remembered


class Planner(Remembered):
    """`plans` by query: {indexes needed: cost}; a query without any cannot be planned."""

    def __init__(self, plans):
        super().__init__()
        self.plans = plans

    def relevant(self, query):
        found = 0
        for needed in self.plans[query]:
            found |= needed
        return found

    def proposed(self, query):
        return self.relevant(query)

    def cost(self, query, indexes):
        if not self.plans[query]:
            return None
        indexes &= self.relevant(query)
        known = self.find(query, indexes)
        if known is None:
            self.calls += 1
            cost, used = min(
                (cost, needed)
                for needed, cost in self.plans[query].items()
                if not needed & ~indexes
            )
            known = Answer(cost, used)
            self.keep(query, indexes, known)
        return known


def prices(*sizes, writes=None, tables=None, widths=None):
    """One price for each candidate, all on tables of their own unless `tables` says otherwise."""
    return [
        Weighed(
            Relation("public", f"t{tables[place] if tables else place}"),
            IndexKey(f"c{place}"),
            size,
            writes[place] if writes else 0.0,
            width=widths[place] if widths else 1,
        )
        for place, size in enumerate(sizes)
    ]


def chosen(plans, sizes, budget, **changes):
    weights = changes.pop("weights", dict.fromkeys(plans, 1.0))
    return select(Planner(plans), weights, prices(*sizes, **changes), budget)


def test_what_saves_most_for_its_size_is_taken():
    plans = {"a": {0: 100, 0b001: 50}, "b": {0: 100, 0b010: 40}, "c": {0: 100, 0b100: 20}}
    assert chosen(plans, [10, 10, 100], 20).indexes == 0b011
    assert chosen(plans, [10, 10, 100], 120).indexes == 0b111
    assert chosen(plans, [10, 10, 10], 10).indexes == 0b100


def test_a_larger_budget_is_named_that_is_enough_and_not_one_that_is_never_used_up():
    plans = {"a": {0: 100, 0b001: 20}, "b": {0: 100, 0b010: 40}, "c": {0: 100, 0b100: 99.5}}
    weights, sizes = dict.fromkeys(plans, 1.0), prices(10, 9, 500)

    def larger(budget, worth):
        planner = Planner(plans)
        found = beyond(
            planner, weights, sizes, select(planner, weights, sizes, budget), budget, worth=worth
        )
        return found.bytes, found.gain

    assert larger(10, worth=3.0) == (19, 60)
    assert larger(5, worth=3.0) == (19, 140)
    assert larger(10, worth=0.1) == (519, 60.5)
    assert larger(20, worth=3.0) == (19, 0)


def test_nothing_is_taken_where_nothing_helps_or_fits():
    plans = {"a": {0: 100, 0b1: 50}, "b": {0: 100}}
    assert chosen(plans, [10], 9).indexes == 0
    assert chosen({"b": {0: 100}}, [], 100).indexes == 0


def test_indexes_that_help_only_together_are_found():
    plans = {"a": {0: 100, 0b11: 1}, "b": {0: 100, 0b100: 90}}
    assert chosen(plans, [10, 10, 10], 20).indexes == 0b11


def test_an_index_that_costs_more_at_writes_than_it_saves_is_not_made():
    plans = {"a": {0: 100, 0b01: 50}, "b": {0: 100, 0b10: 50}}
    assert chosen(plans, [10, 10], 20, writes=[60, 40]).indexes == 0b10


def test_queries_count_by_their_weight():
    plans = {"rare": {0: 100, 0b01: 1}, "frequent": {0: 100, 0b10: 50}}
    assert chosen(plans, [10, 10], 10, weights={"rare": 1.0, "frequent": 9.0}).indexes == 0b10


def test_one_index_for_two_queries_is_better_than_the_best_for_each():
    plans = {"a": {0: 100, 0b001: 10, 0b100: 20}, "b": {0: 100, 0b010: 10, 0b100: 20}}
    assert chosen(plans, [10, 10, 10], 10).indexes == 0b100


def luxuries(query, count=8):
    """Plans with an index of its own each, all better than that which all queries could share."""
    own = {1 << place: 10 + place for place in range(query * count, (query + 1) * count)}
    return {0: 100, **own, 1 << 80: 30}


def test_what_many_queries_can_share_is_found_behind_what_is_better_for_each():
    plans = {f"q{query}": luxuries(query) for query in range(10)}
    found = chosen(plans, [100] * 81, 100, widths=[3] * 80 + [1], tables=[0] * 81)
    assert found.indexes == 1 << 80


def test_what_fits_is_found_behind_much_that_does_not():
    found = chosen({"a": luxuries(0, 80)}, [1000] * 80 + [10], 10)
    assert found.indexes == 1 << 80


def test_a_query_that_cannot_be_planned_is_left_out():
    found = chosen({"a": {0: 100, 0b1: 50}, "broken": {}}, [10], 20)
    assert found.indexes == 0b1
    assert set(found.costs_after) == {"a"}


def test_each_index_says_what_it_is_good_for():
    plans = {"a": {0: 100, 0b01: 40}, "b": {0: 100, 0b10: 90}}
    found = chosen(plans, [10, 30], 40, writes=[0, 1])
    assert [(one.candidate, one.gain, one.queries) for one in found.benefits] == [
        (0, 60, ("a",)),
        (1, 9, ("b",)),
    ]
    assert (found.before, found.after, found.bytes, found.write_cost) == (200, 130, 40, 1)


def instance(seed):
    """Queries over three tables with plans of one index or two, sizes and a budget for a few."""
    draw = random.Random(seed)
    count, plans = 9, {}
    tables = [draw.randrange(3) for _ in range(count)]
    for number in range(8):
        base = draw.choice([100, 300, 1000])
        options = {0: base}
        for place in draw.sample(range(count), 4):
            options[1 << place] = base * draw.uniform(0.3, 0.95)
        for _ in range(3):
            pair = draw.sample(range(count), 2)
            options[1 << pair[0] | 1 << pair[1]] = base * draw.uniform(0.05, 0.6)
        plans[f"q{number}"] = options
    sizes = [draw.randrange(5, 60) for _ in range(count)]
    return plans, sizes, tables, draw.choice([50, 80, 120])


@pytest.mark.slow
def test_the_choice_is_mostly_the_best_there_is():
    """On thirty drawn workloads, against all sets. Their plans are worse than real ones: any two
    indexes may do together what neither does alone.
    """
    ratios = []
    for seed in range(30):
        plans, sizes, tables, budget = instance(seed)
        found = chosen(plans, sizes, budget, tables=tables)
        assert found.bytes <= budget
        cheapest = min(
            sum(cheapest_plan(options, indexes) for options in plans.values())
            for indexes in sets_within(sizes, budget)
        )
        ratios.append(found.after / cheapest)
    assert sum(ratio < 1.0001 for ratio in ratios) >= 25
    assert sum(ratios) / len(ratios) <= 1.02


def cheapest_plan(options, indexes):
    return min(cost for needed, cost in options.items() if not needed & ~indexes)


def sets_within(sizes, budget):
    for bits in itertools.product((0, 1), repeat=len(sizes)):
        if sum(bit * size for bit, size in zip(bits, sizes, strict=True)) <= budget:
            yield sum(bit << place for place, bit in enumerate(bits))


def test_few_questions_are_asked():
    plans, sizes, tables, budget = instance(1)
    planner = Planner(plans)
    select(planner, dict.fromkeys(plans, 1.0), prices(*sizes, tables=tables), budget)
    assert planner.calls < 200, "there are 8 × 2^9 to ask"


@pytest.mark.slow
@pytest.mark.slow
def test_the_same_is_chosen_whatever_hashes_are():
    program = (
        "from test_selection import *\n"
        "plans, sizes, tables, budget = instance(7)\n"
        "print(chosen(plans, sizes, budget, tables=tables))\n"
    )
    told = set()
    for seed in ("0", "1", "2"):
        found = os.path.dirname(__file__)
        path = os.pathsep.join([found, *(one for one in sys.path if one)])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        told.add(
            subprocess.run(
                [sys.executable, "-c", program], env=environment, capture_output=True, check=True
            ).stdout
        )
    assert len(told) == 1
