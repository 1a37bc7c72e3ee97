import pickle

import numpy as np
import pytest

from foretide.forecasting.demand import Undecided
from foretide.forecasting.series import Series
from foretide.operator.stored_demand import NO_ROLLUPS, StoredDemand
from foretide.operator.stored_metric import StoredMetric
from foretide.store.client import StoreAddress
from foretide.store.rollups import SeriesKey, Written

KEY = SeriesKey("web", "shop", "demand", "0123456789abcdef")
NOON = 1_790_000_100.0 // 300 * 300
AWAY = Undecided("Unreachable", "store: nobody answers")


class Stored:
    """`StoredDemand` that answers what it is told."""

    def __init__(self, history=NO_ROLLUPS, written=None):
        self.answer, self.written, self.asked = history, written, []

    def history(self, key, start, end):
        self.asked.append((key, start, end))
        return self.answer

    def record(self, key, series):
        self.asked.append((key, series))
        return self.written or Written(len(series), len(series))


@pytest.fixture
def recent():
    return Series(NOON, 300.0, np.array([7.0, 8.0]))


def test_what_is_stored_comes_before_what_is_recent(recent):
    stored = Stored(Series(NOON - 600, 300.0, np.array([1.0, 2.0, 3.0])))
    longer = StoredMetric(stored, KEY).extend(recent, NOON - 3_600)
    assert (longer.start, list(longer.values)) == (NOON - 600, [1, 2, 7, 8])
    assert stored.asked == [(KEY, NOON - 3_600, NOON + 600)]


def test_an_empty_store_adds_nothing_and_is_no_trouble(recent):
    assert StoredMetric(Stored(), KEY).extend(recent, 0.0) is recent


def test_a_store_that_is_away_is_told(recent):
    assert StoredMetric(Stored(AWAY), KEY).extend(recent, 0.0) is AWAY


def test_history_is_kept_or_the_reason_told(recent):
    assert StoredMetric(Stored(), KEY).keep(recent) is None
    assert StoredMetric(Stored(written=AWAY), KEY).keep(recent) is AWAY


def test_it_can_be_sent_to_a_worker(tmp_path):
    one = StoredMetric(StoredDemand(StoreAddress("http://store", tmp_path / "token")), KEY)
    assert pickle.loads(pickle.dumps(one)) == one
