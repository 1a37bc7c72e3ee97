"""`foretide backtest`, as people run it."""

import argparse
import builtins
import errno
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from foretide.forecasting.backtest import pool
from foretide.forecasting.backtest.contest import Contestant, Outcome
from foretide.forecasting.simulation.scoring import Score
from foretide.operator.api.predictivescaler import PredictiveScalerSpec
from foretide.operator.commands import backtest


@pytest.fixture
def command():
    """Runs `foretide backtest …` in this process; returns the status."""

    def run(*arguments):
        parser = argparse.ArgumentParser(prog="foretide")
        backtest.add_parser(parser.add_subparsers())
        options = parser.parse_args(["backtest", *map(str, arguments)])
        return options.run(options)

    return run


@pytest.fixture
def refusal(command, capsys):
    """Runs a command that must be refused; returns what it says."""

    def run(*arguments):
        assert command(*arguments) == 2
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return run


@pytest.mark.slow
def test_a_csv_is_played_and_settings_are_advised(command, wave_csv, tmp_path, capsys):
    figures, picture = tmp_path / "out" / "figures.json", tmp_path / "out" / "curves.png"
    status = command(
        *("--csv", wave_csv(2.6), "--per-replica", "10", "--quick", "--delay", "3m", "--jobs", 1),
        *("--target-utilization", "0.8", "--json", figures, "--picture", picture),
        *("--time-zone", "Europe/Berlin"),
    )
    said = capsys.readouterr()
    assert (status, "Note" in said.err) == (0, False)
    for name in ("HPA", "KEDA", "seasonal offset", "Foretide", "oracle"):
        assert f"\n{name}" in said.out
    assert "Foretide at a target of" in said.out
    manifest = yaml.safe_load(said.out.partition("Settings to begin with:\n")[2])
    spec = PredictiveScalerSpec.model_validate(manifest["spec"])
    assert spec.min_replicas == 2
    assert spec.forecast.lead_time == 180.0
    assert spec.forecast.time_zone == "Europe/Berlin"
    read = json.loads(figures.read_text())
    assert {one["policy"] for one in read["results"]} >= {"HPA", "Foretide", "Oracle"}
    assert {one["target_utilization"] for one in read["results"]} >= {1.0, 0.8, 0.7}
    assert spec.metrics[0].target_utilization == read["advice"][0]["target_utilization"]
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def played(monkeypatch):
    """Nothing is played: HPA and Foretide have come to this."""

    def work(units, *, jobs, progress):
        contest = units[0].contest
        costs = {
            (Contestant.HPA, 0.7): (10_000, 1.0),
            (Contestant.FORETIDE, 0.85): (8_000, 0.5),
            (Contestant.FORETIDE, 0.7): (9_000, 0.2),
        }
        return [
            Outcome(
                *(contest.trace.name, delay, policy, target),
                *(Score(under, under / 10, 0, 0, 0, 0, pod_minutes, 12.0), round(delay)),
            )
            for delay in contest.delays
            for (policy, target), (pod_minutes, under) in costs.items()
        ]

    monkeypatch.setattr(pool, "work", work)


@pytest.mark.usefixtures("played")
def test_the_settings_are_those_of_the_longest_delay(command, wave_csv, capsys):
    arguments = ("--csv", wave_csv(2.6), "--per-replica", 10, "--name", "web")
    assert command(*arguments, "--delay", "5m", "--delay", "90s") == 0
    said = capsys.readouterr().out
    assert said.index("Pods that take 5m:") < said.index("Pods that take 1m30s:")
    assert "With pods that take 1m30s, Foretide at a target of 85 %" in said
    intro, _, rest = said.partition("Settings to begin with, for the longest delay (5m):\n")
    assert "unserved: how much" in intro
    manifest = yaml.safe_load(rest)  # what to do next is a comment in it
    assert manifest["metadata"]["name"] == "web"
    assert manifest["spec"]["forecast"]["leadTime"] == "5m"
    assert manifest["spec"]["metrics"][0]["targetUtilization"] == 0.85
    steps = rest.partition("# What to do next")[2]
    for word in ("Save this as web.yaml", "put your query in", "apply -f web.yaml", "shadow"):
        assert word in steps


@pytest.mark.usefixtures("played")
def test_the_settings_may_have_a_file_of_their_own(command, wave_csv, capsys, tmp_path):
    file = tmp_path / "new" / "shop.yaml"
    assert command("--csv", wave_csv(2.6), "--per-replica", 10, "--manifest", file) == 0
    said = capsys.readouterr().out
    assert f"Settings to begin with are in {file}." in said
    assert f"kubectl apply -f {file}" in said
    assert "apiVersion" not in said
    assert yaml.safe_load(file.read_text())["kind"] == "PredictiveScaler"


@pytest.mark.usefixtures("played")
def test_a_file_that_fails_at_last_keeps_no_other_back(
    command, wave_csv, capsys, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    figures = tmp_path / "figures.json"
    monkeypatch.setattr("foretide.forecasting.backtest.picture.draw", full)
    arguments = ("--csv", wave_csv(2.6), "--per-replica", 10, "--json", figures)
    assert command(*arguments, "--picture", tmp_path / "x.png") == 2
    assert json.loads(figures.read_text())["advice"]
    assert "cannot write" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("option", "file", "message"),
    [
        ("--picture", "a.xyz", "--picture must end in one of .png, .svg, .pdf"),
        ("--picture", "/proc/a.png", "cannot write /proc/a.png"),
        ("--json", "/proc/a.json", "cannot write /proc/a.json"),
        ("--json", "/", "cannot write /"),
        ("--manifest", "/proc/a.yaml", "cannot write /proc/a.yaml"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_work(refusal, option, file, message):
    assert message in refusal("--csv", "nowhere.csv", option, file)


def test_without_the_load_of_a_replica_one_is_suggested(refusal, wave_csv):
    said = refusal("--csv", wave_csv(2.6))
    assert "--per-replica is missing" in said
    assert "would make that 50 replicas" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give one of --csv FILE, --prometheus URL and --config FILE"),
        (("--csv", "a", "--prometheus", "http://b"), "give one of"),
        (("--csv", "nowhere.csv"), "cannot read nowhere.csv: No such file"),
        (("--csv", "a", "--query", "up"), "--query belongs to --prometheus"),
        (("--prometheus", "http://localhost:1"), "--query is missing"),
        (("--prometheus", "localhost:1", "--query", "up"), "url must start with http"),
        (("--prometheus", "http://u:p4ssw0rd@h", "--query", "up"), "must hold no credentials"),
        (("--config", "nowhere.yaml", "--query", "up"), "cannot read nowhere.yaml"),
        (("--csv", "a", "--per-replica", "many"), "--per-replica: 'many' is not a quantity"),
        (("--csv", "a", "--per-replica", "0"), "--per-replica must be more than 0"),
        (("--csv", "a", "--delay", "soon"), "--delay: 'soon' is not a duration"),
        (("--csv", "a", "--delay", "2h"), "--delay must be an hour at the most"),
        (("--csv", "a", "--target-utilization", "70"), "wants shares of 1"),
        (("--csv", "a", "--target-utilization", "x"), "wants shares of 1"),
        (("--csv", "a", "--time-zone", "Moon/Base"), "'Moon/Base' is not an IANA time zone"),
        (("--csv", "a", "--min-replicas", "9", "--max-replicas", "8"), "--min-replicas must be"),
        (("--csv", "a", "--min-replicas", "0"), "--min-replicas must be"),
        (("--csv", "a", "--days", "0"), "must be more than 0"),
        (("--csv", "a", "--name", "My Shop"), "--name: 'My Shop' is not the name"),
    ],
)
def test_bad_options_are_refused_with_what_to_do(refusal, arguments, message):
    said = refusal(*arguments)
    assert message in said
    assert "p4ssw0rd" not in said


def test_too_little_demand_is_refused(refusal, wave_csv, write_csv):
    assert "2.1 days of demand are too few" in refusal("--csv", wave_csv(2.1), "--per-replica", 10)
    path = write_csv("time,value", "0,0", "60,0")
    assert "there is no demand in it" in refusal("--csv", path, "--per-replica", 1)
    path = write_csv("time,value", "0,5")
    assert "needs two samples" in refusal("--csv", path, "--per-replica", 1)


@pytest.fixture
def told(command, capsys, monkeypatch):
    """Runs a command up to where the play would begin; returns what it says of the demand."""
    monkeypatch.setattr(backtest, "_play", lambda *_: 0)

    def run(*arguments):
        assert command(*arguments) == 0
        return capsys.readouterr().err

    return run


def three_days(step, write=str):
    """Lines of a CSV file, with a time each `step` seconds."""
    return (f"{write(time)},{300 + time // 600 % 144}" for time in range(0, 3 * 86_400, step))


def test_samples_that_are_too_far_apart_for_the_delay_are_noted(told, write_csv):
    path = write_csv("time,value", *three_days(300, lambda time: 1_700_006_400 + time))
    assert told("--csv", path, "--per-replica", 10, "--delay", "5m") == ""
    said = told("--csv", path, "--per-replica", 10, "--delay", "10m,90s", "--delay", "5m")
    assert (
        "Note: there is a sample each 5 min: what happens in between, while pods take 1.5" in said
    )


def test_a_csv_without_a_zone_is_read_in_that_of_the_option(told, write_csv):
    def write(time):
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M")

    path = write_csv("time,value", *three_days(60, write))
    arguments = ("--csv", path, "--per-replica", 10)
    assert "taken as UTC: choose with --time-zone" in told(*arguments)
    assert "taken as Asia/Tokyo" in told(*arguments, "--time-zone", "Asia/Tokyo")


def test_a_workload_that_never_scales_is_noted(wave_csv, command, capsys, monkeypatch):
    monkeypatch.setattr(backtest, "_play", lambda *_: 0)
    assert command("--csv", wave_csv(2.6), "--per-replica", "1k") == 0
    assert "2 replicas nearly always carry this demand" in capsys.readouterr().err


def test_what_is_not_installed_is_named(command, wave_csv, capsys, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name == "matplotlib":
            raise ModuleNotFoundError("no", name="matplotlib")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    arguments = ("--csv", wave_csv(2.6), "--per-replica", 10, "--picture", "x.png")
    assert command(*arguments) == 2
    assert "matplotlib is not installed: pip install matplotlib" in capsys.readouterr().err


class Prometheus(BaseHTTPRequestHandler):
    """Answers every range query alike."""

    body: bytes

    def do_GET(self):
        """The client's only method."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def answering():
    """Starts a server that answers a range query with these results; returns its URL."""
    servers = []

    def start(*result):
        data = {"status": "success", "data": {"resultType": "matrix", "result": list(result)}}
        handler = type("Handler", (Prometheus,), {"body": json.dumps(data).encode()})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()


def test_what_prometheus_cannot_give_is_told(refusal, answering):
    def asked(*result):
        return refusal("--prometheus", answering(*result), "--query", "up", "--per-replica", 1)

    assert "the query has no history" in asked()
    nan = {"metric": {}, "values": [[1_700_000_000, "NaN"], [1_700_000_060, "NaN"]]}
    assert "holds no demand" in asked(nan)
    series = [
        {"metric": {"pod": pod}, "values": [[1_700_000_000, "1"], [1_700_000_060, "2"]]}
        for pod in "ab"
    ]
    assert "use sum(…)" in asked(*series)


def test_a_source_is_taken_from_the_operators_configuration(refusal, answering, write_csv):
    url = answering()
    config = write_csv("sources:", "  main:", f"    url: {url}", name="foretide.yaml")
    arguments = ("--config", config, "--query", "up", "--per-replica", 1)
    assert "has no source 'default'; it has main" in refusal(*arguments)
    assert f"{url}: the query has no history" in refusal(*arguments, "--source", "main")
