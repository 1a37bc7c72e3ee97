"""`foretide backtest` on a real Prometheus, as a process of its own."""

import json
import subprocess
import sys

import pytest
import yaml

from foretide.operator.api.predictivescaler import PredictiveScalerSpec

CODE = """
import argparse, sys
from foretide.operator.commands.backtest import add_parser
parser = argparse.ArgumentParser(prog="foretide")
add_parser(parser.add_subparsers())
options = parser.parse_args()
sys.exit(options.run(options))
"""
QUERY = 'sum(demand_rps{app="rising"})'


@pytest.fixture
def backtest(tmp_path):
    """Runs `foretide backtest …`; returns the finished process."""

    def run(*arguments):
        command = [sys.executable, "-P", "-c", CODE, "backtest", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)

    return run


def test_history_is_played_before_anything_is_installed(sandbox, backtest, tmp_path):
    figures = tmp_path / "figures.json"
    done = backtest(
        *("--prometheus", sandbox.prometheus_url, "--query", QUERY, "--days", 4),
        *("--per-replica", 5, "--delay", "3m", "--quick", "--jobs", 2, "--json", figures),
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    read = json.loads(figures.read_text())
    assert 3.9 < read["demand"]["days"] <= 4.1
    under = {
        one["policy"]: one["under_pct"]
        for one in read["results"]
        if one["target_utilization"] == 0.7
    }
    assert under.keys() == {"HPA", "KEDA", "SeasonalOffset", "Foretide", "Oracle"}
    manifest = yaml.safe_load(done.stdout.partition("Settings to begin with:\n")[2])
    spec = PredictiveScalerSpec.model_validate(manifest["spec"])
    assert spec.metrics[0].query == QUERY
    # Demand goes up to 180: 36 replicas without headroom.
    assert spec.max_replicas > 36


def test_the_operators_configuration_names_the_source(sandbox, backtest, tmp_path):
    config = tmp_path / "foretide.yaml"
    source = {"url": sandbox.prometheus_url, "timeout": "5s"}
    config.write_text(yaml.safe_dump({"sources": {"main": source}}))
    done = backtest("--config", config, "--source", "main", "--query", QUERY, "--days", 3)
    assert done.returncode == 2
    assert "--per-replica is missing" in done.stderr
    assert "Demand reaches 180" in done.stderr


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('demand_rps{app="nobody"}', "the query has no history"),
        ("demand_rps", "use sum(…)"),
        ("sum(", "history query failed: invalid parameter"),
    ],
)
def test_a_query_that_cannot_be_played_is_told(sandbox, backtest, query, message):
    done = backtest(
        "--prometheus", sandbox.prometheus_url, "--query", query, "--days", 3, "--per-replica", 5
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "b'{" not in done.stderr


def test_a_prometheus_that_is_not_there_is_told(backtest):
    done = backtest("--prometheus", "http://127.0.0.1:9", "--query", "up", "--per-replica", 5)
    assert done.returncode == 2
    assert "http://127.0.0.1:9" in done.stderr
    assert "does this address answer" in done.stderr


def test_a_missing_token_is_told_and_not_taken_for_a_dead_address(backtest, tmp_path):
    config = tmp_path / "foretide.yaml"
    source = {"url": "http://127.0.0.1:9", "bearerTokenFile": "gone/token"}
    config.write_text(yaml.safe_dump({"sources": {"default": source}}))
    done = backtest("--config", config, "--query", "up", "--per-replica", 5)
    assert done.returncode == 2
    assert "cannot read gone/token: No such file or directory" in done.stderr
    assert "does this address answer" not in done.stderr


def test_a_url_with_a_token_in_it_is_refused_and_not_repeated(backtest):
    url = "http://127.0.0.1:9/?token=s3cret"
    done = backtest("--prometheus", url, "--query", "up", "--per-replica", 5)
    assert done.returncode == 2
    assert "url must end before ? and #" in done.stderr
    assert "s3cret" not in done.stderr + done.stdout
