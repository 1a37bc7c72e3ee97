"""How far back a query looks."""

import pytest

from foretide.forecasting.promql import longest_range


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("demand", 0),
        ("sum(rate(requests_total[2m]))", 120),
        ("sum(rate(a[90s])) + sum(rate(b[1h30m]))", 3_600),
        ("max_over_time(rate(a[1m])[10m:30s])", 600),
        ("rate(a[ 500ms ])", 0.5),
        ('sum(a{path="[5m"})', 0),
        ("avg_over_time(a[7d])", 3_600),
    ],
)
def test_the_longest_range_counts_up_to_an_hour(query, seconds):
    assert longest_range(query) == seconds
