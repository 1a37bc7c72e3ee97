"""The DDL that lets tables tell of their changes."""

import re
from collections.abc import Iterable, Sequence

SCHEMA = "foretide_cache"
FUNCTION = "tell"
TRIGGER = "foretide_cache_tell"
CHANNEL = "foretide_cache"

# Once in each database. PostgreSQL folds equal notifications of one transaction into one, so a
# transaction costs one for each table that it changes, however many statements it has.
_PREPARE = f"""\
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE OR REPLACE FUNCTION {SCHEMA}.{FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('{CHANNEL}', pg_catalog.concat(
        pg_catalog.pg_current_xact_id(), ' ', TG_TABLE_SCHEMA, '.', TG_TABLE_NAME));
    RETURN NULL;
END $$;
GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC;
"""

_TABLE = """\
DROP TRIGGER IF EXISTS {trigger} ON {table};
CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{function}();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger};
"""


def install(tables: Iterable[str]) -> str:
    """SQL that makes changes of these tables known; it may run again.

    A table is written as in SQL: `orders`, `shop.orders`, `shop."Order lines"`. Each partition
    needs a trigger of its own, besides its parent.

    Raises:
        ValueError: that is no name of a table.
    """
    parts = ["BEGIN;\nSET LOCAL lock_timeout = '2s';\n", _PREPARE]
    parts += [
        _TABLE.format(table=_checked(table), trigger=TRIGGER, schema=SCHEMA, function=FUNCTION)
        for table in tables
    ]
    return "".join([*parts, "COMMIT;\n"])


def remove(tables: Iterable[str]) -> str:
    """SQL that takes the triggers away from these tables.

    Raises:
        ValueError: that is no name of a table.
    """
    return "".join(f"DROP TRIGGER IF EXISTS {TRIGGER} ON {_checked(table)};\n" for table in tables)


_NAME = r'(?:[^\W\d][\w$]*|"(?:[^"\x00]|"")+")'
_TABLE_NAME = re.compile(rf"{_NAME}(?:\.{_NAME})?")


def _checked(table: str) -> str:
    if not _TABLE_NAME.fullmatch(table):
        raise ValueError(
            f"{table!r} is not the name of a table: write schema.table,"
            ' with names that need it in quotes (shop."Order lines")'
        )
    return table


def main(arguments: Sequence[str]) -> int:
    """Prints the DDL for the tables that are named. Returns the status for the shell."""
    tables = [argument for argument in arguments if argument != "--remove"]
    if not tables or any(table.startswith("-") for table in tables):
        print("Usage: python -m foretide.dbadvisor.cache [--remove] SCHEMA.TABLE ...")
        return 2
    try:
        print(remove(tables) if "--remove" in arguments else install(tables), end="")
    except ValueError as error:
        print(f"Error: {error}")
        return 2
    return 0
