"""The DDL that lets tables tell of their changes."""

import re
from collections.abc import Iterable, Sequence

SCHEMA = "foretide_cache"
FUNCTION = "tell"
TRIGGER = "foretide_cache_tell"
CHANNEL = "foretide_cache"
EVERYTHING = "*"  # told in the place of a table, after DDL

_TRANSACTION = (
    "pg_catalog.pg_current_xact_id(), '/', pg_catalog.date_part('epoch', pg_catalog.now())"
)
# Once in each database. PostgreSQL folds equal notifications of one transaction into one, so a
# transaction costs one for each table that it changes, however many statements it has. Its number
# comes with its time: after a crash, or a failover that lost commits, numbers are given anew.
_PREPARE = f"""\
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE OR REPLACE FUNCTION {SCHEMA}.{FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('{CHANNEL}', pg_catalog.concat({_TRANSACTION},
        ' ', TG_TABLE_SCHEMA, '.', TG_TABLE_NAME));
    RETURN NULL;
END $$;
GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC;
"""

# DDL changes answers, too: a view is replaced, a partition attached, a trigger of ours taken away.
# What concerns one session alone, or no answer, is left out.
_DDL = f"""\
BEGIN;
SET LOCAL lock_timeout = '2s';
{_PREPARE}
CREATE OR REPLACE FUNCTION {SCHEMA}.{FUNCTION}_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_EVENT = 'sql_drop' THEN
        PERFORM FROM pg_catalog.pg_event_trigger_dropped_objects() WHERE NOT is_temporary;
    ELSIF TG_TAG NOT IN ('COMMENT', 'CREATE INDEX', 'REINDEX', 'REFRESH MATERIALIZED VIEW') THEN
        PERFORM FROM pg_catalog.pg_event_trigger_ddl_commands()
            WHERE schema_name IS DISTINCT FROM 'pg_temp';
    END IF;
    IF FOUND THEN
        PERFORM pg_catalog.pg_notify('{CHANNEL}',
            pg_catalog.concat({_TRANSACTION}, ' {EVERYTHING}'));
    END IF;
END $$;
"""
_EVENTS = {f"{TRIGGER}_ddl": "ddl_command_end", f"{TRIGGER}_drop": "sql_drop"}
_EVENT = """\
DROP EVENT TRIGGER IF EXISTS {trigger};
CREATE EVENT TRIGGER {trigger} ON {event} EXECUTE FUNCTION {schema}.{function}_ddl();
ALTER EVENT TRIGGER {trigger} ENABLE ALWAYS;
"""
USAGE = "Usage: python -m foretide.dbadvisor.cache [--remove] [--ddl] SCHEMA.TABLE ..."

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


def install_ddl() -> str:
    """SQL that makes DDL known, which empties the cache; it may run again. Needs a superuser."""
    events = (
        _EVENT.format(trigger=trigger, event=event, schema=SCHEMA, function=FUNCTION)
        for trigger, event in _EVENTS.items()
    )
    return "".join([_DDL, *events, "COMMIT;\n"])


def remove_ddl() -> str:
    """SQL that takes what `install_ddl` made away."""
    return "".join(f"DROP EVENT TRIGGER IF EXISTS {trigger};\n" for trigger in _EVENTS)


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
    tables = [argument for argument in arguments if not argument.startswith("-")]
    options = set(arguments) - set(tables)
    if not (tables or "--ddl" in options) or not options <= {"--ddl", "--remove"}:
        print(USAGE)
        return 2
    try:
        if tables:
            print(remove(tables) if "--remove" in options else install(tables), end="")
        if "--ddl" in options:
            print(remove_ddl() if "--remove" in options else install_ddl(), end="")
    except ValueError as error:
        print(f"Error: {error}")
        return 2
    return 0
