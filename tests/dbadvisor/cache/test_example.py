"""The example of docs/query-cache.md does what it says."""

import re
from pathlib import Path

import psycopg
import pytest

from foretide.dbadvisor.cache import install

PAGE = Path(__file__).parents[3] / "docs" / "query-cache.md"


@pytest.mark.postgres
def test_the_example_runs(postgres, capsys):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE product (id int PRIMARY KEY, name text, shelf int)")
        connection.execute("INSERT INTO product VALUES (1, 'salt', 7)")
        connection.execute(install(["public.product"]))
    text = PAGE.read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    exec(program.replace("postgresql://app@db.shop/shop", postgres), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["[(1, 'salt')]", "[(1, 'salt')]", "[(1, 'tea')]"]
    assert lines[3].startswith("Counts(hits=1, misses=2,")
