"""A shop's orders in a real PostgreSQL: what tests of DatabaseAdvisors look at."""

from typing import Any

import psycopg

from sandbox.postgres import Postgres

SETTINGS = {
    "autovacuum": "off",
    "shared_preload_libraries": "pg_stat_statements",
    "shared_buffers": "32MB",
}
# Of the Secret. The server lets anybody in, whatever the password.
PASSWORD = "hunter2-swordfish"


class Orders:
    """The database `name` of a server that listens; its table of orders has no index on customers,
    so that each look-up reads all of it.
    """

    def __init__(self, server: Postgres, name: str) -> None:
        self.server, self.name = server, name

    @property
    def secret(self) -> dict[str, str]:
        """How to connect, as a Secret has it."""
        return {
            "host": "127.0.0.1",
            "port": str(self.server.port),
            "dbname": self.name,
            "username": "foretide",
            "password": PASSWORD,
        }

    @property
    def rule(self) -> dict[str, Any]:
        """What lets the operator in, in its configuration."""
        return {"host": "127.0.0.1", "ports": [self.server.port]}

    def run(self, *statements: str, database: str | None = None) -> list[Any]:
        """Run them; what each has answered, None where it answers nothing."""
        url = self.server.url(database or self.name)
        with psycopg.connect(url, autocommit=True) as connection:
            cursors = [connection.execute(statement.encode()) for statement in statements]
            return [cursor.fetchall() if cursor.description else None for cursor in cursors]

    def fill(self, rows: int = 20_000) -> None:
        """So many orders of 2,000 customers; what was executed until then is forgotten."""
        self.run(
            "CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, total int NOT NULL)",
            "INSERT INTO orders SELECT n, n % 2000, n % 97 "
            f"FROM generate_series(1, {rows}) AS made (n)",
            "ANALYZE orders",
            "SELECT pg_stat_statements_reset()",
        )

    def look_up(self, times: int = 40) -> None:
        """The orders of a customer, again and again."""
        with psycopg.connect(self.server.url(self.name), autocommit=True) as connection:
            for customer in range(times):
                connection.execute("SELECT total FROM orders WHERE customer = %s", [customer])
