import contextlib
import logging

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from foretide.operator.settings import (
    ConfigurationError,
    OperatorSettings,
    SettingsHolder,
    parse,
    read_file,
)

SECRET = "hunter2-swordfish"


@pytest.fixture
def refusal():
    def why(settings):
        with pytest.raises(ConfigurationError) as raised:
            parse(settings if isinstance(settings, str) else yaml.safe_dump(settings))
        return str(raised.value)

    return why


def source(**changes):
    return {"sources": {"default": {"url": "http://prometheus:9090", **changes}}}


@pytest.mark.parametrize("text", ["", "{}", "# nothing but a comment\n", "---\n"])
def test_an_empty_document_means_all_defaults(text):
    assert parse(text) == OperatorSettings()


def test_everything_can_be_set():
    settings = parse("""
        sources:
          default:
            url: https://prometheus.monitoring.svc:9090/prefix
            bearerTokenFile: secrets/token
            caFile: secrets/ca.crt
            headers: {X-Scope-OrgID: shop}
            params: {dedup: "true"}
            timeout: 5s
          team-b.eu:
            url: http://mimir
            basicAuth: {username: foretide, passwordFile: secrets/password}
        killSwitch: true
        syncPeriod: 30s
        maxChangesPerHour: 10
        fitting: {workers: 3, cores: 1.5, timeout: 10m, idleTimeout: 2m}
        store: {url: http://store:8081, tokenFile: secrets/store, timeout: 5s}
    """)
    assert settings.kill_switch
    assert (settings.sync_period, settings.max_changes_per_hour) == (30, 10)
    assert (settings.fitting.workers, settings.fitting.timeout) == (3, 600)
    assert settings.fitting.cores == 1.5
    assert settings.store.address.url == "http://store:8081"
    bearer = settings.sources["default"].to_source()
    assert (bearer.timeout, bearer.headers, bearer.params) == (
        5,
        {"X-Scope-OrgID": "shop"},
        {"dedup": "true"},
    )
    assert bearer.username is None
    basic = settings.sources["team-b.eu"].to_source()
    assert (basic.username, str(basic.password_file)) == ("foretide", "secrets/password")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("- one", "document"),
        ("just words", "document"),
        ("[]", "document"),
        ("false", "document"),
        ("syncPeriod: 2026-99-99", "not valid YAML"),
        ({"killswitch": True}, "killswitch"),
        ({"sources": {"default": {}}}, "sources.default.url"),
        ({"sources": {"default": {"url": "prometheus:9090"}}}, "http://"),
        ({"sources": {"default": {"url": "ftp://prometheus"}}}, "http://"),
        ({"sources": {"default": {"url": "http://"}}}, "name a host"),
        ({"sources": {"default": {"url": "http://[::1"}}}, "sources.default.url"),
        ({"sources": {"Team B": {"url": "http://a"}}}, "is not a DNS label"),
        ({"sources": {"-a": {"url": "http://a"}}}, "is not a DNS label"),
        ({"sources": {"": {"url": "http://a"}}}, "is not a DNS label"),
        ({"sources": {"a" * 64: {"url": "http://a"}}}, "is not a DNS label"),
        ({"syncPeriod": "0s"}, "syncPeriod"),
        ({"syncPeriod": "11m"}, "syncPeriod"),
        ({"syncPeriod": float("nan")}, "syncPeriod"),
        ({"syncPeriod": "9" * 400 + "s"}, "syncPeriod"),
        ({"maxChangesPerHour": 0}, "maxChangesPerHour"),
        ({"fitting": {"workers": 0}}, "fitting.workers"),
        ({"fitting": {"timeout": "long"}}, "fitting.timeout"),
        (source(url="http://prometheus:none"), "port that is not a number"),
        (source(timeout="0s"), "between 1s and 1m"),
        (source(timeout="61s"), "between 1s and 1m"),
        (source(headers=["a"]), "sources.default.headers"),
        (source(headers={"X Org": "shop"}), "printable ASCII"),
        (source(headers={"X-Org": "shop\r\nHost: elsewhere"}), "printable ASCII"),
        (source(basicAuth={"username": "a"}), "sources.default.basicAuth.passwordFile"),
        (
            source(bearerTokenFile="t", basicAuth={"username": "a", "passwordFile": "p"}),
            "bearerTokenFile or basicAuth, not both",
        ),
    ],
)
def test_a_mistake_is_told_by_its_place(refusal, settings, words):
    assert words in refusal(settings)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@prometheus",
        f"https://{SECRET}@prometheus",
        f"http://:{SECRET}@prometheus",
        f"http://user:{SECRET}@",
        f"http://user:{SECRET}@pro\u2100metheus",
        f"http://user:{SECRET}@[prometheus",
        f"ftp://user:{SECRET}@prometheus",
        f"http://prometheus/?token={SECRET}",
        f"http://prometheus?{SECRET}",
        f"http://prometheus/prefix#{SECRET}",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(refusal, url):
    message = refusal({"sources": {"default": {"url": url}}})
    assert "sources.default" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "settings",
    [
        source(password=SECRET),
        source(basicAuth=SECRET),
        source(basicAuth={"username": "a", "password": SECRET}),
        source(headers=SECRET),
        source(headers={"Authorization": [SECRET]}),
        source(timeout={"secret": SECRET}),
        {"killSwitch": SECRET},
        {"maxChangesPerHour": SECRET},
        {"sources": SECRET},
    ],
)
def test_an_explanation_never_holds_what_was_given(refusal, settings):
    assert SECRET not in refusal(settings)


@pytest.mark.parametrize("broken", ["headers: {{Authorization: {}", "a: 'Bearer {}", "a: {}: b: c"])
def test_broken_yaml_is_told_by_its_line_without_what_stands_there(refusal, broken):
    message = refusal(broken.format(SECRET))
    assert "line 1" in message or "line 2" in message
    assert SECRET not in message


@given(st.text())
@example("2026-99-99")
@example("0b_")
@example("? [a]\n: b")
@example("{[]: 1}")
@example("&a [*a]")
@example("&a {sources: *a}")
@example("1: 2")
@example("!!python/object:os.system {}")
@example("!!float .inf.")
@example("!!int a")
@example("[" * 1_000)
@example("\ud800")
@example("syncPeriod: 1e400")
def test_no_text_does_more_than_be_refused(text):
    with contextlib.suppress(ConfigurationError):
        assert isinstance(parse(text), OperatorSettings)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["sources", "default", "url", "timeout", "fitting", "syncPeriod"])
                | st.integers(),
                inner,
                max_size=3,
            )
        ),
    )
)
def test_no_structure_does_more_than_be_refused(structure):
    with contextlib.suppress(ConfigurationError):
        assert isinstance(parse(yaml.safe_dump(structure)), OperatorSettings)


@pytest.fixture
def holder():
    return SettingsHolder(OperatorSettings())


def test_a_new_document_takes_effect_once(holder):
    assert holder.offer("syncPeriod: 30s", origin="the test")
    assert holder.current.sync_period == 30
    assert not holder.offer("syncPeriod: 30s", origin="the test")


def test_a_broken_document_is_logged_once_and_changes_nothing(holder, caplog):
    holder.offer("syncPeriod: 30s", origin="the test")
    for _ in range(2):
        assert not holder.offer("syncPeriod: soon", origin="ConfigMap web/foretide")
    assert holder.current.sync_period == 30
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "ConfigMap web/foretide" in errors[0].getMessage()
    assert "syncPeriod" in errors[0].getMessage()


def test_a_document_that_comes_back_after_a_broken_one_takes_effect(holder):
    holder.offer("killSwitch: true", origin="the test")
    holder.offer("{", origin="the test")
    assert holder.offer("killSwitch: false", origin="the test")
    assert not holder.current.kill_switch


def test_the_kill_switch_is_logged_whenever_it_moves(holder, caplog):
    for text in ("killSwitch: true", "killSwitch: true # still", "{}", "syncPeriod: 20s"):
        holder.offer(text, origin="the test")
    assert [record.getMessage() for record in caplog.records] == [
        "The kill switch is on.",
        "The kill switch is off.",
    ]


def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot read .*missing\.yaml"):
        read_file(tmp_path / "missing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"cannot read .*binary\.yaml"):
        read_file(tmp_path / "binary.yaml")


@pytest.fixture
def followed(tmp_path):
    path = tmp_path / "foretide.yaml"
    path.write_text("syncPeriod: 5s", encoding="utf-8")
    return path, SettingsHolder(OperatorSettings(), path)


def test_a_file_is_followed(followed):
    path, holder = followed
    assert holder.poll()
    assert holder.current.sync_period == 5
    assert not holder.poll()
    path.write_text("syncPeriod: 20s", encoding="utf-8")
    assert holder.poll()
    assert holder.current.sync_period == 20


def test_a_file_that_is_replaced_by_another_of_the_same_length_is_followed(followed, tmp_path):
    """As a mounted ConfigMap is: by renaming."""
    path, holder = followed
    holder.poll()
    fresh = tmp_path / "fresh.yaml"
    fresh.write_text("syncPeriod: 6s", encoding="utf-8")
    fresh.rename(path)
    assert holder.poll()
    assert holder.current.sync_period == 6


@pytest.mark.parametrize("broken", [b"killswitch: true", b"\xff\xfe", None])
def test_a_file_that_breaks_or_goes_leaves_the_old_configuration_in_force(followed, broken):
    path, holder = followed
    holder.poll()
    if broken is None:
        path.unlink()
    else:
        path.write_bytes(broken)
    assert not holder.poll()
    assert holder.current.sync_period == 5


def test_without_a_file_there_is_nothing_to_follow(holder):
    assert not holder.poll()


def test_without_a_word_of_it_there_is_no_store_and_fits_use_half_a_core():
    assert OperatorSettings().store is None
    assert OperatorSettings().fitting.cores == 0.5


@pytest.mark.parametrize("cores", [0, -1, 0.01, 1_000])
def test_fits_need_some_share_of_a_core(refusal, cores):
    assert "fitting.cores" in refusal({"fitting": {"cores": cores}})


def test_a_store_is_named_with_its_token(refusal):
    assert "store.tokenFile" in refusal({"store": {"url": "http://store:8081"}})
    said = refusal({"store": {"url": f"http://me:{SECRET}@store", "tokenFile": "token"}})
    assert "use tokenFile" in said
    assert SECRET not in said
