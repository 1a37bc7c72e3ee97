"""Advice for a real database, as a worker makes it: from two looks to the parts of a status."""

import json
import pickle

import pytest

from foretide.dbadvisor.connection import Limits, Target
from foretide.dbadvisor.observed import Settings
from foretide.operator.api.databaseadvisor_status import DatabaseAdvisorStatus
from foretide.operator.databases.consulting import Question, consult
from foretide.operator.databases.history import History, with_look
from foretide.operator.databases.watching import Watch

pytestmark = pytest.mark.postgres


@pytest.fixture
def asked(shop):
    """Two looks at a shop whose orders are looked for by their customer."""
    shop.fill()
    target = Target(shop.secret)
    watch = Watch(looks=2, pause=0.0)
    history = History()
    for _ in range(2):
        shop.look_up()
        look = watch.look("way", lambda: target, Limits())
        history = with_look(history, look.snapshot, look.activities, 60.0)
    watch.close()
    return Question(target, Limits(), history, Settings(), 10)


def test_two_looks_make_advice_that_goes_through_a_process_and_into_a_status(asked):
    answer = consult(pickle.loads(pickle.dumps(asked)))
    answer = pickle.loads(pickle.dumps(answer))
    DatabaseAdvisorStatus.model_validate(
        {key: value for key, value in answer.parts.items() if value is not None}
    )
    (index,) = answer.parts["indexes"]
    assert index["table"] == "public.orders"
    assert float(index["savedPercent"]) > 50
    assert [str(chosen.candidate.table) for chosen in answer.chosen] == ["public.orders"]
    assert answer.budget > answer.chosen[0].bytes > 0
    assert json.loads(answer.report)["database"] == asked.history.last.database


def test_what_is_not_to_be_spoken_of_is_not_spoken_of(asked):
    settings = Settings(exclude=("public.orders",))
    parts = consult(Question(asked.target, Limits(), asked.history, settings, 10)).parts
    assert not parts["indexes"]
    assert not parts["scans"]


def test_without_extensions_there_is_advice_all_the_same(shop):
    target = Target({**shop.secret, "dbname": "postgres"})
    watch = Watch(looks=2, pause=0.0)
    look = watch.look("way", lambda: target, Limits())
    watch.close()
    history = with_look(History(), look.snapshot, look.activities, 60.0)
    answer = consult(Question(target, Limits(), history, Settings(), 10))
    assert answer.chosen == ()
    assert answer.parts["advice"]["savedPercent"] is None
    assert any("pg_stat_statements" in remark for remark in answer.parts["remarks"])
