"""What kopf logs is told in words that say what to do."""

import logging

import pytest

from foretide.operator.logs import NOT_INSTALLED, in_our_words

# As kopf 1.38 puts them; that it still does is shown in tests/operator/kmock/test_missing_crds.py.
UNRESOLVED = "Unresolved resources cannot be served (try creating their CRDs): "
EARLY = (
    "Request attempt #1/9 failed; will retry: GET https://h/apis/foretide.dev/v1alpha1/"
    "predictivescalers -> APITooManyRequestsError('storage is (re)initializing', {})"
)


def told(message, name="kopf._core.reactor.observation"):
    """What is logged of a record; None where it is nothing."""
    record = logging.LogRecord(name, logging.WARNING, "", 1, message, None, None)
    return record.getMessage() if in_our_words(record) else None


def test_a_cluster_that_lacks_our_kind_is_told_with_what_to_do():
    both = f"{UNRESOLVED}scaledobjects.v1alpha1.keda.sh, predictivescalers.v1alpha1.foretide.dev"
    assert told(both) == NOT_INSTALLED
    assert "kubectl apply -f crds/" in NOT_INSTALLED


@pytest.mark.parametrize("message", [f"{UNRESOLVED}scaledobjects.v1alpha1.keda.sh", EARLY])
def test_what_nobody_has_to_know_is_not_told(message):
    assert told(message) is None


@pytest.mark.parametrize(
    "message", ["Something else.", EARLY.replace("will retry", "escalating"), "50 % of it"]
)
def test_all_else_is_told_as_it_is(message):
    assert told(message) == message
    assert told(UNRESOLVED, name="foretide.operator") == UNRESOLVED
