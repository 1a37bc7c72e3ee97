"""Whoever looks up a reason or an Event finds what to do."""

import ast
import re
from pathlib import Path

import pytest

from foretide.dbadvisor.applying_state import Phase
from foretide.dbadvisor.applying_steps import Why
from foretide.operator import databases
from foretide.operator.databases import news

PAGE = Path(__file__).parents[3] / "docs" / "databaseadvisors.md"
# Where reasons of conditions are; other names in them are no reasons.
MODULES = ("applying", "archive", "reconcile", "secrets", "targets", "telling")
NO_REASONS = {"DatabaseAdvisor", "Internal", "Normal", "Warning"}
ROW = re.compile(r"^\| (?P<names>`[^|]+) \| (?P<told>[^|]+) \|$", re.MULTILINE)


def rows(heading):
    """What is told of each name in the tables of a section."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    section = section.partition("\n## ")[0]
    return {
        name: row["told"]
        for row in ROW.finditer(section)
        for name in re.findall(r"`([A-Za-z]+)`", row["names"])
    }


def names_in(module):
    """All names that are written there as reasons are."""
    tree = ast.parse((Path(databases.__file__).parent / f"{module}.py").read_text())
    texts = {it.value for it in ast.walk(tree) if isinstance(it, ast.Constant)}
    return {it for it in texts if isinstance(it, str) and re.fullmatch(r"([A-Z][a-z]+)+", it)}


@pytest.mark.parametrize("module", MODULES)
def test_every_reason_of_a_condition_has_a_row(module):
    assert sorted(names_in(module) - NO_REASONS - set(rows("Conditions"))) == []


def test_every_reason_of_mode_apply_has_a_row():
    assert sorted({str(why) for why in Why} - set(rows("Conditions"))) == []


def test_every_event_has_a_row_and_no_row_is_of_another():
    told = {kind.reason for kind in news.KINDS.values()}
    told |= {reason for reason, _ in news.STATES.values()}
    assert set(rows("Events")) == told


def test_each_state_of_an_index_is_an_event():
    assert set(news.STATES) == {str(phase) for phase in Phase}


def test_reasons_that_are_in_the_page_are_in_the_code():
    known = set().union(*map(names_in, MODULES)) | {str(why) for why in Why}
    known |= {"Ready", "StoreAvailable", "ApiUnreachable"}
    assert sorted(set(rows("Conditions")) - known) == []
