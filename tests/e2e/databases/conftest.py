"""A real PostgreSQL with a shop's orders, beside the sandbox."""

import json

import pytest

from sandbox.errors import SandboxError
from sandbox.orders import PASSWORD, SETTINGS, Orders
from sandbox.postgres import running
from sandbox.postgres_binaries import debian


class Shop(Orders):
    """The database, and the resource that watches it."""

    def __init__(self, server, namespace, wait_for):
        super().__init__(server, "shop")
        self.namespace, self.wait_for = namespace, wait_for
        self.password = PASSWORD

    def open(self):
        """Orders, and a page that looks for those of its customers."""
        self.fill(50_000)
        self.look_up(50)

    def sessions(self):
        """How many of Foretide's sessions there are."""
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'foretide'"
        return self.run(asked, database="postgres")[0][0][0]

    def keep_secret(self):
        self.namespace.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "shop-database"},
                "stringData": self.secret,
            }
        )

    def advisor(self, **spec):
        self.namespace.apply(
            {
                "apiVersion": "foretide.dev/v1alpha1",
                "kind": "DatabaseAdvisor",
                "metadata": {"name": "shop"},
                "spec": {
                    "connection": {"secretRef": {"name": "shop-database"}},
                    "interval": "5s",
                    **spec,
                },
            }
        )

    def status(self):
        return self.namespace.get("dbadv", "shop").get("status", {})

    def await_ready(self, status, *reasons):
        """Wait until Ready has this status, with one of the reasons."""

        def ready():
            found = [it for it in self.status().get("conditions", []) if it["type"] == "Ready"]
            return bool(found) and found[0]["status"] == status and found[0]["reason"] in reasons

        self.wait_for(ready, within=90, what=lambda: json.dumps(self.status(), indent=1))


@pytest.fixture(scope="session")
def server():
    try:
        programs = debian()
    except SandboxError as missing:
        pytest.skip(str(missing))
    with running(programs, SETTINGS, listening=True) as it:
        yield it


@pytest.fixture
def shop(server, namespace, wait_for):
    it = Shop(server, namespace, wait_for)
    it.run("CREATE DATABASE shop", database="postgres")
    it.run("CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION hypopg")
    try:
        yield it
    finally:
        it.run("DROP DATABASE shop WITH (FORCE)", database="postgres")
