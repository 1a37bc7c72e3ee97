"""Where a resource may be connected to: by its Secret, and by the administrator's rules."""

import pytest

from foretide.operator.api.databaseadvisor import ConnectionSpec
from foretide.operator.database_settings import AllowedDatabase
from foretide.operator.databases.targets import Refused, place_of, resolved, target_of

SECRET = {"host": "db.example.org", "user": "shop", "password": "s3cret-swordfish", "db": "shop"}
PUBLIC = "203.0.113.7"


def connection(key=None, **said):
    return ConnectionSpec(secret_ref={"name": "shop", "key": key}, **said)


def rule(host, **said):
    return AllowedDatabase.model_validate({"host": host, **said})


def place(secret=SECRET, *rules, namespace="shop", spec=None):
    return place_of(secret, spec or connection(), namespace, rules)


def refusal(*arguments, **keywords):
    with pytest.raises(Refused) as refused:
        place(*arguments, **keywords)
    assert "s3cret" not in refused.value.message
    return refused.value.reason, refused.value.message


def test_nothing_is_allowed_unless_the_administrator_says_so():
    reason, message = refusal()
    assert reason == "HostNotAllowed"
    assert "databases.allowed (host: db.example.org, ports: [5432])" in message


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("db.example.org", "db.example.org"),
        ("DB.example.org", "db.EXAMPLE.org."),
        ("*.example.org", "db.example.org"),
        ("*.example.org", "a.b.example.org"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("fd00::/8", "fd00::1"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("*.{namespace}.svc", "db.shop.svc"),
        ("*.{namespace}.svc", "db"),
    ],
)
def test_a_host_of_a_rule_is_allowed(pattern, host):
    assert place({**SECRET, "host": host}, rule(pattern)).port == 5432


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("db.example.org", "other.example.org"),
        ("*.example.org", "example.org"),
        ("*.example.org", "dbexample.org"),
        ("*.example.org", "db.example.org.evil.net"),
        ("10.0.0.0/8", "11.1.2.3"),
        ("10.0.0.0/8", "ten.example.org"),
        ("fd00::/8", "10.1.2.3"),
        ("*.{namespace}.svc", "db.other.svc"),
        ("*.svc", "localhost.localdomain"),
    ],
)
def test_another_host_is_not(pattern, host):
    assert refusal({**SECRET, "host": host}, rule(pattern))[0] == "HostNotAllowed"


def test_another_port_and_another_namespace_are_not_allowed():
    assert refusal({**SECRET, "port": "5433"}, rule("*.example.org"))[0] == "HostNotAllowed"
    own = rule("*.example.org", namespaces=["shop"], ports=[5432, 6432])
    assert place({**SECRET, "port": "6432"}, own).port == 6432
    assert refusal(SECRET, own, namespace="other")[0] == "HostNotAllowed"


def test_a_short_name_is_that_of_a_service_in_the_resources_own_namespace():
    assert place({**SECRET, "host": "db"}, rule("*.shop.svc")).host == "db.shop.svc"


ANY = rule("*.example.org")


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        ({}, "a connection needs a key"),
        ({"url": "postgresql://u:s3cret@@@/x"}, "connection"),
        ({"url": "not a url with s3cret"}, "cannot be read"),
        ({"url": "postgresql://u:s3cret@a.example.org,b.example.org/x"}, "one host"),
        ({"url": "host=a.example.org hostaddr=127.0.0.1 password=s3cret"}, "no hostaddr"),
        ({"url": "service=shop password=s3cret"}, "may not set service"),
        ({"url": "postgresql://a.example.org/x?passfile=/etc/passwd"}, "may not set passfile"),
        ({"url": "postgresql://a.example.org/x?sslrootcert=/etc/passwd"}, "may not set sslroot"),
        ({"url": "postgresql:///x?host=/var/run/postgresql"}, "needs the name or address"),
        ({**SECRET, "host": "@abstract"}, "needs the name or address"),
        ({**SECRET, "host": "a b"}, "neither a name nor an address"),
        ({**SECRET, "port": "many"}, "port must be a number"),
        ({**SECRET, "port": "1,2"}, "one host"),
    ],
)
def test_a_secret_that_asks_for_something_else_is_refused(secret, told):
    reason, message = refusal(secret, ANY)
    assert reason == "SecretInvalid"
    assert told in message


def test_a_key_that_is_not_there_is_told_with_those_that_are():
    reason, message = refusal({"uri": "x", "jdbc-uri": "y"}, ANY, spec=connection("url"))
    assert reason == "SecretKeyMissing"
    assert "its keys: jdbc-uri, uri" in message


def test_a_key_may_hold_all_of_it_and_the_resource_says_what_the_secret_does_not():
    url = {"DATABASE_URL": "postgresql://shop:s3cret@db.example.org/shop"}
    found = place(url, ANY, spec=connection("DATABASE_URL", database="other"))
    assert (found.host, found.who["dbname"], found.who["password"]) == (
        "db.example.org",
        "other",
        "s3cret",
    )
    login = {"username": "shop", "password": "s3cret"}
    found = place(login, ANY, spec=connection(host="db.example.org", database="shop"))
    assert (found.host, found.who["user"]) == ("db.example.org", "shop")


def test_what_a_name_stands_for_is_what_is_connected_to():
    asked = []

    def resolve(host, port):
        asked.append((host, port))
        return [PUBLIC, "203.0.113.8"]

    target = target_of(place(SECRET, ANY), resolve)
    assert asked == [("db.example.org", 5432)]
    assert target.parameters["host"] == "db.example.org,db.example.org"
    assert target.parameters["hostaddr"] == f"{PUBLIC},203.0.113.8"
    assert "s3cret" not in repr(target)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "fe80::1", "::ffff:127.0.0.1"]
)
def test_a_name_that_stands_for_what_is_near_is_refused(address):
    with pytest.raises(Refused, match="stands for") as refused:
        target_of(place(SECRET, ANY), lambda host, port: [PUBLIC, address])
    assert refused.value.reason == "HostNotAllowed"


def test_the_administrator_may_say_what_a_name_may_stand_for():
    own = rule("*.example.org", addresses=["127.0.0.0/8"])
    target = target_of(place(SECRET, own), lambda host, port: ["127.0.0.1"])
    assert target.parameters["hostaddr"] == "127.0.0.1"
    with pytest.raises(Refused):
        target_of(place(SECRET, own), lambda host, port: [PUBLIC])


def test_an_address_that_a_rule_names_is_taken_as_it_is():
    near = place({**SECRET, "host": "127.0.0.1"}, rule("127.0.0.1"))
    target = target_of(near, lambda host, port: pytest.fail("nothing is to be resolved"))
    assert target.parameters["hostaddr"] == "127.0.0.1"


def test_with_a_ca_the_server_must_prove_its_name():
    own = rule("*.example.org", caFile="/etc/ssl/db-ca.pem")
    target = target_of(place({**SECRET, "sslmode": "disable"}, own), lambda host, port: [PUBLIC])
    assert target.parameters["sslmode"] == "verify-full"
    assert target.parameters["sslrootcert"] == "/etc/ssl/db-ca.pem"


def test_nothing_else_of_a_connection_string_is_taken():
    url = {"url": "postgresql://shop@db.example.org/shop?connect_timeout=0&keepalives=0"}
    target = target_of(place(url, ANY), lambda host, port: [PUBLIC])
    assert not {"connect_timeout", "keepalives"} & target.parameters.keys()


def test_a_name_that_nobody_knows_is_told():
    with pytest.raises(Refused, match="cannot be resolved") as refused:
        resolved("nowhere.invalid", 5432)
    assert refused.value.reason == "HostUnknown"
