"""Specs are checked when they are made, and reach the supervisor unchanged."""

from pathlib import Path

import pytest

from sandbox import DemandSeries, SandboxError, SandboxSpec
from sandbox.layout import named_directory
from sandbox.spec import load_spec, save_spec


def demand(**changes):
    return DemandSeries(**{"times": [0.0, 1.0], "values": [1.0, 2.0], **changes})


def test_a_spec_survives_the_way_to_the_supervisor(tmp_path):
    spec = SandboxSpec(
        directory=tmp_path,
        pod_ready_seconds=7.5,
        series=[demand(labels={"a": "b"}, mode=3.5), demand(name="other", start_at=0.5)],
        external_metrics={"m": "sum(x)"},
        feature_gates={"WatchList": False},
        extra_args={"kwok": ["--v=DEBUG"]},
    )
    save_spec(spec, tmp_path)
    loaded = load_spec(tmp_path)
    assert loaded.pod_ready_seconds == 7.5
    assert [s.key for s in loaded.series] == ['demand_rps{a="b"}', "other"]
    assert [list(s.values) for s in loaded.series] == [[1.0, 2.0], [1.0, 2.0]]
    assert loaded.series[0].mode == 3.5
    assert loaded.series[1].origin == 0.5
    assert loaded.external_metrics == {"m": "sum(x)"}
    assert loaded.feature_gates == {"WatchList": False}
    assert loaded.extra_args == {"kwok": ["--v=DEBUG"]}
    assert loaded.directory == tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": [0.0]}, "1 times but 2 values"),
        ({"times": [0.0], "values": [1.0]}, "at least 2 samples"),
        ({"times": [1.0, 1.0]}, "must ascend strictly"),
        ({"name": "9lives"}, "is not a metric name"),
        ({"labels": {"instance": "x"}}, "'instance' cannot be a label"),
        ({"labels": {"__name__": "x"}}, "cannot be a label"),
        ({"mode": "loud"}, "'loud' is not a mode"),
        ({"mode": True}, "is not a mode"),
    ],
)
def test_a_series_that_cannot_be_played_is_refused(changes, message):
    with pytest.raises(SandboxError, match=message):
        demand(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": 0}, "speed must be more than 0"),
        ({"pod_ready_seconds": -1}, "pod_ready_seconds must not be negative"),
        ({"scrape_seconds": float("nan")}, "scrape_seconds must be more than 0"),
        ({"series": [demand(), demand()]}, "same name and labels"),
        ({"series": [demand()], "prometheus": False}, "need prometheus=True"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(SandboxError, match=message):
        SandboxSpec(**changes)


def test_names_follow_the_users_state_folder(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/var/x")
    assert named_directory("a-1") == Path("/var/x/foretide/sandbox/a-1")


@pytest.mark.parametrize("name", ["", ".", "../up", "a/b", "a b"])
def test_a_name_cannot_leave_the_state_folder(name):
    with pytest.raises(SandboxError, match="is not a name"):
        named_directory(name)
