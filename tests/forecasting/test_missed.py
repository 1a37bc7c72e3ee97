"""The upper quantile comes from what a fit missed at that time of day."""

import numpy as np
import pandas as pd

from foretide.forecasting import prophet_model
from foretide.forecasting.prophet_model import Missed, forecast

DAY = 86_400.0


def test_errors_count_at_their_time_of_day():
    times = np.tile(np.arange(0, DAY, 600), 10)
    errors = np.where(times >= DAY / 2, 100.0, 1.0)
    evening, morning = 0.75 * DAY, 0.25 * DAY
    quantiles = Missed(errors, times).quantile(0.9, np.array([evening, morning]), 600)
    assert list(quantiles) == [100.0, 1.0]


def test_errors_before_midnight_count_after_it():
    times = np.tile(np.array([DAY - 600, DAY / 2]), 20)
    errors = np.where(times > DAY / 2, 100.0, 1.0)
    assert Missed(errors, times).quantile(0.5, np.array([300.0]), 600)[0] == 100.0


def test_where_errors_are_few_all_of_them_count():
    times = np.concatenate([np.full(11, 0.0), np.full(100, DAY / 2)])
    errors = np.concatenate([np.full(11, 100.0), np.full(100, 1.0)])
    assert Missed(errors, times).quantile(0.5, np.array([0.0]), 600)[0] == 1.0


def test_a_forecast_that_is_not_a_number_is_no_forecast(make_request, monkeypatch):
    class Broken:
        def fit(self, frame):
            pass

        def predict(self, frame):
            return pd.DataFrame({"yhat": np.full(len(frame), np.nan)})

    monkeypatch.setattr(prophet_model, "_model", lambda span: Broken())
    times = pd.to_datetime(np.arange(288) * 600.0, unit="s", utc=True)
    answer = forecast(pd.Series(1.0, index=times), make_request(now=288 * 600.0))
    assert answer.reason == "NotFinite"
