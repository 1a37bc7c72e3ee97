"""The DatabaseAdvisor resource: what is refused, and that models and CEL say the same."""

import pytest
from pydantic import ValidationError

from foretide.operator.api.databaseadvisor import (
    DATABASE_ADVISOR_RULES,
    AdvisorMode,
    DatabaseAdvisorSpec,
)

CONNECTED = {"connection": {"secretRef": {"name": "shop"}}}
NIGHT = {"start": "02:00", "duration": "2h"}


def test_little_needs_to_be_said():
    spec = DatabaseAdvisorSpec.model_validate(CONNECTED)
    assert (spec.mode, spec.interval, spec.advise_every) == (AdvisorMode.RECOMMEND, 60.0, 3_600.0)
    assert (spec.suspend, spec.storage_budget, spec.findings) == (False, None, 10)


def test_a_window_is_every_day_and_in_utc_unless_told_otherwise():
    spec = DatabaseAdvisorSpec.model_validate(
        {**CONNECTED, "mode": "Apply", "maintenanceWindows": [NIGHT]}
    )
    (window,) = spec.maintenance_windows
    assert (len(window.days), window.duration, window.time_zone) == (7, 7_200.0, "UTC")


def connected(**said):
    return {"connection": {"secretRef": {"name": "shop"}, **said}}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "connection"),
        ({"connection": {}}, "secretRef"),
        ({"connection": {"secretRef": {"name": "../other/shop"}}}, "name"),
        ({"connection": {"secretRef": {"name": "shop", "namespace": "other"}}}, "namespace"),
        (connected(host="/run/postgresql"), "host"),
        (connected(host="a,b"), "host"),
        (connected(port=0), "port"),
        ({**CONNECTED, "mode": "Auto"}, "mode"),
        ({**CONNECTED, "mode": "Apply"}, "mode Apply needs maintenanceWindows"),
        ({**CONNECTED, "interval": "1s"}, "interval must be between 5s and 1h"),
        ({**CONNECTED, "adviseEvery": "1m"}, "adviseEvery must be between 5m and 7d"),
        ({**CONNECTED, "statementTimeout": "1h"}, "statementTimeout must be between 1s and 5m"),
        ({**CONNECTED, "storageBudget": "much"}, "is not a quantity"),
        ({**CONNECTED, "storageBudget": 0}, "storageBudget"),
        ({**CONNECTED, "exclude": ["orders"]}, "exclude"),
        ({**CONNECTED, "maintenanceWindows": [{**NIGHT, "start": "25:00"}]}, "start"),
        ({**CONNECTED, "maintenanceWindows": [{**NIGHT, "days": ["Monday"]}]}, "days"),
        ({**CONNECTED, "maintenanceWindows": [{**NIGHT, "duration": "1m"}]}, "duration must be"),
        (
            {**CONNECTED, "maintenanceWindows": [{**NIGHT, "timeZone": "Mars/Olympus"}]},
            "there is no time zone 'Mars/Olympus'",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(spec, told):
    with pytest.raises(ValidationError) as refused:
        DatabaseAdvisorSpec.model_validate(spec)
    assert told in str(refused.value)


def test_every_rule_in_cel_of_the_spec_has_words_that_the_models_use_too():
    with pytest.raises(ValidationError) as refused:
        DatabaseAdvisorSpec.model_validate({**CONNECTED, "mode": "Apply"})
    for rule in DATABASE_ADVISOR_RULES["spec"]:
        assert rule["message"] in str(refused.value)
