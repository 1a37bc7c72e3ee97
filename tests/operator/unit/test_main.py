import re
import subprocess
import sys

import pytest
import yaml

from foretide.operator.api.crds import all_crds
from foretide.operator.main import main


@pytest.fixture
def refusal(capsys):
    """What a refused command line says: one sentence on standard error, and status 2."""

    def run(*arguments):
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code
        shown = capsys.readouterr()
        assert status == 2
        assert shown.out == ""
        assert "Traceback" not in shown.err
        return shown.err

    return run


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "operator" in shown
    assert "crds" in shown


def test_help_of_the_operator_hides_what_is_for_tests_only(capsys):
    with pytest.raises(SystemExit):
        main(["operator", "--help"])
    shown = capsys.readouterr().out
    assert "--config-map" in shown
    assert "--port-file" not in shown


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("foretide ")


MISTAKES = {
    (): "COMMAND must be given; see foretide --help",
    ("opertor",): "COMMAND must be one of 'operator', .*, not 'opertor'; see foretide --help",
    ("operator", "--log-format", "xml"): "--log-format must be one of 'json', 'text', not 'xml'",
    ("profile", "recrod"): "ACTION must be one of .*, not 'recrod'; see foretide profile --help",
    ("profile", "record"): "PID must be given; see foretide profile record --help",
    ("profile", "record", "abc"): "PID must be a whole number, not 'abc'; see .* record --help",
    ("profile", "record", "1", "-o"): "-o/--output wants a value; see foretide profile record",
    ("profile", "top", "1", "--every", "x"): "--every must be a number, not 'x'; see",
    ("profile", "flame", "a"): "-o/--output must be given; see foretide profile flame --help",
    ("store", "show", "--nope"): "--nope is not known here; see foretide store show --help",
    ("adopt", "web", "more"): "more is not known here; see foretide adopt --help",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_in_the_command_line_is_told_in_one_sentence(refusal, arguments):
    said = refusal(*arguments)
    assert len(said.splitlines()) == 1
    assert re.match(f"foretide: {MISTAKES[arguments]}", said)


@pytest.mark.slow
def test_crds_prints_the_definitions_as_yaml(capsys):
    assert main(["crds"]) == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == list(all_crds().values())


def test_crds_prints_one_definition_when_asked_for_it(capsys):
    assert main(["crds", "profilers"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == all_crds()["profilers"]


def test_a_crd_that_does_not_exist_is_told(refusal):
    assert "no CRD 'pods', only predictivescalers and profilers" in refusal("crds", "pods")


@pytest.mark.slow
def test_it_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "foretide.operator.main", "operator", "--listen", "8080x"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == "foretide: --listen wants HOST:PORT, for example 0.0.0.0:8080\n"


@pytest.fixture
def never_runs(monkeypatch):
    """Should a bad command line pass, it must not start an operator on somebody's cluster."""

    async def run(options):
        raise AssertionError(options)

    monkeypatch.setattr("foretide.operator.run.run", run)
    monkeypatch.setattr("foretide.operator.logs.configure", lambda style, *, verbose: None)


@pytest.mark.usefixtures("never_runs")
@pytest.mark.parametrize(
    "listen", ["", "here", "host:", "host:port", "host:-1", "host:80²", "host:65536", "[::1]"]
)
def test_a_bad_address_to_listen_on_is_refused(refusal, listen):
    assert "--listen wants HOST:PORT" in refusal("operator", "--listen", listen)


@pytest.mark.usefixtures("never_runs")
@pytest.mark.parametrize("name", ["foretide", "a/b/c", "a/", "/b", "/"])
def test_a_bad_name_of_a_config_map_is_refused(refusal, name):
    assert "--config-map wants NAMESPACE/NAME" in refusal("operator", "--config-map", name)


@pytest.fixture
def quiet_logs(monkeypatch):
    """Leave the logging of the test run as it is."""
    monkeypatch.setattr("foretide.operator.logs.configure", lambda style, *, verbose: None)


@pytest.mark.usefixtures("quiet_logs")
def test_a_configuration_that_is_missing_is_told_by_its_name(refusal, tmp_path):
    message = refusal("operator", "--config", str(tmp_path / "missing.yaml"))
    assert message.startswith("foretide: cannot read ")
    assert "missing.yaml" in message


@pytest.mark.usefixtures("quiet_logs")
def test_a_broken_configuration_is_explained_without_its_secrets(refusal, tmp_path):
    path = tmp_path / "foretide.yaml"
    path.write_text("sources: {default: {url: 'http://user:hunter2@prometheus'}}")
    message = refusal("operator", "--config", str(path))
    assert message.startswith("foretide: sources.default.url: ")
    assert "hunter2" not in message


@pytest.mark.usefixtures("quiet_logs")
def test_a_kubeconfig_that_is_missing_is_told(refusal, tmp_path):
    message = refusal("operator", "--kubeconfig", str(tmp_path / "nowhere"))
    assert message.startswith("foretide: no cluster to talk to")
